"""Which moments of which devices were erased, in memory: whoever keeps fixes and visits asks here first."""

from collections.abc import Collection

from schemas.erasure import ErasedSpan, Erasure, mark_of


class ErasedSpans:
    """Call ``changed`` after each change of ``onsite.erasures``."""

    def __init__(self) -> None:
        self._by_erasure: dict[str, list[ErasedSpan]] = {}
        self._by_device: dict[str, list[ErasedSpan]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_device)

    def changed(self, erasure_id: str, erasure: Erasure | None) -> None:
        """An erasure is another now, or there is a new one."""
        spans = [] if erasure is None else erasure.spans
        if self._by_erasure.get(erasure_id, []) == spans:
            return
        self._by_erasure[erasure_id] = spans
        self._by_device = {}
        for each in (span for spans in self._by_erasure.values() for span in spans):
            self._by_device.setdefault(each.device, []).append(each)

    def covers(self, device_id: str, at_ms: int) -> bool:
        """Whether what a device did at a moment (epoch ms) was erased."""
        return any(span.holds(at_ms) for span in self.spans_of(device_id))

    def spans_of(self, device_id: str) -> Collection[ErasedSpan]:
        """What was erased of a device."""
        return self._by_device.get(mark_of("device", device_id), ()) if self._by_device else ()

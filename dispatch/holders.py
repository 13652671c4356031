"""Which technician holds a device, in memory: it belongs to the branch of who holds it."""

from collections.abc import Callable

from schemas.people import Technician


class Holders:
    """Call ``technician_changed`` after each change of the register; ``on_change`` is called with each device that it
    may have brought to another branch.

    Where two technicians say that they hold a device, it is the one whose id comes first.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[str], None] | None = None
        self._holders: dict[str, dict[str, Technician]] = {}
        self._known: dict[str, Technician] = {}
        self._in_shifts: set[str] = set()

    @property
    def any_has_shifts(self) -> bool:
        """Whether of anybody it is known when they work."""
        return bool(self._in_shifts)

    def technician_changed(self, technician_id: str, technician: Technician | None) -> None:
        """A technician is another now; removed or deleted ones hold nothing."""
        before = self._known.pop(technician_id, None)
        if technician is not None and technician.removed_at is None:
            self._known[technician_id] = technician
        self._in_shifts.discard(technician_id)
        after = self._known.get(technician_id)
        if after is not None and after.shifts:
            self._in_shifts.add(technician_id)
        held, holds = _devices(before), _devices(after)
        for device_id in held - holds:
            self._release(device_id, technician_id)
        for device_id in holds:
            assert after is not None
            self._holders.setdefault(device_id, {})[technician_id] = after
        if self.on_change is not None:
            for device_id in held | holds:
                self.on_change(device_id)

    def holder_of(self, device_id: str) -> Technician | None:
        """Who holds it."""
        holders = self._holders.get(device_id)
        return holders[min(holders)] if holders else None

    def _release(self, device_id: str, technician_id: str) -> None:
        holders = self._holders[device_id]
        del holders[technician_id]
        if not holders:
            del self._holders[device_id]


def _devices(technician: Technician | None) -> set[str]:
    return set() if technician is None else set(technician.device_ids)

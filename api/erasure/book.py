"""The erasures that this process knows of, and the gate at the door: what was erased does not come in again."""

from collections.abc import Callable, Sequence
from typing import Final

from api.http.problems import unavailable
from api.ports import ReadModel
from dispatch.erased import ErasedSpans
from schemas.erasure import Erasure, Honoured, PersonKind, mark_of
from schemas.ping import Ping

CODE: Final = "erased"


class ErasureBook:
    """Call ``changed`` with each change of ``erasures``; ``on_change`` is called once ``spans`` has it."""

    def __init__(self, erasures: ReadModel[Erasure], honoured: ReadModel[Honoured]) -> None:
        self.spans = ErasedSpans()
        self.on_change: Callable[[], None] | None = None
        self.honoured = honoured
        self._erasures = erasures

    @property
    def model(self) -> ReadModel[Erasure]:
        """All of them, by id."""
        return self._erasures

    def changed(self, erasure_id: str, erasure: Erasure | None) -> None:
        """An erasure is another now, or there is a new one."""
        self.spans.changed(erasure_id, erasure)
        if self.on_change is not None:
            self.on_change()

    def ensure_known(self) -> None:
        """Raise Problem 503 until it is known who was erased."""
        if not self._erasures.is_caught_up:
            raise unavailable("who was erased is still being read")

    def dropped(self, pings: Sequence[Ping]) -> list[int]:
        """The places, from 0, of those that were erased before they came in."""
        spans = self.spans
        if not spans:
            return []
        return [place for place, ping in enumerate(pings) if spans.covers(ping.device_id, ping.ts_ms)]

    def newest_of(self, kind: PersonKind, person_id: str) -> Erasure | None:
        """The one that was ordered last of a person."""
        mark = mark_of(kind, person_id)
        found = [each for each in self._erasures.records.values() if (each.kind, each.person) == (kind, mark)]
        return max(found, key=lambda each: each.at, default=None)

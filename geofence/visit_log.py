"""The visits of many devices as they were published last, and what is new of them since somebody asked."""

from collections.abc import Iterable

from geofence.visits.log import end_ms_of
from schemas.visit import Visit


class VisitLog:
    """By slot, ``newest`` maps visit_id to the newest revision that is known."""

    def __init__(self) -> None:
        self.newest: list[dict[str, Visit]] = []
        self._revised: dict[int, dict[str, None]] = {}

    def add_slot(self) -> None:
        """Make room for one device more."""
        self.newest.append({})

    def standing(self, slot: int) -> list[Visit]:
        """The visits of a slot that are not retracted."""
        return [visit for visit in self.newest[slot].values() if visit.state != "retracted"]

    def note(self, slot: int, visits: Iterable[Visit]) -> None:
        """Enter revisions."""
        for visit in visits:
            self.newest[slot][visit.visit_id] = visit
            self._revised.setdefault(slot, {})[visit.visit_id] = None

    def let_go(self, slot: int, before_ms: int) -> None:
        """Leave the visits to the store that were over before a moment."""
        for visit in list(self.newest[slot].values()):
            if (end_ms := end_ms_of(visit)) is not None and end_ms < before_ms:
                del self.newest[slot][visit.visit_id]
                self._revised.setdefault(slot, {})[visit.visit_id] = None

    def whole(self, slots: set[int]) -> dict[int, list[Visit]]:
        """All that is known of slots; nothing of it is new any more."""
        self._take(slots)
        return {slot: list(self.newest[slot].values()) for slot in slots if self.newest[slot]}

    def news(self, slots: set[int]) -> tuple[dict[int, list[Visit]], dict[int, list[str]]]:
        """What was noted of slots since it was asked for last, and the ids of visits let go of; it is new no more."""
        noted = self._take(slots)
        newest = self.newest
        revised = {slot: [newest[slot][each] for each in ids if each in newest[slot]] for slot, ids in noted.items()}
        gone = {slot: [each for each in ids if each not in newest[slot]] for slot, ids in noted.items()}
        return revised, {slot: ids for slot, ids in gone.items() if ids}

    def adopt(self, whole: Iterable[int], revised: dict[int, list[Visit]], gone: dict[int, list[str]]) -> None:
        """Take over what ``whole`` (of these slots) or ``news`` said."""
        for slot in whole:
            self.newest[slot] = {}
        for slot, visits in revised.items():
            self.newest[slot].update((visit.visit_id, visit) for visit in visits)
        for slot, ids in gone.items():
            for visit_id in ids:
                self.newest[slot].pop(visit_id, None)

    def _take(self, slots: set[int]) -> dict[int, dict[str, None]]:
        return {slot: self._revised.pop(slot) for slot in self._revised.keys() & slots}

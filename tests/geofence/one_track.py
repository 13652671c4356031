"""One device among the tracks of a worker, with others beside it."""

from collections.abc import Collection

import numpy as np

from geofence.changes import LateSpan
from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.tracks import Tracks
from schemas.visit import Visit
from stream.tracker.journal import Journal


class OneTrack:
    """A device of ``Tracks`` as a test speaks of it."""

    def __init__(self, tracks: Tracks | None = None) -> None:
        self.tracks = tracks or Tracks()
        self.tracks.slot_of("beside it")
        self.slot = self.tracks.slot_of("van")
        self.tracks.slot_of("beside it, too")
        self.journal, self.records = Journal(), dict[str, bytes]()

    @property
    def slots(self) -> np.ndarray:
        return np.array([self.slot])

    @property
    def newest_ms(self) -> int:
        return int(self.tracks.newest_ms(self.slots)[0])

    @property
    def fixes(self) -> Fixes:
        return self.tracks.fixes_of(self.slot)

    @property
    def published(self) -> dict[str, Visit]:
        return self.tracks.log.newest[self.slot]

    @property
    def late(self) -> LateSpan | None:
        return self.tracks.late.get(self.slot)

    def checkpointed(self) -> "OneTrack":
        """What a checkpoint brings back."""
        slots = self.slots if self.records else np.arange(len(self.tracks))
        self.records.update(self.journal.records(self.tracks, slots, {}))
        tracks, journal = Tracks(), Journal()
        journal.restore(self.records, tracks)
        again = OneTrack(tracks)
        again.journal, again.records = journal, self.records
        return again


def advance(track: OneTrack, fixes: Fixes, fences: FenceSet, rules: Rules) -> list[Visit]:
    return track.tracks.fold(np.full(len(fixes), track.slot), fixes, fences, rules)


def look(track: OneTrack, fences: FenceSet, rules: Rules, as_of_ms: int | None = None) -> list[Visit]:
    return track.tracks.look(track.slots, fences, rules, as_of_ms)


def look_at_changed(track: OneTrack, fences: FenceSet, rules: Rules, changed: Collection[str]) -> list[Visit]:
    return track.tracks.look_at_changed(track.slots, fences, rules, fences.some(changed))


def rederive(
    track: OneTrack, stored: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, *, complete: bool
) -> list[Visit] | None:
    return track.tracks.rederive(track.slot, stored, fences, rules, as_of_ms, complete=complete)

"""One device among the tracks of a worker, with others beside it."""

from collections.abc import Collection

import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.tracks import LateSpan, Tracks
from schemas.visit import Visit
from stream.tracker.segments import pack, unpack


class OneTrack:
    """A device of ``Tracks`` as a test speaks of it."""

    def __init__(self) -> None:
        self.tracks = Tracks()
        self.tracks.slot_of("beside it")
        self.slot = self.tracks.slot_of("van")
        self.tracks.slot_of("beside it, too")

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
        return self.tracks.published[self.slot]

    @property
    def late(self) -> LateSpan | None:
        return self.tracks.late.get(self.slot)

    def checkpointed(self) -> "OneTrack":
        """What a checkpoint brings back."""
        [(track, _)] = unpack(pack([(self.tracks.track(self.slot), 0)]))
        again = OneTrack()
        again.tracks.adopt(track)
        return again


def advance(track: OneTrack, fixes: Fixes, fences: FenceSet, rules: Rules) -> list[Visit]:
    return track.tracks.fold(np.full(len(fixes), track.slot), fixes, fences, rules)


def look(track: OneTrack, fences: FenceSet, rules: Rules, as_of_ms: int | None = None) -> list[Visit]:
    return track.tracks.look(track.slots, fences, rules, as_of_ms)


def look_at_changed(track: OneTrack, fences: FenceSet, rules: Rules, changed: Collection[str]) -> list[Visit]:
    return track.tracks.look_at_changed(track.slots, fences, rules, changed)


def rederive(
    track: OneTrack, stored: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, *, complete: bool
) -> list[Visit] | None:
    return track.tracks.rederive(track.slot, stored, fences, rules, as_of_ms, complete=complete)

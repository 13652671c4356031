"""The devices of one Kafka partition: their tracks, what changed since the last checkpoint, what awaits the store."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.tracks import Tracks
from schemas.fence import FenceVersion
from schemas.ping import Ping
from schemas.visit import Visit
from stream.tracker.segments import pack, segment_of, unpack

_CENTRE: Final = {"type": "Point", "coordinates": [9.0, 47.0]}
_CORNERS: Final = ((8.999, 46.999), (9.001, 46.999), (9.001, 47.001), (8.999, 47.001), (8.999, 46.999))
_SQUARE: Final = {"type": "Polygon", "coordinates": [[list(corner) for corner in _CORNERS]]}


class PartitionTracks:
    """State of one partition.

    ``late_offset`` maps a slot to the offset up to which the recorder must have come. Below ``catch_up_offset`` frames
    are only gathered: a tracker that died may have told what they say, and to tell it again frame by frame would reopen
    what is closed.
    """

    def __init__(self, since_ms: int = 0) -> None:
        self.tracks = Tracks()
        self.late_offset: dict[int, int] = {}
        self.catch_up_offset = 0
        self._since_ms = since_ms
        self._last_offset = -1
        self._gathered: set[int] = set()
        self._segment = np.zeros(0, np.int64)
        self._heard_ms = np.zeros(0, np.int64)
        self._dirty: set[int] = set()

    def restore(self, value: bytes) -> None:
        """Take over the devices of a checkpointed segment."""
        for track, late_offset in unpack(value):
            slot = self.tracks.adopt(track)
            if track.late is not None:
                self.late_offset[slot] = late_offset
        self._meet()

    def learn(self, visit: Visit) -> None:
        """Take note of a revision that was told after the checkpoint."""
        slot = self.tracks.learn(visit)
        self._meet()
        if slot is not None:
            self.touch(np.array([slot]))

    def fold(
        self, pings: Sequence[Ping], last_offset: int, fences: FenceSet, rules: Rules, now_ms: int = 0
    ) -> list[Visit]:
        """Fold a frame's pings into the tracks of their devices; returns the revisions to publish.

        ``now_ms`` is when they came in.
        """
        caught_up = last_offset + 1 >= self.catch_up_offset
        slots = self.tracks.slots_of([ping.device_id for ping in pings])
        self._meet()
        revisions = self.tracks.fold(slots, Fixes.of_pings(pings), fences, rules, looking=caught_up)
        touched = np.unique(slots)
        self._heard_ms[touched] = now_ms
        self.touch(touched)
        self._last_offset = last_offset
        if not caught_up:
            self._gathered.update(touched.tolist())
        elif self._gathered:
            revisions += self.tracks.look(np.array(sorted(self._gathered)), fences, rules)
            self._gathered.clear()
        self.note_late()
        return revisions

    def note_late(self) -> None:
        """Let what is newly late wait until the store has all that has been folded."""
        for slot in self.tracks.newly_late:
            self.late_offset[slot] = self._last_offset
        self.tracks.newly_late.clear()

    def silent(self, now_ms: int, after_ms: int, settled_after_ms: float) -> npt.NDArray[np.int64]:
        """Slots not heard of for ``after_ms`` whose silence has not yet said all it can: ``settled_after_ms``."""
        slots = self.tracks.watched()
        newest_ms = self.tracks.newest_ms(slots)
        heard_ms = np.maximum(newest_ms, self._heard_ms[slots])
        unsettled = self.tracks.looked_ms(slots) - newest_ms <= settled_after_ms
        silent: npt.NDArray[np.int64] = slots[unsettled & (now_ms - heard_ms >= after_ms)]
        return silent

    def touch(self, slots: npt.NDArray[np.int64]) -> None:
        """Mark devices as changed since the last checkpoint."""
        self._dirty.update(self._segment[slots].tolist())

    def take_dirty(self) -> Iterator[tuple[int, bytes]]:
        """The segments that changed since the last call, packed."""
        dirty, self._dirty = self._dirty, set()
        for segment in sorted(dirty):
            slots = np.flatnonzero(self._segment[: len(self.tracks)] == segment).tolist()
            yield segment, pack((self.tracks.track(slot), self.late_offset.get(slot, 0)) for slot in slots)

    def _meet(self) -> None:
        """Make room for devices that are new."""
        known = len(self._segment)
        if known == len(self.tracks):
            return
        new = self.tracks.device_ids[known:]
        self._segment = np.append(self._segment, [segment_of(device_id) for device_id in new])
        self._heard_ms = np.append(self._heard_ms, np.full(len(new), self._since_ms))


def warm_up(rules: Rules) -> None:
    """Drive an invented device to invented fences, so that every compiled function is ready before real pings."""
    fences = FenceSet.of([("circle", FenceVersion(1, _CENTRE, radius_m=50.0)), ("square", FenceVersion(1, _SQUARE))])
    tracks = PartitionTracks()
    for minute in range(30):
        away = max(0, 10 - minute, minute - 20)
        lat, lon = 47.0 + 0.001 * away, 9.0 + 1e-6 * minute
        ping = Ping("warm-up", minute * 60_000, lat, lon, 8.0, 10.0 if away else 0.0)
        tracks.fold([ping], minute, fences, rules)
    tracks.restore(next(tracks.take_dirty())[1])

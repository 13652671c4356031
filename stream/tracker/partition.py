"""The devices of one Kafka partition: their tracks, what changed since the last checkpoint, what awaits the store."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import Near, near
from geofence.rules import Rules
from geofence.tracks import Track, advance, look
from geofence.visits.evidence import REACH_M
from schemas.fence import FenceVersion
from schemas.ping import Ping
from schemas.visit import Visit
from stream.tracker.segments import SEGMENTS_PER_PARTITION, pack, segment_of, unpack

_CENTRE: Final = {"type": "Point", "coordinates": [9.0, 47.0]}
_CORNERS: Final = ((8.999, 46.999), (9.001, 46.999), (9.001, 47.001), (8.999, 47.001), (8.999, 46.999))
_SQUARE: Final = {"type": "Polygon", "coordinates": [[list(corner) for corner in _CORNERS]]}


class PartitionTracks:
    """State of one partition.

    ``late`` maps a device to the offset up to which the recorder must have come. Below ``catch_up_offset`` frames are
    only gathered: a tracker that died may have told what they say, and to tell it again frame by frame would reopen
    what is closed.
    """

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        self.late: dict[str, int] = {}
        self.catch_up_offset = 0
        self._gathered: set[str] = set()
        self._in_segment: list[set[str]] = [set() for _ in range(SEGMENTS_PER_PARTITION)]
        self._dirty: set[int] = set()

    def restore(self, value: bytes) -> None:
        """Take over the devices of a checkpointed segment."""
        for track, late_offset in unpack(value):
            self._adopt(track)
            if track.late is not None:
                self.late[track.device_id] = late_offset

    def learn(self, visit: Visit) -> None:
        """Take note of a revision that was told after the checkpoint."""
        track = self.tracks.get(visit.device_id) or self._adopt(Track(visit.device_id))
        known = track.published.get(visit.visit_id)
        if known is None or known.revision < visit.revision:
            track.published[visit.visit_id] = visit
            self.touch(visit.device_id)

    def fold(self, pings: list[Ping], last_offset: int, fences: FenceSet, rules: Rules) -> list[Visit]:
        """Fold a frame's pings into the tracks of their devices; returns the revisions to publish, device by device."""
        caught_up = last_offset + 1 >= self.catch_up_offset
        revisions: list[Visit] = []
        devices: list[str] = []
        for device_id, fixes, found in _by_device(pings, fences):
            devices.append(device_id)
            track = self.tracks.get(device_id) or self._adopt(Track(device_id))
            revisions += advance(track, fixes, fences, rules, found, looking=caught_up)
            if track.late is not None:
                self.late[device_id] = last_offset
            self.touch(device_id)
        if not caught_up:
            self._gathered.update(devices)
        elif self._gathered:
            for device_id in self._gathered:
                revisions += look(self.tracks[device_id], fences, rules)
            self._gathered.clear()
        return revisions

    def touch(self, device_id: str) -> None:
        """Mark a device as changed since the last checkpoint."""
        self._dirty.add(segment_of(device_id))

    def take_dirty(self) -> Iterator[tuple[int, bytes]]:
        """The segments that changed since the last call, packed."""
        dirty, self._dirty = self._dirty, set()
        for segment in sorted(dirty):
            devices = sorted(self._in_segment[segment])
            yield segment, pack((self.tracks[device_id], self.late.get(device_id, 0)) for device_id in devices)

    def _adopt(self, track: Track) -> Track:
        self.tracks[track.device_id] = track
        self._in_segment[segment_of(track.device_id)].add(track.device_id)
        return track


def _by_device(pings: list[Ping], fences: FenceSet) -> Iterator[tuple[str, Fixes, Near]]:
    """The fixes of each device and the rows within reach of them; one look-up for all."""
    pings_of: defaultdict[str, list[Ping]] = defaultdict(list)
    for ping in pings:
        pings_of[ping.device_id].append(ping)
    fixes = Fixes.of_pings([ping for one in pings_of.values() for ping in one])
    found = near(fences.packed, fixes.lat, fixes.lon, REACH_M)
    ends = np.cumsum([len(one) for one in pings_of.values()])
    found_ends = np.searchsorted(found.point, ends)
    first = found_first = 0
    for device_id, end, found_end in zip(pings_of, ends.tolist(), found_ends.tolist(), strict=True):
        span = slice(found_first, found_end)
        near_device = Near(found.point[span] - np.int32(first), found.row[span], found.distance_m[span])
        yield device_id, fixes.take(slice(first, end)), near_device
        first, found_first = end, found_end


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

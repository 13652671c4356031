"""Which pings of a load tip which visit over: the engine's own word, one request at a time.

The engine of the tracker folds the load without a broker, a round for the first request of each device, one for the
second, and so on: a visit that opens, is confirmed or closes in a round does so by that device's pings of the round. An
event of the running system has the same cause where it says the same of the same device and fence. What a device posts
together is folded together there too, so that what one of its pings says and the next takes back is no event.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.load import Load
from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.tracks import Tracks
from schemas.visit import Visit

Event = tuple[str, str, str]
"""A device, a fence and the state that a visit of the one to the other reached for the first time."""


def event_of(visit: Visit) -> Event:
    """What a revision tells, if it is the first of its state."""
    return visit.device_id, visit.fence_id, visit.state


def tipping_pings(load: Load, request: npt.NDArray[np.int64], later_ms: int) -> dict[Event, int]:
    """Event -> the row of ``load.day.pings`` that brings it about, with all pings so much later.

    ``request`` int64[n] tells what was posted together. Of the pings of a device in a request the last one is named.
    """
    fences, rules, tracks = FenceSet.of(load.fence_versions), Rules(), Tracks()
    columns = load.day.pings
    slot_of_device = tracks.slots_of(list(load.day.devices))
    row_of_slot = np.zeros(len(slot_of_device), np.int64)
    causes: dict[Event, int] = {}
    for rows in _rounds(columns.device, request):
        some = columns.take(rows)
        fixes = Fixes.of_columns(some.ts_ms + later_ms, some.lat, some.lon, some.accuracy_m, some.speed_mps)
        slots = slot_of_device[some.device]
        row_of_slot[slots] = rows
        for visit in tracks.fold(slots, fixes, fences, rules):
            causes.setdefault(event_of(visit), int(row_of_slot[tracks.slots[visit.device_id]]))
    return causes


def _rounds(device: npt.NDArray[np.int32], request: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """The rows of each device's first request, of each one's second, …, in their order."""
    order = np.lexsort((request, device))
    begins_device = np.diff(device[order], prepend=-1) != 0
    begins_request = begins_device | (np.diff(request[order], prepend=-1) != 0)
    so_far = np.cumsum(begins_request)
    nth = np.empty(len(device), np.int64)
    nth[order] = so_far - np.maximum.accumulate(np.where(begins_device, so_far, 0))
    by_round = np.argsort(nth, kind="stable")
    yield from np.split(by_round, np.cumsum(np.bincount(nth))[:-1])

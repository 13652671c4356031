"""Which ping of a load tips which visit over: the engine's own word, one ping at a time.

The engine of the tracker folds the load without a broker, a round for the first ping of each device, one for the
second, and so on: a visit that opens, is confirmed or closes in a round does so by that device's ping of the round. An
event of the running system has the same cause where it says the same of the same device and fence.
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


def tipping_pings(load: Load, later_ms: int) -> dict[Event, int]:
    """Event -> the row of ``load.day.pings`` that brings it about, with all pings so much later."""
    fences, rules, tracks = FenceSet.of(load.fence_versions), Rules(), Tracks()
    columns = load.day.pings
    slot_of_device = tracks.slots_of(list(load.day.devices))
    row_of_slot = np.zeros(len(slot_of_device), np.int64)
    causes: dict[Event, int] = {}
    for rows in _rounds(columns.device):
        some = columns.take(rows)
        fixes = Fixes.of_columns(some.ts_ms + later_ms, some.lat, some.lon, some.accuracy_m, some.speed_mps)
        slots = slot_of_device[some.device]
        row_of_slot[slots] = rows
        for visit in tracks.fold(slots, fixes, fences, rules):
            causes.setdefault(event_of(visit), int(row_of_slot[tracks.slots[visit.device_id]]))
    return causes


def _rounds(device: npt.NDArray[np.int32]) -> Iterator[npt.NDArray[np.intp]]:
    """The rows of each device's first ping, of each one's second, …"""
    order = np.argsort(device, kind="stable")
    counts = np.bincount(device)
    nth = np.empty(len(device), np.int64)
    nth[order] = np.arange(len(device)) - np.repeat(np.cumsum(counts) - counts, counts)
    by_round = np.argsort(nth, kind="stable")
    yield from np.split(by_round, np.cumsum(np.bincount(nth))[:-1])

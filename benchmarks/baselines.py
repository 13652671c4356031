"""What most trackers do about visits, to measure against: point in polygon at once, and the same with filters.

Both read a stay off a run of fixes inside a fence: it begins with the first of them and ends with the first fix
outside; nothing joins two runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import near
from geofence.rules import Rules

GATE_M: Final = 100.0


@dataclass(frozen=True)
class PlainStay:
    """A stay whose edges are taken for exact; ``departed_ms`` None while the device is there."""

    fence_id: str
    arrived_ms: int
    departed_ms: int | None

    @property
    def arrived_earliest_ms(self) -> int:
        """The arrival itself."""
        return self.arrived_ms

    @property
    def arrived_latest_ms(self) -> int:
        """The arrival itself."""
        return self.arrived_ms

    @property
    def departed_earliest_ms(self) -> int | None:
        """The departure itself."""
        return self.departed_ms

    @property
    def departed_latest_ms(self) -> int | None:
        """The departure itself."""
        return self.departed_ms


def point_in_polygon(arriving: Fixes, fences: FenceSet) -> list[PlainStay]:
    """Enter and exit at once, of one device's fixes in the order they arrive.

    A fix that is not newer than all before it is passed over, as trackers do.
    """
    newest_ms = np.maximum.accumulate(arriving.ts_ms)
    fresh = np.ones(len(arriving), np.bool_)
    fresh[1:] = arriving.ts_ms[1:] > newest_ms[:-1]
    seen = arriving.take(fresh)
    return [_stay(seen, fences, fence, first, last) for fence, first, last in runs_inside(seen, fences)]


def dwell_filter(arriving: Fixes, fences: FenceSet, rules: Rules) -> list[PlainStay]:
    """Point in polygon over sorted fixes that state at most ``GATE_M`` or nothing.

    A run is a stay once the fixes inside cover the fence's ``min_on_site_s``.
    """
    ordered = arriving.in_order()
    kept = ordered.take(~(ordered.accuracy_m > GATE_M))
    needed_s = np.empty(len(fences.fence_ids))
    needed_s[fences.fence_of_row] = np.where(np.isnan(fences.min_on_site_s), rules.min_on_site_s, fences.min_on_site_s)
    return [
        _stay(kept, fences, fence, first, last)
        for fence, first, last in runs_inside(kept, fences)
        if kept.ts_ms[last] - kept.ts_ms[first] >= needed_s[fence] * 1000.0
    ]


def runs_inside(fixes: Fixes, fences: FenceSet) -> Iterator[tuple[int, int, int]]:
    """(fence, first, last) of every run of consecutive fixes inside a fence, both inclusive."""
    inside = near(fences.packed, fixes.lat, fixes.lon, 0.0)
    fence = fences.fence_of_row[inside.row]
    for each in np.unique(fence):
        yield from ((int(each), first, last) for first, last in _runs(np.unique(inside.point[fence == each])))


def _runs(rows: npt.NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    """(first, last) of each stretch of consecutive numbers in a sorted array."""
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        yield int(run[0]), int(run[-1])


def _stay(fixes: Fixes, fences: FenceSet, fence: int, first: int, last: int) -> PlainStay:
    departed_ms = int(fixes.ts_ms[last + 1]) if last + 1 < len(fixes) else None
    return PlainStay(fences.fence_ids[fence], int(fixes.ts_ms[first]), departed_ms)

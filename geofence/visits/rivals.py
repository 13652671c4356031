"""Which of several adjoining places a stay was at, weighed over the whole of it.

Indoors a phone errs by much the same for hours, so all fixes at rest together are few witnesses for the shop next door.
Those on the way in and out, under the sky, do not share that error.
"""

from typing import Final

import numba as nb
import numpy as np

from geofence.visits.cells import holds
from geofence.visits.chain import score_elsewhere
from geofence.visits.edges import SEARCH_S
from geofence.visits.evidence import SCORE_SCALE

AMBLE_MPS: Final = 0.6
STRIDE_MPS: Final = 2.5
"""Between these speeds somebody walks; beyond, a vehicle comes or goes."""

WALK_S: Final = 60.0
STOP_WITHIN_S: Final = 120.0
KERB_S: Final = 20.0
"""How long after its vehicle stopped, and before it left, a device is taken to be at the kerb."""

CLEARLY_NATS: Final = 0.1
"""By so much a rival must be better: a visit is not moved for nothing."""

REST_SHARE: Final = 3.0
REST_WITNESSES: Final = 4.0
"""Fixes at rest count a third, and together for no more than so many of full weight."""


@nb.njit(cache=True, nogil=True)
def settle_rivals(ts_ms, speed_mps, weight, cells, outside, inside, elsewhere, label):  # type: ignore[no-untyped-def]
    """Move the stays of a path (``label``) to the rivals that explain them better; only those that are over.

    A stay is all fixes in one cell with absences of ``SEARCH_S`` at most. Rivals are cells of one pace of which none
    lies within the other. While a device is there the path's word holds: a visit that is told must not hop about.
    """
    n = len(label)
    before = -1
    first = 0
    while first < n:
        if label[first] == 0:
            first += 1
            continue
        last = first
        end = first + 1
        while end < n and (label[end] == 0 or label[end] == label[first]):
            absent = label[end] == 0 or end > last + 1
            if absent and ts_ms[end] - ts_ms[last] > SEARCH_S * 1000.0:
                break
            if label[end] == label[first]:
                last = end
            end += 1
        if end == n:
            return
        after = last + 1
        while after < n and label[after] == 0:
            after += 1
        mine = label[first] - 1
        best = _best_rival(
            ts_ms, speed_mps, weight, cells, outside, inside, elsewhere, mine, before, first, last, after
        )
        if best != mine:
            for i in range(first, last + 1):
                if label[i] == mine + 1:
                    label[i] = best + 1
        before = last
        first = last + 1


@nb.njit(cache=True, nogil=True)
def _best_rival(  # type: ignore[no-untyped-def]
    ts_ms, speed_mps, weight, cells, outside, inside, elsewhere, mine, before, first, last, after
):
    """The cell that clearly explains the stay of the fixes ``first`` to ``last`` best, else ``mine``."""
    count = len(cells.place_begins) - 1
    pace = np.zeros(count)
    for i in range(first, last + 1):
        for k in range(cells.begins[i], cells.begins[i + 1]):
            pace[cells.cell[k]] = cells.pace[k]
    if np.count_nonzero(pace) == 1:
        return mine
    walk_ms, reach_ms = WALK_S * 1000.0 * pace[mine], STOP_WITHIN_S * 1000.0 * pace[mine]
    stopped_ms = _stopped_ms(ts_ms, speed_mps, before, first, last, after, reach_ms, 1)
    left_ms = _stopped_ms(ts_ms, speed_mps, before, first, last, after, reach_ms, -1)
    kerb_ms = KERB_S * 1000.0 * pace[mine]
    way = np.zeros(count, np.int64)
    rest = np.zeros(count, np.int64)
    rested = 0.0
    low, high = first, last
    while low - 1 > before and ts_ms[first] - ts_ms[low - 1] <= reach_ms:
        low -= 1
    while high + 1 < after and ts_ms[high + 1] - ts_ms[last] <= reach_ms:
        high += 1
    for i in range(low, high + 1):
        near = ts_ms[first] - walk_ms <= ts_ms[i] <= ts_ms[last] + walk_ms
        walking = near and AMBLE_MPS < speed_mps[i] < STRIDE_MPS
        arriving = stopped_ms < ts_ms[i] <= stopped_ms + kerb_ms
        leaving = left_ms - kerb_ms <= ts_ms[i] < left_ms
        if walking or arriving or leaving:
            sums = way
        elif first <= i <= last:
            sums = rest
            rested += weight[i]
        else:
            continue
        for k in range(cells.begins[i], cells.begins[i + 1]):
            sums[cells.cell[k]] += inside[k] - score_elsewhere(i, cells.pace[k], weight, outside, elsewhere)
    share = REST_SHARE * (1.0 + rested / REST_WITNESSES)
    best = mine
    least = way[mine] + rest[mine] / share + CLEARLY_NATS * SCORE_SCALE
    for c in range(count):
        if pace[c] != pace[mine] or way[c] + rest[c] / share <= least:
            continue
        if not (_within(cells, c, mine) or _within(cells, mine, c)):
            best = c
            least = way[c] + rest[c] / share
    return best


@nb.njit(cache=True, nogil=True)
def _stopped_ms(ts_ms, speed_mps, before, first, last, after, reach_ms, side):  # type: ignore[no-untyped-def]
    """When a vehicle was last seen moving before a stay (``side`` 1), or first seen moving after it (-1).

    Within ``reach_ms`` of the stay's edge, and on that side of its middle; where there is no such fix, never.
    """
    edge_ms = ts_ms[first] if side > 0 else ts_ms[last]
    inward_ms = min(reach_ms, (ts_ms[last] - ts_ms[first]) / 2.0)
    found = -(2**62) if side > 0 else 2**62
    i = first if side > 0 else last
    while before < i < after and side * (ts_ms[i] - edge_ms) < inward_ms:
        i += side
    i -= side
    while before < i < after and side * (edge_ms - ts_ms[i]) <= reach_ms:
        if speed_mps[i] > STRIDE_MPS:
            return ts_ms[i]
        i -= side
    return found


@nb.njit(cache=True, nogil=True)
def _within(cells, inner, outer):  # type: ignore[no-untyped-def]
    """Whether all fences of one cell hold in another."""
    for k in range(cells.place_begins[outer], cells.place_begins[outer + 1]):
        if not holds(cells.place_begins, cells.place_fence, inner, cells.place_fence[k]):
            return False
    return True

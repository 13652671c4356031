"""Which of several adjoining places a stay was at, weighed over the whole of it.

Indoors a phone errs by much the same for hours, so all fixes at rest together are few witnesses for the shop next door.
Those on the way in and out, under the sky, do not share that error.
"""

from typing import Final

import numba as nb
import numpy as np

from geofence.compiling import COUNTED, UNCOUNTED
from geofence.visits.cells import comes_before, fences_at, holds
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


@nb.njit(**UNCOUNTED)
def settle_rivals(steps, entries, begin, began_before, ground, overlaps):  # type: ignore[no-untyped-def]
    """Set ``steps.label`` from ``begin`` on: the path's ``best``, but stays that are over go to the rivals that explain
    them better.

    A stay is all steps at one place with absences of ``SEARCH_S`` at most. Rivals are places of one pace of which none
    lies within the other. While a device is there the path's word holds: a visit that is told must not hop about.
    ``begin`` is 0 or what was returned before: the first step whose label is not settled, as long as none before it
    has changed. Where the stay at the first step ``began_before`` the path, its beginning cannot be weighed, and the
    path's word stands. The second answer is whether a stay has gone to a rival.
    """
    ts_ms, best, label = steps.ts_ms, steps.best, steps.label
    n = len(best)
    for i in range(begin, n):
        label[i] = best[i]
    moved = False
    first = begin
    while first < n:
        if best[first] == 0:
            first += 1
            continue
        last = first
        end = first + 1
        while end < n and (best[end] == 0 or best[end] == best[first]):
            absent = best[end] == 0 or end > last + 1
            if absent and ts_ms[end] - ts_ms[last] > SEARCH_S * 1000.0:
                break
            if best[end] == best[first]:
                last = end
            end += 1
        if end == n:
            return first, moved
        if first == 0 and began_before:
            first = last + 1
            continue
        rival = _best_rival(steps, entries, first, last, ground, overlaps)
        for i in range(first, last + 1):
            if best[i] == best[first]:
                label[i] = rival + 1
        moved |= label[first] != best[first]
        first = last + 1
    return n, moved


@nb.njit(**COUNTED)
def _best_rival(steps, entries, first, last, ground, overlaps):  # type: ignore[no-untyped-def]
    """The place that clearly explains the stay of the steps ``first`` to ``last`` best."""
    ts_ms, speed_mps, best = steps.ts_ms, steps.speed_mps, steps.best
    mine = best[first] - 1
    places, paces = _places_near(steps, entries, first, last, mine)
    if len(places) == 1:
        return mine
    own, pace = 0, paces[0]
    before, after = _neighbours(best, first, last)
    walk_ms, reach_ms = WALK_S * 1000.0 * pace, STOP_WITHIN_S * 1000.0 * pace
    stopped_ms = _stopped_ms(ts_ms, speed_mps, before, first, last, after, reach_ms, 1)
    left_ms = _stopped_ms(ts_ms, speed_mps, before, first, last, after, reach_ms, -1)
    kerb_ms = KERB_S * 1000.0 * pace
    way = np.zeros(len(places), np.int64)
    rest = np.zeros(len(places), np.int64)
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
            rested += steps[i].weight
        else:
            continue
        for k in range(steps[i].row_begin, steps[i].row_end):
            if not entries[k].near:
                continue
            for c in range(len(places)):
                if places[c] == entries[k].place:
                    sums[c] += entries[k].inside - score_elsewhere(steps[i], entries[k].pace)
    share = REST_SHARE * (1.0 + rested / REST_WITNESSES)
    chosen = own
    most = way[own] + rest[own] / share + CLEARLY_NATS * SCORE_SCALE
    for c in range(len(places)):
        worth = way[c] + rest[c] / share
        tied = worth == most and chosen != own and comes_before(places[c], places[chosen], ground, overlaps)
        if paces[c] != pace or not (worth > most or tied):
            continue
        if not (_within(places[c], mine, overlaps) or _within(mine, places[c], overlaps)):
            chosen, most = c, worth
    return places[chosen]


@nb.njit(cache=True, nogil=True)
def _places_near(steps, entries, first, last, mine):  # type: ignore[no-untyped-def]
    """The places near any of the steps ``first`` to ``last``, with the pace that each has at the last of these.

    The first is ``mine``, the place of these steps: it is active at them, but may be near none.
    """
    places = np.empty(8, np.int32)
    paces = np.empty(8)
    places[0], paces[0], count = mine, 1.0, 1
    for k in range(steps[first].row_begin, steps[first].row_end):
        if entries[k].place == mine:
            paces[0] = entries[k].pace
    for i in range(first, last + 1):
        for k in range(steps[i].row_begin, steps[i].row_end):
            if not entries[k].near:
                continue
            c = 0
            while c < count and places[c] != entries[k].place:
                c += 1
            if c == len(places):
                places = np.concatenate((places, np.empty_like(places)))
                paces = np.concatenate((paces, np.empty_like(paces)))
            places[c], paces[c] = entries[k].place, entries[k].pace
            count = max(count, c + 1)
    return places[:count], paces[:count]


@nb.njit(**UNCOUNTED)
def _neighbours(best, first, last):  # type: ignore[no-untyped-def]
    """The last step at a place before ``first``, -1 where there is none, and the first one after ``last``."""
    before, after = first - 1, last + 1
    while before >= 0 and best[before] == 0:
        before -= 1
    while after < len(best) and best[after] == 0:
        after += 1
    return before, after


@nb.njit(**UNCOUNTED)
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


@nb.njit(**UNCOUNTED)
def _within(inner, outer, overlaps):  # type: ignore[no-untyped-def]
    """Whether all fences of one place hold at another."""
    begin, end = fences_at(outer, overlaps)
    if begin < 0:
        return holds(inner, outer, overlaps)
    for k in range(begin, end):  # noqa: SIM110 - Numba compiles no generators
        if not holds(inner, overlaps.place_fence[k], overlaps):
            return False
    return True

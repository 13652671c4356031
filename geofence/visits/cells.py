"""The cells within reach of a fix: places of which a device can only be in one.

Mostly a cell is a fence. Fences that overlap have cells in common (``arrangement``); cells of fences that merely adjoin
exclude each other and compete for the same fixes. A *place* is the number of a cell: that of its fence, or beyond all
fences one of ``Overlaps``.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.visits.evidence import pace_of, site_prior

Floats = npt.NDArray[np.float64]


class NearCells(NamedTuple):
    """The cells near one fix, by their place in the order of their fences' ids; ``mass`` and ``inside`` are
    ``evidence.weigh``'s."""

    place: npt.NDArray[np.int32]
    distance_m: Floats
    width_m: Floats
    prior: Floats
    pace: Floats
    mass: Floats
    inside: npt.NDArray[np.int64]


@nb.njit(cache=True, nogil=True)
def room_for_cells(most):  # type: ignore[no-untyped-def]
    """``NearCells`` for as many cells."""
    floats = np.empty((5, most))
    place, inside = np.empty(most, np.int32), np.empty(most, np.int64)
    return NearCells(place, floats[0], floats[1], floats[2], floats[3], floats[4], inside)


@nb.njit(cache=True, nogil=True, inline="always")
def cells_near(near, pairs, begin, end, group, ground, overlaps, rules):  # type: ignore[no-untyped-def]
    """Fill ``near`` with the cells of a fix; how many there are.

    The fix is within reach of ``pairs.row[begin:end]``, of which those count that are held; ``group`` is that of the
    rows among them that overlap, -1 without such rows. ``rules`` hold for rows without ones of their own.
    """
    count = 0
    for j in range(begin, end):
        row = pairs.row[j]
        if not pairs.held[j] or (group >= 0 and overlaps.shared[row]):
            continue
        near.place[count] = ground.fence_of_row[row]
        near.distance_m[count] = pairs.distance_m[j]
        near.width_m[count] = ground.width_m[row]
        near.prior[count] = _prior(ground, row, rules)
        near.pace[count] = pace_at(ground, row, rules)
        count += 1
    if group >= 0:
        count = _add_shared(near, count, pairs, begin, end, group, ground, overlaps, rules)
    for j in range(1, count):
        k = j
        while k > 0 and comes_before(near.place[k], near.place[k - 1], ground, overlaps):
            _swap(near, k, k - 1)
            k -= 1
    return count


@nb.njit(cache=True, nogil=True)
def _add_shared(near, count, pairs, begin, end, group, ground, overlaps, rules):  # type: ignore[no-untyped-def]
    """Add the cells of a group of overlapping rows."""
    together = np.empty(end - begin, np.int64)
    shared = 0
    for j in range(begin, end):
        if pairs.held[j] and overlaps.shared[pairs.row[j]]:
            together[shared] = j
            shared += 1
    for c in range(overlaps.cell_begins[group], overlaps.cell_begins[group + 1]):
        away_m, width_m, prior, pace = -np.inf, np.inf, 0.0, 1.0
        for t in range(overlaps.member_begins[c], overlaps.cut_begins[c]):
            j = together[overlaps.term[t]]
            away_m = max(away_m, pairs.distance_m[j])
            width_m = min(width_m, ground.width_m[pairs.row[j]])
            prior = max(prior, _prior(ground, pairs.row[j], rules))
            pace = min(pace, pace_at(ground, pairs.row[j], rules))
        for t in range(overlaps.cut_begins[c], overlaps.member_begins[c + 1]):
            away_m = max(away_m, -pairs.distance_m[together[overlaps.term[t]]])
        near.place[count] = overlaps.place[c]
        near.distance_m[count], near.width_m[count] = away_m, width_m
        near.prior[count], near.pace[count] = prior, pace
        count += 1
    return count


@nb.njit(cache=True, nogil=True, inline="always")
def _swap(near, j, k):  # type: ignore[no-untyped-def]
    near.place[j], near.place[k] = near.place[k], near.place[j]
    near.distance_m[j], near.distance_m[k] = near.distance_m[k], near.distance_m[j]
    near.width_m[j], near.width_m[k] = near.width_m[k], near.width_m[j]
    near.prior[j], near.prior[k] = near.prior[k], near.prior[j]
    near.pace[j], near.pace[k] = near.pace[k], near.pace[j]


@nb.njit(cache=True, nogil=True, inline="always")
def _prior(ground, row, rules):  # type: ignore[no-untyped-def]
    own = ground.prior_weight[row]
    return site_prior(ground.area_m2[row], rules.prior_weight if np.isnan(own) else own)


@nb.njit(cache=True, nogil=True)
def pace_at(ground, row, rules):  # type: ignore[no-untyped-def]
    """The pace of a row (``evidence.pace_of``)."""
    own_s = ground.min_on_site_s[row]
    return pace_of(rules.min_on_site_s if np.isnan(own_s) else own_s)


@nb.njit(cache=True, nogil=True)
def fences_at(place, ground, overlaps):  # type: ignore[no-untyped-def]
    """First and end of a place's fences in ``overlaps.place_fence``; (-1, 0) where the place is one fence."""
    fences = len(ground.rank)
    if place < fences:
        return -1, 0
    return overlaps.place_begins[place - fences], overlaps.place_begins[place - fences + 1]


@nb.njit(cache=True, nogil=True)
def holds(place, fence, ground, overlaps):  # type: ignore[no-untyped-def]
    """Whether a fence is occupied by a device at a place."""
    first, end = fences_at(place, ground, overlaps)
    if first < 0:
        return place == fence
    for k in range(first, end):  # noqa: SIM110 - Numba compiles no generators
        if overlaps.place_fence[k] == fence:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def allied(a, b, ground, overlaps):  # type: ignore[no-untyped-def]
    """Whether two places share a fence."""
    first, end = fences_at(b, ground, overlaps)
    if first < 0:
        return holds(a, b, ground, overlaps)
    for k in range(first, end):  # noqa: SIM110 - Numba compiles no generators
        if holds(a, overlaps.place_fence[k], ground, overlaps):
            return True
    return False


@nb.njit(cache=True, nogil=True)
def comes_before(a, b, ground, overlaps):  # type: ignore[no-untyped-def]
    """Whether the fence ids of place ``a`` come before those of place ``b``, as lists compare."""
    a_first, a_end = fences_at(a, ground, overlaps)
    b_first, b_end = fences_at(b, ground, overlaps)
    if a_first < 0 and b_first < 0:
        return ground.rank[a] < ground.rank[b]
    a_size = 1 if a_first < 0 else a_end - a_first
    b_size = 1 if b_first < 0 else b_end - b_first
    for k in range(min(a_size, b_size)):
        fence_a = a if a_first < 0 else overlaps.place_fence[a_first + k]
        fence_b = b if b_first < 0 else overlaps.place_fence[b_first + k]
        if fence_a != fence_b:
            return ground.rank[fence_a] < ground.rank[fence_b]
    return a_size < b_size

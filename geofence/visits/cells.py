"""The cells within reach of a fix: places of which a device can only be in one.

Mostly a cell is a fence. Fences that overlap have cells in common (``arrangement``); cells of fences that merely adjoin
exclude each other and compete for the same fixes. A *place* is the number of a cell: that of its fence, or from
``FIRST_SHARED`` on one of ``Overlaps``.
"""

from typing import Final

import numba as nb
import numpy as np

from geofence.compiling import COUNTED, UNCOUNTED
from geofence.visits.evidence import pace_of, site_prior

FIRST_SHARED: Final = 1 << 30
"""The number of the first place of several fences."""

NEAR_CELL: Final = np.dtype(
    [
        ("distance_m", np.float64),
        ("width_m", np.float64),
        ("prior", np.float64),
        ("pace", np.float64),
        ("mass", np.float64),
        ("inside", np.int64),
        ("place", np.int32),
    ],
    align=True,
)
"""A cell near a fix; ``mass`` and ``inside`` are ``evidence.weigh``'s."""


@nb.njit(cache=True, nogil=True)
def room_for_cells(most):  # type: ignore[no-untyped-def]
    """Room for so many of ``NEAR_CELL``, and to sort them."""
    return np.empty(most + 1, NEAR_CELL)


@nb.njit(**UNCOUNTED)
def cells_near(near, pairs, group, ground, overlaps, rules):  # type: ignore[no-untyped-def]
    """Fill ``near`` with the cells of a fix, by their place in the order of their fences' ids; how many there are.

    The fix is within reach of the rows of ``pairs``, of which those count that are held; ``group`` is that of the
    rows among them that overlap, -1 without such rows. ``rules`` hold for rows without ones of their own.
    """
    count = 0
    shared, end = (overlaps.row_begins[group], overlaps.row_begins[group + 1]) if group >= 0 else (0, 0)
    for j in range(len(pairs)):
        row = pairs[j].row
        if not pairs[j].held:
            continue
        if shared < end and overlaps.row[shared] == row:
            shared += 1
            continue
        cell = near[count]
        cell.place, cell.distance_m = ground.fence_of_row[row], pairs[j].distance_m
        cell.width_m, cell.prior = ground.width_m[row], _prior(ground, row, rules)
        cell.pace = pace_at(ground, row, rules)
        count += 1
    if group >= 0:
        count = _add_shared(near, count, pairs, group, ground, overlaps, rules)
    spare = len(near) - 1
    for j in range(1, count):
        k = j
        while k > 0 and comes_before(near[j].place, near[k - 1].place, ground, overlaps):
            k -= 1
        if k == j:
            continue
        near[spare] = near[j]
        for moved in range(j, k, -1):
            near[moved] = near[moved - 1]
        near[k] = near[spare]
    return count


@nb.njit(**COUNTED)
def _add_shared(near, count, pairs, group, ground, overlaps, rules):  # type: ignore[no-untyped-def]
    """Add the cells of a group of overlapping rows."""
    rows = overlaps.row[overlaps.row_begins[group] : overlaps.row_begins[group + 1]]
    together = np.empty(len(rows), np.int64)
    shared = 0
    for j in range(len(pairs)):
        if shared < len(rows) and pairs[j].held and pairs[j].row == rows[shared]:
            together[shared] = j
            shared += 1
    for c in range(overlaps.cell_begins[group], overlaps.cell_begins[group + 1]):
        cell = near[count]
        cell.place = overlaps.place[c]
        cell.distance_m, cell.width_m, cell.prior, cell.pace = -np.inf, np.inf, 0.0, 1.0
        for t in range(overlaps.member_begins[c], overlaps.cut_begins[c]):
            pair = pairs[together[overlaps.term[t]]]
            cell.distance_m = max(cell.distance_m, pair.distance_m)
            cell.width_m = min(cell.width_m, ground.width_m[pair.row])
            cell.prior = max(cell.prior, _prior(ground, pair.row, rules))
            cell.pace = min(cell.pace, pace_at(ground, pair.row, rules))
        for t in range(overlaps.cut_begins[c], overlaps.member_begins[c + 1]):
            cell.distance_m = max(cell.distance_m, -pairs[together[overlaps.term[t]]].distance_m)
        count += 1
    return count


@nb.njit(cache=True, nogil=True)
def _prior(ground, row, rules):  # type: ignore[no-untyped-def]
    own = ground.prior_weight[row]
    return site_prior(ground.area_m2[row], rules.prior_weight if np.isnan(own) else own)


@nb.njit(**UNCOUNTED)
def pace_at(ground, row, rules):  # type: ignore[no-untyped-def]
    """The pace of a row (``evidence.pace_of``)."""
    own_s = ground.min_on_site_s[row]
    return pace_of(rules.min_on_site_s if np.isnan(own_s) else own_s)


@nb.njit(**UNCOUNTED)
def fences_at(place, overlaps):  # type: ignore[no-untyped-def]
    """First and end of a place's fences in ``overlaps.place_fence``; (-1, 0) where the place is one fence."""
    shared = place - FIRST_SHARED
    if shared < 0:
        return -1, 0
    return overlaps.place_begins[shared], overlaps.place_begins[shared + 1]


@nb.njit(**UNCOUNTED)
def holds(place, fence, overlaps):  # type: ignore[no-untyped-def]
    """Whether a fence is occupied by a device at a place."""
    first, end = fences_at(place, overlaps)
    if first < 0:
        return place == fence
    for k in range(first, end):  # noqa: SIM110 - Numba compiles no generators
        if overlaps.place_fence[k] == fence:
            return True
    return False


@nb.njit(**UNCOUNTED)
def allied(a, b, overlaps):  # type: ignore[no-untyped-def]
    """Whether two places share a fence."""
    first, end = fences_at(b, overlaps)
    if first < 0:
        return holds(a, b, overlaps)
    for k in range(first, end):  # noqa: SIM110 - Numba compiles no generators
        if holds(a, overlaps.place_fence[k], overlaps):
            return True
    return False


@nb.njit(**UNCOUNTED)
def comes_before(a, b, ground, overlaps):  # type: ignore[no-untyped-def]
    """Whether the fence ids of place ``a`` come before those of place ``b``, as lists compare."""
    a_first, a_end = fences_at(a, overlaps)
    b_first, b_end = fences_at(b, overlaps)
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

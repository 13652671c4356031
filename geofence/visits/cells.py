"""The cells within reach of each fix: places of which a device can only be in one.

Mostly a cell is a fence. Fences that overlap have cells in common (``arrangement``); cells of fences that merely adjoin
exclude each other and compete for the same fixes.
"""

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.visits.evidence import pace_of, site_prior


class Cells(NamedTuple):
    """The cells within reach of each of n fixes.

    Fix ``i`` has the entries ``begins[i]`` to ``begins[i + 1]`` (int64[n + 1]) of ``cell`` int32, ``distance_m``,
    ``width_m``, ``prior`` and ``pace`` float64. Cell c is where the fences
    ``place_fence[place_begins[c]:place_begins[c + 1]]`` (indices into ``FenceSet.fence_ids``) hold, and no others;
    cells are numbered in the order of their fences' ids.
    """

    begins: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int32]
    distance_m: npt.NDArray[np.float64]
    width_m: npt.NDArray[np.float64]
    prior: npt.NDArray[np.float64]
    pace: npt.NDArray[np.float64]
    place_begins: npt.NDArray[np.int64]
    place_fence: npt.NDArray[np.int32]


@nb.njit(cache=True, nogil=True)
def cells_near(used, begins, row, distance_m, held, ground, overlaps, rules):  # type: ignore[no-untyped-def]
    """The ``Cells`` of the ``used`` of some fixes.

    The i-th of them is within reach of ``row[begins[i]:begins[i + 1]]``; only those that are ``held`` count. ``ground``
    is the fence set, ``overlaps`` the cells that its rows share near these fixes; ``rules`` hold for rows without ones
    of their own.
    """
    n = len(begins) - 1
    fences = len(ground.rank)
    any_shared = len(overlaps.group) > 0
    size = np.count_nonzero(held)
    for i in range(n):
        group = overlaps.group[used[i]] if any_shared else -1
        if group >= 0:
            size += overlaps.cell_begins[group + 1] - overlaps.cell_begins[group]
    place = np.empty(size, np.int32)
    away_m = np.empty(size)
    width_m = np.empty(size)
    prior = np.empty(size)
    pace = np.empty(size)
    cell_begins = np.empty(n + 1, np.int64)
    together = np.empty(32, np.int64)
    k = 0
    for i in range(n):
        cell_begins[i] = k
        group = overlaps.group[used[i]] if any_shared else -1
        count = 0
        for j in range(begins[i], begins[i + 1]):
            if not held[j]:
                continue
            if group >= 0 and overlaps.shared[row[j]]:
                if count == len(together):
                    together = np.concatenate((together, np.empty_like(together)))
                together[count] = j
                count += 1
                continue
            place[k] = ground.fence_of_row[row[j]]
            away_m[k] = distance_m[j]
            width_m[k] = ground.width_m[row[j]]
            prior[k] = _prior(ground, row[j], rules)
            pace[k] = pace_at(ground, row[j], rules)
            k += 1
        if group < 0:
            continue
        for c in range(overlaps.cell_begins[group], overlaps.cell_begins[group + 1]):
            place[k] = overlaps.place[c]
            away_m[k] = -np.inf
            width_m[k] = np.inf
            prior[k] = 0.0
            pace[k] = 1.0
            for t in range(overlaps.member_begins[c], overlaps.cut_begins[c]):
                j = together[overlaps.term[t]]
                away_m[k] = max(away_m[k], distance_m[j])
                width_m[k] = min(width_m[k], ground.width_m[row[j]])
                prior[k] = max(prior[k], _prior(ground, row[j], rules))
                pace[k] = min(pace[k], pace_at(ground, row[j], rules))
            for t in range(overlaps.cut_begins[c], overlaps.member_begins[c + 1]):
                away_m[k] = max(away_m[k], -distance_m[together[overlaps.term[t]]])
            k += 1
    cell_begins[n] = k
    distinct = _distinct(place[:k])
    order = _in_order_of_ids(distinct, ground.rank, overlaps, fences)
    cell_of = np.empty(len(distinct), np.int32)
    for c in range(len(order)):
        cell_of[order[c]] = c
    cell = np.empty(k, np.int32)
    for i in range(k):
        cell[i] = cell_of[np.searchsorted(distinct, place[i])]
    _sort_each(cell_begins, cell, away_m, width_m, prior, pace)
    place_begins, place_fence = _fences_of(distinct[order], overlaps, fences)
    return Cells(cell_begins, cell, away_m[:k], width_m[:k], prior[:k], pace[:k], place_begins, place_fence)


@nb.njit(cache=True, nogil=True)
def _prior(ground, row, rules):  # type: ignore[no-untyped-def]
    own = ground.prior_weight[row]
    return site_prior(ground.area_m2[row], rules.prior_weight if np.isnan(own) else own)


@nb.njit(cache=True, nogil=True)
def pace_at(ground, row, rules):  # type: ignore[no-untyped-def]
    """The pace of a row (``evidence.pace_of``)."""
    own_s = ground.min_on_site_s[row]
    return pace_of(rules.min_on_site_s if np.isnan(own_s) else own_s)


@nb.njit(cache=True, nogil=True)
def allied_cells(place_begins, place_fence):  # type: ignore[no-untyped-def]
    """bool[c, c]: whether two cells share a fence."""
    cells = len(place_begins) - 1
    allied = np.zeros((cells, cells), np.bool_)
    for a in range(cells):
        allied[a, a] = True
        for b in range(a):
            if place_begins[a + 1] - place_begins[a] == 1 and place_begins[b + 1] - place_begins[b] == 1:
                continue
            for k in range(place_begins[b], place_begins[b + 1]):
                if holds(place_begins, place_fence, a, place_fence[k]):
                    allied[a, b] = allied[b, a] = True
    return allied


@nb.njit(cache=True, nogil=True)
def holds(place_begins: Any, place_fence: Any, cell: int, fence: int) -> bool:
    """Whether a fence is occupied by a device in a cell."""
    for k in range(place_begins[cell], place_begins[cell + 1]):  # noqa: SIM110 - Numba compiles no generators
        if place_fence[k] == fence:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _distinct(place):  # type: ignore[no-untyped-def]
    """The numbers that occur, ascending; they are few, and the same one mostly occurs many times in a row."""
    seen = np.empty(16, np.int32)
    count = 0
    for i in range(len(place)):
        if i > 0 and place[i] == place[i - 1]:
            continue
        at = np.searchsorted(seen[:count], place[i])
        if at < count and seen[at] == place[i]:
            continue
        if count == len(seen):
            seen = np.concatenate((seen, np.empty_like(seen)))
        for k in range(count, at, -1):
            seen[k] = seen[k - 1]
        seen[at] = place[i]
        count += 1
    return seen[:count]


@nb.njit(cache=True, nogil=True)
def _place_of(number, overlaps, fences):  # type: ignore[no-untyped-def]
    """First and end of a place's fences in ``overlaps.place_fence``; (-1, 0) where the number is that of a fence."""
    if number < fences:
        return -1, 0
    return overlaps.place_begins[number - fences], overlaps.place_begins[number - fences + 1]


@nb.njit(cache=True, nogil=True)
def _comes_before(a, b, rank, overlaps, fences):  # type: ignore[no-untyped-def]
    """Whether the ids of place ``a`` come before those of place ``b``, as lists compare."""
    a_first, a_end = _place_of(a, overlaps, fences)
    b_first, b_end = _place_of(b, overlaps, fences)
    for k in range(min(a_end - a_first, b_end - b_first)):
        fence_a = a if a_first < 0 else overlaps.place_fence[a_first + k]
        fence_b = b if b_first < 0 else overlaps.place_fence[b_first + k]
        if fence_a != fence_b:
            return rank[fence_a] < rank[fence_b]
    return a_end - a_first < b_end - b_first


@nb.njit(cache=True, nogil=True)
def _in_order_of_ids(numbers, rank, overlaps, fences):  # type: ignore[no-untyped-def]
    order = np.arange(len(numbers))
    for i in range(1, len(order)):
        k = i
        while k > 0 and _comes_before(numbers[order[k]], numbers[order[k - 1]], rank, overlaps, fences):
            order[k], order[k - 1] = order[k - 1], order[k]
            k -= 1
    return order


@nb.njit(cache=True, nogil=True)
def _sort_each(begins, cell, distance_m, width_m, prior, pace):  # type: ignore[no-untyped-def]
    """Sort the entries of each fix by cell, keeping the order of equal ones; they are few."""
    for i in range(len(begins) - 1):
        for j in range(begins[i] + 1, begins[i + 1]):
            k = j
            while k > begins[i] and cell[k] < cell[k - 1]:
                cell[k], cell[k - 1] = cell[k - 1], cell[k]
                distance_m[k], distance_m[k - 1] = distance_m[k - 1], distance_m[k]
                width_m[k], width_m[k - 1] = width_m[k - 1], width_m[k]
                prior[k], prior[k - 1] = prior[k - 1], prior[k]
                pace[k], pace[k - 1] = pace[k - 1], pace[k]
                k -= 1


@nb.njit(cache=True, nogil=True)
def _fences_of(numbers, overlaps, fences):  # type: ignore[no-untyped-def]
    """``place_begins`` and ``place_fence`` of ``Cells`` for places in order."""
    begins = np.zeros(len(numbers) + 1, np.int64)
    for c in range(len(numbers)):
        first, end = _place_of(numbers[c], overlaps, fences)
        begins[c + 1] = begins[c] + end - first
    fence = np.empty(begins[-1], np.int32)
    for c in range(len(numbers)):
        first, _ = _place_of(numbers[c], overlaps, fences)
        for k in range(begins[c + 1] - begins[c]):
            fence[begins[c] + k] = numbers[c] if first < 0 else overlaps.place_fence[first + k]
    return begins, fence

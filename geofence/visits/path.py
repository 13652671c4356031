"""From the fixes of one device to the likeliest sequence of places, with all the evidence behind it."""

from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import DEGREE_E7, Fixes
from geofence.kernel import Near, near
from geofence.rules import Rules
from geofence.visits.arrangement import Ground, Overlaps, arrangement_of
from geofence.visits.cells import Cells, allied_cells, cells_near
from geofence.visits.chain import best_path, segments
from geofence.visits.cleaning import USED, judge
from geofence.visits.evidence import REACH_M, measure, weigh
from geofence.visits.rivals import settle_rivals

FAR_M: Final = 1e6
"""The distance to a fence out of reach."""


class Path(NamedTuple):
    """What was made of a device's fixes: the evidence of those used and the likeliest cells.

    ``verdict`` uint8 is per fix (``cleaning.VERDICTS``); all else is per used fix (``used`` int64 are their indices):
    ``ts_ms``, ``lat``, ``lon`` (degrees), ``error_m``, ``speed_mps``, ``weight``, ``edge_weight``. Used fix ``i`` is
    within reach of ``near_row[near_begins[i]:near_begins[i + 1]]`` at ``near_m``, whatever their validity; ``held``
    bool tells which of them hold at its moment. ``cells`` are their cells; ``outside``, ``inside``, ``elsewhere`` the
    scores of ``evidence.weigh``; ``label`` int32 is 0 outside, c + 1 in cell c. A chain ran over each of the spans
    ``span_first`` to ``span_end``; ``scores`` int64[:, cells + 1] are the best that end in each state, span by span.
    """

    verdict: npt.NDArray[np.uint8]
    used: npt.NDArray[np.int64]
    ts_ms: npt.NDArray[np.int64]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    error_m: npt.NDArray[np.float64]
    speed_mps: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    edge_weight: npt.NDArray[np.float64]
    near_begins: npt.NDArray[np.int64]
    near_row: npt.NDArray[np.int32]
    near_m: npt.NDArray[np.float64]
    held: npt.NDArray[np.bool_]
    cells: Cells
    outside: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]
    elsewhere: npt.NDArray[np.int64]
    label: npt.NDArray[np.int32]
    span_first: npt.NDArray[np.int64]
    span_end: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int64]


class Situation(NamedTuple):
    """Fixes among fences, ready for ``path_of``: the columns of ``Fixes`` and of ``Near`` (whose ``point`` is a fix).

    ``held`` bool: which of the rows hold for the device at the moment of the fix.
    """

    ts_ms: npt.NDArray[np.int64]
    lat_e7: npt.NDArray[np.int32]
    lon_e7: npt.NDArray[np.int32]
    accuracy_dm: npt.NDArray[np.uint16]
    speed_cm_s: npt.NDArray[np.uint16]
    verdict: npt.NDArray[np.uint8]
    point: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    distance_m: npt.NDArray[np.float64]
    held: npt.NDArray[np.bool_]
    ground: Ground
    overlaps: Overlaps


def situation_of(
    device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, found: Near | None = None
) -> Situation:
    """Clean the fixes and look up the fences within reach (``found``, where that is known already)."""
    if found is None:
        found = near(fences.packed, fixes.lat, fixes.lon, REACH_M)
    arrangement = arrangement_of(fences)
    ground = arrangement.ground
    verdict = judge(fixes, rules.max_accuracy_m, as_of_ms)
    barred = arrangement.barred(device_id, found.row)
    held, apart = _held(
        fixes.ts_ms,
        verdict,
        *found[:2],
        ground.valid_from_ms,
        ground.valid_to_ms,
        barred,
        arrangement.known,
        arrangement.shared,
    )
    overlaps = arrangement.no_overlaps if apart else arrangement.overlaps(found, held, len(fixes))
    return Situation(
        fixes.ts_ms,
        fixes.lat_e7,
        fixes.lon_e7,
        fixes.accuracy_dm,
        fixes.speed_cm_s,
        verdict,
        *found,
        held,
        ground,
        overlaps,
    )


def read_path(device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int) -> Path:
    """Weigh the fixes against the fences within reach and read the likeliest sequence of cells."""
    path: Path = path_of(situation_of(device_id, fixes, fences, rules, as_of_ms), rules, as_of_ms)
    return path


@nb.njit(cache=True, nogil=True)
def _held(ts_ms, verdict, point, row, valid_from_ms, valid_to_ms, barred, known, shared):  # type: ignore[no-untyped-def]
    """Which rows hold near used fixes, and whether each of them is known to overlap no other."""
    held = np.empty(len(row), np.bool_)
    apart = True
    for k in range(len(row)):
        at_ms = ts_ms[point[k]]
        held[k] = verdict[point[k]] == USED and valid_from_ms[row[k]] <= at_ms < valid_to_ms[row[k]]
        for other in barred:
            held[k] &= other != row[k]
        if held[k] and (shared[row[k]] or not known[row[k]]):
            apart = False
    return held, apart


@nb.njit(cache=True, nogil=True)
def path_of(situation, rules, as_of_ms):  # type: ignore[no-untyped-def]
    """The ``Path`` through a ``Situation``."""
    verdict = situation.verdict
    used = np.flatnonzero(verdict == USED)
    n = len(used)
    ts_ms = situation.ts_ms[used]
    lat = situation.lat_e7[used] / DEGREE_E7
    lon = situation.lon_e7[used] / DEGREE_E7
    error_m, speed_mps, weight, edge_weight = measure(
        ts_ms,
        lat,
        lon,
        situation.accuracy_dm[used],
        situation.speed_cm_s[used],
        as_of_ms,
        rules.unstated_error_m,
        rules.max_error_m,
        rules.correlation_s,
        rules.walk_mps,
    )
    near_begins, kept = _near_used(verdict, situation.point, n)
    near_row, near_m, held = situation.row[kept], situation.distance_m[kept], situation.held[kept]
    overlaps = situation.overlaps
    cells = cells_near(used, near_begins, near_row, near_m, held, situation.ground, overlaps, rules)
    outside, inside, elsewhere = weigh(
        cells.begins,
        cells.distance_m,
        cells.width_m,
        cells.prior,
        cells.pace,
        error_m,
        speed_mps,
        weight,
        rules.walk_mps,
        rules.drive_mps,
    )
    label = np.zeros(n, np.int32)
    allied = allied_cells(cells.place_begins, cells.place_fence)
    span_first, span_end = segments(cells.begins, weight)
    scores = np.empty((np.sum(span_end - span_first), len(allied) + 1), np.int64)
    done = 0
    for first, end in zip(span_first, span_end):  # noqa: B905 - Numba's zip takes no strict
        scores[done : done + end - first] = best_path(
            ts_ms,
            cells.begins,
            cells.cell,
            cells.pace,
            weight,
            outside,
            inside,
            elsewhere,
            first,
            end,
            allied,
            rules.stay_scale_s,
            label,
        )
        done += end - first
    settle_rivals(ts_ms, speed_mps, weight, cells, outside, inside, elsewhere, label)
    return Path(
        verdict,
        used,
        ts_ms,
        lat,
        lon,
        error_m,
        speed_mps,
        weight,
        edge_weight,
        near_begins,
        near_row,
        near_m,
        held,
        cells,
        outside,
        inside,
        elsewhere,
        label,
        span_first,
        span_end,
        scores,
    )


@nb.njit(cache=True, nogil=True)
def _near_used(verdict, point, n):  # type: ignore[no-untyped-def]
    """Where the pairs of each of the n used fixes begin (int64[n + 1]), and which of all pairs they are."""
    begins = np.empty(n + 1, np.int64)
    kept = np.empty(len(point), np.int64)
    count = 0
    k = 0
    i = 0
    for fix in range(len(verdict)):
        if verdict[fix] == USED:
            begins[i] = count
            i += 1
        while k < len(point) and point[k] == fix:
            if verdict[fix] == USED:
                kept[count] = k
                count += 1
            k += 1
    begins[n] = count
    return begins, kept[:count]


@nb.njit(cache=True, nogil=True)
def distances_to(path, fence_of_row, fence, first, end):  # type: ignore[no-untyped-def]
    """Signed distance of used fixes ``first`` to ``end`` to a fence as it is then; ``FAR_M`` out of reach."""
    distance_m = np.full(end - first, FAR_M)
    for i in range(first, end):
        for k in range(path.near_begins[i], path.near_begins[i + 1]):
            if path.held[k] and fence_of_row[path.near_row[k]] == fence:
                distance_m[i - first] = path.near_m[k]
    return distance_m


@nb.njit(cache=True, nogil=True)
def distance_to_row(path, i, row):  # type: ignore[no-untyped-def]
    """Signed distance of used fix ``i`` to a row of the fence set, whether it holds or not; ``FAR_M`` out of reach."""
    for k in range(path.near_begins[i], path.near_begins[i + 1]):
        if path.near_row[k] == row:
            return path.near_m[k]
    return FAR_M

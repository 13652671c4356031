"""From the fixes of a device to the likeliest sequence of places, with all the evidence behind it.

A path grows with its fixes: ``extend`` weighs those that are new and the few before them whose evidence they change,
and goes on from the scores that are there. All fixes at once or one by one come to the same path.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import DEGREE_E7, Fixes
from geofence.kernel import Near, near
from geofence.rules import Rules
from geofence.stretches import with_room
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import cells_near, room_for_cells
from geofence.visits.chain import has_room, take_step, trace_back
from geofence.visits.cleaning import DOUBLED, FUTURE, USED, judge, within_a_moment
from geofence.visits.evidence import LONG_SILENCE_S, REACH_M, error_of, measure, weigh
from geofence.visits.rivals import settle_rivals
from geofence.visits.tables import (
    LEAST_ENTRIES,
    Floats,
    Ints,
    PathTables,
    Surroundings,
    append,
    entries_at,
    fixes_at,
    pairs_at,
    steps_at,
    with_entries,
)

FAR_M: Final = 1e6
"""The distance to a fence out of reach."""


class Path(NamedTuple):
    """The path of one slot as it stands, one entry a step; see the tables for what each column means.

    ``used`` are the indices of the steps among the fixes, ``verdict`` is per fix.
    """

    verdict: npt.NDArray[np.uint8]
    used: npt.NDArray[np.int32]
    ts_ms: Ints
    lat: Floats
    lon: Floats
    error_m: Floats
    speed_mps: Floats
    weight: Floats
    edge_weight: Floats
    pair_begin: npt.NDArray[np.int32]
    pair_end: npt.NDArray[np.int32]
    cells: npt.NDArray[np.int32]
    outside: Ints
    elsewhere: Ints
    label: npt.NDArray[np.int32]
    out_score: Ints
    far_score: Ints
    row_begin: npt.NDArray[np.int32]
    row_end: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    distance_m: Floats
    held: npt.NDArray[np.bool_]
    place: npt.NDArray[np.int32]
    near: npt.NDArray[np.bool_]
    inside: Ints
    score: Ints


def surroundings_of(
    device_of: Callable[[int], str], fixes: Fixes, fences: FenceSet, found: Near | None = None
) -> Surroundings:
    """Of fixes, ``device_of`` each of which tells whose it is; ``found`` where it is known already."""
    if found is None:
        found = near(fences.packed, fixes.lat, fixes.lon, REACH_M)
    arrangement = arrangement_of(fences)
    ground = arrangement.ground
    barred = arrangement.barred(device_of, found)
    held, apart = _held(
        fixes.ts_ms, *found[:2], ground.valid_from_ms, ground.valid_to_ms, barred, arrangement.known, arrangement.shared
    )
    group = np.full(len(fixes), -1, np.int32) if apart else arrangement.groups(found, held, len(fixes))
    return Surroundings(found, held, group)


def read_path(device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int) -> Path:
    """Weigh the fixes against the fences within reach and read the likeliest sequence of places."""
    tables = whole_path(device_id, fixes, fences, rules, as_of_ms)
    path: Path = path_at(tables, 0)
    future = np.full(len(fixes) - len(path.verdict), FUTURE, np.uint8)
    return path._replace(verdict=np.concatenate([path.verdict, future]))


def whole_path(
    device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, found: Near | None = None
) -> PathTables:
    """The path over all fixes up to a moment, in a single slot."""
    if len(fixes) and fixes.ts_ms[-1] > as_of_ms:
        fixes, found = fixes.take(slice(0, int(np.searchsorted(fixes.ts_ms, as_of_ms, side="right")))), None
    surroundings = surroundings_of(lambda _: device_id, fixes, fences, found)
    slots = np.zeros(1, np.int64)
    tables = append(PathTables.of_slots(1), np.zeros(len(fixes), np.int64), fixes, surroundings)
    tables = tables._replace(
        steps=with_room(tables.steps, slots, np.array([len(fixes)])),
        entries=with_room(tables.entries, slots, np.array([2 * len(surroundings.found.point) + LEAST_ENTRIES])),
    )
    arrangement = arrangement_of(fences)
    while not extend(tables, 0, arrangement.ground, arrangement.overlaps, rules, as_of_ms)[0]:
        tables = with_entries(tables, slots)
    return tables


@nb.njit(cache=True, nogil=True)
def _held(ts_ms, point, row, valid_from_ms, valid_to_ms, barred, known, shared):  # type: ignore[no-untyped-def]
    """Which rows hold near fixes, and whether each of them is known to overlap no other."""
    held = np.empty(len(row), np.bool_)
    apart = True
    for k in range(len(row)):
        at_ms = ts_ms[point[k]]
        held[k] = valid_from_ms[row[k]] <= at_ms < valid_to_ms[row[k]]
    for k in barred:
        held[k] = False
    for k in range(len(row)):
        if held[k] and (shared[row[k]] or not known[row[k]]):
            apart = False
    return held, apart


@nb.njit(cache=True, nogil=True)
def extend(tables, slot, ground, overlaps, rules, as_of_ms):  # type: ignore[no-untyped-def]
    """Bring the path of a slot up to its fixes, as of a moment not before them.

    Returns whether that was possible, and the path; where not, its entries need more room: then call again.
    """
    fixes, pairs, entries = fixes_at(tables, slot), pairs_at(tables, slot), entries_at(tables, slot)
    _use(tables, slot, fixes, rules)
    steps = steps_at(tables, slot)
    n = len(steps.ts_ms)
    if n == 0:
        return True, _path_of(fixes, pairs, steps, entries)
    first = min(tables.fresh[slot], n - 1)
    measure(steps, fixes.speed_cm_s, first, as_of_ms, rules)
    most = 0
    for i in range(first, n):
        group = fixes.group[steps.fix[i]]
        shared = overlaps.cell_begins[group + 1] - overlaps.cell_begins[group] if group >= 0 else 0
        most = max(most, steps.pair_end[i] - steps.pair_begin[i] + shared)
    near_cells = room_for_cells(most)
    for i in range(first, n):
        group = fixes.group[steps.fix[i]]
        count = cells_near(near_cells, pairs, steps.pair_begin[i], steps.pair_end[i], group, ground, overlaps, rules)
        if not has_room(steps, entries, i, count):
            return False, _path_of(fixes, pairs, steps, entries)
        steps.cells[i] = count
        steps.outside[i], steps.elsewhere[i] = weigh(
            near_cells, count, steps.error_m[i], steps.speed_mps[i], steps.weight[i], rules
        )
        take_step(steps, entries, i, near_cells, count, ground, overlaps, rules.stay_scale_s)
    changed = min(first, trace_back(steps, entries, first))
    settled = tables.settled[slot] if tables.settled[slot] <= changed else 0
    tables.settled[slot] = settle_rivals(steps, entries, settled, ground, overlaps)
    tables.entries.size[slot] = steps.row_end[n - 1]
    tables.fresh[slot] = n
    return True, _path_of(fixes, pairs, steps, entries)


@nb.njit(cache=True, nogil=True, inline="always")
def _use(tables, slot, fixes, rules):  # type: ignore[no-untyped-def]
    """Judge the new fixes of a slot; those used become steps."""
    steps, base = tables.steps, tables.steps.begin[slot]
    for f in range(tables.judged[slot], len(fixes.ts_ms)):
        n = steps.size[slot]
        candidate = steps.fix[base + n - 1] if n > 0 else -1
        verdict = judge(fixes, f, tables.previous[slot], candidate, rules.max_accuracy_m)
        fixes.verdict[f] = verdict
        if verdict in (USED, DOUBLED):
            tables.previous[slot] = f
        if verdict != USED:
            continue
        if candidate >= 0 and within_a_moment(fixes, candidate, f):
            fixes.verdict[candidate] = DOUBLED
            n -= 1
        # With a fix after it the last one weighs otherwise; beyond a long silence the one before may have rested.
        unsettled = 1 if n < 2 or steps.ts_ms[base + n - 1] - steps.ts_ms[base + n - 2] <= LONG_SILENCE_S * 1000 else 2
        tables.fresh[slot] = max(0, min(tables.fresh[slot], n - unsettled))
        at = base + n
        steps.fix[at] = f
        steps.ts_ms[at] = fixes.ts_ms[f]
        steps.lat[at], steps.lon[at] = fixes.lat_e7[f] / DEGREE_E7, fixes.lon_e7[f] / DEGREE_E7
        repeated = n > 0 and fixes.accuracy_dm[steps.fix[at - 1]] == fixes.accuracy_dm[f]
        steps.error_m[at] = error_of(fixes.accuracy_dm[f], repeated, rules.unstated_error_m, rules.max_error_m)
        steps.pair_begin[at] = fixes.pair_begin[f]
        steps.pair_end[at] = fixes.pair_begin[f + 1] if f + 1 < len(fixes.ts_ms) else tables.pairs.size[slot]
        steps.size[slot] = n + 1
    tables.judged[slot] = len(fixes.ts_ms)


@nb.njit(cache=True, nogil=True)
def path_at(tables, slot):  # type: ignore[no-untyped-def]
    """The ``Path`` of a slot, extended before."""
    return _path_of(fixes_at(tables, slot), pairs_at(tables, slot), steps_at(tables, slot), entries_at(tables, slot))


@nb.njit(cache=True, nogil=True)
def _path_of(fixes, pairs, steps, entries):  # type: ignore[no-untyped-def]
    return Path(
        fixes.verdict,
        steps.fix,
        steps.ts_ms,
        steps.lat,
        steps.lon,
        steps.error_m,
        steps.speed_mps,
        steps.weight,
        steps.edge_weight,
        steps.pair_begin,
        steps.pair_end,
        steps.cells,
        steps.outside,
        steps.elsewhere,
        steps.label,
        steps.out_score,
        steps.far_score,
        steps.row_begin,
        steps.row_end,
        pairs.row,
        pairs.distance_m,
        pairs.held,
        entries.place,
        entries.near,
        entries.inside,
        entries.score,
    )


@nb.njit(cache=True, nogil=True)
def distances_to(path, fence_of_row, fence, first, end):  # type: ignore[no-untyped-def]
    """Signed distance of the steps ``first`` to ``end`` to a fence as it is then; ``FAR_M`` out of reach."""
    distance_m = np.full(end - first, FAR_M)
    for i in range(first, end):
        for k in range(path.pair_begin[i], path.pair_end[i]):
            if path.held[k] and fence_of_row[path.row[k]] == fence:
                distance_m[i - first] = path.distance_m[k]
    return distance_m


@nb.njit(cache=True, nogil=True)
def distance_to_row(path, i, row):  # type: ignore[no-untyped-def]
    """Signed distance of step ``i`` to a row of the fence set, whether it holds or not; ``FAR_M`` out of reach."""
    for k in range(path.pair_begin[i], path.pair_end[i]):
        if path.row[k] == row:
            return path.distance_m[k]
    return FAR_M

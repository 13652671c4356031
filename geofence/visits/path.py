"""From the fixes of a device to the likeliest sequence of places, with all the evidence behind it.

A path grows with its fixes: ``extend`` weighs those that are new and the few before them whose evidence they change,
and goes on from the scores that are there. All fixes at once or one by one come to the same path.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numba as nb
import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import DEGREE_E7, Fixes
from geofence.kernel import Near, near
from geofence.rules import Rules
from geofence.stretches import rows_at, rows_of, with_room
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import cells_near, room_for_cells
from geofence.visits.chain import FROM_FAR, UNKNOWN, has_room, take_step, trace_back
from geofence.visits.cleaning import DOUBLED, FUTURE, USED, judge, within_a_moment
from geofence.visits.evidence import LONG_SILENCE_S, REACH_M, error_of, measure, weigh
from geofence.visits.rivals import settle_rivals
from geofence.visits.tables import (
    FIX,
    LEAST_ENTRIES,
    STEP,
    Path,
    PathTables,
    Surroundings,
    append,
    path_at,
    with_entries,
)

FAR_M: Final = 1e6
"""The distance to a fence out of reach."""


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
    future = np.zeros(len(fixes) - len(path.fixes), FIX)
    future["verdict"] = FUTURE
    return path._replace(fixes=np.concatenate([path.fixes, future]))


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


def resumed(
    tables: PathTables,
    slot: int,
    label: int,
    scores: Sequence[int],
    active: Sequence[tuple[int, float, int]],
    rules: Rules,
) -> PathTables:
    """The tables with the path of a slot beginning with its first fix, where the device was in the state of a label.

    ``scores`` are those of being outside and far; ``active`` the place, pace and score of each active place, in order.
    """
    own, one, room = np.array([slot]), np.ones(1, np.int64), np.array([len(active)])
    tables = tables._replace(steps=with_room(tables.steps, own, one), entries=with_room(tables.entries, own, room))
    for table, size in ((tables.steps, 1), (tables.entries, len(active))):
        table.stretch["size"][slot] = size
    row = rows_of(tables.entries, slot)
    for k, (place, pace, score) in enumerate(active):
        row[["place", "pace", "score", "back"]][k] = place, pace, score, FROM_FAR
    fixes = rows_of(tables.fixes, slot)
    pair_end = fixes["pair_begin"][1] if len(fixes) > 1 else tables.pairs.stretch["size"][slot]
    step = rows_of(tables.steps, slot)
    step[:] = np.zeros(1, STEP)
    step["ts_ms"], step["lat"], step["lon"] = (fixes[name][0] for name in ("ts_ms", "lat_e7", "lon_e7"))
    step["lat"] /= DEGREE_E7
    step["lon"] /= DEGREE_E7
    step["error_m"] = error_of(int(fixes["accuracy_dm"][0]), False, rules.unstated_error_m, rules.max_error_m)
    step["pair_end"], step["row_end"] = pair_end, len(active)
    step["out_score"], step["far_score"] = scores
    step["best"] = step["label"] = label
    head = tables.heads[slot]
    head["anchor"], head["judged"], head["previous"] = label, 1, 0
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

    Returns whether that was possible, the path, and how many of its steps go on as the path was before: -1 where a
    label has changed or a new step has another one. Where it was not possible its entries need more room: call again.
    """
    head = tables.heads[slot]
    before = tables.steps.stretch[slot].size
    traced = head.fresh == before and before > 1
    kept = _use(tables, slot, rules)
    path = path_at(tables, slot)
    fixes, pairs, steps, entries = path
    n = len(steps)
    if n == 0:
        return True, path, -1
    first = min(head.fresh, n - 1)
    measure(steps, fixes, first, as_of_ms, rules)
    most = 0
    for i in range(first, n):
        group = fixes[steps[i].fix].group
        shared = overlaps.cell_begins[group + 1] - overlaps.cell_begins[group] if group >= 0 else 0
        most = max(most, steps[i].pair_end - steps[i].pair_begin + shared)
    near = room_for_cells(most)
    anchor = head.anchor if steps[0].fix == 0 else UNKNOWN
    for i in range(first, n):
        step = steps[i]
        own = pairs[step.pair_begin : step.pair_end]
        count = cells_near(near, own, fixes[step.fix].group, ground, overlaps, rules)
        if not has_room(steps, entries, i, count):
            return False, path, -1
        step.cells = count
        step.outside, step.elsewhere = weigh(near[:count], step.error_m, step.speed_mps, step.weight, rules)
        take_step(steps, entries, i, near[:count], anchor, ground, overlaps, rules.stay_scale_s)
    steady = traced and kept == before and first >= before - 2
    last_but_one, last = (steps[before - 2].label, steps[before - 1].label) if steady else (-1, -1)
    changed = trace_back(steps, entries, first)
    settled = head.settled if head.settled <= min(first, changed) else 0
    head.settled, moved = settle_rivals(steps, entries, settled, anchor > 0, ground, overlaps)
    tables.entries.stretch[slot].size = steps[n - 1].row_end
    head.fresh = n
    steady = steady and changed == first and not moved and steps[before - 2].label == last_but_one
    for i in range(before - 1, n):
        steady = steady and steps[i].label == last
    return True, path, n - before if steady else -1


@nb.njit(cache=True, nogil=True)
def _use(tables, slot, rules):  # type: ignore[no-untyped-def]
    """Judge the new fixes of a slot; those used become steps. Returns how many steps have stayed as they were."""
    head, own, pairs = tables.heads[slot], tables.steps.stretch[slot], tables.pairs.stretch[slot].size
    fixes = rows_at(tables.fixes, slot)
    steps = tables.steps.rows[own.begin : own.begin + own.room]
    n = kept = own.size
    for f in range(head.judged, len(fixes)):
        fix = fixes[f]
        candidate = steps[n - 1].fix if n > 0 else -1
        fix.verdict = judge(fixes, f, head.previous, candidate, rules.max_accuracy_m)
        if fix.verdict in (USED, DOUBLED):
            head.previous = f
        if fix.verdict != USED:
            continue
        if candidate >= 0 and within_a_moment(fixes, candidate, f):
            fixes[candidate].verdict = DOUBLED
            n -= 1
            kept = min(kept, n)
        # With a fix after it the last one weighs otherwise; beyond a long silence the one before may have rested.
        unsettled = 1 if n < 2 or steps[n - 1].ts_ms - steps[n - 2].ts_ms <= LONG_SILENCE_S * 1000 else 2
        head.fresh = max(0, min(head.fresh, n - unsettled))
        step = steps[n]
        step.fix, step.ts_ms = f, fix.ts_ms
        step.lat, step.lon = fix.lat_e7 / DEGREE_E7, fix.lon_e7 / DEGREE_E7
        repeated = n > 0 and fixes[steps[n - 1].fix].accuracy_dm == fix.accuracy_dm
        step.error_m = error_of(fix.accuracy_dm, repeated, rules.unstated_error_m, rules.max_error_m)
        step.pair_begin = fix.pair_begin
        step.pair_end = fixes[f + 1].pair_begin if f + 1 < len(fixes) else pairs
        n += 1
    own.size = n
    head.judged = len(fixes)
    return kept


@nb.njit(cache=True, nogil=True)
def distances_to(path, fence_of_row, fence, first, end):  # type: ignore[no-untyped-def]
    """Signed distance of the steps ``first`` to ``end`` to a fence as it is then; ``FAR_M`` out of reach."""
    distance_m = np.full(end - first, FAR_M)
    for i in range(first, end):
        for k in range(path.steps[i].pair_begin, path.steps[i].pair_end):
            if path.pairs[k].held and fence_of_row[path.pairs[k].row] == fence:
                distance_m[i - first] = path.pairs[k].distance_m
    return distance_m


@nb.njit(cache=True, nogil=True)
def distance_to_row(path, i, row):  # type: ignore[no-untyped-def]
    """Signed distance of step ``i`` to a row of the fence set, whether it holds or not; ``FAR_M`` out of reach."""
    for k in range(path.steps[i].pair_begin, path.steps[i].pair_end):
        if path.pairs[k].row == row:
            return path.pairs[k].distance_m
    return FAR_M

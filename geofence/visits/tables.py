"""The memory of many paths: flat tables in which each device, a *slot*, owns a stretch.

Fixes, the fence rows near them, the steps of the path that they make and the places active at each step. What the
columns of steps and entries mean is told where they are made: ``path``, ``evidence``, ``chain``.
"""

from typing import Final, NamedTuple, Self

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fixes import Fixes
from geofence.kernel import Near
from geofence.stretches import empty_table, with_room, with_slots

LEAST_ENTRIES: Final = 16
"""Room for entries that a path begins with."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class FixTable(NamedTuple):
    """The fixes of each slot in order: columns of ``Fixes``, where the pairs of each begin (``pair_begin``), the group
    of the overlapping rows near it, and the verdict on it (``cleaning.VERDICTS``)."""

    begin: Ints
    size: Ints
    room: Ints
    end: Ints
    ts_ms: Ints
    lat_e7: npt.NDArray[np.int32]
    lon_e7: npt.NDArray[np.int32]
    accuracy_dm: npt.NDArray[np.uint16]
    speed_cm_s: npt.NDArray[np.uint16]
    pair_begin: npt.NDArray[np.int32]
    group: npt.NDArray[np.int32]
    verdict: npt.NDArray[np.uint8]


class PairTable(NamedTuple):
    """The rows within reach of the fixes of each slot, whether they hold for the device at that moment or not."""

    begin: Ints
    size: Ints
    room: Ints
    end: Ints
    row: npt.NDArray[np.int32]
    distance_m: Floats
    held: npt.NDArray[np.bool_]


class StepTable(NamedTuple):
    """The path of each slot: a step is a fix that is used, ``fix`` its index among the fixes of the slot.

    ``own_mps`` is the speed of the fix itself, ``speed_mps`` what is made of it. The step's pairs are ``pair_begin`` to
    ``pair_end``, its cells number ``cells``. ``outside`` and ``elsewhere`` come from ``evidence.weigh``, ``out_score``
    to ``row_end`` (the entries of the step) from ``chain``. ``best`` and ``label`` are 0 outside, place + 1 at a
    place: the likeliest path, and what is left of it once stays have been settled between rivals.
    """

    begin: Ints
    size: Ints
    room: Ints
    end: Ints
    fix: npt.NDArray[np.int32]
    ts_ms: Ints
    lat: Floats
    lon: Floats
    error_m: Floats
    own_mps: Floats
    speed_mps: Floats
    weight: Floats
    edge_weight: Floats
    pair_begin: npt.NDArray[np.int32]
    pair_end: npt.NDArray[np.int32]
    cells: npt.NDArray[np.int32]
    outside: Ints
    elsewhere: Ints
    best: npt.NDArray[np.int32]
    label: npt.NDArray[np.int32]
    out_score: Ints
    far_score: Ints
    out_back: npt.NDArray[np.int32]
    far_back: npt.NDArray[np.int32]
    row_begin: npt.NDArray[np.int32]
    row_end: npt.NDArray[np.int32]


class EntryTable(NamedTuple):
    """The active places at each step of each slot: see ``chain``. ``inside`` is what the step's fix says for it."""

    begin: Ints
    size: Ints
    room: Ints
    end: Ints
    place: npt.NDArray[np.int32]
    pace: Floats
    near: npt.NDArray[np.bool_]
    inside: Ints
    score: Ints
    back: npt.NDArray[np.int32]
    came: npt.NDArray[np.int32]


class PathTables(NamedTuple):
    """The paths of many devices, a slot each.

    A path covers the fixes of its slot from ``first[slot]`` on. Those before ``judged[slot]`` have a verdict;
    ``previous[slot]`` is the last of them that was not repeated (-1: none). Steps from ``fresh[slot]`` on have changed
    since the path was traced, those before ``settled[slot]`` have their final label unless it is traced anew.
    """

    fixes: FixTable
    pairs: PairTable
    steps: StepTable
    entries: EntryTable
    first: Ints
    judged: Ints
    previous: Ints
    fresh: Ints
    settled: Ints

    @classmethod
    def of_slots(cls, slots: int) -> Self:
        """Empty paths."""
        nothing = np.zeros(0, np.int64)
        return cls(
            empty_table(FixTable),
            empty_table(PairTable),
            empty_table(StepTable),
            empty_table(EntryTable),
            nothing,
            nothing,
            nothing,
            nothing,
            nothing,
        ).with_slots(slots)

    def with_slots(self, slots: int) -> Self:
        """With empty slots up to ``slots``."""
        more = slots - len(self.first)
        return self._replace(
            fixes=with_slots(self.fixes, slots),
            pairs=with_slots(self.pairs, slots),
            steps=with_slots(self.steps, slots),
            entries=with_slots(self.entries, slots),
            first=np.append(self.first, np.zeros(more, np.int64)),
            judged=np.append(self.judged, np.zeros(more, np.int64)),
            previous=np.append(self.previous, np.full(more, -1)),
            fresh=np.append(self.fresh, np.zeros(more, np.int64)),
            settled=np.append(self.settled, np.zeros(more, np.int64)),
        )


class Surroundings(NamedTuple):
    """What lies within reach of some fixes in order: ``found`` with the fix as its point, which of these pairs hold for
    the device at that moment, and the group of the overlapping rows near each fix (-1: none)."""

    found: Near
    held: npt.NDArray[np.bool_]
    group: npt.NDArray[np.int32]


def nowhere(fixes: int) -> Surroundings:
    """Of so many fixes with nothing near them, or nothing looked up."""
    nothing = np.zeros(0, np.int32)
    return Surroundings(Near(nothing, nothing, np.zeros(0)), np.zeros(0, np.bool_), np.full(fixes, -1, np.int32))


def append(tables: PathTables, slots: Ints, fixes: Fixes, surroundings: Surroundings) -> PathTables:
    """The tables with each fix at the end of its slot; ``slots`` int64[n] are sorted, the fixes of each in order."""
    touched, fresh = np.unique(slots, return_counts=True)
    first_pair = np.searchsorted(slots[surroundings.found.point], touched)
    pairs = np.diff(np.append(first_pair, len(surroundings.found.point)))
    tables = tables._replace(
        fixes=with_room(tables.fixes, touched, tables.fixes.size[touched] + fresh),
        pairs=with_room(tables.pairs, touched, tables.pairs.size[touched] + pairs),
    )
    columns = (fixes.ts_ms, fixes.lat_e7, fixes.lon_e7, fixes.accuracy_dm, fixes.speed_cm_s)
    _append(tables.fixes, tables.pairs, slots, columns, surroundings)
    return tables


def with_steps(tables: PathTables, slots: Ints) -> PathTables:
    """The tables with room for all steps that the fixes of ``slots`` can make, and for the entries of most of these."""
    steps = tables.fixes.size[slots]
    entries = np.maximum(tables.entries.room[slots], 2 * steps)
    return tables._replace(
        steps=with_room(tables.steps, slots, steps), entries=with_room(tables.entries, slots, entries)
    )


def with_entries(tables: PathTables, slots: Ints) -> PathTables:
    """The tables with twice the room for the entries of slots."""
    return tables._replace(entries=with_room(tables.entries, slots, 2 * tables.entries.room[slots] + LEAST_ENTRIES))


@nb.njit(cache=True, nogil=True)
def _append(fixes, pairs, slots, columns, surroundings):  # type: ignore[no-untyped-def]
    ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s = columns
    found = surroundings.found
    k = 0
    for i in range(len(slots)):
        slot = slots[i]
        at = fixes.begin[slot] + fixes.size[slot]
        pair_at = pairs.begin[slot]
        fixes.ts_ms[at], fixes.lat_e7[at], fixes.lon_e7[at] = ts_ms[i], lat_e7[i], lon_e7[i]
        fixes.accuracy_dm[at], fixes.speed_cm_s[at] = accuracy_dm[i], speed_cm_s[i]
        fixes.pair_begin[at] = pairs.size[slot]
        fixes.group[at] = surroundings.group[i]
        fixes.size[slot] += 1
        while k < len(found.point) and found.point[k] == i:
            to = pair_at + pairs.size[slot]
            pairs.row[to], pairs.distance_m[to] = found.row[k], found.distance_m[k]
            pairs.held[to] = surroundings.held[k]
            pairs.size[slot] += 1
            k += 1


@nb.njit(cache=True, nogil=True)
def fixes_at(tables, slot):  # type: ignore[no-untyped-def]
    """The fixes of one slot, as a table whose columns are theirs alone; likewise the functions below."""
    t = tables.fixes
    a = t.begin[slot]
    z = a + t.size[slot]
    return FixTable(
        t.begin,
        t.size,
        t.room,
        t.end,
        t.ts_ms[a:z],
        t.lat_e7[a:z],
        t.lon_e7[a:z],
        t.accuracy_dm[a:z],
        t.speed_cm_s[a:z],
        t.pair_begin[a:z],
        t.group[a:z],
        t.verdict[a:z],
    )


@nb.njit(cache=True, nogil=True)
def pairs_at(tables, slot):  # type: ignore[no-untyped-def]
    """The pairs of one slot."""
    t = tables.pairs
    a = t.begin[slot]
    z = a + t.size[slot]
    return PairTable(t.begin, t.size, t.room, t.end, t.row[a:z], t.distance_m[a:z], t.held[a:z])


@nb.njit(cache=True, nogil=True)
def steps_at(tables, slot):  # type: ignore[no-untyped-def]
    """The steps of one slot."""
    t = tables.steps
    a = t.begin[slot]
    z = a + t.size[slot]
    return StepTable(
        t.begin,
        t.size,
        t.room,
        t.end,
        t.fix[a:z],
        t.ts_ms[a:z],
        t.lat[a:z],
        t.lon[a:z],
        t.error_m[a:z],
        t.own_mps[a:z],
        t.speed_mps[a:z],
        t.weight[a:z],
        t.edge_weight[a:z],
        t.pair_begin[a:z],
        t.pair_end[a:z],
        t.cells[a:z],
        t.outside[a:z],
        t.elsewhere[a:z],
        t.best[a:z],
        t.label[a:z],
        t.out_score[a:z],
        t.far_score[a:z],
        t.out_back[a:z],
        t.far_back[a:z],
        t.row_begin[a:z],
        t.row_end[a:z],
    )


@nb.njit(cache=True, nogil=True)
def entries_at(tables, slot):  # type: ignore[no-untyped-def]
    """All the room of the slot."""
    t = tables.entries
    a = t.begin[slot]
    z = a + t.room[slot]
    return EntryTable(
        t.begin,
        t.size,
        t.room,
        t.end,
        t.place[a:z],
        t.pace[a:z],
        t.near[a:z],
        t.inside[a:z],
        t.score[a:z],
        t.back[a:z],
        t.came[a:z],
    )


@nb.njit(cache=True, nogil=True)
def drop_fixes(t, slot, count, pairs):  # type: ignore[no-untyped-def]
    """Drop the first ``count`` fixes of a slot, which have so many pairs."""
    a = t.begin[slot]
    for k in range(a + count, a + t.size[slot]):
        to = k - count
        t.ts_ms[to], t.lat_e7[to], t.lon_e7[to] = t.ts_ms[k], t.lat_e7[k], t.lon_e7[k]
        t.accuracy_dm[to], t.speed_cm_s[to] = t.accuracy_dm[k], t.speed_cm_s[k]
        t.pair_begin[to], t.group[to], t.verdict[to] = t.pair_begin[k] - pairs, t.group[k], t.verdict[k]
    t.size[slot] -= count


@nb.njit(cache=True, nogil=True)
def drop_pairs(t, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first ``count`` pairs of a slot."""
    a = t.begin[slot]
    for k in range(a + count, a + t.size[slot]):
        t.row[k - count], t.distance_m[k - count], t.held[k - count] = t.row[k], t.distance_m[k], t.held[k]
    t.size[slot] -= count


@nb.njit(cache=True, nogil=True)
def drop_steps(t, slot, count, fixes, pairs, entries):  # type: ignore[no-untyped-def]
    """Drop the first ``count`` steps of a slot, of so many fixes, pairs and entries."""
    a = t.begin[slot]
    for k in range(a + count, a + t.size[slot]):
        to = k - count
        t.fix[to], t.ts_ms[to], t.lat[to], t.lon[to] = t.fix[k] - fixes, t.ts_ms[k], t.lat[k], t.lon[k]
        t.error_m[to], t.own_mps[to], t.speed_mps[to] = t.error_m[k], t.own_mps[k], t.speed_mps[k]
        t.weight[to], t.edge_weight[to] = t.weight[k], t.edge_weight[k]
        t.pair_begin[to], t.pair_end[to], t.cells[to] = t.pair_begin[k] - pairs, t.pair_end[k] - pairs, t.cells[k]
        t.outside[to], t.elsewhere[to] = t.outside[k], t.elsewhere[k]
        t.best[to], t.label[to] = t.best[k], t.label[k]
        t.out_score[to], t.far_score[to] = t.out_score[k], t.far_score[k]
        t.out_back[to], t.far_back[to] = t.out_back[k], t.far_back[k]
        t.row_begin[to], t.row_end[to] = t.row_begin[k] - entries, t.row_end[k] - entries
    t.size[slot] -= count


@nb.njit(cache=True, nogil=True)
def drop_entries(t, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first ``count`` entries of a slot."""
    a = t.begin[slot]
    for k in range(a + count, a + t.size[slot]):
        to = k - count
        t.place[to], t.pace[to], t.near[to] = t.place[k], t.pace[k], t.near[k]
        t.inside[to], t.score[to], t.back[to] = t.inside[k], t.score[k], t.back[k]
    t.size[slot] -= count

"""The memory of many paths: tables in which each device, a *slot*, owns a stretch.

Fixes, the fence rows near them, the steps of the path that they make and the places active at each step. What the
fields of steps and entries mean is told where they are made: ``path``, ``evidence``, ``chain``.
"""

from typing import Final, NamedTuple, Self

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fixes import Fixes
from geofence.kernel import Near
from geofence.stretches import (
    Ints,
    Records,
    Table,
    drop_rows,
    empty_table,
    rows_at,
    runs_of,
    trimmed,
    with_room,
    with_slots,
)
from geofence.visits.chain import UNKNOWN

LEAST_ENTRIES: Final = 16
"""Room for entries that a path begins with."""

FIX: Final = np.dtype(
    [
        ("ts_ms", np.int64),
        ("lat_e7", np.int32),
        ("lon_e7", np.int32),
        ("accuracy_dm", np.uint16),
        ("speed_cm_s", np.uint16),
        ("pair_begin", np.int32),
        ("group", np.int32),
        ("verdict", np.uint8),
    ],
    align=True,
)
"""A fix, in order: fields of ``Fixes``, where its pairs begin among those of the slot, the group of the overlapping
rows near it, and the verdict on it (``cleaning.VERDICTS``)."""

PAIR: Final = np.dtype([("row", np.int32), ("held", np.bool_), ("distance_m", np.float64)], align=True)
"""A fence row within reach of a fix; ``held`` tells whether it holds for the device at that moment."""

STEP: Final = np.dtype(
    [
        ("ts_ms", np.int64),
        ("lat", np.float64),
        ("lon", np.float64),
        ("error_m", np.float64),
        ("own_mps", np.float64),
        ("speed_mps", np.float64),
        ("weight", np.float64),
        ("edge_weight", np.float64),
        ("outside", np.int64),
        ("elsewhere", np.int64),
        ("out_score", np.int64),
        ("far_score", np.int64),
        ("fix", np.int32),
        ("pair_begin", np.int32),
        ("pair_end", np.int32),
        ("cells", np.int32),
        ("best", np.int32),
        ("label", np.int32),
        ("out_back", np.int32),
        ("far_back", np.int32),
        ("row_begin", np.int32),
        ("row_end", np.int32),
    ],
    align=True,
)
"""A step of a path is a fix that is used, ``fix`` its index among the fixes of the slot.

``own_mps`` is the speed of the fix itself, ``speed_mps`` what is made of it. The step's pairs are ``pair_begin`` to
``pair_end``, its cells number ``cells``. ``outside`` and ``elsewhere`` come from ``evidence.weigh``, ``out_score`` to
``row_end`` (the entries of the step) from ``chain``. ``best`` and ``label`` are 0 outside, place + 1 at a place: the
likeliest path, and what is left of it once stays have been settled between rivals.
"""

ENTRY: Final = np.dtype(
    [
        ("pace", np.float64),
        ("inside", np.int64),
        ("score", np.int64),
        ("place", np.int32),
        ("back", np.int32),
        ("came", np.int32),
        ("near", np.bool_),
    ],
    align=True,
)
"""An active place at a step: see ``chain``. ``inside`` is what the step's fix says for it."""

HEAD: Final = np.dtype(
    [(name, np.int64) for name in ("first", "judged", "previous", "fresh", "settled", "anchor", "seek")]
)
"""Where the path of a slot stands. It covers the fixes from ``first`` on. Those before ``judged`` have a verdict;
``previous`` is the last of them that was not repeated (-1: none). Steps from ``fresh`` on have changed since the path
was traced, those before ``settled`` have their final label unless it is traced anew. ``anchor`` is the label that the
path is known to begin with where it begins with the first fix (``chain.UNKNOWN``: with nothing known). With ``seek``
steps it is time to see whether its front may be forgotten."""


class PathTables(NamedTuple):
    """The paths of many devices, a slot each: tables of ``FIX``, ``PAIR``, ``STEP``, ``ENTRY``; ``HEAD`` by slot."""

    fixes: Table
    pairs: Table
    steps: Table
    entries: Table
    heads: Records

    @classmethod
    def of_slots(cls, slots: int) -> Self:
        """Empty paths."""
        fixes, pairs, steps, entries = (empty_table(row) for row in (FIX, PAIR, STEP, ENTRY))
        return cls(fixes, pairs, steps, entries, np.zeros(0, HEAD)).with_slots(slots)

    def with_slots(self, slots: int) -> Self:
        """With empty slots up to ``slots``."""
        more = np.zeros(slots - len(self.heads), HEAD)
        more["previous"], more["anchor"] = -1, UNKNOWN
        return type(self)(
            with_slots(self.fixes, slots),
            with_slots(self.pairs, slots),
            with_slots(self.steps, slots),
            with_slots(self.entries, slots),
            np.concatenate((self.heads, more)),
        )

    def trimmed(self) -> Self:
        """In less memory, where paths have become shorter for good."""
        return self._replace(
            fixes=trimmed(self.fixes),
            pairs=trimmed(self.pairs),
            steps=trimmed(self.steps),
            entries=trimmed(self.entries),
        )


class Path(NamedTuple):
    """The path of one slot: its rows in the tables. ``entries`` is all the room for them."""

    fixes: Records
    pairs: Records
    steps: Records
    entries: Records


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
    touched, begins = runs_of(slots)
    fresh = np.diff(np.append(begins, len(slots)))
    first_pair = np.searchsorted(slots[surroundings.found.point], touched)
    pairs = np.diff(np.append(first_pair, len(surroundings.found.point)))
    tables = tables._replace(
        fixes=with_room(tables.fixes, touched, tables.fixes.stretch["size"][touched] + fresh),
        pairs=with_room(tables.pairs, touched, tables.pairs.stretch["size"][touched] + pairs),
    )
    columns = (fixes.ts_ms, fixes.lat_e7, fixes.lon_e7, fixes.accuracy_dm, fixes.speed_cm_s)
    _append(tables.fixes, tables.pairs, slots, columns, surroundings)
    return tables


def with_steps(tables: PathTables, slots: Ints) -> PathTables:
    """The tables with room for all steps that the fixes of ``slots`` can make, and for the entries of most of these."""
    steps = with_room(tables.steps, slots, tables.fixes.stretch["size"][slots])
    return tables._replace(steps=steps, entries=with_room(tables.entries, slots, usual_entries(tables, slots)))


def usual_entries(tables: PathTables, slots: Ints) -> Ints:
    """As many entries as the paths of slots have where few places overlap: one a pair, and one that lags behind."""
    entries: Ints = tables.pairs.stretch["size"][slots] + tables.fixes.stretch["size"][slots] + LEAST_ENTRIES
    return entries


def with_entries(tables: PathTables, slots: Ints) -> PathTables:
    """The tables with room for the usual entries of slots, and for twice as many as now in the first of them."""
    needed = usual_entries(tables, slots)
    needed[0] = max(needed[0], 2 * tables.entries.stretch["room"][slots[0]])
    return tables._replace(entries=with_room(tables.entries, slots, needed))


@nb.njit(cache=True, nogil=True)
def _append(fixes, pairs, slots, columns, surroundings):  # type: ignore[no-untyped-def]
    ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s = columns
    point, row, distance_m = surroundings.found
    held, group = surroundings.held, surroundings.group
    k = 0
    for i in range(len(slots)):
        own, near = fixes.stretch[slots[i]], pairs.stretch[slots[i]]
        fix = fixes.rows[own.begin + own.size]
        fix.ts_ms, fix.lat_e7, fix.lon_e7 = ts_ms[i], lat_e7[i], lon_e7[i]
        fix.accuracy_dm, fix.speed_cm_s = accuracy_dm[i], speed_cm_s[i]
        fix.pair_begin, fix.group = near.size, group[i]
        own.size += 1
        while k < len(point) and point[k] == i:
            pair = pairs.rows[near.begin + near.size]
            pair.row, pair.distance_m, pair.held = row[k], distance_m[k], held[k]
            near.size += 1
            k += 1


@nb.njit(cache=True, nogil=True)
def have_row(pairs, slots, rows):  # type: ignore[no-untyped-def]
    """Which of some slots have one of the ``rows`` (bool by row) near a fix: bool by slot."""
    have = np.zeros(len(slots), np.bool_)
    for k in range(len(slots)):
        for pair in rows_at(pairs, slots[k]):
            if rows[pair.row]:
                have[k] = True
                break
    return have


@nb.njit(cache=True, nogil=True)
def drop_fixes(tables, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first ``count`` fixes of a slot, but not all, with the part of its path that they make.

    Returns how many steps went.
    """
    fixes, steps = rows_at(tables.fixes, slot)[count:], rows_at(tables.steps, slot)
    pairs = fixes[0].pair_begin
    gone = 0
    while gone < len(steps) and steps[gone].fix < count:
        gone += 1
    entries = steps[gone].row_begin if 0 < gone < len(steps) else 0
    for k in range(len(fixes)):
        fixes[k].pair_begin -= pairs
    for k in range(gone, len(steps)):
        step = steps[k]
        step.fix -= count
        step.pair_begin -= pairs
        step.pair_end -= pairs
        step.row_begin -= entries
        step.row_end -= entries
    drop_rows(tables.fixes, slot, count)
    drop_rows(tables.pairs, slot, pairs)
    drop_rows(tables.steps, slot, gone)
    drop_rows(tables.entries, slot, entries)
    return gone


@nb.njit(cache=True, nogil=True)
def path_at(tables, slot):  # type: ignore[no-untyped-def]
    """The path of a slot as it stands."""
    entries = tables.entries.stretch[slot]
    return Path(
        rows_at(tables.fixes, slot),
        rows_at(tables.pairs, slot),
        rows_at(tables.steps, slot),
        tables.entries.rows[entries.begin : entries.begin + entries.room],
    )

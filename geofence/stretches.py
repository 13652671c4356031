"""Rows shared by many slots, each of which owns a stretch of them that can grow.

Compiled code reads and writes the rows and sets ``size``. Only ``with_room`` and ``trimmed`` move a stretch; between
two calls of them all stay.
"""

from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

LEAST_ROOM: Final = 16

STRETCH: Final = np.dtype([("begin", np.int64), ("size", np.int64), ("room", np.int64)])

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[Any]
"""A structured array."""


class Table(NamedTuple):
    """Slot s has ``stretch[s].size`` of the rows from ``stretch[s].begin`` on, and room for ``stretch[s].room``.

    ``end[0]`` is where all stretches end.
    """

    stretch: Records
    end: Ints
    rows: Records


def empty_table(row: np.dtype[Any]) -> Table:
    """A table without slots."""
    return Table(np.zeros(0, STRETCH), np.zeros(1, np.int64), np.empty(0, row))


def with_slots(table: Table, slots: int) -> Table:
    """The table with empty stretches for all slots up to ``slots``."""
    more = np.zeros(slots - len(table.stretch), STRETCH)
    return table._replace(stretch=np.concatenate((table.stretch, more)))


def with_room(table: Table, slots: Ints, needed: Ints) -> Table:
    """The table with room for ``needed[k]`` rows at ``slots[k]`` (each slot once); all rows stay."""
    begin, size, room = (table.stretch[name] for name in STRETCH.names or ())
    short = room[slots] < needed
    if not short.any():
        return table
    wanted = _room_for(needed)
    if table.end[0] + wanted[short].sum() > len(table.rows):
        # What was needed once and is no more goes back to all.
        np.minimum(room, _room_soon(size), out=room)
        room[slots] = np.maximum(room[slots], wanted)
        return _compacted(table)
    slots, wanted = slots[short], wanted[short]
    moved_to = int(table.end[0]) + np.cumsum(wanted) - wanted
    _copy(table.rows, begin[slots], table.rows, moved_to, size[slots])
    begin[slots], room[slots] = moved_to, wanted
    table.end[0] += wanted.sum()
    return table


def trimmed(table: Table) -> Table:
    """The table in less memory, where it has come to need no more than a quarter of what it takes."""
    room, needed = table.stretch["room"], _room_soon(table.stretch["size"])
    if 4 * needed.sum() > len(table.rows):
        return table
    np.minimum(room, needed, out=room)
    return _compacted(table)


def runs_of(slots: Ints) -> tuple[Ints, Ints]:
    """Of sorted slots each one once, and where its run begins."""
    begins: Ints = np.flatnonzero(np.diff(slots, prepend=-1))
    return slots[begins], begins


def rows_of(table: Table, slot: int) -> Records:
    """The rows of a slot."""
    begin, size, _ = table.stretch[slot].tolist()
    return table.rows[begin : begin + size]


def _room_soon(size: Ints) -> Ints:
    """The room that a stretch of some size will soon want."""
    return _room_for(size + size // 4)


def _room_for(size: Ints) -> Ints:
    """The next power of two."""
    room: Ints = np.maximum(LEAST_ROOM, 1 << np.ceil(np.log2(np.maximum(size, 1))).astype(np.int64))
    return room


def _compacted(table: Table) -> Table:
    """Every stretch one after the other in new rows, half of which are free."""
    room = table.stretch["room"]
    stretch = table.stretch.copy()
    stretch["begin"] = np.cumsum(room) - room
    end = int(room.sum())
    rows = np.empty(2 * end, table.rows.dtype)
    _copy(table.rows, table.stretch["begin"].copy(), rows, stretch["begin"].copy(), stretch["size"].copy())
    return Table(stretch, np.array([end], np.int64), rows)


@nb.njit(cache=True, nogil=True)
def _copy(source, source_begin, target, target_begin, size):  # type: ignore[no-untyped-def]
    """Copy stretches to where there is none yet."""
    for k in range(len(size)):
        came, went = source_begin[k], target_begin[k]
        for i in range(size[k]):
            target[went + i] = source[came + i]


@nb.njit(cache=True, nogil=True)
def rows_at(table, slot):  # type: ignore[no-untyped-def]
    """``rows_of`` for compiled code."""
    stretch = table.stretch[slot]
    return table.rows[stretch.begin : stretch.begin + stretch.size]


@nb.njit(cache=True, nogil=True)
def drop_rows(table, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first ``count`` rows of a slot."""
    stretch, rows = table.stretch[slot], table.rows
    for k in range(stretch.begin + count, stretch.begin + stretch.size):
        rows[k - count] = rows[k]
    stretch.size -= count

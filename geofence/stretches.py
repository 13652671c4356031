"""Flat columns shared by many slots, each of which owns a stretch that can grow.

A *table* is a named tuple that begins with the fields of ``Stretches`` and goes on with its columns. Compiled code
reads and writes the columns and sets ``size``. Only ``with_room`` moves a stretch; between two calls of it all stay.
"""

from typing import Any, Final, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

LEAST_ROOM: Final = 16

Ints = npt.NDArray[np.int64]
Table = TypeVar("Table", bound=Any)


class Stretches(NamedTuple):
    """Slot s has ``size[s]`` entries from ``begin[s]`` on, and room for ``room[s]``. ``end[0]`` is where all end."""

    begin: Ints
    size: Ints
    room: Ints
    end: Ints


_FIELDS: Final = len(Stretches._fields)


def empty_table(kind: type[Table], **dtypes: npt.DTypeLike) -> Table:
    """A table of a kind without slots; columns have the dtypes they are annotated with, or those of ``dtypes``."""
    stretches = [np.zeros(0, np.int64) for _ in range(_FIELDS - 1)]
    dtypes = {name: _dtype(kind.__annotations__[name]) for name in kind._fields[_FIELDS:]} | dtypes
    columns = [np.empty(0, dtypes[name]) for name in kind._fields[_FIELDS:]]
    table: Table = kind(*stretches, np.zeros(1, np.int64), *columns)
    return table


def with_slots(table: Table, slots: int) -> Table:
    """The table with empty stretches for all slots up to ``slots``."""
    grown = [np.concatenate([each, np.zeros(slots - len(each), np.int64)]) for each in table[: _FIELDS - 1]]
    more: Table = type(table)(*grown, *table[_FIELDS - 1 :])
    return more


def with_room(table: Table, slots: Ints, needed: Ints) -> Table:
    """The table with room for ``needed[k]`` entries at ``slots[k]`` (each slot once); all entries stay."""
    short = table.room[slots] < needed
    if not short.any():
        return table
    slots = slots[short]
    room = np.maximum(LEAST_ROOM, 1 << np.ceil(np.log2(needed[short])).astype(np.int64))
    wanted = int(room.sum())
    if table.end[0] + wanted > len(table[_FIELDS]):
        table.room[slots] = room
        return _compacted(table)
    begin = int(table.end[0]) + np.cumsum(room) - room
    size = table.size[slots]
    came, went = _indices(table.begin[slots], size), _indices(begin, size)
    for column in table[_FIELDS:]:
        column[went] = column[came]
    table.begin[slots], table.room[slots] = begin, room
    table.end[0] += wanted
    return table


def _dtype(annotation: Any) -> Any:
    """The dtype in ``npt.NDArray[dtype]``."""
    while parts := get_args(annotation):
        annotation = parts[-1]
    return annotation


def _compacted(table: Table) -> Table:
    """Every stretch one after the other in new columns, half of which are free."""
    begin = np.cumsum(table.room) - table.room
    end = int(table.room.sum())
    came, went = _indices(table.begin, table.size), _indices(begin, table.size)
    columns = []
    for column in table[_FIELDS:]:
        moved = np.empty(2 * end, column.dtype)
        moved[went] = column[came]
        columns.append(moved)
    compact: Table = type(table)(begin, table.size, table.room, np.array([end], np.int64), *columns)
    return compact


def _indices(begin: Ints, size: Ints) -> Ints:
    """The indices of stretches, one after the other."""
    return np.repeat(begin - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))

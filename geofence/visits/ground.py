"""What compiled code reads of a fence set: its columns, and in which order versions of a fence take over."""

from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fences import GONE, FenceSet


class Ground(NamedTuple):
    """A fence set as columns, those of ``FenceSet`` and what follows from them.

    ``rank`` int64[f]: where a fence's id comes among all ids. ``ordered_row`` int64: the rows that are there, fence by
    fence from ``row_begins[f]`` to ``row_begins[f + 1]``, as they come to hold; row r is at ``turn[r]`` (-1: gone). A
    *period* is a span of event time in which a fence holds without a pause, one row taking over from the other; its
    number is that of its first row, and it ends before ``ordered_row[period_end[turn[r]]]`` for each of its rows r.
    """

    fence_of_row: npt.NDArray[np.int32]
    valid_from_ms: npt.NDArray[np.int64]
    valid_to_ms: npt.NDArray[np.int64]
    min_on_site_s: npt.NDArray[np.float64]
    bridge_s: npt.NDArray[np.float64]
    bridge_m: npt.NDArray[np.float64]
    prior_weight: npt.NDArray[np.float64]
    area_m2: npt.NDArray[np.float64]
    width_m: npt.NDArray[np.float64]
    rank: npt.NDArray[np.int64]
    row_begins: npt.NDArray[np.int64]
    ordered_row: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int64]
    period_end: npt.NDArray[np.int64]


_GROUNDS: Final[WeakKeyDictionary[FenceSet, Ground]] = WeakKeyDictionary()


def ground_of(fences: FenceSet) -> Ground:
    """The ground of a fence set, kept as long as the set is."""
    ground = _GROUNDS.get(fences)
    if ground is None:
        ground = _GROUNDS[fences] = _ground(fences)
    return ground


def _ground(fences: FenceSet) -> Ground:
    rows = np.lexsort((fences.valid_from_ms, fences.fence_of_row))
    rows = rows[fences.version[rows] != GONE]
    fence = fences.fence_of_row[rows]
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = (fence[1:] != fence[:-1]) | (fences.valid_to_ms[rows[:-1]] != fences.valid_from_ms[rows[1:]])
    begins = np.append(np.flatnonzero(starts), len(rows))
    turn = np.full(len(fences), -1, np.int64)
    turn[rows] = np.arange(len(rows))
    return Ground(
        fence_of_row=fences.fence_of_row,
        valid_from_ms=fences.valid_from_ms,
        valid_to_ms=fences.valid_to_ms,
        min_on_site_s=fences.min_on_site_s,
        bridge_s=fences.bridge_s,
        bridge_m=fences.bridge_m,
        prior_weight=fences.prior_weight,
        area_m2=fences.area_m2,
        width_m=fences.width_m,
        rank=fences.names.rank,
        row_begins=np.searchsorted(fence, np.arange(len(fences.fence_ids) + 1)),
        ordered_row=rows,
        turn=turn,
        period_end=np.repeat(begins[1:], np.diff(begins)),
    )


@nb.njit(cache=True, nogil=True)
def span_of(ground, period):  # type: ignore[no-untyped-def]
    """From when (inclusive) to when (exclusive) a period lasts, epoch ms."""
    return ground.valid_from_ms[period], ends_ms(ground, period)


@nb.njit(cache=True, nogil=True)
def ends_ms(ground, period):  # type: ignore[no-untyped-def]
    """When a period ends, epoch ms."""
    return ground.valid_to_ms[last_row(ground, period)]


@nb.njit(cache=True, nogil=True)
def last_row(ground, period):  # type: ignore[no-untyped-def]
    """The last row of a period."""
    return ground.ordered_row[ground.period_end[ground.turn[period]] - 1]


@nb.njit(cache=True, nogil=True)
def row_at(ground, period, moment_ms):  # type: ignore[no-untyped-def]
    """The row of a period that holds at a moment, its last where that is over."""
    first = ground.turn[period]
    for k in range(first, ground.period_end[first]):
        if moment_ms < ground.valid_to_ms[ground.ordered_row[k]]:
            return ground.ordered_row[k]
    return last_row(ground, period)

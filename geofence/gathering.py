"""Rows of many slots copied together, in compiled code: what a checkpoint takes out of tables and puts back."""

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fixes import Fixes
from geofence.stretches import Ints, Table


def last_fixes(fixes: Table, slots: Ints, counts: Ints) -> Fixes:
    """Of each slot its last ``counts[k]`` fixes, one slot after the other."""
    total = int(counts.sum())
    ts_ms = np.empty(total, np.int64)
    lat_e7, lon_e7 = np.empty(total, np.int32), np.empty(total, np.int32)
    accuracy_dm, speed_cm_s = np.empty(total, np.uint16), np.empty(total, np.uint16)
    columns = (ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s)
    _copy_last(fixes, slots, counts, columns)
    return Fixes(*columns)


def last_of_each(slots: Ints, counts: Ints, kept: Ints) -> tuple[npt.NDArray[np.int64], bool]:
    """Of rows that come in parts, which are the last ``kept[slot]`` of each slot.

    ``counts[k]`` rows are of ``slots[k]``, part after part, a slot any number of times. Returns the rows slot by slot,
    and whether there were enough of them.
    """
    rows = np.empty(kept.sum(), np.int64)
    total = np.zeros(len(kept), np.int64)
    np.add.at(total, slots, counts)
    if (total < kept).any():
        return rows, False
    _place_last(slots, counts, np.cumsum(kept) - total, total - kept, rows)
    return rows, True


@nb.njit(cache=True, nogil=True)
def _copy_last(fixes, slots, counts, columns):  # type: ignore[no-untyped-def]
    ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s = columns
    at = 0
    for k in range(len(slots)):
        own = fixes.stretch[slots[k]]
        end = own.begin + own.size
        for row in range(end - counts[k], end):
            fix = fixes.rows[row]
            ts_ms[at], lat_e7[at], lon_e7[at] = fix.ts_ms, fix.lat_e7, fix.lon_e7
            accuracy_dm[at], speed_cm_s[at] = fix.accuracy_dm, fix.speed_cm_s
            at += 1


@nb.njit(cache=True, nogil=True)
def _place_last(slots, counts, to, skipped, rows):  # type: ignore[no-untyped-def]
    """``to[slot]`` is where the first row of a slot would go, were none of them ``skipped``; both are used up."""
    row = 0
    for k in range(len(slots)):
        slot = slots[k]
        for _ in range(counts[k]):
            if skipped[slot] > 0:
                skipped[slot] -= 1
            else:
                rows[to[slot]] = row
            to[slot] += 1
            row += 1

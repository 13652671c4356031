"""Which fixes are used at all."""

from typing import Final

import numba as nb

from geofence.fixes import UNSTATED

USED: Final = 0
INVALID: Final = 1
INACCURATE: Final = 2
REPEATED: Final = 3
DOUBLED: Final = 4
FUTURE: Final = 5

VERDICTS: Final = {
    USED: "used",
    INVALID: "off the globe, or at (0, 0)",
    INACCURATE: "its accuracy radius is over the limit",
    REPEATED: "exactly the position of the fix before: a cached fix under a new time",
    DOUBLED: "within half a second of a fix at least as accurate",
    FUTURE: "later than the moment of looking",
}
"""What each verdict means."""

DOUBLED_WITHIN_MS: Final = 500


@nb.njit(cache=True, nogil=True)
def judge(fixes, i, previous, candidate, max_accuracy_m):  # type: ignore[no-untyped-def]
    """The verdict on fix ``i`` of some in order.

    ``previous`` is the last fix that was neither invalid, inaccurate nor repeated, ``candidate`` the last one used; -1
    where there is none. A fix that is used within ``DOUBLED_WITHIN_MS`` of the candidate takes its place.
    """
    fix = fixes[i]
    nowhere = fix.lat_e7 == 0 and fix.lon_e7 == 0
    if nowhere or abs(fix.lat_e7) > 900_000_000 or abs(fix.lon_e7) > 1_800_000_000:
        return INVALID
    if fix.accuracy_dm != UNSTATED and fix.accuracy_dm > max_accuracy_m * 10.0:
        return INACCURATE
    if previous >= 0 and fix.lat_e7 == fixes[previous].lat_e7 and fix.lon_e7 == fixes[previous].lon_e7:
        return REPEATED
    if candidate >= 0 and within_a_moment(fixes, candidate, i) and fix.accuracy_dm >= fixes[candidate].accuracy_dm:
        return DOUBLED
    return USED


@nb.njit(cache=True, nogil=True)
def within_a_moment(fixes, i, j):  # type: ignore[no-untyped-def]
    """Whether two fixes are so close in time that only one counts."""
    return fixes[j].ts_ms - fixes[i].ts_ms <= DOUBLED_WITHIN_MS

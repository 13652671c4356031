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


@nb.njit(cache=True, nogil=True, inline="always")
def judge(fixes, i, previous, candidate, max_accuracy_m):  # type: ignore[no-untyped-def]
    """The verdict on fix ``i`` of some columns in order.

    ``previous`` is the last fix that was neither invalid, inaccurate nor repeated, ``candidate`` the last one used; -1
    where there is none. A fix that is used within ``DOUBLED_WITHIN_MS`` of the candidate takes its place.
    """
    lat_e7, lon_e7, accuracy_dm = fixes.lat_e7, fixes.lon_e7, fixes.accuracy_dm
    nowhere = lat_e7[i] == 0 and lon_e7[i] == 0
    if nowhere or abs(lat_e7[i]) > 900_000_000 or abs(lon_e7[i]) > 1_800_000_000:
        return INVALID
    if accuracy_dm[i] != UNSTATED and accuracy_dm[i] > max_accuracy_m * 10.0:
        return INACCURATE
    if previous >= 0 and lat_e7[i] == lat_e7[previous] and lon_e7[i] == lon_e7[previous]:
        return REPEATED
    if candidate >= 0 and within_a_moment(fixes, candidate, i) and accuracy_dm[i] >= accuracy_dm[candidate]:
        return DOUBLED
    return USED


@nb.njit(cache=True, nogil=True, inline="always")
def within_a_moment(fixes, i, j):  # type: ignore[no-untyped-def]
    """Whether two fixes are so close in time that only one counts."""
    return fixes.ts_ms[j] - fixes.ts_ms[i] <= DOUBLED_WITHIN_MS

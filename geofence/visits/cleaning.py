"""Which fixes are used at all."""

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fixes import UNSTATED, Fixes

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
"""What each verdict of ``judge`` means."""

DOUBLED_WITHIN_MS: Final = 500


def judge(fixes: Fixes, max_accuracy_m: float, as_of_ms: int) -> npt.NDArray[np.uint8]:
    """A verdict (key of ``VERDICTS``) for each of the fixes, which are in order."""
    verdict: npt.NDArray[np.uint8] = _judge(
        fixes.ts_ms, fixes.lat_e7, fixes.lon_e7, fixes.accuracy_dm, np.int64(max_accuracy_m * 10.0), np.int64(as_of_ms)
    )
    return verdict


@nb.njit(cache=True, nogil=True)
def _judge(ts_ms, lat_e7, lon_e7, accuracy_dm, max_accuracy_dm, as_of_ms):  # type: ignore[no-untyped-def]
    verdict = np.zeros(len(ts_ms), np.uint8)
    candidate = -1
    previous = -1
    for i in range(len(ts_ms)):
        if ts_ms[i] > as_of_ms:
            verdict[i] = FUTURE
            continue
        nowhere = lat_e7[i] == 0 and lon_e7[i] == 0
        if nowhere or abs(lat_e7[i]) > 900_000_000 or abs(lon_e7[i]) > 1_800_000_000:
            verdict[i] = INVALID
            continue
        if accuracy_dm[i] != UNSTATED and accuracy_dm[i] > max_accuracy_dm:
            verdict[i] = INACCURATE
            continue
        if previous >= 0 and lat_e7[i] == lat_e7[previous] and lon_e7[i] == lon_e7[previous]:
            verdict[i] = REPEATED
            continue
        previous = i
        if candidate >= 0 and ts_ms[i] - ts_ms[candidate] <= DOUBLED_WITHIN_MS:
            if accuracy_dm[i] >= accuracy_dm[candidate]:
                verdict[i] = DOUBLED
                continue
            verdict[candidate] = DOUBLED
        candidate = i
    return verdict

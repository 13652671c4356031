"""Where deriving anew has to start for what is late: as near as nothing before has a say in what comes after."""

from typing import Final, NamedTuple

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits.derivation import derive_stays

FORGOTTEN_MS: Final = 6 * 3_600_000
FORGOTTEN_FIXES: Final = 256
"""What came so long, and so many fixes, before a time between two stays has no say any more in what comes after."""


class Start(NamedTuple):
    """Fixes from ``first`` on say all that there is to say from ``told_from`` on, as indices of fixes."""

    first: int
    told_from: int


def start_of(device_id: str, before: Fixes, fences: FenceSet, rules: Rules, late_ms: int) -> Start | None:
    """Where to start for what is late since a moment, with the fixes before it; None where older ones could matter.

    A restart point needs nothing before it. Where there is none, because all is near some fence, it is a time between
    two stays, with enough before it.
    """
    derived = derive_stays(device_id, before, fences, rules, late_ms)
    if derived.keep_from:
        return Start(derived.keep_from, derived.keep_from)
    long_enough = before.ts_ms[derived.between] - before.ts_ms[0] >= FORGOTTEN_MS
    return Start(0, derived.between) if long_enough and derived.between >= FORGOTTEN_FIXES else None

"""A logged visit, derived again from the stored fixes around it, and compared with what the log says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits.derivation import derive_stays
from geofence.visits.log import Stay, differing, end_ms_of, overlap_ms, visit_of
from schemas.explanation import Difference
from schemas.visit import Visit

_THE_SAME: Final = "Derived again from the stored fixes, the visit is the same."
_NOT_THE_SAME: Final = "Derived again from the stored fixes, the visit differs in {}."
_NONE: Final = "Derived again, the stored fixes come to no stay there."
_BACK: Final = "Derived again, the stored fixes come to a stay there after all. Fixes may still be on their way."
_WHY_NOT: Final = (
    "Fixes may still be on their way or no longer be kept, or fences or rules have changed in a way that leaves the "
    "past alone."
)


@dataclass(frozen=True)
class Recomputation:
    """The stays in a span of a device's fixes that holds all that can matter for one visit, as of ``as_of_ms``."""

    fixes: Fixes
    as_of_ms: int
    stays: list[Stay]


class Comparison(NamedTuple):
    """What a visit comes to when it is derived again; see ``schemas.explanation.RecomputedVisit``."""

    recomputed: Visit | None
    matches: bool
    differs: dict[str, Difference]
    held_by: list[str]
    finding: str


def recompute(
    visit: Visit,
    fixes: Fixes,
    fences: FenceSet,
    rules: Rules,
    as_of_ms: int,
    *,
    from_start: bool,
    to_end: bool,
) -> Recomputation | None:
    """Derive a visit again from fixes (``in_order()``) that surround it; None when others could still matter.

    ``as_of_ms`` is the moment up to which the fixes are complete; ``from_start`` says that there are none before,
    ``to_end`` that there are none after, so that ``as_of_ms`` is now. Where there may be some before, what is derived
    begins at a restart point before the visit; where there may be some after, it must have come to one past the visit.
    """
    first = 0
    if not from_start:
        before = fixes.take(fixes.ts_ms < visit.arrived_earliest_ms)
        first = _restart(visit.device_id, before, fences, rules, visit.arrived_earliest_ms)
        if first == 0:
            return None
    fixes = fixes.take(slice(first, None))
    if not len(fixes):
        return Recomputation(fixes, as_of_ms, []) if from_start and to_end else None
    if to_end:
        as_of_ms = max(as_of_ms, int(fixes.ts_ms[-1]))
    derived = derive_stays(visit.device_id, fixes, fences, rules, as_of_ms)
    if not to_end:
        settled_ms = int(fixes.ts_ms[derived.keep_from]) if derived.keep_from else visit.arrived_earliest_ms
        ends = [end_ms_of(visit), *(stay.departed_ms for stay in _stays_of(visit, derived.stays))]
        if any(end_ms is None or end_ms >= settled_ms for end_ms in ends):
            return None
    return Recomputation(fixes, as_of_ms, derived.stays)


def compare(visit: Visit, stays: Sequence[Stay], standing: Sequence[Visit]) -> Comparison:
    """A visit of the log against the stays it comes to when it is derived again.

    A visit that stands must be the stay at its fence that it overlaps most. A retracted one agrees where no stay is
    left, or where each one left is held by one of the ``standing`` visits of that device and fence.
    """
    found = _stays_of(visit, stays)
    stay = max(found, key=lambda each: overlap_ms(visit, each), default=None)
    recomputed = None if stay is None else _as_visit(visit, stay)
    if visit.state == "retracted":
        holders = [[held.visit_id for held in standing if _holds(held, each)] for each in found]
        held_by = sorted({visit_id for holder in holders for visit_id in holder})
        if all(holders):
            return Comparison(recomputed, True, {}, held_by, _gone(held_by))
        return Comparison(
            recomputed, False, {"state": Difference("retracted", recomputed and recomputed.state)}, held_by, _BACK
        )
    if stay is None or recomputed is None:
        return Comparison(None, False, {"state": Difference(visit.state, None)}, [], f"{_NONE} {_WHY_NOT}")
    wire_name = dict(zip(Visit.__struct_fields__, Visit.__struct_encode_fields__, strict=True))
    differs = {
        wire_name[name]: Difference(getattr(visit, name), getattr(recomputed, name)) for name in differing(visit, stay)
    }
    finding = f"{_NOT_THE_SAME.format(', '.join(differs))} {_WHY_NOT}" if differs else _THE_SAME
    return Comparison(recomputed, not differs, differs, [], finding)


def _gone(held_by: Sequence[str]) -> str:
    if not held_by:
        return f"{_NONE} It is right that the visit was taken back."
    return f"Derived again, the stored fixes of that time belong to the visit {' and '.join(held_by)}."


def _restart(device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int) -> int:
    return derive_stays(device_id, fixes, fences, rules, as_of_ms).keep_from if len(fixes) else 0


def _stays_of(visit: Visit, stays: Sequence[Stay]) -> list[Stay]:
    """The stays at the fence of a visit within its span."""
    visit = msgspec.structs.replace(visit, departed_ms=end_ms_of(visit))
    return [stay for stay in stays if stay.fence_id == visit.fence_id and overlap_ms(visit, stay) >= 0]


def _holds(held: Visit, stay: Stay) -> bool:
    return held.state != "retracted" and held.fence_id == stay.fence_id and not differing(held, stay)


def _as_visit(visit: Visit, stay: Stay) -> Visit:
    """A stay under the id, revision and job that the log has."""
    derived = visit_of(visit.device_id, stay)
    return msgspec.structs.replace(derived, visit_id=visit.visit_id, revision=visit.revision, job_id=visit.job_id)

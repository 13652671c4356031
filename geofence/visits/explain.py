"""Why a visit is in the log: the fixes around it, the fence version and the rules, in data and in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import DEGREE_E7, UNSTATED, Fixes
from geofence.rules import Rules
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import holds
from geofence.visits.cleaning import VERDICTS
from geofence.visits.edges import SEARCH_S
from geofence.visits.evidence import REACH_M
from geofence.visits.path import distances_to, read_path
from geofence.visits.tables import Path
from schemas import wire
from schemas.explanation import ExplainedFix, Explanation, FixCounts, Threshold
from schemas.fence import FenceVersion
from schemas.times import Instant
from schemas.visit import Visit

AROUND_MS: Final = int(SEARCH_S * 1000)
MOST_LISTED: Final = 2_000
"""A day at a fix a second is counted whole and shown thinned out; what decides the edges is thinned last."""

SILENCE_TOLD_S: Final = 300.0
LOW_CONFIDENCE: Final = 0.75

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

REJECTED: Final = 0
UNDECIDED: Final = 1
INSIDE: Final = 2
OUTSIDE: Final = 3


@dataclass(frozen=True)
class Evidence:
    """What was made of a device's fixes (``in_order()``), read once for all its visits."""

    fixes: Fixes
    fences: FenceSet
    as_of_ms: int
    path: Path

    @classmethod
    def read(cls, device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int) -> Self:
        """Weigh the fixes against the fences, as the derivation does."""
        return cls(fixes, fences, as_of_ms, read_path(device_id, fixes, fences, rules, as_of_ms))


class _Seen(NamedTuple):
    """The fixes around a visit, by column: those of ``evidence.fixes`` from ``first`` on.

    ``position`` is the place of each among the used fixes of the path, -1 where it is not used; ``verdict`` one of
    ``REJECTED`` .. ``OUTSIDE``; ``distance_m`` is infinite where it is unknown.
    """

    first: int
    ts_ms: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    verdict: npt.NDArray[np.uint8]
    distance_m: npt.NDArray[np.float64]
    at_fence: npt.NDArray[np.bool_]


def explain(
    evidence: Evidence, visit: Visit, version: FenceVersion, in_force: Mapping[str, tuple[float, str]]
) -> Explanation:
    """The evidence for a visit, logged or derived, that lies within the span of ``evidence``.

    ``version`` is the version of its fence that it was judged by; ``in_force`` the value of each rule there and who
    set it. The fixes are those from five minutes before the earliest arrival to five minutes after the latest
    departure, and the next one on either side, ``MOST_LISTED`` of them at most.
    """
    seen = _around(evidence, visit)
    listed = _thinned(seen.ts_ms, _edges_ms(evidence, visit), MOST_LISTED)
    counts = _counts(evidence, seen, len(listed))
    min_on_site_s = in_force["min_on_site_s"][0]
    return Explanation(
        words=" ".join(_sentences(visit, version, min_on_site_s, seen, counts)),
        as_of_ms=Instant(evidence.as_of_ms),
        fence=_feature(visit.fence_id, version),
        thresholds={name: Threshold(*stated) for name, stated in in_force.items()},
        counts=counts,
        fixes=[_fix(evidence, seen, int(i)) for i in listed],
    )


def _edges_ms(evidence: Evidence, visit: Visit) -> tuple[int, int]:
    return visit.arrived_ms, evidence.as_of_ms if visit.departed_ms is None else visit.departed_ms


def _around(evidence: Evidence, visit: Visit) -> _Seen:
    fixes, fences, path = evidence.fixes, evidence.fences, evidence.path
    until_ms = visit.departed_latest_ms or _edges_ms(evidence, visit)[1]
    span_ms = visit.arrived_earliest_ms - AROUND_MS, until_ms + AROUND_MS + 1
    begin, end = np.searchsorted(fixes.ts_ms, span_ms)
    first, last = max(0, int(begin) - 1), min(len(fixes), int(end) + 1)
    low, high = np.searchsorted(path.steps["fix"], (first, last))
    steps = path.steps[low:high]
    fence = fences.fence_ids.index(visit.fence_id)
    away_m = distances_to(path, fences.fence_of_row, fence, low, high)
    error_m = steps["error_m"]
    judged = np.where(away_m < 0.0, INSIDE, OUTSIDE)
    judged[(np.abs(away_m) < error_m) & (away_m <= REACH_M)] = UNDECIDED
    arrangement = arrangement_of(fences)
    labels = np.unique(steps["label"])
    here = [n for n in labels if n > 0 and holds(n - 1, fence, arrangement.overlaps)]
    used = steps["fix"] - first
    count = last - first
    position = np.full(count, -1)
    position[used] = np.arange(low, high)
    verdict = np.full(count, REJECTED, np.uint8)
    verdict[used] = judged
    distance_m = np.full(count, np.inf)
    distance_m[used] = np.where(away_m <= REACH_M, away_m, np.inf)
    at_fence = np.zeros(count, np.bool_)
    at_fence[used] = np.isin(steps["label"], here)
    return _Seen(first, fixes.ts_ms[first:last], position, verdict, distance_m, at_fence)


def _thinned(ts_ms: npt.NDArray[np.int64], edges_ms: tuple[int, int], most: int) -> npt.NDArray[np.intp]:
    """Which of the fixes to list: all around the edges as long as they fit, of the others one in so many."""
    if len(ts_ms) <= most:
        return np.arange(len(ts_ms))
    deciding = np.min([np.abs(ts_ms - edge_ms) for edge_ms in edges_ms], axis=0) <= AROUND_MS
    kept = _evenly(np.flatnonzero(deciding), most * 3 // 4)
    return np.sort(np.concatenate((kept, _evenly(np.flatnonzero(~deciding), most - len(kept)))))


def _evenly(indices: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).astype(np.intp)]


def _counts(evidence: Evidence, seen: _Seen, listed: int) -> FixCounts:
    rejected = np.flatnonzero(seen.verdict == REJECTED)
    why = Counter(evidence.path.fixes["verdict"][seen.first + rejected].tolist())
    return FixCounts(
        seen=len(seen.ts_ms),
        listed=listed,
        at_fence=int(np.count_nonzero(seen.at_fence)),
        inside=int(np.count_nonzero(seen.verdict == INSIDE)),
        outside=int(np.count_nonzero(seen.verdict == OUTSIDE)),
        undecided=int(np.count_nonzero(seen.verdict == UNDECIDED)),
        rejected=len(rejected),
        rejected_why={VERDICTS[verdict]: count for verdict, count in why.most_common()},
    )


def _fix(evidence: Evidence, seen: _Seen, i: int) -> ExplainedFix:
    fixes, path = evidence.fixes, evidence.path
    at, k = seen.first + i, int(seen.position[i])
    accuracy_dm = int(fixes.accuracy_dm[at])
    place: dict[str, Any] = {
        "ts_ms": Instant(fixes.ts_ms[at]),
        "lat": int(fixes.lat_e7[at]) / DEGREE_E7,
        "lon": int(fixes.lon_e7[at]) / DEGREE_E7,
        "accuracy_m": None if accuracy_dm == UNSTATED else accuracy_dm / 10.0,
    }
    if k < 0:
        return ExplainedFix(**place, verdict="rejected", why=VERDICTS[int(path.fixes["verdict"][at])])
    step = path.steps[k]
    away_m, error_m = float(seen.distance_m[i]), float(step["error_m"])
    side = f"{abs(away_m):.0f} m {'inside' if away_m < 0.0 else 'outside'}"
    if not np.isfinite(away_m):
        why = f"more than {REACH_M:.0f} m away from the fence"
    elif seen.verdict[i] == UNDECIDED:
        why = f"{side}, but it may be {error_m:.0f} m off: too near the boundary to tell"
    else:
        why = f"{side}, and it may be {error_m:.0f} m off"
    return ExplainedFix(
        **place,
        verdict="undecided" if seen.verdict[i] == UNDECIDED else "accepted",
        why=why,
        distance_m=round(away_m, 1) if np.isfinite(away_m) else None,
        error_m=round(error_m, 1),
        speed_mps=round(float(step["speed_mps"]), 2),
        weight=round(float(step["weight"]), 3),
        at_fence=bool(seen.at_fence[i]),
    )


def _feature(fence_id: str, version: FenceVersion) -> dict[str, Any]:
    properties = wire.to_builtins(version)
    geometry = properties.pop("geometry")
    properties = {"fence_id": fence_id, "kind": version.kind, **properties}
    return {"type": "Feature", "id": fence_id, "geometry": geometry, "properties": properties}


# In words. A dispatcher reads them: no jargon, and every figure is also in the data.

_REASONS: Final = {
    "initially_inside": "It was there already when its fixes begin or when the fence was drawn.",
    "fence_changed": "It ended because the fence was changed, moved or deleted, not because the device left.",
}
_RETRACTIONS: Final = {
    "late_data": "fixes that came in late tell another story",
    "fence_changed": "the fence was changed, moved or deleted",
    "not_believed": "what came after it showed that it was none",
}


def _sentences(visit: Visit, version: FenceVersion, min_on_site_s: float, seen: _Seen, counts: FixCounts) -> list[str]:
    retracted = visit.state == "retracted"
    return [
        _what(visit, version, min_on_site_s),
        *([] if retracted or visit.reason not in _REASONS else [_REASONS[visit.reason]]),
        _interval(visit),
        _fence(visit, version),
        _tally(counts),
        *([_left_of_it(seen, min_on_site_s)] if retracted else _borders(visit, seen)),
        *_doubts(visit, seen),
        *([f"Only {counts.listed} of these fixes are listed."] if counts.listed < counts.seen else []),
        "All times are UTC.",
    ]


def _what(visit: Visit, version: FenceVersion, min_on_site_s: float) -> str:
    device, place = visit.device_id, version.name or f"the fence {visit.fence_id}"
    came, least, on_site = _moment(visit.arrived_ms), _duration(min_on_site_s), _duration(visit.on_site_s)
    went = "" if visit.departed_ms is None else f" and left at {_moment(visit.departed_ms, visit)}"
    if visit.state == "retracted":
        why = _RETRACTIONS.get(visit.reason, visit.reason)
        return f"The log had {device} arrive at {place} at {came}{went}. That was taken back: {why}."
    if visit.state == "open":
        return f"{device} seems to be at {place} since {came}. It becomes a visit after {least} there."
    if visit.departed_ms is None:
        return (
            f"{device} arrived at {place} at {came} and was not seen to leave: {on_site} so far; {least} make a visit."
        )
    return f"{device} arrived at {place} at {came}{went}: {on_site} on site; {least} make a visit."


def _interval(visit: Visit) -> str:
    earliest, latest = (_moment(edge_ms, visit) for edge_ms in (visit.arrived_earliest_ms, visit.arrived_latest_ms))
    told = f"The fixes allow an arrival from {earliest} to {latest}"
    if visit.departed_earliest_ms is None or visit.departed_latest_ms is None:
        return f"{told}."
    earliest, latest = (_moment(edge_ms, visit) for edge_ms in (visit.departed_earliest_ms, visit.departed_latest_ms))
    return f"{told}, and a departure from {earliest} to {latest}."


def _fence(visit: Visit, version: FenceVersion) -> str:
    since = "" if version.valid_from_ms is None else f" from {_moment(version.valid_from_ms)}"
    until = "" if version.valid_to_ms is None else f" until {_moment(version.valid_to_ms)}"
    held = f"{since}{until}" or " for all time"
    return f"It was judged by version {visit.fence_version} of the fence {visit.fence_id}, which holds{held}."


def _tally(counts: FixCounts) -> str:
    told = (
        f"Of {counts.seen} fixes around it {counts.inside} lie inside, {counts.outside} outside, {counts.undecided} "
        f"too near the boundary to tell; {counts.at_fence} count as being there"
    )
    if not counts.rejected:
        return f"{told}; none had to be left out."
    left_out = ", ".join(f"{count} ({why})" for why, count in counts.rejected_why.items())
    return f"{told}; left out are {left_out}."


def _left_of_it(seen: _Seen, min_on_site_s: float) -> str:
    """What a retracted visit comes to now."""
    there_ms = seen.ts_ms[seen.at_fence]
    if not len(there_ms):
        return "No fix counts as being there any more."
    span_s = float(there_ms[-1] - there_ms[0]) / 1000.0
    short = f", less than the {_duration(min_on_site_s)} that make a visit" if span_s < min_on_site_s else ""
    return f"The fixes that count as being there now span {_duration(span_s)}{short}."


def _borders(visit: Visit, seen: _Seen) -> list[str]:
    """The clear fixes next to the edges."""
    outside, inside = (np.flatnonzero(seen.verdict == verdict) for verdict in (OUTSIDE, INSIDE))
    inside = inside[seen.at_fence[inside]]
    if not len(inside):
        return ["No fix lies clearly inside: that the device was there explains them best nevertheless."]
    first, last = int(inside[0]), int(inside[-1])
    before, after = outside[outside < first], outside[outside > last]
    told = f"The first fix clearly inside is of {_moment(seen.ts_ms[first], visit)}"
    if len(before):
        told += f", the last one clearly outside before it of {_moment(seen.ts_ms[before[-1]], visit)}"
    told += f"; the last one inside is of {_moment(seen.ts_ms[last], visit)}"
    if len(after):
        told += f", the first one outside after it of {_moment(seen.ts_ms[after[0]], visit)}"
    return [f"{told}."]


def _doubts(visit: Visit, seen: _Seen) -> list[str]:
    told = []
    used_ms = seen.ts_ms[seen.verdict != REJECTED]
    silence_s = float(np.max(np.diff(used_ms), initial=0)) / 1000.0
    if silence_s >= SILENCE_TOLD_S:
        told.append(f"The longest silence among them is {_duration(silence_s)}.")
    if visit.confidence < LOW_CONFIDENCE:
        told.append(
            f"Confidence is only {visit.confidence:.2f}: a place beside it, or the street, explains it nearly as well."
        )
    return told


def _moment(epoch_ms: int, visit: Visit | None = None) -> str:
    """The time; with its date, unless that is the one of the visit's arrival."""
    moment, day = (_EPOCH + timedelta(milliseconds=int(ms)) for ms in (epoch_ms, visit.arrived_ms if visit else 0))
    return f"{moment:%H:%M:%S}" if visit and moment.date() == day.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    """As people say it: ``45 s``, ``2 min``, ``47 min 15 s``, ``3 h 5 min``."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    return f"{rest_s} s"

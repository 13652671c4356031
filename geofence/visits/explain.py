"""Why a visit is in the log: the fixes around it, the fence version and the rule, in data and in words."""

from typing import Any, Final

import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits.cells import holds
from geofence.visits.cleaning import USED, VERDICTS
from geofence.visits.derivation import min_on_site_of
from geofence.visits.edges import SEARCH_S
from geofence.visits.evidence import REACH_M
from geofence.visits.log import Stay
from geofence.visits.path import distances_to, read_path
from schemas.times import format_instant

AROUND_MS: Final = int(SEARCH_S * 1000)


def explain(device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, stay: Stay) -> dict[str, Any]:
    """The evidence of a stay derived from ``fixes`` (``in_order()``), as JSON-ready values.

    ``fixes`` of the answer are those from five minutes before the arrival to five minutes after the departure. Each is
    ``accepted`` (says inside or outside), ``undecided`` (the boundary lies within its error) or ``rejected``, and
    ``why``; ``at_fence`` tells where the likeliest path has the device, ``weight`` how much the fix counts (0..1).
    """
    path = read_path(device_id, fixes, fences, rules, as_of_ms)
    fence = fences.fence_ids.index(stay.fence_id)
    distance_m = distances_to(path, fences.fence_of_row, fence, 0, len(path.used))
    end_ms = as_of_ms if stay.departed_ms is None else stay.departed_ms
    first, last = np.searchsorted(fixes.ts_ms, (stay.arrived_ms - AROUND_MS, end_ms + AROUND_MS + 1))
    position = np.full(len(fixes), -1)
    position[path.used] = np.arange(len(path.used))
    accuracy_m = fixes.accuracy_m
    listed: list[dict[str, Any]] = []
    for i in range(int(first), int(last)):
        fix: dict[str, Any] = {
            "ts": format_instant(int(fixes.ts_ms[i])),
            "lat": float(fixes.lat[i]),
            "lon": float(fixes.lon[i]),
            "accuracy_m": None if np.isnan(accuracy_m[i]) else float(accuracy_m[i]),
        }
        k = int(position[i])
        if path.verdict[i] != USED:
            fix |= {"verdict": "rejected", "why": VERDICTS[int(path.verdict[i])]}
        else:
            away_m, error_m = float(distance_m[k]), float(path.error_m[k])
            label = int(path.label[k])
            fix |= _judged(away_m, error_m) | {
                "distance_m": round(away_m, 1) if away_m <= REACH_M else None,
                "error_m": round(error_m, 1),
                "speed_mps": round(float(path.speed_mps[k]), 2),
                "weight": round(float(path.weight[k]), 3),
                "at_fence": label > 0 and holds(path.cells.place_begins, path.cells.place_fence, label - 1, fence),
            }
        listed.append(fix)
    min_on_site_s = min_on_site_of(fence, stay.fence_version, fences, rules)
    return {
        "fence_id": stay.fence_id,
        "fence_version": stay.fence_version,
        "min_on_site_s": min_on_site_s,
        "rules": rules._asdict(),
        "as_of": format_instant(as_of_ms),
        "words": _words(stay, listed, min_on_site_s),
        "fixes": listed,
    }


def _judged(away_m: float, error_m: float) -> dict[str, str]:
    if away_m > REACH_M:
        return {"verdict": "accepted", "why": "out of reach of the fence"}
    if abs(away_m) < error_m:
        return {"verdict": "undecided", "why": f"the boundary is {abs(away_m):.0f} m away, its error {error_m:.0f} m"}
    side = "inside" if away_m < 0.0 else "outside"
    return {"verdict": "accepted", "why": f"{abs(away_m):.0f} m {side}, its error {error_m:.0f} m"}


def _words(stay: Stay, listed: list[dict[str, Any]], min_on_site_s: float) -> str:
    count = {
        verdict: sum(fix["verdict"] == verdict for fix in listed) for verdict in ("accepted", "undecided", "rejected")
    }
    at_fence = sum(fix.get("at_fence", False) for fix in listed)
    came = (
        f"Arrived at {format_instant(stay.arrived_ms)} (between {format_instant(stay.arrived_earliest_ms)} and "
        f"{format_instant(stay.arrived_latest_ms)})"
    )
    if stay.departed_ms is None:
        went = "and still there"
    else:
        went = f"and left at {format_instant(stay.departed_ms)}"
        if stay.departed_earliest_ms is not None and stay.departed_latest_ms is not None:
            earliest, latest = format_instant(stay.departed_earliest_ms), format_instant(stay.departed_latest_ms)
            went += f" (between {earliest} and {latest})"
    return (
        f"{came} {went}: {stay.on_site_s:.0f} s on site, {min_on_site_s:.0f} s make a visit. Of {len(listed)} fixes "
        f"around it {at_fence} are taken to be at version {stay.fence_version} of the fence; {count['accepted']} say "
        f"where, {count['undecided']} are undecided, {count['rejected']} are not used."
    )

"""Where a job is: from a site, a fence or a point, whichever is known, to a fence whose visits count. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from shapely.geometry import Point, shape

from api.http.problems import Problem
from api.read_model import is_gone
from dispatch.rules import DispatchRules
from schemas.fence import FenceRecord, FenceVersion
from schemas.job import JobPlan
from schemas.places import Site

_DRAWN: Final = "point-"
"""How the ids of circles begin that are drawn for jobs."""


def at_site(plan: JobPlan, sites: Mapping[str, Site]) -> JobPlan:
    """The plan with what its site knows and it leaves open; raises Problem 400 for a site that is not there."""
    if plan.site_id is None:
        return plan
    site = sites.get(plan.site_id)
    if site is None or site.removed_at is not None:
        raise Problem(400, "unknown_reference", f"$.site_id: there is no site {plan.site_id!r}")
    stated: dict[str, Any] = {
        "customer_id": plan.customer_id or site.customer_id,
        "branch": plan.branch or site.branch,
        "address": plan.address or site.address,
    }
    if plan.fence_id is None and plan.lat is None:
        stated |= {"fence_id": site.fence_id, "lat": site.lat, "lon": site.lon}
        if site.fence_id is None and site.lat is not None:
            stated["geocoded"] = site.geocoded
    return msgspec.structs.replace(plan, **stated)


def is_address_alone(plan: JobPlan) -> bool:
    """Whether the place is to be found by the address."""
    return plan.address is not None and plan.fence_id is None and plan.lat is None


def placed(
    plan: JobPlan, fences: Mapping[str, FenceRecord], rules: DispatchRules, now_ms: int
) -> tuple[JobPlan, FenceVersion | None]:
    """The plan with its fence and point filled in, and the circle that has to be drawn for it, if there is none yet.

    Raises Problem 400 for a fence that is not there.
    """
    if plan.fence_id is not None:
        fence = fences.get(plan.fence_id)
        if fence is None or is_gone(fence, now_ms):
            raise Problem(400, "unknown_reference", f"$.fence_id: there is no fence {plan.fence_id!r}")
        if plan.lat is None:
            lat, lon = middle_of(fence)
            plan = msgspec.structs.replace(plan, lat=lat, lon=lon)
        return plan, None
    if plan.lat is None or plan.lon is None:
        return plan, None
    fence_id = circle_id(plan, rules)
    plan = msgspec.structs.replace(plan, fence_id=fence_id)
    existing = fences.get(fence_id)
    if existing is not None and not is_gone(existing, now_ms):
        return plan, None
    return plan, _circle(plan, rules)


def middle_of(fence: FenceRecord) -> tuple[float, float]:
    """A point within a fence (lat, lon)."""
    within = shape(fence.current.geometry).representative_point()
    return within.y, within.x


def is_circle(fence: FenceRecord) -> bool:
    """Whether a fence is a point and what is around it."""
    return bool(fence.current.geometry.get("type") == "Point")


def contains(fence: FenceRecord, lat: float, lon: float) -> bool:
    """Whether a point is within an area that a fence is."""
    return bool(shape(fence.current.geometry).covers(Point(lon, lat)))


def is_drawn_here(fence_id: str) -> bool:
    """Whether a fence is a circle that was drawn for a job, by its id."""
    return fence_id.startswith(_DRAWN)


def circle_id(plan: JobPlan, rules: DispatchRules) -> str:
    """The id of the circle around a point: jobs of a branch at the same point, to a metre, share it."""
    spot = f"{plan.branch or ''}\n{plan.lat:.5f}\n{plan.lon:.5f}"
    radius_m = radius_of(plan, rules)
    if radius_m != rules.circle_m:
        spot += f"\n{radius_m:.0f}"
    return f"{_DRAWN}{hashlib.sha256(spot.encode()).hexdigest()[:12]}"


def radius_of(plan: JobPlan, rules: DispatchRules) -> float:
    """How large the circle is: an address that is known to a street alone needs a larger one, within bounds."""
    precision_m = None if plan.geocoded is None else plan.geocoded.precision_m
    return rules.circle_m if precision_m is None else min(max(precision_m, rules.circle_m), rules.circle_max_m)


def _circle(plan: JobPlan, rules: DispatchRules) -> FenceVersion:
    geometry: dict[str, Any] = {"type": "Point", "coordinates": [plan.lon, plan.lat]}
    return FenceVersion(
        1,
        geometry,
        name=plan.address or plan.title,
        min_on_site_s=rules.circle_min_on_site_s,
        radius_m=radius_of(plan, rules),
        branch=plan.branch,
    )

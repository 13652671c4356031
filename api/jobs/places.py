"""Where a job is: from a site, a fence or a point, whichever is stated, to a fence whose visits count. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from shapely.geometry import shape

from api.problems import Problem
from api.read_model import is_gone
from dispatch.rules import DispatchRules
from schemas.fence import FenceRecord, FenceVersion
from schemas.job import JobPlan
from schemas.places import Site


def placed(
    plan: JobPlan,
    sites: Mapping[str, Site],
    fences: Mapping[str, FenceRecord],
    rules: DispatchRules,
    now_ms: int,
) -> tuple[JobPlan, FenceVersion | None]:
    """The plan with its fence and point filled in, and the circle that has to be drawn for it, if there is none yet.

    Raises Problem 400 for a site or a fence that is not there.
    """
    site = None if plan.site_id is None else _standing_site(plan.site_id, sites)
    if site is not None:
        plan = _of_site(plan, site)
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
    fence_id = circle_id(plan)
    plan = msgspec.structs.replace(plan, fence_id=fence_id)
    existing = fences.get(fence_id)
    if existing is not None and not is_gone(existing, now_ms):
        return plan, None
    return plan, _circle(plan, rules)


def middle_of(fence: FenceRecord) -> tuple[float, float]:
    """A point within a fence (lat, lon)."""
    within = shape(fence.current.geometry).representative_point()
    return within.y, within.x


def circle_id(plan: JobPlan) -> str:
    """The id of the circle around a point: jobs of a branch at the same point, to a metre, share it."""
    spot = f"{plan.branch or ''}\n{plan.lat:.5f}\n{plan.lon:.5f}"
    return f"point-{hashlib.sha256(spot.encode()).hexdigest()[:12]}"


def _circle(plan: JobPlan, rules: DispatchRules) -> FenceVersion:
    geometry: dict[str, Any] = {"type": "Point", "coordinates": [plan.lon, plan.lat]}
    return FenceVersion(
        1,
        geometry,
        name=plan.address or plan.title,
        min_on_site_s=rules.circle_min_on_site_s,
        radius_m=rules.circle_m,
        branch=plan.branch,
    )


def _standing_site(site_id: str, sites: Mapping[str, Site]) -> Site:
    site = sites.get(site_id)
    if site is None or site.removed_at is not None:
        raise Problem(400, "unknown_reference", f"$.site_id: there is no site {site_id!r}")
    return site


def _of_site(plan: JobPlan, site: Site) -> JobPlan:
    """What the plan leaves open, as its site has it."""
    stated: dict[str, Any] = {
        "customer_id": plan.customer_id or site.customer_id,
        "branch": plan.branch or site.branch,
        "address": plan.address or site.address,
    }
    if plan.fence_id is None and plan.lat is None:
        stated |= {"fence_id": site.fence_id, "lat": site.lat, "lon": site.lon}
    return msgspec.structs.replace(plan, **stated)

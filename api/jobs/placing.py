"""Giving jobs their place: what is stated is completed, an address looked up, a circle drawn where one is needed."""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from api.auth import Principal
from api.http.problems import unavailable
from api.jobs.places import at_site, is_address_alone, placed
from api.jobs.requests import read_plan
from api.places.fence_changes import fence_change
from api.places.geocoding import look_up
from api.read_back import Audit, append_and_read_back
from api.services import Services
from schemas import wire
from schemas.fence import revise_fence
from schemas.found_place import Geocoded
from schemas.job import PLACED, JobPlan, JobRecord
from schemas.places import Site
from schemas.topics import FENCES

PLACE: Final = frozenset({"site_id", "fence_id", "lat", "lon"})
"""Fields of which one that is stated says where a job is."""

_KEPT: Final = ("branch", "title", "site_id", "customer_id", "address")
_AGAIN: Final = ("unavailable", "no_geocoder")
"""What a look-up may come to that is worth another one."""


async def placed_plan(plan: JobPlan, principal: Principal, services: Services) -> JobPlan:
    """The plan at its place; where it needs a circle, that is drawn. Raises Problem, LogUnavailable."""
    sites, fences = services.registers["sites"], services.fences
    if not (sites.is_caught_up and fences.is_caught_up and services.places.is_caught_up):
        raise unavailable("the places are still being read")
    plan = at_site(plan, cast(Mapping[str, Site], sites.records))
    if is_address_alone(plan):
        found = await look_up(plan.address or "", plan.branch, plan.customer_id, services)
        plan = msgspec.structs.replace(plan, **found._asdict())
    async with services.fence_edits:
        now_ms = services.clock.now_ms()
        plan, circle = placed(plan, fences.records, services.dispatch_rules, now_ms)
        if circle is not None and plan.fence_id is not None:
            before = fences.records.get(plan.fence_id)
            drawn = revise_fence(before, plan.fence_id, circle, now_ms)
            audit = Audit(principal, now_ms, [fence_change(before, drawn, now_ms)])
            await append_and_read_back(services.log, FENCES, fences, {plan.fence_id: drawn}, audit)
    return plan


def again(plan: JobPlan, before: JobRecord | None) -> JobPlan | None:
    """The plan at the place that the job of its id has already, where that was found for this address; else None."""
    if before is None or before.geocoded is None or not is_address_alone(plan) or plan.address != before.address:
        return None
    return msgspec.structs.replace(plan, **{name: getattr(before, name) for name in PLACED})


async def place_changes(
    record: JobRecord, changes: Mapping[str, Any], principal: Principal, services: Services
) -> dict[str, Any]:
    """What of a job's place follows from a merge patch of its plan; empty where that has nothing to do with the place.

    What is not stated anew is found again; an address that was not found is looked up with any change.
    """
    stated = {name: changes[name] for name in PLACE & changes.keys()}
    is_found = record.geocoded is not None or record.fence_id is None
    is_waiting = record.geocoded is not None and record.geocoded.status in _AGAIN
    if not stated and not (is_waiting or (is_found and "address" in changes)):
        return {}
    kept = {name: changes[name] if name in changes else getattr(record, name) for name in _KEPT}
    _, plan = read_plan({name: value for name, value in (kept | stated).items() if value is not None})
    plan = await placed_plan(plan, principal, services)
    return {name: getattr(plan, name) for name in sorted(PLACE)} | {"geocoded": as_patch(plan.geocoded)}


def as_patch(geocoded: Geocoded | None) -> dict[str, Any] | None:
    """All of it for a merge patch, so that nothing of what was there before stays."""
    if geocoded is None:
        return None
    return dict.fromkeys(Geocoded.__struct_fields__) | wire.to_builtins(geocoded)

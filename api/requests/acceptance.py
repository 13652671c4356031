"""A service request becomes a job: exactly one, however often it is accepted and whatever breaks down meanwhile.

The ids of the job, of a new customer and of a new site follow from that of the request, so each step can be made again.
"""

from typing import Any, Final, cast

import msgspec

from api.auth.scope import Scope
from api.http.problems import Problem
from api.jobs.archive import require_new
from api.jobs.commands import head_of
from api.jobs.placing import placed_plan
from api.jobs.references import require_branch, require_references
from api.jobs.requests import read_plan
from api.jobs.surroundings import surroundings_of_jobs
from api.places.sites import at_place, place_of
from api.registers.entries import created
from api.registers.references import require_references as require_stands
from api.registers.registry import REGISTERS, Name
from api.registers.writes import entries_of, surroundings_of, write_entry
from api.requests.messages import Acceptance
from api.services import Services
from dispatch.service_requests import customer_id_of, job_fields_of, job_id_of, site_id_of
from schemas import wire
from schemas.job import JobPlan, JobRecord
from schemas.job_command import CreateJob
from schemas.merge_patch import merged
from schemas.places import Site
from schemas.service_request import ServiceRequest

_IS_THERE: Final = frozenset({"key_reused", "job_exists"})
_SEEN_WITHIN_S: Final = 10.0


async def job_made_of(request: ServiceRequest, acceptance: Acceptance, scope: Scope, services: Services) -> JobRecord:
    """The job of a request. Raises Problem before anything is written, LogUnavailable."""
    plan = _planned(request, acceptance, scope, services)
    site_id = site_id_of(request.request_id) if acceptance.create_site and plan.site_id is None else None
    if site_id is not None and plan.address is None and plan.lat is None:
        raise Problem(400, "invalid_request", "$.create_site: the request has neither an address nor a point")
    if plan.customer_id is None and request.customer is not None:
        customer_id = customer_id_of(request.request_id)
        contact = None if request.customer.contact is None else wire.to_builtins(request.customer.contact)
        content = {"customer_id": customer_id, "name": request.customer.name, "branch": plan.branch, "contact": contact}
        await _ensure("customers", customer_id, content, scope, services)
        plan = msgspec.structs.replace(plan, customer_id=customer_id)
    if site_id is not None:
        content = {name: getattr(plan, name) for name in ("customer_id", "branch", "address", "lat", "lon")}
        content |= {"site_id": site_id, "name": plan.address or plan.title}
        await _ensure("sites", site_id, content, scope, services)
        plan = msgspec.structs.replace(plan, site_id=site_id, lat=None, lon=None)
    plan = msgspec.structs.replace(plan, request_id=request.request_id)
    return await _made(request, await placed_plan(plan, scope.principal, services), scope, services)


def _planned(request: ServiceRequest, acceptance: Acceptance, scope: Scope, services: Services) -> JobPlan:
    """What the job is to be, as far as it is stated; raises Problem 400 or 403 for what cannot be."""
    fields = merged(job_fields_of(request), acceptance.job)
    if "job_id" in fields:
        raise Problem(400, "invalid_job", "$.job.job_id: it follows from the request")
    _, plan = read_plan(fields)
    site = None if plan.site_id is None else cast(Site | None, services.registers["sites"].records.get(plan.site_id))
    require_references(wire.to_builtins(plan), surroundings_of_jobs(scope, services))
    branch = plan.branch or (None if site is None else site.branch)
    require_branch(branch, scope)
    return msgspec.structs.replace(plan, branch=branch)


async def _ensure(name: Name, key: str, content: dict[str, Any], scope: Scope, services: Services) -> None:
    """See to it that there is an entry of a register."""
    register = REGISTERS[name]
    stated = {field: value for field, value in content.items() if value is not None}
    found = await place_of(stated, None, services) if name == "sites" else None
    async with services.register_edits:
        if key in entries_of(services, register):
            return
        entry = at_place(created(register, stated, services.clock.now_ms()), found)
        require_stands(register, None, entry, surroundings_of(services, scope))
        await write_entry(services, register, scope.principal, "created", None, entry)


async def _made(request: ServiceRequest, plan: JobPlan, scope: Scope, services: Services) -> JobRecord:
    job_id = job_id_of(request.request_id)
    command = CreateJob(
        job_id=job_id,
        **head_of(scope.principal, services.clock, f"accept-{request.request_id}"),
        plan=plan,
    )
    if job_id not in services.jobs.records:
        await require_new(job_id, services)
    try:
        return await services.desk.carry_out(command)
    except Problem as problem:
        # Somebody else has accepted it in this moment, otherwise: theirs is the job.
        if problem.code not in _IS_THERE:
            raise
        await services.jobs.until(lambda: job_id in services.jobs.records, _SEEN_WITHIN_S)
        return services.jobs.records[job_id]

"""Plans of a day: suggestions that a person applies, or not."""

from dataclasses import replace
from typing import Annotated, Any, Final, cast

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer
from api.http.body import read_body, read_json
from api.http.problems import Problem, unavailable
from api.jobs.commands import head_of
from api.jobs.places import middle_of
from api.plans.gathering import DayAhead, gather
from api.plans.messages import (
    AppliedChange,
    AppliedPlan,
    Assignment,
    MovesAnswer,
    OffersAnswer,
    PlanChanges,
    PlanRequest,
    move_answer,
    offer_answer,
    suggestion_answer,
)
from api.services import Reach, Services
from schemas import wire
from schemas.job import JobRecord
from schemas.job_command import EditJob
from schemas.people import Technician

router = APIRouter(tags=["plans"])

DAY_MS: Final = 86_400_000
LONGEST_MS: Final = 3 * DAY_MS

Reader = Annotated[Scope, Depends(scoped("jobs:read"))]
Writer = Annotated[Scope, Depends(scoped("jobs:write"))]


@router.post(
    "/v1/plans",
    summary="Suggest a plan of the day",
    openapi_extra=examples.body("PlanRequest", examples.plans.PLAN_REQUEST),
    responses=examples.answers(
        200, "A plan beside today's", "SuggestionAnswer", examples.plans.PLAN, 400, 413, 415, 503
    ),
)
async def suggest_plan(request: Request, services: Reach, scope: Reader) -> JSONAnswer:
    """Who best does which jobs in which order: windows, skills, shifts, ways and priorities weighed by a solver.

    It changes nothing. `changes` can be sent to `/v1/plans/apply`, all or some.
    """
    asked = _read(PlanRequest, await read_body(request, services.settings.max_body_bytes))
    ahead = await _ahead(services, scope.narrowed(asked.branch), asked.from_ms, asked.to_ms)
    found = await _solved(services.solver.suggest(ahead, asked.iterations))
    return JSONAnswer(suggestion_answer(found, ahead, dict(services.jobs.records)))


@router.post(
    "/v1/plans/apply",
    summary="Apply a plan",
    openapi_extra=examples.body("PlanChanges", examples.plans.PLAN_CHANGES),
    responses=examples.answers(
        200, "What became of each change", "AppliedPlan", examples.plans.APPLIED_PLAN, 400, 413, 415, 503
    ),
)
async def apply_plan(request: Request, services: Reach, scope: Writer) -> JSONAnswer:
    """Give jobs to other technicians. What cannot be done is said of each; the others are done."""
    asked = _read(PlanChanges, await read_body(request, services.settings.max_body_bytes))
    applied: list[AppliedChange] = []
    for change in asked.changes:
        try:
            record = await _reassign(change, services, scope)
            applied.append(AppliedChange(change.job_id, record.revision, ""))
        except Problem as problem:
            applied.append(AppliedChange(change.job_id, None, problem.detail))
    return JSONAnswer(AppliedPlan(applied))


@router.get(
    "/v1/technicians/{technician_id}/suggestions",
    summary="What a technician might do next",
    responses=examples.answers(200, "The best first", "MovesAnswer", examples.plans.MOVES, 400, 404, 503),
)
async def suggest_moves(
    services: Reach,
    scope: Reader,
    technician_id: Annotated[str, Path(description="the technician's id")],
    limit: Annotated[int, Query(ge=1, le=50, description="how many at most")] = 5,
) -> JSONAnswer:
    """For one who is early: jobs to take; for one who is late: jobs that others can do in time."""
    ahead = await _ahead(services, scope, None, None)
    if all(each.technician_id != technician_id for each in ahead.technicians):
        raise Problem(404, "unknown_technician", f"there is no technician {technician_id!r} whose place is known")
    found = await _solved(services.solver.moves(ahead, technician_id, limit))
    return JSONAnswer(MovesAnswer([move_answer(move) for move in found]))


@router.get(
    "/v1/jobs/{job_id}/offers",
    summary="Who can do a job next",
    responses=examples.answers(200, "The soonest first", "OffersAnswer", examples.plans.OFFERS, 400, 404, 503),
)
async def offers_for(
    services: Reach, scope: Reader, job_id: Annotated[str, Path(description="the job's id")]
) -> JSONAnswer:
    """For an emergency: who can be there soonest, straight after what is under way, and what that delays."""
    ahead = await _ahead(services, scope, None, None)
    if all(each.job_id != job_id for each in ahead.jobs):
        raise Problem(404, "unknown_job", f"there is no job {job_id!r} to be planned at a known place")
    found = await _solved(services.solver.offers(ahead, job_id))
    return JSONAnswer(OffersAnswer([offer_answer(offer) for offer in found]))


async def _ahead(services: Services, scope: Scope, from_ms: int | None, to_ms: int | None) -> DayAhead:
    """The time to be planned, as far as who asks sees it, with the ways by road where a map is loaded."""
    if not (services.jobs.is_caught_up and services.registers["technicians"].is_caught_up):
        raise unavailable("jobs and technicians are still being read")
    begins_ms = services.clock.now_ms() if from_ms is None else from_ms
    ends_ms = begins_ms + DAY_MS if to_ms is None else to_ms
    if not begins_ms < ends_ms <= begins_ms + LONGEST_MS:
        raise Problem(400, "invalid_request", "a plan is of a time that ends after it begins, three days at most")
    technicians = [
        cast(Technician, each)
        for each in services.registers["technicians"].records.values()
        if each.removed_at is None and scope.sees(each.branch)
    ]
    jobs = [job for job in services.jobs.records.values() if scope.sees_job(job)]
    places = {each.technician_id: place for each in technicians if (place := _place_of(each, services)) is not None}
    ahead = gather(technicians, jobs, places, services.dispatch_rules.lifecycle(), begins_ms, ends_ms)
    return replace(ahead, travel_s=await services.roads.matrix(*ahead.places()))


def _place_of(technician: Technician, services: Services) -> tuple[float, float] | None:
    """Where the technician was seen last, else the depot; None where nobody knows."""
    seen = [live for each in technician.device_ids if (live := services.live.records.get(each)) is not None]
    if seen:
        newest = max(seen, key=lambda live: live.ts_ms)
        return newest.lat, newest.lon
    depot = services.fences.records.get(technician.depot_fence_id or "")
    return None if depot is None else middle_of(depot)


async def _solved(asked: Any) -> Any:
    """What the solver answers; what it cannot plan is the request's fault."""
    try:
        return await asked
    except ValueError as error:
        raise Problem(400, "cannot_be_planned", str(error)) from error


async def _reassign(change: Assignment, services: Services, scope: Scope) -> JobRecord:
    before = services.jobs.records.get(change.job_id)
    if before is None or not scope.sees_job(before):
        raise Problem(404, "unknown_job", f"there is no job {change.job_id!r}")
    technicians = services.registers["technicians"].records
    for technician_id in change.technician_ids:
        entry = technicians.get(technician_id)
        if entry is None or entry.removed_at is not None or not scope.sees(entry.branch):
            raise Problem(400, "unknown_reference", f"there is no technician {technician_id!r}")
    command = EditJob(
        job_id=change.job_id,
        **head_of(scope.principal, services.clock),
        changes={"technician_ids": change.technician_ids},
        if_revision=change.revision,
    )
    return await services.desk.carry_out(command)


def _read(kind: type[wire.Record], body: bytes) -> wire.Record:
    try:
        return wire.decode(kind, msgspec.json.encode(read_json(body or b"{}")))
    except (msgspec.ValidationError, ValueError) as error:
        raise Problem(400, "invalid_request", str(error)) from error

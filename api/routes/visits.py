"""Visits: who was where, from when to when, and how each record came about."""

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, VisitAnswer
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, From, Limit, To
from api.http.problems import Problem, unavailable
from api.jobs.standing import job_of_id
from api.ports import VisitQuery
from api.services import Reach, Services
from schemas.visit import Visit, VisitState

router = APIRouter(tags=["visits"])

Seen = Annotated[Scope, Depends(scoped("visits:read"))]


@router.get(
    "/v1/visits",
    summary="List visits",
    responses=examples.answers(200, "Some visits, by arrival", "VisitPage", examples.visits.VISITS, 400, 503),
)
async def list_visits(
    services: Reach,
    scope: Seen,
    device: Annotated[str | None, Query(description="of this device")] = None,
    fence: Annotated[str | None, Query(description="at this fence")] = None,
    job: Annotated[str | None, Query(description="for this job")] = None,
    from_ms: From = None,
    to_ms: To = None,
    state: Annotated[VisitState | None, Query(description="`retracted` ones are listed only when asked for")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """The newest revision of each visit that was there at some moment of [from, to), by arrival."""
    of_job = None if job is None else await _visits_of(job, services)
    query = VisitQuery(
        limit + 1, device, fence, of_job, state, from_ms, to_ms, place_after(cursor), scope.branches_seen()
    )
    visits = [services.job_index.of_its_job(visit) for visit in await services.history.visits(query)]
    return JSONAnswer(page_of(visits, limit, lambda visit: (int(visit.arrived_ms), visit.visit_id)))


@router.get(
    "/v1/visits/{visit_id}",
    summary="One visit",
    responses=examples.answers(
        200, "The visit and its revisions", "VisitAnswer", examples.visits.VISIT_ANSWER, 404, 503
    ),
)
async def get_visit(services: Reach, scope: Seen, visit_id: str) -> JSONAnswer:
    """The newest revision of a visit, and every revision with its reason."""
    revisions = [services.job_index.of_its_job(visit) for visit in await _revisions(services, scope, visit_id)]
    return JSONAnswer(VisitAnswer(**msgspec.structs.asdict(revisions[-1]), revisions=revisions))


@router.get(
    "/v1/visits/{visit_id}/explain",
    summary="Why a visit is in the log",
    responses=examples.answers(
        200,
        "The visit, its evidence, and what it comes to now",
        "RecomputedVisit",
        examples.visits.EXPLAINED,
        404,
        409,
        503,
    ),
)
async def explain_visit(services: Reach, scope: Seen, visit_id: str) -> JSONAnswer:
    """The fixes around a visit and what each of them counts for, the fence version and the rules it was judged by.

    In words and in data; the data are those of `onsite visits --explain`. The visit is derived anew from the stored
    pings by the engine that logged it: `matches` says whether that comes to the same, `differs` where it does not. For
    a retracted visit it tells what is there instead.
    """
    if not services.fences.is_caught_up:
        raise unavailable("the fences are still being read")
    visit = (await _revisions(services, scope, visit_id))[-1]
    now_ms = services.clock.now_ms()
    explained = await services.explainer.explain(visit, services.history, services.fences.records, now_ms)
    return await asyncio.to_thread(JSONAnswer, explained)


async def _visits_of(job_id: str, services: Services) -> tuple[str, ...]:
    found = await job_of_id(job_id, services)
    return () if found is None else tuple(found.record.visit_ids)


async def _revisions(services: Services, scope: Scope, visit_id: str) -> list[Visit]:
    revisions = await services.history.revisions(visit_id)
    if not revisions or not scope.sees_visit(revisions[-1]):
        raise Problem(404, "unknown_visit", f"no visit has the id {visit_id!r}")
    return revisions

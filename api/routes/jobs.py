"""Jobs: what is to be done where, by whom and when, and how it went."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer
from api.http.body import read_body, read_json
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, From, IdempotencyKey, Limit, To
from api.http.preconditions import IfChanged, IfMatch, is_known, require_match
from api.http.problems import Problem, unavailable
from api.jobs.answers import answers_of
from api.jobs.archive import require_new
from api.jobs.commands import head_of, new_request_id
from api.jobs.lists import JobQuery, listed, place_of
from api.jobs.placing import again, place_changes, placed_plan
from api.jobs.references import require_branch, require_references
from api.jobs.requests import job_id_of, read_changes, read_plan
from api.jobs.standing import etag_of, found_job, job_answer, jobs_of, standing_job
from api.jobs.surroundings import surroundings_of_jobs
from api.places.corrections import at_fence_of_site, remember_correction, says_where
from api.read_model import eta_of
from api.services import Reach, Services
from schemas import wire
from schemas.job import Risk
from schemas.job_command import CreateJob, EditJob

router = APIRouter(tags=["jobs"])

_WRITE_ERRORS: Final = (400, 409, 413, 415, 422, 503)

Reader = Annotated[Scope, Depends(scoped("jobs:read"))]
Writer = Annotated[Scope, Depends(scoped("jobs:write"))]

JobId = Annotated[str, Path(description="the job's id")]


@router.get(
    "/v1/jobs",
    summary="List jobs",
    responses=examples.answers(200, "Some jobs, by when they are due", "JobPage", examples.jobs.JOBS, 400, 503),
)
async def list_jobs(
    services: Reach,
    scope: Reader,
    state: Annotated[list[str] | None, Query(description="in this state; more than one may be named")] = None,
    technician: Annotated[str | None, Query(description="of this technician")] = None,
    customer: Annotated[str | None, Query(description="for this customer")] = None,
    site: Annotated[str | None, Query(description="at this site")] = None,
    branch: Annotated[str | None, Query(description="of this branch")] = None,
    external_id: Annotated[str | None, Query(description="with this id in another system")] = None,
    risk: Annotated[Risk | None, Query(description="at this risk")] = None,
    from_ms: From = None,
    to_ms: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """By when they are due: the beginning of the promised window, or where there is none when they were made.

    Without those that are archived: these are in `GET /v1/jobs.csv`, and in the table `jobs` of the store.
    """
    query = JobQuery(
        tuple(state or ()),
        technician,
        customer,
        site,
        branch,
        external_id,
        risk,
        from_ms,
        to_ms,
        place_after(cursor),
    )
    seen = (record for record in jobs_of(services).values() if scope.sees_job(record))
    found = listed(seen, query, limit + 1)
    return JSONAnswer(page_of(await answers_of(found, services), limit, place_of))


@router.post(
    "/v1/jobs",
    status_code=201,
    summary="Create a job",
    openapi_extra=examples.body("NewJob", examples.jobs.NEW_JOB),
    responses=examples.answers(201, "It is there now", "JobAnswer", examples.jobs.JOB_ANSWER, *_WRITE_ERRORS),
)
async def create_job(
    request: Request, services: Reach, scope: Writer, idempotency_key: IdempotencyKey = None
) -> JSONAnswer:
    """Its id may be stated, or is made. The place is a site, a fence, a point or an address; a point gets a circle.

    Of an address alone `geocoded` says what came of looking it up. One that was not found, or not in time, is no reason
    to refuse: such a job has no place until it is found, or stated.

    With a window and a technician it is `scheduled` at once. The same again changes nothing. The id of a job that is
    archived is not given again: `409` with the code `archived`.
    """
    stated_id, plan = read_plan(read_json(await read_body(request, services.settings.max_body_bytes)))
    key = idempotency_key or new_request_id()
    job_id = stated_id or job_id_of(key, scope.principal.identity)
    require_references(wire.to_builtins(plan), surroundings_of_jobs(scope, services))
    require_branch(plan.branch or _branch_of_site(plan.site_id, services), scope)
    before = services.jobs.records.get(job_id)
    if before is None and (stated_id or idempotency_key) is not None:
        await require_new(job_id, services)
    plan = again(plan, before) or await placed_plan(plan, scope.principal, services)
    record = await services.desk.carry_out(
        CreateJob(
            job_id=job_id,
            **head_of(scope.principal, services.clock, key),
            plan=plan,
        )
    )
    return job_answer(record, services, 201)


@router.get(
    "/v1/jobs.csv",
    summary="Export jobs",
    responses=examples.jobs.JOBS_CSV | {400: examples.problem(400), 503: examples.problem(503)},
)
async def export_jobs(
    services: Reach,
    scope: Reader,
    state: Annotated[str | None, Query(description="in this state")] = None,
    branch: Annotated[str | None, Query(description="of this branch")] = None,
    from_ms: From = None,
    to_ms: To = None,
) -> StreamingResponse:
    """All of them, archived ones too, or those made in [from, to), from the store: as many as there are, in constant
    memory."""
    wanted: dict[str, Any] = {"state": state, "branch": branch, "from_ms": from_ms, "to_ms": to_ms}
    if scope.principal.role == "technician":
        wanted["technician"] = scope.principal.technician_id or ""
    elif (seen := scope.branches_seen()) is not None:
        wanted["branches"] = list(seen)
    lines = services.history.jobs_csv({name: value for name, value in wanted.items() if value is not None})
    first = await anext(lines, b"")  # what the store refuses is answered as a problem, before the first line
    headers = {"Content-Disposition": 'attachment; filename="jobs.csv"'}
    return StreamingResponse(_following(first, lines), media_type="text/csv; charset=utf-8", headers=headers)


@router.get(
    "/v1/jobs/{job_id}",
    summary="One job",
    responses=examples.answers(200, "The job and its log", "JobAnswer", examples.jobs.JOB_ANSWER, 404, 503),
)
async def get_job(services: Reach, scope: Reader, job_id: JobId, if_none_match: IfChanged = None) -> Response:
    """As it is now, with an ETag: that of its `revision`. Its clocks in `sla` and its `eta` run on meanwhile.

    One that was over for long is `archived`: it is read from the store, without `escalations` and the places of what
    people said.
    """
    record, archived = await found_job(services, scope, job_id)
    if is_known(etag_of(record), if_none_match):
        return Response(status_code=304, headers={"ETag": etag_of(record)})
    return job_answer(record, services, archived=archived)


@router.get(
    "/v1/jobs/{job_id}/eta",
    summary="When somebody will be there",
    responses=examples.answers(200, "The newest ETA", "EtaAnswer", examples.jobs.ETA, 404, 503),
)
async def get_eta(services: Reach, scope: Reader, job_id: JobId) -> JSONAnswer:
    """The arrival lies in the window with a probability of `level`; of the technician who is planned first.

    A job at which nobody is awaited has none: `404` with the code `no_eta`.
    """
    await found_job(services, scope, job_id)
    if not services.etas.is_caught_up:
        raise unavailable("the ETAs are still being read")
    eta = services.etas.records.get(job_id)
    if eta is None:
        raise Problem(404, "no_eta", f"nobody is awaited at the job {job_id!r} now")
    return JSONAnswer(eta_of(eta, services.clock.now_ms()))


@router.patch(
    "/v1/jobs/{job_id}",
    summary="Change a job",
    openapi_extra=examples.body(
        "JobPatch", {"technician_ids": ["amina"]}, "application/merge-patch+json", "application/json"
    ),
    responses=examples.answers(200, "As it is now", "JobAnswer", examples.jobs.JOB_ANSWER, 404, 412, *_WRITE_ERRORS),
)
async def patch_job(
    request: Request,
    services: Reach,
    scope: Writer,
    job_id: JobId,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONAnswer:
    """By a JSON merge patch (RFC 7396): what is not named stays, null takes away. Reassigning is a change too.

    Who says where the job is, by `lat` and `lon` or a fence, corrects its site, or what is known of its address.
    """
    changes = read_changes(read_json(await read_body(request, services.settings.max_body_bytes)))
    record = await standing_job(services, scope, job_id)
    require_match("the job", etag_of(record), if_match)
    require_references(changes, surroundings_of_jobs(scope, services))
    if "branch" in changes:
        require_branch(changes["branch"], scope)
    stated = at_fence_of_site(record, changes, scope, services)
    changes = stated | await place_changes(record, stated, scope.principal, services)
    command = EditJob(
        job_id=job_id,
        **head_of(scope.principal, services.clock, idempotency_key),
        changes=changes,
        if_revision=None if if_match in (None, "*") else record.revision,
    )
    after = await services.desk.carry_out(command)
    if says_where(stated):
        await remember_correction(record, after, stated, scope, services)
    return job_answer(after, services)


async def _following(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for some in lines:
        yield some


def _branch_of_site(site_id: str | None, services: Services) -> str | None:
    site = None if site_id is None else services.registers["sites"].records.get(site_id)
    return None if site is None else site.branch

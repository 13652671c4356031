"""Service requests: a portal, a form or a CRM asks; a dispatcher makes a job of it, or declines."""

from typing import Annotated, Final, cast

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer
from api.http.body import read_body, read_json
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, IdempotencyKey, Limit
from api.http.problems import Problem, unavailable
from api.jobs.answers import answer_of
from api.jobs.commands import new_request_id
from api.jobs.references import require_references
from api.jobs.standing import job_of_id
from api.jobs.surroundings import surroundings_of_jobs
from api.read_back import Audit, append_and_read_back
from api.requests.acceptance import job_made_of
from api.requests.lists import RequestQuery, listed, place_of
from api.requests.messages import AcceptedRequest, read_acceptance, read_refusal, read_request
from api.services import Reach, Services
from dispatch.service_requests import as_it_stands, job_id_of, plan_of, request_id_of
from schemas import wire
from schemas.audit import Change
from schemas.places import Customer, Site
from schemas.service_request import RequestPlan, RequestState, ServiceRequest
from schemas.times import Instant
from schemas.topics import REQUESTS

router = APIRouter(tags=["requests"])

_WRITE_ERRORS: Final = (400, 409, 413, 415, 503)

Asking = Annotated[Scope, Depends(scoped("requests:post"))]
Reader = Annotated[Scope, Depends(scoped("requests:read"))]
Decider = Annotated[Scope, Depends(scoped("requests:decide"))]
RequestId = Annotated[str, Path(description="the request's id")]


@router.post(
    "/v1/requests",
    status_code=201,
    summary="Ask for service",
    openapi_extra=examples.body("NewRequest", examples.requests.NEW_REQUEST),
    responses=examples.answers(201, "It is there now", "ServiceRequest", examples.requests.REQUEST, 422, *_WRITE_ERRORS)
    | examples.answers(200, "It was there already", "ServiceRequest", examples.requests.REQUEST),
)
async def ask(request: Request, services: Reach, scope: Asking, idempotency_key: IdempotencyKey = None) -> JSONAnswer:
    """The same `external_id` in the same branch, or the same `Idempotency-Key`, is the same request: it is there once.

    Who sees one branch alone need not state it.
    """
    plan = read_request(read_json(await read_body(request, services.settings.max_body_bytes)))
    require_references(wire.to_builtins(plan), surroundings_of_jobs(scope, services))
    plan = _of_branch(plan, scope, services)
    request_id = request_id_of(plan, scope.principal.identity, idempotency_key or new_request_id())
    async with services.lock_of_request(request_id):
        before = _requests(services).get(request_id)
        if before is not None:
            _require_same(plan, plan_of(before), idempotency_key)
            return _answer(_as_it_stands(before, services))
        now_ms = services.clock.now_ms()
        stated = {name: getattr(plan, name) for name in RequestPlan.__struct_fields__}
        asked = ServiceRequest(**stated, request_id=request_id, state="received", created_at=now_ms, updated_at=now_ms)
        await _write("received", None, asked, scope, services)
    return _answer(asked, 201)


@router.get(
    "/v1/requests",
    summary="List service requests",
    responses=examples.answers(
        200, "Some requests, the newest first", "RequestPage", examples.requests.REQUESTS, 400, 503
    ),
)
async def list_requests(
    services: Reach,
    scope: Reader,
    state: Annotated[list[RequestState] | None, Query(description="in this state; more than one may be named")] = None,
    branch: Annotated[str | None, Query(description="of this branch, or of one within it")] = None,
    customer: Annotated[str | None, Query(description="of this customer")] = None,
    external_id: Annotated[str | None, Query(description="with this id where they come from")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Those of branches that the asker sees, the newest first."""
    query = RequestQuery(tuple(state or ()), customer, external_id, place_after(cursor))
    scope = scope.narrowed(branch)
    seen = (_as_it_stands(each, services) for each in _requests(services).values() if scope.sees(each.branch))
    return JSONAnswer(page_of(listed(seen, query, limit + 1), limit, place_of))


@router.get(
    "/v1/requests/{request_id}",
    summary="One service request",
    responses=examples.answers(200, "As it stands", "ServiceRequest", examples.requests.REQUEST, 404, 503),
)
async def get_request(services: Reach, scope: Reader, request_id: RequestId) -> JSONAnswer:
    """With the job that was made of it."""
    return _answer(_standing(services, scope, request_id))


@router.post(
    "/v1/requests/{request_id}/accept",
    summary="Make a job of a service request",
    openapi_extra=examples.body("Acceptance", examples.requests.ACCEPTANCE),
    responses=examples.answers(
        200, "The request and its job", "AcceptedRequest", examples.requests.ACCEPTED_REQUEST, 404, *_WRITE_ERRORS
    ),
)
async def accept(request: Request, services: Reach, scope: Decider, request_id: RequestId) -> JSONAnswer:
    """One job, however often it is asked for: again, the answer is the job that is there, whatever the body says.

    The job has what the request states, but for what `job` states otherwise. Who asks and is no customer yet becomes
    one; with `create_site` the place becomes a site.
    """
    acceptance = read_acceptance(read_json(await read_body(request, services.settings.max_body_bytes) or b"{}"))
    async with services.lock_of_request(request_id):
        stands = _standing(services, scope, request_id)
        if stands.state == "declined":
            raise Problem(409, "request_declined", f"the request {request_id!r} was declined: {stands.reason}")
        made = await job_of_id(job_id_of(request_id), services) if stands.state == "accepted" else None
        job, archived = made or (await job_made_of(stands, acceptance, scope, services), False)
        before = _requests(services)[request_id]
        if before.state != "accepted":
            after = _changed(before, services, state="accepted", job_id=job.job_id)
            await _write("accepted", before, after, scope, services)
    return JSONAnswer(
        AcceptedRequest(_standing(services, scope, request_id), answer_of(job, services, archived=archived))
    )


@router.post(
    "/v1/requests/{request_id}/decline",
    summary="Decline a service request",
    openapi_extra=examples.body("RequestRefusal", {"reason": "outside the area we serve"}),
    responses=examples.answers(
        200, "As it stands", "ServiceRequest", examples.requests.DECLINED_REQUEST, 404, *_WRITE_ERRORS
    ),
)
async def decline(request: Request, services: Reach, scope: Decider, request_id: RequestId) -> JSONAnswer:
    """With a reason, for whoever asked. One that was made into a job is not declined: cancel the job."""
    refusal = read_refusal(read_json(await read_body(request, services.settings.max_body_bytes)))
    async with services.lock_of_request(request_id):
        before = _standing(services, scope, request_id)
        if before.state == "accepted":
            raise Problem(409, "request_accepted", f"the request is the job {before.job_id!r} already; cancel that")
        if before.state == "declined" and before.reason != refusal.reason:
            raise Problem(409, "request_declined", f"the request was declined already: {before.reason}")
        if before.state == "received":
            after = _changed(before, services, state="declined", reason=refusal.reason)
            await _write("declined", before, after, scope, services)
    return _answer(_standing(services, scope, request_id))


def _requests(services: Services) -> dict[str, ServiceRequest]:
    if not (services.requests.is_caught_up and services.jobs.is_caught_up):
        raise unavailable("the requests are still being read")
    return cast(dict[str, ServiceRequest], services.requests.records)


def _as_it_stands(request: ServiceRequest, services: Services) -> ServiceRequest:
    return as_it_stands(request, services.jobs.records.get(job_id_of(request.request_id)))


def _standing(services: Services, scope: Scope, request_id: str) -> ServiceRequest:
    request = _requests(services).get(request_id)
    if request is None or not scope.sees(request.branch):
        raise Problem(404, "unknown_request", f"there is no request {request_id!r}")
    return _as_it_stands(request, services)


def _of_branch(plan: RequestPlan, scope: Scope, services: Services) -> RequestPlan:
    """The request with the branch that it is for; raises Problem 400 or 403 where that is not theirs who ask."""
    branch = plan.branch
    site = None if plan.site_id is None else cast(Site | None, services.registers["sites"].records.get(plan.site_id))
    customers = services.registers["customers"].records
    customer = None if plan.customer_id is None else cast(Customer | None, customers.get(plan.customer_id))
    for field, entry, key in (("site_id", site, plan.site_id), ("customer_id", customer, plan.customer_id)):
        if key is not None and (entry is None or entry.removed_at is not None):
            raise Problem(400, "unknown_reference", f"$.{field}: there is no {field.removesuffix('_id')} {key!r}")
        branch = branch or (None if entry is None else entry.branch)
    own = scope.principal.branches
    if branch is None and own is not None and len(own) == 1 and not scope.is_whole:
        [branch] = own
    scope.require_own("a request", branch)
    if branch is not None and not scope.sees(branch):
        raise Problem(400, "unknown_reference", f"$.branch: there is no branch {branch!r}")
    return msgspec.structs.replace(plan, branch=branch)


def _require_same(plan: RequestPlan, before: RequestPlan, key: str | None) -> None:
    if plan == before:
        return
    if plan.external_id is None and key is not None:
        raise Problem(422, "key_reused", "the Idempotency-Key was used for something else before")
    raise Problem(409, "exists", f"there is another request with the external_id {plan.external_id!r} already")


def _changed(before: ServiceRequest, services: Services, **changes: object) -> ServiceRequest:
    updated_at = Instant(max(services.clock.now_ms(), before.updated_at + 1))
    return msgspec.structs.replace(before, updated_at=updated_at, **changes)


async def _write(
    action: str, before: ServiceRequest | None, after: ServiceRequest, scope: Scope, services: Services
) -> None:
    was = None if before is None else wire.to_builtins(before)
    change = Change(action, "request", after.request_id, after.branch, was, wire.to_builtins(after))
    audit = Audit(scope.principal, services.clock.now_ms(), [change])
    await append_and_read_back(services.log, REQUESTS, services.requests, {after.request_id: after}, audit)


def _answer(request: ServiceRequest, status: int = 200) -> JSONAnswer:
    return JSONAnswer(request, status)

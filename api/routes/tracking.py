"""Tracking links: the office makes and revokes them, a customer sees and says through them what concerns their job."""

from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api import examples
from api.audit import put_on_record
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer
from api.http.body import read_body
from api.http.problems import Problem, unavailable
from api.jobs.standing import found_job, standing_job
from api.routes.jobs import JobId
from api.services import Reach
from api.tracking.answers import CustomerWords, NewMessage, Rating
from api.tracking.desk import new_link, open_link, rate, revoke_links, view_of, write
from schemas.audit import Change

router = APIRouter(tags=["tracking"])

MAX_BODY_BYTES: Final = 16 * 1024
"""Of what a customer says."""
UNLISTED: Final = {"X-Robots-Tag": "noindex, nofollow"}

_ERRORS: Final = (400, 404, 410, 429, 503)
_WRITE_ERRORS: Final = (400, 404, 409, 410, 413, 415, 429, 503)

T = TypeVar("T", bound=msgspec.Struct)

Reader = Annotated[Scope, Depends(scoped("jobs:read"))]
Writer = Annotated[Scope, Depends(scoped("jobs:write"))]
Token = Annotated[str, Path(description="of the link", max_length=800)]


@router.post(
    "/v1/jobs/{job_id}/tracking-link",
    status_code=201,
    summary="Make a customer's link",
    responses=examples.answers(201, "The link", "TrackingLink", examples.tracking.LINK, 404, 409, 503),
)
async def make_link(services: Reach, scope: Writer, job_id: JobId) -> JSONAnswer:
    """Good until 14 days after the promised window, and for 14 days at least. Those made before go on being good."""
    job = await standing_job(services, scope, job_id)
    link = new_link(job, services)
    change = Change("linked", "tracking", job_id, job.branch, after={"expires_at": link.expires_at})
    await put_on_record(services.log, scope.principal, services.clock.now_ms(), [change])
    return JSONAnswer(link, 201)


@router.delete(
    "/v1/jobs/{job_id}/tracking-link",
    status_code=204,
    summary="Revoke a job's links",
    responses=examples.answers(204, "None is good any more", None, None, 404, 409, 503),
)
async def revoke(services: Reach, scope: Writer, job_id: JobId) -> Response:
    """All that were ever made, those in notices too. One that is made afterwards is good."""
    await revoke_links(await standing_job(services, scope, job_id), scope.principal, services)
    return Response(status_code=204)


@router.get(
    "/v1/jobs/{job_id}/customer-words",
    summary="What the customer said",
    responses=examples.answers(200, "Rating and messages", "CustomerWords", examples.tracking.WORDS, 404, 503),
)
async def get_words(services: Reach, scope: Reader, job_id: JobId) -> JSONAnswer:
    """Through the links of this job."""
    job, _ = await found_job(services, scope, job_id)
    book = services.tracking.book
    if not book.is_caught_up:
        raise unavailable("what customers said is still being read")
    record = book.of(job.job_id)
    return JSONAnswer(CustomerWords(**{name: getattr(record, name) for name in CustomerWords.__struct_fields__}))


@router.get(
    "/v1/track/{token}",
    summary="What a customer may see",
    responses=examples.answers(200, "As it stands", "TrackingAnswer", examples.tracking.ANSWER, *_ERRORS),
)
async def track(request: Request, services: Reach, token: Token) -> JSONAnswer:
    """For whoever has the link. The technician's position is there only while they are on the way to this customer."""
    opened = open_link(token, address_of(request), services)
    return JSONAnswer(view_of(opened, services), headers=UNLISTED)


@router.post(
    "/v1/track/{token}/rating",
    summary="Rate a job that is done",
    openapi_extra=examples.body("Rating", examples.tracking.RATING),
    responses=examples.answers(200, "As it stands", "TrackingAnswer", examples.tracking.RATED, *_WRITE_ERRORS),
)
async def rate_job(request: Request, services: Reach, token: Token) -> JSONAnswer:
    """Another time it replaces what was said before, as long as the link is good."""
    opened = open_link(token, address_of(request), services)
    await rate(opened.job, _said(Rating, await read_body(request, MAX_BODY_BYTES)), services)
    return JSONAnswer(view_of(opened, services), headers=UNLISTED)


@router.post(
    "/v1/track/{token}/messages",
    status_code=201,
    summary="Write to who comes",
    openapi_extra=examples.body("NewMessage", examples.tracking.NEW_MESSAGE),
    responses=examples.answers(201, "It is there", "CustomerMessage", examples.tracking.MESSAGE, *_WRITE_ERRORS),
)
async def write_message(request: Request, services: Reach, token: Token) -> JSONAnswer:
    """Until the job is over, 20 messages at most. The same text again is there once."""
    opened = open_link(token, address_of(request), services)
    said = _said(NewMessage, await read_body(request, MAX_BODY_BYTES))
    return JSONAnswer(await write(opened.job, said, services), 201, UNLISTED)


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


def _said(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(400, "invalid_request", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed_body", f"malformed JSON: {error}") from error

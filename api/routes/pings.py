"""Pings in: one, an array, NDJSON or CSV."""

from typing import Final

from fastapi import APIRouter, Depends, Request

from api import examples
from api.auth import allow, authorize
from api.http.answers import JSONAnswer, PingsAnswer, RejectedItem
from api.http.body import read_body
from api.http.direct_route import DirectRoute
from api.http.problems import Problem
from api.ingest.admission import Passage
from api.ingest.intake import take_in
from api.services import services_of
from schemas.protocols import PROTOCOLS, by_media_type

router = APIRouter(tags=["pings"], route_class=DirectRoute)

_ACCEPTED: Final = ("json", "ndjson", "csv")


@router.post(
    "/v1/pings",
    status_code=202,
    summary="Post pings",
    dependencies=[Depends(allow("pings:write"))],
    openapi_extra=examples.pings.PINGS_BODY,
    responses=examples.answers(
        202, "The broker has them", "PingsAnswer", examples.pings.PINGS_ANSWER, 400, 413, 415, 429, 503
    ),
)
async def post_pings(request: Request) -> JSONAnswer:
    """One ping, a JSON array, NDJSON or CSV, by content type; gzip is understood.

    Answers once the broker has the pings on all its replicas. Idempotent: a ping sent again is the same ping, so
    after an error send the whole batch again. A ping that is refused never takes the good ones with it. One that was
    taken outside the shift of who holds the device is among the rejected as `off_shift`, and nothing of it is kept.

    A body over 64 KiB, packed or not, is a backlog: it may be answered 429, unread, with the seconds after which its
    turn is in `Retry-After`. With `Expect: 100-continue` a client need not send it in vain.
    """
    principal = await authorize(request, "pings:write")
    services = services_of(request)
    received_ms = int(services.clock.now_ms())  # a ping holds plain integers
    protocol = _protocol(request)
    passage = Passage(request, services.backlogs, services.log, services.metrics.backlogs_refused)
    body = await read_body(request, services.settings.max_body_bytes, passage)
    async with passage.work():
        taken = await take_in(services, principal, protocol, body, dict(request.query_params), received_ms)
    rejected = [RejectedItem(each.index, each.reason) for each in taken.rejected]
    return JSONAnswer(PingsAnswer(taken.accepted, rejected), 202)


def _protocol(request: Request) -> str:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0]
    protocol = by_media_type(media_type)
    if protocol not in _ACCEPTED:
        known = ", ".join(PROTOCOLS[name].media_types[0] for name in _ACCEPTED)
        raise Problem(
            415,
            "unsupported_media_type",
            f"content type {media_type!r}; understood are {known}",
            {"Accept-Post": known},
        )
    return protocol

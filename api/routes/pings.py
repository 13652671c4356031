"""Pings in: one, an array, NDJSON or CSV."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from api import examples
from api.admission import Passage
from api.answers import JSONAnswer, PingsAnswer, RejectedItem
from api.auth import allow, authorize
from api.body import read_body
from api.problems import Problem
from api.services import Services, services_of
from schemas import wire
from schemas.ping import Ping
from schemas.protocols import PROTOCOLS, BodyError, Rejected, by_media_type
from schemas.rejected import RejectedPing
from schemas.times import Instant
from schemas.topics import PINGS, PINGS_REJECTED


class _DirectRoute(APIRoute):
    """A route that FastAPI documents and leaves alone: its function takes the request and gives the response.

    Solving dependencies takes longer than a ping does. They stand in the document; the function sees to them itself.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


router = APIRouter(tags=["pings"], route_class=_DirectRoute)

_ACCEPTED: Final = ("json", "ndjson", "csv")
_KEPT_RAW_BYTES: Final = 64 * 1024
_SLICE_PINGS: Final = 500
_encode = msgspec.json.Encoder().encode


@router.post(
    "/v1/pings",
    status_code=202,
    summary="Post pings",
    dependencies=[Depends(allow("pings:write"))],
    openapi_extra=examples.PINGS_BODY,
    responses=examples.answers(
        202, "The broker has them", "PingsAnswer", examples.PINGS_ANSWER, 400, 413, 415, 429, 503
    ),
)
async def post_pings(request: Request) -> JSONAnswer:
    """One ping, a JSON array, NDJSON or CSV, by content type; gzip is understood.

    Answers once the broker has the pings on all its replicas. Idempotent: a ping sent again is the same ping, so
    after an error send the whole batch again. A ping that is refused never takes the good ones with it.

    A body over 64 KiB, packed or not, is a backlog: it may be answered 429, unread, with the seconds after which its
    turn is in `Retry-After`. With `Expect: 100-continue` a client need not send it in vain.
    """
    authorize(request, "pings:write")
    services = services_of(request)
    received_ms = int(services.clock.now_ms())  # a ping holds plain integers
    protocol = _protocol(request)
    passage = Passage(request, services.backlogs, services.log, services.metrics.backlogs_refused)
    body = await read_body(request, services.settings.max_body_bytes, passage)
    async with passage.work():
        pings, rejected = await _read(
            protocol, body, dict(request.query_params), received_ms, services.settings.max_batch_pings
        )
        await _append(services, protocol, pings, rejected, received_ms)
    _count(services, pings, rejected)
    return JSONAnswer(PingsAnswer(len(pings), [RejectedItem(each.index, each.reason) for each in rejected]), 202)


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


async def _read(
    protocol: str, body: bytes, parameters: dict[str, str], received_ms: int, limit: int
) -> tuple[list[Ping], list[Rejected]]:
    pings: list[Ping] = []
    rejected: list[Rejected] = []
    try:
        for item in PROTOCOLS[protocol].read(body, parameters, received_ms):
            if isinstance(item, Ping):
                pings.append(item)
            else:
                rejected.append(item)
            if not (len(pings) + len(rejected)) % _SLICE_PINGS:
                await asyncio.sleep(0)  # other requests are served between
    except BodyError as error:
        raise Problem(400, "malformed_body", str(error)) from error
    if len(pings) + len(rejected) > limit:
        raise Problem(413, "too_many_pings", f"{len(pings) + len(rejected)} pings; {limit} at most", limit_pings=limit)
    return pings, rejected


async def _append(
    services: Services, protocol: str, pings: list[Ping], rejected: list[Rejected], received_ms: int
) -> None:
    if rejected:
        await asyncio.gather(
            _append_pings(services, pings), _append_rejected(services, protocol, rejected, received_ms)
        )
    else:
        await _append_pings(services, pings)  # by far the most: spares two tasks


async def _append_pings(services: Services, pings: list[Ping]) -> None:
    """Slice after slice, so that no more of a backlog than one of them is in the way of live pings."""
    for first in range(0, len(pings), _SLICE_PINGS):
        records = [(ping.device_id, _encode(ping)) for ping in pings[first : first + _SLICE_PINGS]]
        await services.log.append(PINGS, records)


async def _append_rejected(services: Services, protocol: str, rejected: list[Rejected], received_ms: int) -> None:
    for first in range(0, len(rejected), _SLICE_PINGS):
        records = [
            (each.device_id, wire.encode(_record_of(each, protocol, received_ms)))
            for each in rejected[first : first + _SLICE_PINGS]
        ]
        await services.log.append(PINGS_REJECTED, records)


def _record_of(rejected: Rejected, protocol: str, received_ms: int) -> RejectedPing:
    return RejectedPing(
        device_id=rejected.device_id,
        code=rejected.code,
        reason=rejected.reason,
        received_at=Instant(received_ms),
        protocol=protocol,
        raw=rejected.raw[:_KEPT_RAW_BYTES].decode(errors="replace"),
    )


def _count(services: Services, pings: list[Ping], rejected: list[Rejected]) -> None:
    services.metrics.pings_accepted.inc(len(pings))
    if rejected:
        for code, count in Counter(each.code for each in rejected).items():
            services.metrics.pings_rejected.labels(code).inc(count)

"""Pings in, as the apps post them that people already have."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from api import examples
from api.auth import Principal, allow, authorize
from api.http.answers import ACCEPTED_HEADER, REJECTED_HEADER
from api.http.body import read_body
from api.http.direct_route import DirectRoute
from api.ingest.admission import Passage
from api.ingest.intake import Taken, take_in
from api.services import services_of
from schemas.protocols import PROTOCOLS, App

router = APIRouter(tags=["apps"], route_class=DirectRoute)

_TOLD_CODES: Final = 50
"""So many refusals at most stand in a header."""

_DESCRIPTION: Final = """As the app sends them: see docs/devices.md for what to type into it.

The token is a bearer's, the password of HTTP Basic, or `?token=` where an app knows nothing but an address. A fix that
is refused is answered like a good one, or the app would send it again for ever; it is kept with its reason. Of one that
was taken outside the shift of who holds the device nothing is kept. For whoever looks, the header `Onsite-Accepted`
says how many fixes were taken, and `Onsite-Rejected` why others were not."""

_HEADERS_THAT_NAME_DEVICES: Final = ("x-limit-u", "x-limit-d")
"""Of OwnTracks: its user and device."""


def _route_of(name: str, app: App) -> None:
    """Add the route of a protocol whose app posts to an address of its own."""

    async def take(request: Request) -> Response:
        principal = await authorize(request, "pings:write", in_query=True)
        taken = await _take(request, name, principal)
        return Response(app.answer, headers=_told(taken), media_type="application/json" if app.answer else None)

    for method in app.methods:
        router.add_api_route(
            f"/v1/ingest/{name}",
            take,
            methods=[method],
            summary=f"Pings from {app.title}",
            description=_DESCRIPTION,
            operation_id=f"ingest_{name}_{method.lower()}",
            dependencies=[Depends(allow("pings:write"))],
            openapi_extra=examples.pings.app_body(name) if method == "POST" else None,
            responses=examples.answers(200, "The broker has them", None, _answered(app), 400, 413, 415, 429, 503),
        )


def _answered(app: App) -> Any:
    return msgspec.json.decode(app.answer) if app.answer else None


def _told(taken: Taken) -> dict[str, str]:
    headers = {ACCEPTED_HEADER: str(taken.accepted)}
    if taken.rejected:
        headers[REJECTED_HEADER] = ", ".join(each.code for each in taken.rejected[:_TOLD_CODES])
    return headers


async def _take(request: Request, name: str, principal: Principal) -> Taken:
    services = services_of(request)
    received_ms = int(services.clock.now_ms())
    parameters = dict(request.query_params)
    parameters.pop("token", None)
    parameters |= {
        header: request.headers[header] for header in _HEADERS_THAT_NAME_DEVICES if header in request.headers
    }
    if principal.device_id is not None:
        parameters.setdefault("device_id", principal.device_id)
    passage = Passage(request, services.backlogs, services.log, services.metrics.backlogs_refused)
    body = await read_body(request, services.settings.max_body_bytes, passage)
    async with passage.work():
        return await take_in(services, principal, name, body, parameters, received_ms)


for _name, _protocol in PROTOCOLS.items():
    if _protocol.app is not None:
        _route_of(_name, _protocol.app)

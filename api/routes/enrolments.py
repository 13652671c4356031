"""Enrolment of phones: an administrator makes a link, whoever has it opens its page."""

import time
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from api import examples
from api.audit import put_on_record
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import EnrolmentAnswer, JSONAnswer
from api.http.body import read_body
from api.http.problems import Problem, unavailable
from api.ingest.enrolment import Enrolment, setups
from api.pages import page
from api.routes.devices import DeviceId
from api.services import Reach
from schemas import wire
from schemas.audit import Change
from schemas.key import new_key
from schemas.ping import MAX_DEVICE_ID_CHARS, is_unicode
from schemas.times import Instant, format_instant
from schemas.topics import KEYS

router = APIRouter(tags=["enrolments"])

_MAX_BODY_BYTES: Final = 1024
_KNOWN_S: Final = 2.0
_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": description, "content": {"text/html": {"schema": {"type": "string"}, "example": example}}}
    for status, description, example in (
        (200, "What to type, and what to scan", "<!doctype html>… Connect van-12 …"),
        (404, "No link of this system", "<!doctype html>… This link is not good any more …"),
        (410, "It was one: its time is over, or its token was revoked", "<!doctype html>… not good any more …"),
    )
}


class Wanted(msgspec.Struct):
    """For how long the link works."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 30


@router.post(
    "/v1/devices/{device_id}/enrolments",
    status_code=201,
    summary="Enrol a phone",
    openapi_extra=examples.devices.ENROLMENT_BODY,
    responses=examples.answers(201, "The link", "EnrolmentAnswer", examples.devices.ENROLMENT, 400, 404, 413, 415, 503),
)
async def enrol(
    request: Request,
    services: Reach,
    scope: Annotated[Scope, Depends(scoped("devices:enrol"))],
    device_id: DeviceId,
) -> JSONAnswer:
    """Makes a token for the device, and a link to a page that sets an app up with it.

    The link works for some minutes, 30 unless stated, and holds the token, which is shown nowhere else. Whoever opens
    it can post as the device; `onsite keys revoke` ends both.
    """
    if len(device_id) > MAX_DEVICE_ID_CHARS or not is_unicode(device_id):
        raise Problem(400, "invalid_request", f"a device's id is text of {MAX_DEVICE_ID_CHARS} characters at most")
    if not scope.sees_device(device_id):
        raise Problem(404, "unknown_device", f"no technician of these branches holds a device {device_id!r}")
    wanted = _wanted(await read_body(request, _MAX_BODY_BYTES))
    now_ms = services.clock.now_ms()
    made = new_key(device_id, "device", now_ms, device_id)
    key_id = made.key.key_id
    holder = services.holders.holder_of(device_id)
    branch = None if holder is None else holder.branch
    enrolled = Change("enrolled", "device", device_id, branch, after={"key_id": key_id, "minutes": wanted.minutes})
    await put_on_record(services.log, scope.principal, now_ms, [enrolled])
    await services.log.append(KEYS, [(key_id, wire.encode(made.key))])
    await services.keys.until(lambda: key_id in services.keys.records, _KNOWN_S)
    until_s = int(time.time()) + wanted.minutes * 60
    sealed = services.enrolment_links.seal(Enrolment(device_id, made.token, until_s))
    url = f"{_base_url(request, services.settings.public_url)}/enrol/{sealed}"
    return JSONAnswer(EnrolmentAnswer(device_id, key_id, url, Instant(until_s * 1000)), 201)


@router.get("/enrol/{sealed}", summary="Set a phone up", response_class=HTMLResponse, responses=_PAGE)
async def show_enrolment(request: Request, services: Reach, sealed: str) -> HTMLResponse:
    """The page behind the link, for whoever has it. It loads nothing from elsewhere and runs no script."""
    try:
        enrolment = services.enrolment_links.open(sealed)
    except ValueError:
        return page("enrolment_over.html", 404)
    if not services.keys.is_caught_up:
        raise unavailable("the keys are still being read")
    key = services.keys.records.get(enrolment.token.split("_")[1])
    if enrolment.until_s <= time.time() or key is None or key.revoked_at is not None:
        return page("enrolment_over.html", 410)
    base_url = _base_url(request, services.settings.public_url)
    apps = setups(base_url, enrolment.device_id, enrolment.token)
    until = format_instant(enrolment.until_s * 1000)
    return page("enrolment.html", device_id=enrolment.device_id, apps=apps, until=until)


def _base_url(request: Request, public_url: str) -> str:
    return (public_url or str(request.base_url)).rstrip("/")


def _wanted(body: bytes) -> Wanted:
    try:
        return msgspec.json.decode(body, type=Wanted) if body.strip() else Wanted()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed_body", f"{error}") from error

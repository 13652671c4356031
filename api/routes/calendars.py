"""A technician's jobs in the calendar app of their choice."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api import examples
from api.auth import Principal
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import CalendarAnswer, JSONAnswer
from api.http.preconditions import IfChanged, is_known
from api.http.problems import Problem, unavailable
from api.http.rates import TooMany
from api.jobs.calendar import calendar_of
from api.read_back import Audit, append_and_read_back
from api.registers.registry import Entry
from api.services import Reach, Services
from schemas.audit import Change
from schemas.calendar import CalendarFeed, new_feed
from schemas.times import Instant
from schemas.topics import CALENDARS

router = APIRouter(tags=["jobs"])

MEDIA_TYPE: Final = "text/calendar; charset=utf-8"

Mover = Annotated[Scope, Depends(scoped("jobs:move"))]
TechnicianId = Annotated[str, Path(description="the technician's id")]


@router.post(
    "/v1/technicians/{technician_id}/calendar",
    status_code=201,
    summary="Make the address of a calendar",
    responses=examples.answers(201, "The address, this once", "CalendarAnswer", examples.jobs.CALENDAR, 404, 503),
)
async def make_calendar(request: Request, services: Reach, scope: Mover, technician_id: TechnicianId) -> JSONAnswer:
    """To subscribe to in a calendar app. The one before is not good any more. Technicians make their own."""
    entry = _technician(services, scope, technician_id)
    async with services.register_edits:
        feed, secret = new_feed(technician_id, services.clock.now_ms())
        await _write(services, scope, "created", entry, feed)
    base_url = (services.settings.public_url or str(request.base_url)).rstrip("/")
    url = f"{base_url}/v1/technicians/{quote(technician_id, safe='')}/calendar.ics?token={secret}"
    return JSONAnswer(CalendarAnswer(technician_id, url), 201, {"Cache-Control": "no-store"})


@router.delete(
    "/v1/technicians/{technician_id}/calendar",
    status_code=204,
    summary="End a calendar",
    responses=examples.answers(204, "Its address is not good any more", None, None, 404, 503),
)
async def end_calendar(services: Reach, scope: Mover, technician_id: TechnicianId) -> Response:
    """Apps that are subscribed to it get a `404`."""
    entry = _technician(services, scope, technician_id)
    async with services.register_edits:
        before = _feeds(services).get(technician_id)
        if before is None or before.removed_at is not None:
            raise _unknown()
        now_ms = services.clock.now_ms()
        after = msgspec.structs.replace(before, secret_hash="", updated_at=now_ms, removed_at=now_ms)  # nosec B106
        await _write(services, scope, "removed", entry, after)
    return Response(status_code=204)


@router.get(
    "/v1/technicians/{technician_id}/calendar.ics",
    summary="The calendar",
    responses=examples.jobs.CALENDAR_ICS | {each: examples.problem(each) for each in (400, 404, 429, 503)},
)
async def get_calendar(
    services: Reach,
    technician_id: TechnicianId,
    token: Annotated[str, Query(description="of the address that was made", max_length=200)],
    if_none_match: IfChanged = None,
) -> Response:
    """The technician's own jobs, from 30 days back to 180 ahead, for whoever has the address."""
    feed = _feeds(services).get(technician_id)
    if not services.jobs.is_caught_up:
        raise unavailable("the jobs are still being read")
    entry = services.registers["technicians"].records.get(technician_id)
    if feed is None or not feed.opens_with(token) or entry is None or entry.removed_at is not None:
        raise _unknown()
    _count(technician_id, services)
    own = [job for job in services.jobs.records.values() if technician_id in job.technician_ids]
    name = getattr(entry, "name", "") or technician_id
    content = calendar_of(name, own, services.dispatch_rules.lifecycle(), services.clock.now_ms())
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if is_known(headers["ETag"], if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPE)


def _technician(services: Services, scope: Scope, technician_id: str) -> Entry:
    """Whose calendar may be made: a technician's own, others' of technicians that are seen."""
    model = services.registers["technicians"]
    if not model.is_caught_up:
        raise unavailable("the technicians are still being read")
    entry = model.records.get(technician_id)
    is_own = scope.principal.role == "technician" and scope.principal.technician_id == technician_id
    is_seen = entry is not None and (scope.principal.role != "technician" and scope.sees(entry.branch))
    if entry is None or entry.removed_at is not None or not (is_own or is_seen):
        raise Problem(404, "unknown_technician", f"there is no technician {technician_id!r}")
    return entry


def _feeds(services: Services) -> Mapping[str, CalendarFeed]:
    if not services.calendars.is_caught_up:
        raise unavailable("the calendars are still being read")
    return services.calendars.records


def _unknown() -> Problem:
    return Problem(404, "unknown_calendar", "there is no calendar at this address, or not any more")


def _count(technician_id: str, services: Services) -> None:
    """A request more of the feed; raises Problem 429 for one too many."""
    try:
        services.rates.enter(Principal("key", f"calendar/{technician_id}", "a calendar", "technician"))
    except TooMany as error:
        raise Problem(429, "too_many", str(error), {"Retry-After": str(error.retry_after_s)}) from error


async def _write(services: Services, scope: Scope, action: str, entry: Entry, after: CalendarFeed) -> None:
    before = services.calendars.records.get(after.technician_id)
    if before is not None:
        after = msgspec.structs.replace(after, updated_at=Instant(max(after.updated_at, before.updated_at + 1)))
    change = Change(action, "calendar", after.technician_id, entry.branch)
    audit = Audit(scope.principal, services.clock.now_ms(), [change])
    await append_and_read_back(services.log, CALENDARS, services.calendars, {after.technician_id: after}, audit)

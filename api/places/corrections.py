"""A place that a person has corrected with a job is remembered: for its site, else for its address.

Who comes there next is right from the start: the site is corrected, or the address of this customer, in this branch.
Jobs there that nobody has set off for move along. An area that somebody has drawn is not moved by a point.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

from api.auth.scope import Scope
from api.http.problems import Problem
from api.jobs.commands import head_of
from api.jobs.places import contains, is_circle, is_drawn_here, middle_of
from api.places.fence_changes import fence_change
from api.read_back import Audit, append_and_read_back
from api.read_model import is_gone
from api.registers.registry import REGISTERS
from api.registers.writes import write_entry
from api.services import Services
from routing.addresses.words import words_of
from schemas import wire
from schemas.audit import Change
from schemas.fence import FenceRecord, revise_fence
from schemas.job import JobRecord
from schemas.job_command import EditJob
from schemas.places import Site
from schemas.remembered_place import RememberedPlace, place_id_of
from schemas.times import Instant
from schemas.topics import FENCES, PLACES

_NOT_BEGUN: Final = frozenset({"created", "scheduled", "dispatched"})


def says_where(changes: Mapping[str, Any]) -> bool:
    """Whether a change of a job says where its place is: a point, or a fence."""
    return (changes.get("lat") is not None or changes.get("fence_id") is not None) and "site_id" not in changes


def at_fence_of_site(record: JobRecord, changes: Mapping[str, Any], scope: Scope, services: Services) -> dict[str, Any]:
    """The change of a job, with the fence of its site where the new point belongs to that: a circle, or around it."""
    point = [changes.get(name, getattr(record, name)) for name in ("lat", "lon")]
    fence = _fence_of(_site_of(record, scope, services), services)
    if "fence_id" in changes or not says_where(changes) or fence is None or not all(map(_is_degrees, point)):
        return dict(changes)
    if _may_move(fence, scope) or contains(fence, *point):
        return {**changes, "fence_id": fence.fence_id}
    return dict(changes)


async def remember_correction(
    before: JobRecord, after: JobRecord, changes: Mapping[str, Any], scope: Scope, services: Services
) -> None:
    """After a person has said where a job's place is. The same again changes nothing; raises LogUnavailable."""
    if after.lat is None or after.lon is None:
        return
    reason = f"corrected with the job {after.job_id}"
    if after.site_id is None:
        fence_id = None if after.fence_id is None or is_drawn_here(after.fence_id) else after.fence_id
        await _remember_address(after, (after.lat, after.lon), fence_id, reason, scope, services)
    elif (site := _site_of(after, scope, services)) is not None:
        fence = _fence_of(site, services)
        if fence is None:
            chosen = after.fence_id if changes.get("fence_id") is not None else None
            await _correct_site(site.site_id, (after.lat, after.lon), chosen, reason, scope, services)
        elif fence.fence_id == after.fence_id and _may_move(fence, scope):
            await _move_circle(fence.fence_id, (after.lat, after.lon), reason, scope, services)
    place = {"fence_id": after.fence_id, "lat": after.lat, "lon": after.lon}
    await _move_along(_others_there(before, services), place, scope, services)


async def remember_moved_fence(after: FenceRecord, scope: Scope, services: Services) -> None:
    """After a person has moved a fence: where Onsite had drawn it for jobs, their sites and addresses have it now."""
    if not is_drawn_here(after.fence_id) or is_gone(after, services.clock.now_ms()):
        return
    jobs = [job for job in services.jobs.records.values() if job.fence_id == after.fence_id and scope.sees_job(job)]
    newest = sorted(jobs, key=lambda job: job.created_at, reverse=True)
    point = middle_of(after)
    seen: set[Any] = set()
    for job in newest:
        reason = f"corrected with the job {job.job_id}, whose fence was moved"
        where = job.site_id or (job.customer_id, *words_of(job.address or ""))
        if where in seen:
            continue
        seen.add(where)
        site = _site_of(job, scope, services)
        if site is not None and _fence_of(site, services) is None:
            await _correct_site(site.site_id, point, after.fence_id, reason, scope, services)
        elif job.site_id is None:
            await _remember_address(job, point, after.fence_id, reason, scope, services)
    lat, lon = point
    await _move_along(newest, {"fence_id": after.fence_id, "lat": lat, "lon": lon}, scope, services)


def _is_degrees(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -180 <= value <= 180


def _site_of(job: JobRecord, scope: Scope, services: Services) -> Site | None:
    """The job's site, where it stands and is theirs who ask."""
    site = None if job.site_id is None else cast(Site | None, services.registers["sites"].records.get(job.site_id))
    return site if site is not None and site.removed_at is None and scope.sees(site.branch) else None


def _fence_of(site: Site | None, services: Services) -> FenceRecord | None:
    """The site's own fence, where it stands."""
    fence = None if site is None or site.fence_id is None else services.fences.records.get(site.fence_id)
    return None if fence is None or is_gone(fence, services.clock.now_ms()) else fence


def _may_move(fence: FenceRecord, scope: Scope) -> bool:
    """Whether it is a circle, and theirs who ask."""
    is_theirs = scope.is_whole if fence.current.branch is None else scope.sees(fence.current.branch)
    return is_circle(fence) and is_theirs


async def _correct_site(
    site_id: str, point: tuple[float, float], fence_id: str | None, reason: str, scope: Scope, services: Services
) -> None:
    async with services.register_edits:
        before = cast(Site, services.registers["sites"].records[site_id])
        lat, lon = point
        after = msgspec.structs.replace(before, lat=lat, lon=lon, geocoded=None, fence_id=fence_id or before.fence_id)
        if after == before or before.removed_at is not None:
            return
        now_ms = services.clock.now_ms()
        after = msgspec.structs.replace(after, updated_at=Instant(max(now_ms, before.updated_at + 1)))
        await write_entry(services, REGISTERS["sites"], scope.principal, "edited", before, after, reason)


async def _move_circle(
    fence_id: str, point: tuple[float, float], reason: str, scope: Scope, services: Services
) -> None:
    """A new version of the circle, as large as it was, from now on."""
    lat, lon = point
    async with services.fence_edits:
        now_ms = services.clock.now_ms()
        before = services.fences.records[fence_id]
        geometry = {"type": "Point", "coordinates": [lon, lat]}
        moved = msgspec.structs.replace(before.current, geometry=geometry, valid_from_ms=None)
        after = revise_fence(before, fence_id, moved, now_ms)
        if after is before:
            return
        change = fence_change(before, after, now_ms)
        change = msgspec.structs.replace(change, after={**(change.after or {}), "reason": reason})
        audit = Audit(scope.principal, now_ms, [change])
        await append_and_read_back(services.log, FENCES, services.fences, {fence_id: after}, audit)


async def _remember_address(
    job: JobRecord, point: tuple[float, float], fence_id: str | None, reason: str, scope: Scope, services: Services
) -> None:
    words = words_of(job.address or "")
    if not words or job.address is None:
        return
    place_id, (lat, lon) = place_id_of(job.branch, job.customer_id, words), point
    async with services.register_edits:
        before = services.places.records.get(place_id)
        if before is not None and (before.lat, before.lon, before.fence_id) == (lat, lon, fence_id):
            return
        now_ms = services.clock.now_ms()
        after = RememberedPlace(
            place_id=place_id,
            address=job.address,
            words=words,
            lat=lat,
            lon=lon,
            fence_id=fence_id,
            branch=job.branch,
            customer_id=job.customer_id,
            job_id=job.job_id,
            updated_at=now_ms if before is None else Instant(max(now_ms, before.updated_at + 1)),
        )
        was = None if before is None else wire.to_builtins(before)
        now = wire.to_builtins(after) | {"reason": reason}
        change = Change("corrected", "place", place_id, job.branch, was, now)
        audit = Audit(scope.principal, now_ms, [change])
        await append_and_read_back(services.log, PLACES, services.places, {place_id: after}, audit)


def _others_there(before: JobRecord, services: Services) -> list[JobRecord]:
    """Other jobs of the same site, or the same address, at the place where this one was."""
    place = before.fence_id, before.lat, before.lon
    whose = _whose(before)
    return [
        job
        for job in services.jobs.records.values()
        if (job.fence_id, job.lat, job.lon) == place and job.job_id != before.job_id and _whose(job) == whose
    ]


def _whose(job: JobRecord) -> tuple[Any, ...] | None:
    if job.site_id is not None:
        return (job.site_id,)
    return None if job.address is None else (job.branch, job.customer_id, *words_of(job.address))


async def _move_along(jobs: Iterable[JobRecord], place: Mapping[str, Any], scope: Scope, services: Services) -> None:
    """Correct those that nobody has set off for; one that was changed in this moment stays as it was."""
    lifecycle = services.dispatch_rules.lifecycle()
    for job in jobs:
        is_there = all(getattr(job, name) == value for name, value in place.items())
        if lifecycle.like(job.state) not in _NOT_BEGUN or is_there or not scope.sees_job(job):
            continue
        command = EditJob(
            job_id=job.job_id,
            **head_of(scope.principal, services.clock),
            changes={**place, "geocoded": None},
            if_revision=job.revision,
        )
        with contextlib.suppress(Problem):
            await services.desk.carry_out(command)

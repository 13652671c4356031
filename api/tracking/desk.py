"""What is done with tracking links: made and revoked by the office, opened and answered by customers."""

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from api.auth import Principal
from api.http.problems import Problem, unavailable
from api.services import Services
from api.tracking.answers import NewMessage, Rating, TrackingAnswer, TrackingLink
from api.tracking.view import Surroundings, shown, technician_id_of
from dispatch.tracking import GOOD_MS, customer_state, is_of_nobody
from schemas.audit import Actor, AuditRecord, Change, audit_record
from schemas.job import JobRecord
from schemas.live import LiveState
from schemas.people import Technician
from schemas.places import Branch, Customer
from schemas.times import Instant
from schemas.tracking import MAX_MESSAGES, CustomerMessage, TrackingRecord

_MESSAGE_ID_CHARS: Final = 16


class Opened(NamedTuple):
    """What a good link opens."""

    job: JobRecord
    expires_at: Instant


def open_link(token: str, address: str, services: Services) -> Opened:
    """The job of a link that is asked for from an address.

    Raises Problem 404 for one that was revoked, or never made; 410 for one whose time is over; 429, 503.
    """
    tracking = services.tracking
    tracking.limits.come_from(address)
    if not (tracking.book.is_caught_up and services.jobs.is_caught_up):
        raise unavailable("the jobs are still being read")
    try:
        read = tracking.links.read(token)
    except ValueError as error:
        raise _unknown() from error
    tracking.limits.ask_of(read.job_id)
    job = services.jobs.records.get(read.job_id)
    if job is None or is_of_nobody(job) or not read.is_of(tracking.book.of(read.job_id).generation):
        raise _unknown()
    if read.until_s * 1000 <= services.clock.now_ms():
        raise Problem(410, "link_expired", "the time of this link is over")
    return Opened(job, Instant(read.until_s * 1000))


def view_of(opened: Opened, services: Services) -> TrackingAnswer:
    """What its customer may see now."""
    job, registers = opened.job, services.registers
    eta = services.etas.records.get(job.job_id)
    technician_id = technician_id_of(job, eta)
    technician = registers["technicians"].records.get(technician_id or "")
    around = Surroundings(
        services.dispatch_rules.lifecycle(),
        services.dispatch_rules.time_zone,
        eta,
        cast(Technician | None, technician),
        _lives_of(technician_id, services),
        services.nearby.at_hand(technician_id or ""),
        cast(Branch | None, registers["branches"].records.get(job.branch or "")),
        cast(Customer | None, registers["customers"].records.get(job.customer_id or "")),
    )
    record = services.tracking.book.of(job.job_id)
    return shown(job, record, around, services.clock.now_ms(), opened.expires_at)


def new_link(job: JobRecord, services: Services) -> TrackingLink:
    """A link to a job, good for two weeks at least; raises Problem 503."""
    tracking = services.tracking
    _ensure_known(services)
    generation = tracking.book.of(job.job_id).generation
    token = tracking.links.token_of(job, generation, services.clock.now_ms() + GOOD_MS)
    until_s = tracking.links.read(token).until_s
    return TrackingLink(job.job_id, tracking.links.url_of(token), token, Instant(until_s * 1000))


async def revoke_links(job: JobRecord, principal: Principal, services: Services) -> None:
    """All links to a job that were ever made are good no more; raises LogUnavailable, Problem 503."""
    _ensure_known(services)
    async with services.tracking.lock_of(job.job_id):
        before = services.tracking.book.of(job.job_id)
        at = _after(before, services)
        after = _changed(before, at, generation=before.generation + 1, revoked_at=at)
        change = Change("revoked", "tracking", job.job_id, job.branch, after={"generation": after.generation})
        actor = Actor(principal.way, principal.identity, principal.name)
        await services.tracking.book.keep(after, audit_record(change, actor, principal.role, at), services.log)


async def rate(job: JobRecord, said: Rating, services: Services) -> None:
    """Keep how satisfied a customer is; another time it replaces what they said before.

    Raises Problem 409 before the job is completed, LogUnavailable.
    """
    if customer_state(job.state, services.dispatch_rules.lifecycle()) != "completed":
        raise Problem(409, "not_completed", "it can be rated once it is done")
    async with services.tracking.lock_of(job.job_id):
        before = services.tracking.book.of(job.job_id)
        comment = tidy(said.comment) or None
        if (before.rating, before.comment) == (said.rating, comment):
            return
        at = _after(before, services)
        after = _changed(before, at, rating=said.rating, comment=comment, rated_at=at)
        await _keep(after, "rated", {"rating": said.rating}, job, services)


async def write(job: JobRecord, said: NewMessage, services: Services) -> CustomerMessage:
    """Keep what a customer writes; the same again is there already.

    Raises Problem 400, 409 once the job is over or where they have written too much, LogUnavailable.
    """
    if customer_state(job.state, services.dispatch_rules.lifecycle()) in ("completed", "cancelled"):
        raise Problem(409, "job_over", "it is over; nobody would read this in time")
    text = tidy(said.text)
    if not text:
        raise Problem(400, "invalid_request", "$.text: say something")
    message_id = hashlib.sha256(f"{job.job_id}\n{text}".encode()).hexdigest()[:_MESSAGE_ID_CHARS]
    async with services.tracking.lock_of(job.job_id):
        before = services.tracking.book.of(job.job_id)
        there = next((each for each in before.messages if each.message_id == message_id), None)
        if there is not None:
            return there
        if len(before.messages) >= MAX_MESSAGES:
            raise Problem(409, "too_many_messages", f"{MAX_MESSAGES} messages were written; call instead")
        at = _after(before, services)
        message = CustomerMessage(message_id, text, at)
        after = _changed(before, at, messages=[*before.messages, message])
        await _keep(after, "written", {"message_id": message_id}, job, services)
    return message


def tidy(text: str) -> str:
    """Without what a keyboard does not write, and without space around it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each for each in lines if each == "\n" or unicodedata.category(each) != "Cc").strip()


def _lives_of(technician_id: str | None, services: Services) -> list[LiveState]:
    """Of the devices that somebody holds; one that nobody holds stands for a technician of its own name."""
    entry = services.registers["technicians"].records.get(technician_id or "")
    holds = entry.device_ids if isinstance(entry, Technician) and entry.removed_at is None else [technician_id]
    live, holders = services.live.records, services.holders
    found = []
    for device_id in filter(None, holds):
        holder = holders.holder_of(device_id)
        if device_id in live and (device_id if holder is None else holder.technician_id) == technician_id:
            found.append(live[device_id])
    return found


async def _keep(
    after: TrackingRecord, action: str, what: Mapping[str, Any], job: JobRecord, services: Services
) -> None:
    """A customer's word: that there is one is on record, what it says is not."""
    change = Change(action, "tracking", job.job_id, job.branch, after=what)
    written: AuditRecord = audit_record(change, Actor("link", job.job_id, "the customer"), None, after.updated_at)
    await services.tracking.book.keep(after, written, services.log)


def _changed(before: TrackingRecord, at: Instant, **changes: object) -> TrackingRecord:
    return msgspec.structs.replace(before, updated_at=at, **changes)


def _after(before: TrackingRecord, services: Services) -> Instant:
    return Instant(max(services.clock.now_ms(), before.updated_at + 1))


def _ensure_known(services: Services) -> None:
    if not services.tracking.book.is_caught_up:
        raise unavailable("what was revoked is still being read")


def _unknown() -> Problem:
    return Problem(404, "unknown_link", "this link is not good, or not any more")

"""Everything that is held of a person, a line each, page after page: no more of it is in memory at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from api.jobs.archive import archived_jobs
from api.ports import (
    AuditQuery,
    EtaQuery,
    History,
    MovementQuery,
    NoticeQuery,
    PingQuery,
    RejectedQuery,
    StoredJobQuery,
    VisitQuery,
)
from api.registers.registry import Entry
from api.services import Services
from api.stock.levels import place_of_movement
from dispatch.holdings import Revision, held
from dispatch.service_requests import job_id_of
from dispatch.spans import Span
from schemas import account, calendar, key, wire
from schemas.account import Account
from schemas.job import JobRecord, job_of
from schemas.key import ApiKey
from schemas.people import Technician
from schemas.ping import Ping
from schemas.places import Customer, Site
from schemas.remembered_place import RememberedPlace
from schemas.service_request import ServiceRequest
from schemas.times import Instant
from schemas.visit import VisitState

T = TypeVar("T")
Q = TypeVar("Q", PingQuery, VisitQuery, EtaQuery, RejectedQuery, AuditQuery, MovementQuery, NoticeQuery)

_PAGE: Final = 5_000
_STATES: Final[tuple[VisitState | None, ...]] = (None, "retracted")
"""Visits that stand, then those that were taken back: the store tells them only when asked."""


class Line(msgspec.Struct):
    """``kind`` says what ``data`` is. The first line is an ``export``, the last one its ``end``, or it is not whole."""

    kind: str
    data: Any


@dataclass(frozen=True)
class Person:
    """Whose data it is: their own record, when they held which devices, and what else is on record by an id.

    ``devices`` are those that they hold now.
    """

    kind: str
    id: str
    record: Entry
    devices: tuple[str, ...] = ()
    held: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()

    def had(self, device_id: str, at_ms: int) -> bool:
        """Whether they held a device at a moment (epoch ms)."""
        return any(span.from_ms <= at_ms < span.to_ms for span in self.held.get(device_id, ()))


async def person_of(entry: Technician | Customer, services: Services) -> Person:
    """Who an entry of a register is, removed ones too. Raises StoreUnavailable."""
    if isinstance(entry, Technician):
        holds = () if entry.removed_at is not None else tuple(sorted(set(entry.device_ids)))
        return Person("technician", entry.technician_id, entry, holds, await _held_by(entry.technician_id, services))
    sites = (site for site in services.registers["sites"].records.values() if isinstance(site, Site))
    return Person(
        "customer",
        entry.customer_id,
        entry,
        sites=tuple(site for site in sites if site.customer_id == entry.customer_id),
    )


async def _held_by(technician_id: str, services: Services) -> dict[str, list[Span]]:
    """When somebody held which devices; the newest records may not be in the store yet."""
    revisions = await services.erasure_store.holdings(technician_id)
    for entry in services.registers["technicians"].records.values():
        if isinstance(entry, Technician):
            devices = () if entry.removed_at is not None else tuple(entry.device_ids)
            revisions.append(Revision(int(entry.updated_at), entry.technician_id, devices))
    return held(technician_id, revisions, services.clock.now_ms() + 1)


async def everything_of(person: Person, services: Services) -> AsyncIterator[bytes]:
    """NDJSON, in pieces. Raises StoreUnavailable where the store does not answer (any more)."""
    count = 0
    head = {"of": person.kind, "id": person.id, "at": services.clock.now_ms(), "devices": list(person.held)}
    async for some in _records(person, services, Line("export", head)):
        count += len(some)
        yield b"".join(wire.encode(line) + b"\n" for line in some)
    yield wire.encode(Line("end", {"lines": count})) + b"\n"


async def _records(person: Person, services: Services, head: Line) -> AsyncIterator[list[Line]]:
    yield [head, Line(person.kind, person.record), *(Line("site", site) for site in person.sites)]
    accounts, keys = accounts_of(person, services), keys_of(person, services)
    yield [Line("account", account.public_of(each)) for each in accounts]
    yield [Line("key", key.public_of(each)) for each in keys]
    feed = services.calendars.records.get(person.id) if person.kind == "technician" else None
    yield [Line("calendar", calendar.public_of(feed))] if feed is not None else []
    lives = (services.live.records.get(device_id) for device_id in person.held)
    yield [Line("device", live) for live in lives if live is not None and person.had(live.device_id, live.ts_ms)]
    job_ids: set[str] = set()
    async for job in every_job_of(person, services):
        job_ids.add(job.job_id)
        yield [Line("job", job_of(job))]
        if job.job_id in services.tracking.book.records:
            yield [Line("tracking", services.tracking.book.of(job.job_id))]
    places, requests = places_of(person, services), requests_of(person, job_ids, services)
    yield [Line("place", each) for each in places]
    yield [Line("request", each) for each in requests]
    for device_id in person.held:
        async for some in _of_device(device_id, person, services.history):
            yield some
    if person.kind == "technician":
        asked_of_van = MovementQuery(_PAGE, holder=("van", person.id))
        async for moved in _pages(services.history.movements, asked_of_van, place_of_movement):
            yield [Line("stock", movement) for movement in moved]
    asked_of_notices = NoticeQuery(_PAGE, audience=person.kind, recipient_id=person.id)  # type: ignore[arg-type]
    async for told in _pages(
        services.history.notices, asked_of_notices, lambda each: (int(each.created_at), each.notice_id)
    ):
        yield [Line("notice", notice) for notice in told]
    more = [("place", each.place_id) for each in places] + [("request", each.request_id) for each in requests]
    for asked in _audited(person, accounts, keys, more):
        async for written in _pages(services.history.audit, asked, lambda record: (int(record.at), record.audit_id)):
            yield [Line("audit", record) for record in written]


async def _of_device(device_id: str, person: Person, history: History) -> AsyncIterator[list[Line]]:
    """What a device did in their hands."""
    async for pings in _pages(history.every_ping, PingQuery(_PAGE, device_id), lambda ping: ping.identity()[1:]):
        yield [Line("ping", _shown(ping)) for ping in pings if person.had(device_id, ping.ts_ms)]
    for state in _STATES:
        asked = VisitQuery(_PAGE, device_id, state=state)
        async for visits in _pages(history.visits, asked, lambda visit: (int(visit.arrived_ms), visit.visit_id)):
            yield [Line("visit", visit) for visit in visits if person.had(device_id, visit.arrived_ms)]
    async for said in _pages(history.etas, EtaQuery(_PAGE, device_id), lambda eta: (int(eta.computed_at), eta.job_id)):
        yield [Line("eta", eta) for eta in said if person.had(device_id, eta.seen_ms)]
    refused = RejectedQuery(_PAGE, device_id)
    async for items in _pages(history.rejected, refused, lambda item: (int(item.received_at), item.content_id())):
        yield [Line("rejected", item) for item in items if person.had(device_id, item.received_at)]


async def _pages(
    ask: Callable[[Q], Awaitable[list[T]]], query: Q, place_of: Callable[[T], Any]
) -> AsyncIterator[list[T]]:
    """What a query finds, page after page."""
    while found := await ask(query):
        yield found
        if len(found) < query.limit:
            return
        query = msgspec.structs.replace(query, after=place_of(found[-1]))


def accounts_of(person: Person, services: Services) -> list[Account]:
    """Those that sign in as this technician."""
    return [each for each in services.people.accounts.records.values() if _is_theirs(each, person)]


def keys_of(person: Person, services: Services) -> list[ApiKey]:
    """Those of this technician, and the tokens of their devices."""
    every = services.keys.records.values()
    return [each for each in every if _is_theirs(each, person) or each.device_id in person.devices]


def jobs_of(person: Person, services: Services) -> Iterator[JobRecord]:
    """Jobs that are or were a technician's, or that are for a customer."""
    sites = {site.site_id for site in person.sites}
    for job in list(services.jobs.records.values()):
        if person.kind == "technician":
            if person.id in job.technician_ids or any(each.technician_id == person.id for each in job.assignments):
                yield job
        elif job.customer_id == person.id or job.site_id in sites:
            yield job


async def every_job_of(person: Person, services: Services) -> AsyncIterator[JobRecord]:
    """The same, and those that are archived. Raises StoreUnavailable."""
    for job in jobs_of(person, services):
        yield job
    if person.kind == "technician":
        query = StoredJobQuery(_PAGE, technician_ids=(person.id,), actors=tuple(person.held))
    else:
        query = StoredJobQuery(_PAGE, customer_ids=(person.id,), site_ids=tuple(each.site_id for each in person.sites))
    async for job in archived_jobs(query, services):
        is_theirs = person.kind != "technician" or person.id in job.technician_ids
        if is_theirs or any(person.had(entry.actor, entry.at) for entry in job.log):
            yield job


def places_of(person: Person, services: Services) -> list[RememberedPlace]:
    """Addresses that were corrected for a customer."""
    return services.remembered.of_customer(person.id) if person.kind == "customer" else []


def requests_of(person: Person, job_ids: Collection[str], services: Services) -> list[ServiceRequest]:
    """Service requests of a customer, those too that they were made a customer by: of which their jobs were made."""
    if person.kind != "customer":
        return []
    every = services.requests.records.values()
    return [each for each in every if each.customer_id == person.id or job_id_of(each.request_id) in job_ids]


def _is_theirs(way_in: Account | ApiKey, person: Person) -> bool:
    return person.kind == "technician" and way_in.technician_id == person.id


def _audited(
    person: Person, accounts: Iterable[Account], keys: Collection[ApiKey], more: Iterable[tuple[str, str]]
) -> Iterator[AuditQuery]:
    """What was written of them, and by them."""
    things = [(person.kind, person.id), *(("site", site.site_id) for site in person.sites)]
    things += [("calendar", person.id)] if person.kind == "technician" else []
    things += [("device", device_id) for device_id in person.devices]
    things += more
    things += [("account", each.name) for each in accounts] + [("key", each.key_id) for each in keys]
    for kind, thing_id in things:
        yield AuditQuery(_PAGE, kind, thing_id)
    for actor in [each.name for each in accounts] + [each.key_id for each in keys]:
        yield AuditQuery(_PAGE, actor=actor)


def _shown(ping: Ping) -> dict[str, Any]:
    """A ping with what it states, its times as RFC 3339."""
    stated: dict[str, Any] = msgspec.to_builtins(ping)
    return stated | {name: Instant(stated[name]) for name in ("ts", "sent_at", "received_at") if name in stated}

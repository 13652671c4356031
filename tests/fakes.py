"""In-memory stand-ins for the ports of the API, and a key for each role."""

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from api.ports import (
    AuditQuery,
    DeliveryQuery,
    EtaQuery,
    EventQuery,
    MovementQuery,
    NoticeQuery,
    PingQuery,
    RejectedQuery,
    StoredJobQuery,
    StoreUnavailable,
    VisitQuery,
)
from dispatch.holdings import Revision
from dispatch.job_audit import audit_of
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from dispatch.subscriptions import matches
from geofence.fixes import Fixes
from schemas import wire
from schemas.audit import AuditRecord
from schemas.eta import Eta
from schemas.event import Event
from schemas.fence import FenceRecord
from schemas.job import JobRecord
from schemas.job_command import Answer, Command, read_command
from schemas.key import ApiKey, Role
from schemas.notice import Notice
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.stock import Movement
from schemas.times import Instant
from schemas.topics import AUDIT, MAX_RECORD_BYTES, STOCK, LogUnavailable, RecordTooLarge, Topic
from schemas.visit import Visit
from schemas.webhook import Attempted, Delivery, SigningSecret

T = TypeVar("T")


class FixedClock:
    """A clock that stands until it is moved."""

    def __init__(self, now_ms: int) -> None:
        self.moment_ms = now_ms

    def now_ms(self) -> Instant:
        return Instant(self.moment_ms)


class MemoryModel(Generic[T]):
    """A read model whose records are put by hand."""

    def __init__(self, records: dict[str, T] | None = None) -> None:
        self.records = {} if records is None else records
        self.is_caught_up = True
        self.on_change: Callable[[str, T | None], None] | None = None

    def put(self, key: str, record: T) -> None:
        self.records[key] = record
        if self.on_change is not None:
            self.on_change(key, record)

    def remove(self, key: str) -> None:
        self.records.pop(key, None)
        if self.on_change is not None:
            self.on_change(key, None)

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        return condition()


class MemoryLog:
    """Keeps what is appended, by topic; those of ``models`` reach their read models at once.

    ``down`` makes it refuse, ``full`` makes it have no room.
    """

    def __init__(self, models: Mapping[Topic, tuple[MemoryModel[Any], type[msgspec.Struct]]] | None = None) -> None:
        self.records: dict[str, list[tuple[str, bytes | None]]] = {}
        self.down = False
        self.full = False
        self.readers: dict[str, Callable[[bytes], None]] = {}
        """By topic, who is given each record that is appended."""
        self._models = models or {}

    def ensure_room(self) -> None:
        if self.full:
            raise LogUnavailable("the broker is behind: too many records wait for it")

    async def append(self, topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        self.ensure_room()
        if self.down:
            raise LogUnavailable("the broker has not confirmed within 10 s")
        for key, value in records:
            if value is not None and len(value) > MAX_RECORD_BYTES:
                raise RecordTooLarge(f"the record {key!r} has {len(value)} bytes")
        self.take(topic, records)

    def take(self, topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        self.records.setdefault(topic.name, []).extend(records)
        if topic in self._models:
            model, kind = self._models[topic]
            for key, value in records:
                if value is None:
                    model.remove(key)
                else:
                    model.put(key, wire.decode(kind, value))
        if topic.name in self.readers:
            for _, value in records:
                self.readers[topic.name](value or b"")

    async def ready(self) -> None:
        if self.down:
            raise LogUnavailable("the broker does not answer")

    def values(self, topic: Topic) -> list[dict[str, object]]:
        """The decoded JSON of a topic's records."""
        return [msgspec.json.decode(value) for _, value in self.records.get(topic.name, []) if value is not None]


class MemoryForeman:
    """Carries out commands as soon as they are read; while it is ``busy`` they wait until the next one comes."""

    def __init__(
        self,
        jobs: MemoryModel[JobRecord],
        on_change: Callable[[str, JobRecord], object],
        log: MemoryLog,
        now_ms: Callable[[], Instant],
    ) -> None:
        self.answer: Callable[[Answer], None] = lambda _: None
        self.busy = False
        self._unread: list[bytes] = []
        self._jobs = jobs
        self._on_change = on_change
        self._log = log
        self._now_ms = now_ms
        self._book = JobBook(DispatchRules())

    def read(self, value: bytes) -> None:
        self._unread.append(value)
        while self._unread and not self.busy:
            self._carry_out(read_command(self._unread.pop(0)))

    def _carry_out(self, command: Command) -> None:
        before = self._jobs.records.get(command.job_id)
        outcome = self._book.apply(before, command, self._now_ms())
        if outcome.record is not None:
            if (audit := audit_of(command, before, outcome.record, self._now_ms())) is not None:
                self._log.take(AUDIT, [(audit.key, wire.encode(audit))])
            self._jobs.records[command.job_id] = outcome.record
            self._on_change(command.job_id, outcome.record)
        else:
            self.answer(outcome.answer)


class MemoryErasureStore:
    """Keeps what it is asked to carry out. ``down`` makes it refuse."""

    def __init__(self) -> None:
        self.revisions: list[Revision] = []
        self.words: list[str] = []
        self.carried_out: list[tuple[str, dict[str, Any]]] = []
        self.values: list[tuple[str, str, int]] = []
        self.rewritten: list[JobRecord] = []
        self.down = False

    async def holdings(self, technician_id: str) -> list[Revision]:
        self._ensure_up()
        return self.revisions

    async def words_of(self, kind: str, person_id: str) -> list[str]:
        self._ensure_up()
        return self.words

    async def rewrite_jobs(self, jobs: Sequence[JobRecord]) -> None:
        self._ensure_up()
        self.rewritten += jobs

    async def carry_out(
        self, mutations: Collection[Any], parameters: Mapping[str, Any], values: Sequence[tuple[str, str, int]]
    ) -> int:
        self._ensure_up()
        self.carried_out += [(each.statement, dict(parameters)) for each in mutations]
        self.values = list(values)
        return len(mutations)

    async def recorded(self, topics: Sequence[Topic], within_s: float) -> bool:
        return not self.down

    def _ensure_up(self) -> None:
        if self.down:
            raise StoreUnavailable("the store does not answer")


class MemoryHistory:
    """Pings, visit revisions, ETAs and what was refused in lists. ``down`` makes it refuse.

    ``technicians`` and ``fences`` are what the store's tables of them would have, ``log`` is where the audit is read.
    """

    def __init__(
        self,
        technicians: Mapping[str, Any] | None = None,
        fences: Mapping[str, FenceRecord] | None = None,
        log: MemoryLog | None = None,
        depots: Mapping[str, Any] | None = None,
    ) -> None:
        self.depots = {} if depots is None else depots
        self._log = log or MemoryLog()
        self.technicians = {} if technicians is None else technicians
        self.fences = {} if fences is None else fences
        self.pings: list[Ping] = []
        self.log: list[Visit] = []
        self.refused: list[RejectedPing] = []
        self.said: list[Eta] = []
        self.told: list[Event] = []
        self.delivered: list[Delivery] = []
        self.noticed: list[Notice] = []
        self.stored_jobs: dict[str, JobRecord] = {}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.reported: list[tuple[Any, ...]] = []
        """What reports were asked, and what they are answered."""
        self.down = False

    async def track(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> list[Ping]:
        await self.ready()
        found = [ping for ping in self.pings if ping.device_id == device_id and from_ms <= ping.ts_ms < to_ms]
        return sorted(found, key=lambda ping: ping.ts_ms)[:limit]

    async def every_ping(self, query: PingQuery) -> list[Ping]:
        await self.ready()
        found = {ping.identity()[1:]: ping for ping in self.pings if ping.device_id == query.device_id}
        return [found[place] for place in sorted(found) if query.after is None or place > query.after][: query.limit]

    async def fixes(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> Fixes:
        found = await self.track(device_id, from_ms, to_ms, len(self.pings))
        return Fixes.of_pings(found).in_order().take(slice(limit))

    async def oldest_fix_ms(self, device_id: str) -> int | None:
        await self.ready()
        return min((ping.ts_ms for ping in self.pings if ping.device_id == device_id), default=None)

    async def visits(self, query: VisitQuery) -> list[Visit]:
        await self.ready()
        newest = {visit.visit_id: visit for visit in sorted(self.log, key=lambda visit: visit.revision)}
        found = [visit for visit in newest.values() if _asked_for(visit, query) and self._is_of(visit, query.branches)]
        return sorted(found, key=lambda visit: (visit.arrived_ms, visit.visit_id))[: query.limit]

    async def latest_visits(self, query: VisitQuery) -> list[Visit]:
        backwards = msgspec.structs.replace(query, after=None, limit=len(self.log))
        found = [each for each in await self.visits(backwards) if query.after is None or _arrival(each) < query.after]
        return sorted(found, key=_arrival, reverse=True)[: query.limit]

    async def revisions(self, visit_id: str) -> list[Visit]:
        await self.ready()
        return sorted((visit for visit in self.log if visit.visit_id == visit_id), key=lambda visit: visit.revision)

    async def rejected(self, query: RejectedQuery) -> list[RejectedPing]:
        await self.ready()
        of = self._devices_of(query.branches)
        refused = [record for record in self.refused if of is None or record.device_id in of]
        found = {_place(record): record for record in refused if _refused_so(record, query)}
        return [found[place] for place in sorted(found, reverse=True)][: query.limit]

    async def etas(self, query: EtaQuery) -> list[Eta]:
        await self.ready()
        found = {(int(eta.computed_at), eta.job_id): eta for eta in self.said if eta.device_id == query.device_id}
        return [found[place] for place in sorted(found) if query.after is None or place > query.after][: query.limit]

    async def audit(self, query: AuditQuery) -> list[AuditRecord]:
        await self.ready()
        written = [wire.decode(AuditRecord, value or b"") for _, value in self._log.records.get(AUDIT.name, [])]
        found = {(int(record.at), record.audit_id): record for record in written if _written_so(record, query)}
        return [found[place] for place in sorted(found, reverse=True)][: query.limit]

    async def events(self, query: EventQuery) -> list[Event]:
        await self.ready()
        found = {event.id: event for event in self.told if _told_so(event, query)}
        return sorted(found.values(), key=lambda event: (event.recorded_at, event.id))[: query.limit]

    async def deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        await self.ready()
        found = [
            each
            for each in self.delivered
            if each.webhook_id == query.webhook_id
            and query.outcome in (None, each.outcome)
            and (query.after is None or (each.at, each.event_id) < query.after)
        ]
        return sorted(found, key=lambda each: (each.at, each.event_id), reverse=True)[: query.limit]

    async def notices(self, query: NoticeQuery) -> list[Notice]:
        await self.ready()
        asked = {
            "job_id": query.job_id,
            "status": query.status,
            "audience": query.audience,
            "kind": query.kind,
            "recipient_id": query.recipient_id,
        }
        found = {
            (int(each.created_at), each.notice_id): each
            for each in self.noticed
            if all(value in (None, getattr(each, name)) for name, value in asked.items())
            and (query.from_ms is None or each.created_at >= query.from_ms)
            and (query.to_ms is None or each.created_at < query.to_ms)
            and (query.branches is None or (each.branch or "") in query.branches)
        }
        places = [place for place in sorted(found, reverse=True) if query.after is None or place < query.after]
        return [found[place] for place in places[: query.limit]]

    async def movements(self, query: MovementQuery) -> list[Movement]:
        await self.ready()
        moved = [wire.decode(Movement, value or b"") for _, value in self._log.records.get(STOCK.name, [])]
        found = {
            (int(each.at), f"{each.movement_id}\n{each.sku}"): each for each in moved if self._moved_so(each, query)
        }
        return [found[place] for place in sorted(found, reverse=True) if query.after is None or place < query.after][
            : query.limit
        ]

    def _moved_so(self, movement: Movement, query: MovementQuery) -> bool:
        ends = [(place.kind, place.place_id or "") for place in (movement.from_, movement.to)]
        branches = {self._branch_of(*end) for end in ends}
        return (
            (query.holder is None or query.holder in ends)
            and query.sku in (None, movement.sku)
            and (query.job_id is None or ("job", query.job_id) in ends)
            and (query.from_ms is None or movement.at >= query.from_ms)
            and (query.to_ms is None or movement.at < query.to_ms)
            and (query.branches is None or not branches.isdisjoint(query.branches))
        )

    def _branch_of(self, kind: str, place_id: str) -> str | None:
        entry = {"van": self.technicians, "depot": self.depots}.get(kind, {}).get(place_id)
        return None if entry is None else entry.branch

    async def report(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        await self.ready()
        self.asked.append((sql, parameters))
        return self.reported

    async def report_csv(self, sql: str, parameters: Mapping[str, Any]) -> AsyncIterator[bytes]:
        await self.ready()
        yield b'"day","branch"\n'

    async def jobs(self, query: StoredJobQuery) -> list[JobRecord]:
        await self.ready()
        found = [job for _, job in sorted(self.stored_jobs.items()) if _stored_so(job, query)]
        return found[: query.limit]

    async def jobs_csv(self, wanted: Mapping[str, Any]) -> AsyncIterator[bytes]:
        await self.ready()
        yield b'"job_id","state"\n'

    async def ready(self) -> None:
        if self.down:
            raise StoreUnavailable("the store does not answer")

    def _is_of(self, visit: Visit, branches: tuple[str, ...] | None) -> bool:
        devices = self._devices_of(branches)
        fence = self.fences.get(visit.fence_id)
        at = None if fence is None else fence.current.branch
        return devices is None or visit.device_id in devices or at in (branches or ())

    def _devices_of(self, branches: tuple[str, ...] | None) -> set[str] | None:
        if branches is None:
            return None
        holders = [each for each in self.technicians.values() if each.removed_at is None and each.branch in branches]
        return {device_id for each in holders for device_id in each.device_ids}


def _arrival(visit: Visit) -> tuple[int, str]:
    return int(visit.arrived_ms), visit.visit_id


def _asked_for(visit: Visit, query: VisitQuery) -> bool:
    return (
        query.device_id in (None, visit.device_id)
        and query.fence_id in (None, visit.fence_id)
        and (query.fence_ids is None or visit.fence_id in query.fence_ids)
        and (query.visit_ids is None or visit.visit_id in query.visit_ids)
        and (query.state == visit.state or (query.state is None and visit.state != "retracted"))
        and (query.to_ms is None or visit.arrived_ms < query.to_ms)
        and (query.from_ms is None or visit.departed_ms is None or visit.departed_ms > query.from_ms)
        and (query.after is None or (visit.arrived_ms, visit.visit_id) > query.after)
    )


def _place(record: RejectedPing) -> tuple[int, str]:
    return int(record.received_at), record.content_id()


def _refused_so(record: RejectedPing, query: RejectedQuery) -> bool:
    return (
        query.device_id in (None, record.device_id)
        and query.code in (None, record.code)
        and (query.from_ms is None or record.received_at >= query.from_ms)
        and (query.to_ms is None or record.received_at < query.to_ms)
        and (query.after is None or _place(record) < query.after)
    )


def _written_so(record: AuditRecord, query: AuditQuery) -> bool:
    return (
        query.kind in (None, record.kind)
        and query.thing_id in (None, record.id)
        and query.actor in (None, record.actor.identity)
        and (query.from_ms is None or record.at >= query.from_ms)
        and (query.to_ms is None or record.at < query.to_ms)
        and (query.after is None or (record.at, record.audit_id) < query.after)
        and (query.branches is None or record.branch in query.branches)
    )


def _stored_so(job: JobRecord, query: StoredJobQuery) -> bool:
    texts = "\n".join((job.title, job.notes, *(entry.reason for entry in job.log))).lower()
    return job.job_id > query.after and (
        job.job_id in query.job_ids
        or not set(query.technician_ids).isdisjoint(job.technician_ids)
        or job.customer_id in query.customer_ids
        or job.site_id in query.site_ids
        or any(entry.actor in query.actors for entry in job.log)
        or any(word.lower() in texts for word in query.words)
    )


def _told_so(event: Event, query: EventQuery) -> bool:
    return (
        (query.types is None or any(matches(pattern, event.type) for pattern in query.types))
        and (query.event_ids is None or event.id in query.event_ids)
        and (query.from_ms is None or event.recorded_at >= query.from_ms)
        and (query.to_ms is None or event.recorded_at < query.to_ms)
        and (query.branches is None or not {event.branch, event.branch_of_fence}.isdisjoint(query.branches))
    )


class MemorySender:
    """Keeps what it is to send; ``comes`` is what comes of it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Sequence[SigningSecret], Event]] = []
        self.comes = Attempted(status=204, error=None, answer="", duration_s=0.1)

    async def send(self, url: str, signing: Sequence[SigningSecret], event: Event) -> Attempted:
        self.sent.append((url, signing, event))
        return self.comes


def make_key(
    role: Role,
    revoked_at: Instant | None = None,
    device_id: str | None = None,
    branches: list[str] | None = None,
    technician_id: str | None = None,
) -> ApiKey:
    """The key whose token is ``token_of(role)``."""
    secret_hash = hashlib.sha256(f"secret_of_{role}".encode()).hexdigest()
    key = ApiKey(key_id_of(role), f"the {role}", role, secret_hash, Instant(0), revoked_at, device_id)
    return msgspec.structs.replace(key, branches=branches, technician_id=technician_id)


def token_of(role: Role) -> str:
    """What a client sends."""
    return f"onsite_{key_id_of(role)}_secret_of_{role}"


def key_id_of(role: Role) -> str:
    """The id of the key of a role: no id has an underscore."""
    return f"key{role.replace('_', '-')}"

"""What is told of jobs, visits and service requests, from what is known now and what was told before: each event once.

Revisions may be read again, and those between may have been compacted away: what counts is the difference between what
was told and what is. An id follows from what happened, so that an event that is made again is known by it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from dispatch.costing import Rates, invoice_lines, total
from schemas import wire
from schemas.event import (
    SOURCE,
    Event,
    JobChanged,
    JobEscalated,
    JobInvoiceReady,
    JobLogRevised,
    JobMoved,
    RequestChanged,
    WebhookTest,
    schema_of,
)
from schemas.job import Job, JobPlan, JobRecord, LogEntry, Risk, job_of
from schemas.notice import Notice, NoticeTold
from schemas.service_request import ServiceRequest
from schemas.stock import LowStock
from schemas.times import Instant
from schemas.visit import Visit

_ID_BYTES: Final = 16
_DONE: Final = frozenset({"completed", "invoiced"})
_RISKS: Final[dict[Risk, str]] = {"at_risk": "job.at_risk", "late": "job.late"}
_PLANNED: Final = JobPlan.__struct_fields__


class ToldJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was told of a job: up to which revision, which log, risk and escalations; plan and invoice by hashes.

    ``invoice`` is None while none was told; what it was stays known while a job is not completed any more. ``erasures``
    are those of people that it was about.
    """

    revision: int = 0
    log: list[LogEntry] = []
    risk: Risk = "none"
    plan: str = ""
    invoice: str | None = None
    escalations: list[str] = []
    erasures: list[str] = []


class ToldVisit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The revision of a visit that was told last, and what was said in it: None where it was not worth telling."""

    revision: int = 0
    state: str | None = None
    arrived_ms: int | None = None
    departed_ms: int | None = None


class ToldRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The states of a service request that were told."""

    states: list[str] = []


NOTHING_OF_REQUEST: Final = ToldRequest()
NOTHING_OF_JOB: Final = ToldJob()
NOTHING_OF_VISIT: Final = ToldVisit()


def job_events(record: JobRecord, told: ToldJob, rates: Rates, recorded_at: Instant) -> tuple[list[Event], ToldJob]:
    """The events of a job that are not told yet, in the order of what happened, and what is told with them.

    ``recorded_at`` is when the revision became known. A revision that was told, or an older one, has none.
    """
    if record.revision <= told.revision:
        return [], told
    job = job_of(record)
    plan = _digest(*(getattr(record, name) for name in _PLANNED))
    teller = _JobTeller(job, recorded_at)
    if told.plan and plan != told.plan:
        teller.tell("job.edited", JobChanged(job=job), record.updated_at, record.revision)
    # What an erasure has changed of the log is nothing that happened: to tell it would say again what was erased.
    told_log = told.log if told.erasures == record.erasures or not told.log else record.log
    for was, entry in _log_changes(told_log, record.log):
        if was is not None:
            revised = JobLogRevised(job=job, was=was, now=entry)
            teller.tell("job.log_revised", revised, record.updated_at, _key(was), entry and _key(entry))
        elif entry is not None:
            teller.tell_entry(entry)
    if record.risk != told.risk and record.risk in _RISKS:
        teller.tell(_RISKS[record.risk], JobChanged(job=job), record.updated_at, record.revision)
    for each in record.escalations:
        if each.escalation_id not in told.escalations:
            teller.tell("job.escalated", JobEscalated(job=job, escalation=each), each.at_ms, each.escalation_id)
    invoice = told.invoice
    if record.state in _DONE:
        ready = _invoice_of(job, rates)
        invoice = _digest(ready.lines, ready.problem)
        if invoice != told.invoice:
            teller.tell("job.invoice_ready", ready, record.updated_at, record.revision)
    escalations = [each.escalation_id for each in record.escalations]
    return teller.events, ToldJob(record.revision, record.log, record.risk, plan, invoice, escalations, record.erasures)


def visit_events(
    visit: Visit, told: ToldVisit, branch: str | None, branch_of_fence: str | None, recorded_at: Instant
) -> tuple[list[Event], ToldVisit]:
    """The events of a revision of a visit that are not told yet, and what is told with them.

    A visit that closes without having been told is confirmed as well; one that was never told is not retracted. One
    whose times change after it closed is closed again, under another id; one that goes on after it closed is confirmed.
    """
    if visit.revision <= told.revision:
        return [], told
    departed_ms = None if visit.departed_ms is None else int(visit.departed_ms)
    is_same = (told.arrived_ms, told.departed_ms) == (int(visit.arrived_ms), departed_ms)
    types: list[str] = []
    state: str | None = visit.state
    if visit.state == "open" or (visit.state == "retracted" and told.state in (None, "retracted")):
        state = told.state
    elif visit.state == "retracted":
        types = ["visit.retracted"]
    elif visit.state == "confirmed":
        types = [] if told.state == "confirmed" else ["visit.confirmed"]
    else:
        types = [] if told.state in ("confirmed", "closed") else ["visit.confirmed"]
        types += [] if told.state == "closed" and is_same else ["visit.closed"]
    moments = {"visit.confirmed": visit.arrived_ms, "visit.closed": visit.departed_ms or visit.arrived_ms}
    events = [
        Event(
            specversion="1.0",
            id=_digest(event_type, visit.visit_id, visit.revision),
            source=SOURCE,
            type=event_type,
            subject=visit.visit_id,
            time=moments.get(event_type, recorded_at),
            recorded_at=recorded_at,
            datacontenttype="application/json",
            dataschema=schema_of(event_type),
            data=wire.to_builtins(visit),
            branch=branch,
            branch_of_fence=branch_of_fence,
        )
        for event_type in types
    ]
    return events, ToldVisit(visit.revision, state, int(visit.arrived_ms), departed_ms)


def request_events(request: ServiceRequest, told: ToldRequest, recorded_at: Instant) -> tuple[list[Event], ToldRequest]:
    """The events of a service request that are not told yet, and what is told with them; what it was before is too."""
    states = ["received"] if request.state == "received" else ["received", request.state]
    moments = {"received": request.created_at}
    events = [
        Event(
            specversion="1.0",
            id=_digest(f"request.{state}", request.request_id),
            source=SOURCE,
            type=f"request.{state}",
            subject=request.request_id,
            time=moments.get(state, request.updated_at),
            recorded_at=recorded_at,
            datacontenttype="application/json",
            dataschema=schema_of(f"request.{state}"),
            data=wire.to_builtins(RequestChanged(request=request)),
            branch=request.branch,
        )
        for state in states
        if state not in told.states
    ]
    return events, ToldRequest([*told.states, *(event.type.partition(".")[2] for event in events)]) if events else told


def test_event(webhook_id: str, branch: str | None, nonce: str, now_ms: Instant) -> Event:
    """What a webhook is sent to try it out."""
    return Event(
        specversion="1.0",
        id=_digest("webhook.test", webhook_id, nonce),
        source=SOURCE,
        type="webhook.test",
        subject=webhook_id,
        time=now_ms,
        recorded_at=now_ms,
        datacontenttype="application/json",
        dataschema=schema_of("webhook.test"),
        data=wire.to_builtins(WebhookTest(webhook_id)),
        branch=branch,
    )


def low_stock_event(low: LowStock, branch: str | None, recorded_at: Instant) -> Event:
    """That something is running out somewhere; ``branch`` is that of the van or depot."""
    return Event(
        specversion="1.0",
        id=_digest("stock.low", low.sku, low.low_stock_id),
        source=SOURCE,
        type="stock.low",
        subject=f"{low.place.name}/{low.sku}",
        time=low.at,
        recorded_at=recorded_at,
        datacontenttype="application/json",
        dataschema=schema_of("stock.low"),
        data=wire.to_builtins(low),
        branch=branch,
    )


def notice_event(notice: Notice, subject: str, body: str, recorded_at: Instant) -> Event:
    """A notice for whoever subscribes to it, with its words; made again, it has the same id."""
    event_type = f"notice.{notice.kind}"
    return Event(
        specversion="1.0",
        id=_digest(event_type, notice.job_id, notice.notice_id),
        source=SOURCE,
        type=event_type,
        subject=notice.job_id,
        time=notice.event_at,
        recorded_at=recorded_at,
        datacontenttype="application/json",
        dataschema=schema_of(event_type),
        data=wire.to_builtins(NoticeTold(notice=notice, subject=subject, body=body)),
        branch=notice.branch,
    )


class _JobTeller:
    """Gathers the events of a job."""

    def __init__(self, job: Job, recorded_at: Instant) -> None:
        self.events: list[Event] = []
        self._job = job
        self._recorded_at = recorded_at
        self._alike: Counter[tuple[object, ...]] = Counter()

    def tell_entry(self, entry: LogEntry) -> None:
        """A new entry; of several that are alike each has an id of its own."""
        key = _key(entry)
        self._alike[key] += 1
        self.tell(f"job.{entry.state}", JobMoved(job=self._job, entry=entry), entry.at, key, self._alike[key])

    def tell(self, event_type: str, data: JobChanged, time: Instant, *what: object) -> None:
        """An event whose id follows from ``what`` happened."""
        self.events.append(
            Event(
                specversion="1.0",
                id=_digest(event_type, self._job.job_id, *what),
                source=SOURCE,
                type=event_type,
                subject=self._job.job_id,
                time=time,
                recorded_at=self._recorded_at,
                datacontenttype="application/json",
                dataschema=schema_of(event_type),
                data=wire.to_builtins(data),
                branch=self._job.branch,
            )
        )


def _log_changes(was: Sequence[LogEntry], now: Sequence[LogEntry]) -> list[tuple[LogEntry | None, LogEntry | None]]:
    """(None, entry) for each that is new; (entry, entry or None) for each automatic one that is another now, or gone.

    An entry that is gone lives on in the first new automatic one of its state.
    """
    gone, new = _without(was, now), _without(now, was)
    changes: list[tuple[LogEntry | None, LogEntry | None]] = []
    for entry in gone:
        heirs = (each for each in new if each.source == "automatic" and each.state == entry.state)
        heir = next(heirs, None) if entry.source == "automatic" else None
        if heir is not None:
            new = [each for each in new if each is not heir]
        changes.append((entry, heir))
    return changes + [(None, entry) for entry in new]


def _without(entries: Sequence[LogEntry], others: Iterable[LogEntry]) -> list[LogEntry]:
    """The entries that the others do not have, as often as they do not have them."""
    left = Counter(map(_key, others))
    found: list[LogEntry] = []
    for entry in entries:
        key = _key(entry)
        if left[key]:
            left[key] -= 1
        else:
            found.append(entry)
    return found


def _key(entry: LogEntry) -> tuple[object, ...]:
    """What tells an entry from others; a visit's id is known of some only later."""
    return entry.state, int(entry.at), int(entry.recorded_at), entry.source, entry.actor


def _invoice_of(job: Job, rates: Rates) -> JobInvoiceReady:
    try:
        lines = invoice_lines(job, rates)
    except ValueError as error:
        return JobInvoiceReady(job=job, lines=[], total=Decimal(0), problem=str(error))
    return JobInvoiceReady(job=job, lines=lines, total=total(lines), problem=None)


def _digest(*parts: object) -> str:
    return blake2b(wire.encode(parts), digest_size=_ID_BYTES).hexdigest()

"""An event: something that happened, told to whoever subscribes. CloudEvents 1.0, the topic ``onsite.events``."""

from decimal import Decimal
from typing import Any, Final, Literal, get_args

import msgspec

from schemas import wire
from schemas.job import Escalation, Job, LogEntry
from schemas.notice import NoticeKind, NoticeTold
from schemas.service_request import ServiceRequest
from schemas.stock import InvoiceLine, LowStock
from schemas.times import Instant
from schemas.visit import Visit

SOURCE: Final = "/onsite"
MEDIA_TYPE: Final = "application/cloudevents+json"


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"branch_of_fence": "fencebranch", "recorded_at": "recordedtime"},
):
    """``time`` is when it happened, ``recorded_at`` when that became known; ``subject`` is what it is about.

    ``id`` follows from what happened: the same event, made again, has the same. ``branch`` is the one it belongs to;
    a visit belongs to that of its fence (``branch_of_fence``) as well.
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: Instant
    recorded_at: Instant
    datacontenttype: Literal["application/json"]
    dataschema: str
    data: dict[str, Any]
    branch: str | None = None
    branch_of_fence: str | None = None


class JobChanged(msgspec.Struct, kw_only=True):
    """The job as it was at its ``revision``."""

    job: Job


class JobMoved(JobChanged, kw_only=True):
    """``entry`` is new in the job's log."""

    entry: LogEntry


class JobLogRevised(JobChanged, kw_only=True):
    """The automatic entry ``was`` is now as ``now`` has it, or (None) was taken back."""

    was: LogEntry
    now: LogEntry | None


class JobEscalated(JobChanged, kw_only=True):
    """A part of a promised time has passed."""

    escalation: Escalation


class JobInvoiceReady(JobChanged, kw_only=True):
    """What a completed job comes to. ``problem`` says why there are no lines where a price is not known."""

    lines: list[InvoiceLine]
    total: Decimal
    problem: str | None


class RequestChanged(msgspec.Struct, kw_only=True):
    """The service request as it stands."""

    request: ServiceRequest


class WebhookTest(msgspec.Struct):
    """Sent on request, to see whether it arrives."""

    webhook_id: str


EVENT_TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    "job.created": JobMoved,
    "job.edited": JobChanged,
    "job.scheduled": JobMoved,
    "job.dispatched": JobMoved,
    "job.en_route": JobMoved,
    "job.on_site": JobMoved,
    "job.in_progress": JobMoved,
    "job.completed": JobMoved,
    "job.left_incomplete": JobMoved,
    "job.rejected": JobMoved,
    "job.cancelled": JobMoved,
    "job.invoiced": JobMoved,
    "job.log_revised": JobLogRevised,
    "job.at_risk": JobChanged,
    "job.late": JobChanged,
    "job.escalated": JobEscalated,
    "job.invoice_ready": JobInvoiceReady,
    "stock.low": LowStock,
    "visit.confirmed": Visit,
    "visit.closed": Visit,
    "visit.retracted": Visit,
    "request.received": RequestChanged,
    "request.accepted": RequestChanged,
    "request.declined": RequestChanged,
    **{f"notice.{kind}": NoticeTold for kind in get_args(NoticeKind)},
    "webhook.test": WebhookTest,
}
"""What is in ``data``, by type. A tenant's own states are told like the built-in ones, as ``job.<state>``."""

OWN_STATE: Final = "job.state"
"""What the schema of a tenant's own states is called."""


def schema_of(event_type: str) -> str:
    """The name of the JSON Schema of an event's data; the files are in docs/events/."""
    return f"urn:onsite:event:{event_type if event_type in EVENT_TYPES else OWN_STATE}:1"


def data_schema(event_type: str) -> dict[str, Any]:
    """The published JSON Schema of an event's data."""
    schema = wire.json_schema(EVENT_TYPES.get(event_type, JobMoved))
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "$id": schema_of(event_type), "title": event_type, **schema}

"""A job: what is to be done where, by whom and when, and how it went. The compacted topic ``onsite.jobs``."""

from typing import Any, Final, Literal, TypeVar

import msgspec

from schemas.found_place import Geocoded
from schemas.places import require_point
from schemas.times import Instant

Priority = Literal["emergency", "high", "normal", "low"]
Source = Literal["automatic", "technician", "dispatcher", "system"]
Risk = Literal["none", "at_risk", "late"]


class UsedPart(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A material that a job needs or has used up."""

    sku: str
    quantity: float
    unit_cost: float | None = None

    def __post_init__(self) -> None:
        if not self.quantity > 0:
            raise ValueError(f"{self.quantity} of {self.sku!r}: a quantity is more than nothing")


class ChecklistItem(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Something not to be forgotten."""

    text: str
    done: bool = False


class Attachment(msgspec.Struct, forbid_unknown_fields=True):
    """A photo, a signature or a document, kept elsewhere."""

    kind: str
    url: str


class JobPlan(
    msgspec.Struct,
    omit_defaults=True,
    kw_only=True,
    rename={"window_from_ms": "window_from", "window_to_ms": "window_to"},
):
    """What people state of a job, and may edit. ``window_from``-``window_to`` is promised to the customer.

    The place is a site, a fence, a point or an address; whichever is stated first of these counts. ``fault`` says what
    is wrong there: the same at the same site soon after means that the first visit has not mended it.

    What is in ``FOUND`` nobody states: ``geocoded`` is what came of looking the address up, of a job whose place is
    not known otherwise; ``request_id`` is the service request that the job was made of.
    """

    external_id: str | None = None
    title: str = ""
    customer_id: str | None = None
    site_id: str | None = None
    fence_id: str | None = None
    lat: float | None = None
    lon: float | None = None
    address: str | None = None
    branch: str | None = None
    window_from_ms: Instant | None = None
    window_to_ms: Instant | None = None
    duration_s: float | None = None
    priority: Priority = "normal"
    skills: list[str] = []
    technician_ids: list[str] = []
    parts: list[UsedPart] = []
    checklist: list[ChecklistItem] = []
    notes: str = ""
    attachments: list[Attachment] = []
    recurrence: str | None = None
    job_type: str | None = None
    fault: str | None = None
    geocoded: Geocoded | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        require_point(self.lat, self.lon)
        window = self.window_from_ms, self.window_to_ms
        if window[0] is not None and window[1] is not None and window[0] >= window[1]:
            raise ValueError("window_from is not before window_to")
        if self.duration_s is not None and not 0 < self.duration_s < 31 * 86_400:
            raise ValueError(f"duration_s: {self.duration_s} is not between 0 and a month")


FOUND: Final = ("geocoded", "request_id")
"""Fields of a plan that the server writes."""

PLACED: Final = ("fence_id", "lat", "lon", "geocoded")
"""Fields of a plan that are found where an address alone is stated."""

_Plan = TypeVar("_Plan", bound=JobPlan)


def as_stated(plan: _Plan) -> _Plan:
    """Without the place that was found for its address: that may be another one the next time."""
    return plan if plan.geocoded is None else msgspec.structs.replace(plan, **dict.fromkeys(PLACED))


class LogEntry(msgspec.Struct, omit_defaults=True):
    """A change of state: ``at`` is when it happened, ``recorded_at`` when that became known.

    ``actor`` is who said so, or of an automatic one the device whose visit did; that visit is ``visit_id``.
    """

    state: str
    at: Instant
    recorded_at: Instant
    source: Source
    actor: str
    reason: str = ""
    lat: float | None = None
    lon: float | None = None
    visit_id: str | None = None


class Escalation(msgspec.Struct, frozen=True, rename={"at_ms": "at"}):
    """A part of a promised time has passed: ``escalation_id`` is the same whenever and wherever that is found out."""

    escalation_id: str
    job_id: str
    promise: Literal["response", "resolution"]
    fraction: float
    at_ms: Instant


class EtaWindow(msgspec.Struct, frozen=True, rename={"from_ms": "from", "to_ms": "to"}):
    """Between which moments somebody will be there."""

    from_ms: Instant
    to_ms: Instant


class Word(LogEntry, omit_defaults=True, kw_only=True):
    """What a person or the system said: a log entry, and the state it was said of."""

    from_state: str

    def entry(self) -> LogEntry:
        """As it stands in the log."""
        return LogEntry(self.state, self.at, self.recorded_at, self.source, self.actor, self.reason, self.lat, self.lon)


class Job(JobPlan, omit_defaults=False, kw_only=True):
    """A job as everybody sees it. ``log`` is in the order of what happened; ``state`` is that of its last entry."""

    job_id: str
    revision: int
    created_at: Instant
    updated_at: Instant
    state: str
    risk: Risk = "none"
    travel_s: float | None = None
    on_site_s: float | None = None
    waiting_s: float | None = None
    visit_ids: list[str] = []
    escalations: list[Escalation] = []
    log: list[LogEntry] = []


class Approach(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"left_ms": "left_at", "arrived_ms": "arrived_at", "departed_ms": "departed_at"},
):
    """A device's way to a job's place and its stay there: what moves the job on by itself.

    ``left_ms`` is when it left the place before, None where that is not known or was never left. Before the arrival
    there is no ``visit_id``; ``departed_ms`` is None while it is there.
    """

    left_ms: Instant | None = None
    visit_id: str | None = None
    arrived_ms: Instant | None = None
    departed_ms: Instant | None = None
    on_site_s: float = 0.0


class Evidence(msgspec.Struct, frozen=True):
    """All that a device's rounds say about a job now, in the order of time; it replaces what they said before.

    ``moves``: whether it moves the job on; where automatic logging is off, it only counts time.
    """

    device_id: str
    technician_id: str
    approaches: list[Approach]
    recorded_at: Instant
    moves: bool = True

    def says_the_same_as(self, other: "Evidence | None") -> bool:
        """Whether they differ at most in when they were recorded."""
        return other is not None and msgspec.structs.replace(other, recorded_at=self.recorded_at) == self


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True, rename={"from_ms": "from", "to_ms": "to"}):
    """Whose job it was from when to when, of event time; None: from the beginning, until now."""

    technician_id: str
    from_ms: Instant | None = None
    to_ms: Instant | None = None


class Answered(msgspec.Struct, frozen=True):
    """A command that was carried out: sent again under the same key, it is answered the same and does nothing.

    ``fingerprint`` tells whether it is the same command.
    """

    key: str
    fingerprint: str
    revision: int


class JobRecord(Job, omit_defaults=True, kw_only=True):
    """The value on the topic: the job, and what its log follows from.

    ``words`` are what people and the system said, in the order in which it was recorded; no position ever changes them.
    Of a job that comes again, those whose windows begin before ``generated_until`` have been made. ``erasures`` are
    those of people that it was about. ``eta`` is the ETA window that decided its risk last, not the newest one.
    """

    generated_until: Instant | None = None
    words: list[Word] = []
    assignments: list[Assignment] = []
    evidence: list[Evidence] = []
    answered: list[Answered] = []
    erasures: list[str] = []
    eta: EtaWindow | None = None


PUBLIC: Final = Job.__struct_fields__
"""What everybody sees of a record; its own fields follow these."""


def public_fields(record: JobRecord) -> dict[str, Any]:
    """What everybody sees of a job's record, by field."""
    return dict(zip(PUBLIC, msgspec.structs.astuple(record), strict=False))


def job_of(record: JobRecord) -> Job:
    """The same as a job."""
    return Job(**public_fields(record))

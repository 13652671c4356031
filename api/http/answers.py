"""What the API answers with: JSON of records, pages, and the shapes of its own."""

import base64
import binascii
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import msgspec
from starlette.responses import Response

from schemas import wire
from schemas.eta import Eta
from schemas.found_place import FoundPlace, GeocodeStatus
from schemas.key import Role
from schemas.live import DeviceState
from schemas.notice import Notice
from schemas.stock import InvoiceLine
from schemas.times import Instant
from schemas.visit import Visit
from schemas.webhook import Webhook

T = TypeVar("T")

ACCEPTED_HEADER: Final = "Onsite-Accepted"
REJECTED_HEADER: Final = "Onsite-Rejected"
"""What apps are told that expect another body: how many fixes the broker has, and the codes of those refused."""


class JSONAnswer(Response):
    """A response whose content is a record, or lists and dicts of records."""

    media_type = "application/json"

    def __init__(
        self,
        content: object,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)

    def render(self, content: Any) -> bytes:
        """Encode."""
        return wire.encode(content)


class RejectedItem(msgspec.Struct):
    """An item of a request that was refused, by its place in the request, from 0."""

    index: int
    reason: str


class PingsAnswer(msgspec.Struct):
    """How many pings are safe in the log, and which were refused."""

    accepted: int
    rejected: list[RejectedItem]


class RejectedFence(msgspec.Struct):
    """A feature of an import that was refused."""

    index: int
    fence_id: str | None
    reason: str


class ImportAnswer(msgspec.Struct):
    """How many fences were created or changed, how many were as stated already, and which were refused."""

    imported: int
    unchanged: int
    rejected: list[RejectedFence]


class Device(msgspec.Struct, rename={"ts_ms": "ts", "updated_ms": "updated_at"}):
    """The live state of a device; ``age_s`` is the age of its newest fix.

    ``clock_skew_s`` is how many seconds the device's clock is ahead of the server's, negative where it is behind, give
    or take ``clock_skew_error_s``; null while too few of its requests have stated ``sent_at``.
    """

    device_id: str
    state: DeviceState
    ts_ms: Instant
    age_s: float
    lat: float
    lon: float
    accuracy_m: float | None
    speed_mps: float | None
    bearing_deg: float | None
    battery: float | None
    open_visits: list[str]
    updated_ms: Instant
    clock_skew_s: float | None
    clock_skew_error_s: float | None


class EtaAnswer(Eta, frozen=True, kw_only=True, omit_defaults=False):
    """When somebody will be at a job, and how long ago that was said."""

    age_s: float


class NearbyTechnician(msgspec.Struct):
    """A technician near a place: ``travel_s`` and ``eta`` by ``provider``; where a device was seen ``at`` last.

    ``available``: on shift and at no job; ``free_at`` is when the job at hand is expected to end, null where nobody
    knows.
    """

    technician_id: str
    name: str
    distance_m: float
    travel_s: float
    eta: Instant
    provider: str
    lat: float
    lon: float
    at: Instant
    available: bool
    on_shift: bool
    job_id: str | None
    free_at: Instant | None


class NearestAnswer(msgspec.Struct):
    """Who can be there soonest first."""

    items: list[NearbyTechnician]


class PlacesAnswer(msgspec.Struct):
    """Candidates for an address, the best first; ``found``: a job with this address would be at the first."""

    status: GeocodeStatus
    items: list[FoundPlace]


class SessionAnswer(msgspec.Struct):
    """Who is signed in, and until when unless they do more."""

    account: str
    role: Role
    expires_at: Instant


class EnrolmentAnswer(msgspec.Struct):
    """A link that sets a phone up, until it expires, and the key that it holds the token of."""

    device_id: str
    key_id: str
    url: str
    expires_at: Instant


class VisitAnswer(Visit, frozen=True):
    """The newest revision of a visit, and every revision of it, the first one first."""

    revisions: list[Visit]


class WebhookAnswer(Webhook, kw_only=True):
    """A webhook with its secret, which is shown this once."""

    secret: str


class NoticeAnswer(Notice, frozen=True, kw_only=True, omit_defaults=False):
    """Who was told what of a job, or why not."""


class ReplayAnswer(msgspec.Struct):
    """How many events are on their way again."""

    events: int


class CostAnswer(msgspec.Struct):
    """What a job of this revision comes to. ``problem`` says why there are no lines where a price is not known."""

    job_id: str
    revision: int
    state: str
    lines: list[InvoiceLine]
    total: Decimal
    problem: str | None = None


class ReportColumn(msgspec.Struct):
    """A column of a report; of ``unit`` ``s`` in seconds, a ``share`` is from 0 to 1, ``stars`` from 1 to 5."""

    name: str
    unit: str
    about: str


class ReportSummary(msgspec.Struct):
    """What a report says."""

    name: str
    about: str
    columns: list[ReportColumn]


class ReportsAnswer(msgspec.Struct):
    """All reports there are."""

    items: list[ReportSummary]


class ReportAnswer(msgspec.Struct, rename={"from_": "from"}):
    """Rows in the order of the columns, of [from, to); days are those of ``time_zone``."""

    name: str
    from_: Instant
    to: Instant
    time_zone: str
    columns: list[ReportColumn]
    rows: list[list[Any]]


class CalendarAnswer(msgspec.Struct):
    """The address of a technician's calendar, which is shown this once: whoever has it reads their jobs."""

    technician_id: str
    url: str


class EventTypeSummary(msgspec.Struct):
    """A type of events, and what the schema of its data is called."""

    type: str
    dataschema: str


class EventSchemas(msgspec.Struct):
    """All types of events."""

    items: list[EventTypeSummary]


class EventSchema(msgspec.Struct, rename={"data_schema": "schema"}):
    """The JSON Schema of an event's ``data``, and an example of the whole event."""

    type: str
    data_schema: dict[str, Any]
    example: dict[str, Any]


class Page(msgspec.Struct, Generic[T]):
    """Some of a list; ``next_cursor`` asks for the following ones, None at the end."""

    items: list[T]
    next_cursor: str | None


class Readiness(msgspec.Struct):
    """Whether the process can serve, and each thing it depends on: ``ok`` or what is wrong."""

    ready: bool
    checks: dict[str, str]


def write_cursor(place: object) -> str:
    """An opaque cursor of a place in a list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(cursor: str, kind: type[T]) -> T:
    """The place of a cursor; raises ValueError for one that was not written here."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError("not a cursor of this list") from error

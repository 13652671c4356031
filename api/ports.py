"""What the API needs from outside, by shape: the log, compacted topics in memory, the history in the store."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from dispatch.holdings import Revision
from geofence.fixes import Fixes
from schemas.audit import AuditRecord
from schemas.eta import Eta
from schemas.event import Event
from schemas.job import JobRecord
from schemas.notice import Audience, Notice, NoticeKind, NoticeStatus
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.stock import Movement
from schemas.topics import Topic
from schemas.visit import Visit, VisitState
from schemas.webhook import Attempted, Delivery, Outcome, SigningSecret

T_co = TypeVar("T_co", covariant=True)


class StoreUnavailable(Exception):  # noqa: N818 -- a condition of the store
    """The store did not answer; ask again later."""


class EventLog(Protocol):
    """Where records are appended; its methods raise LogUnavailable."""

    def ensure_room(self) -> None:
        """Tell at once when too many records wait already."""

    async def append(self, topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        """Return once the records are safe."""

    async def ready(self) -> None:
        """Return when the log answers."""


class ReadModel(Protocol[T_co]):
    """A compacted topic in memory."""

    @property
    def records(self) -> Mapping[str, T_co]:
        """The newest value by key."""

    @property
    def is_caught_up(self) -> bool:
        """Whether what was in the topic at the start has been read."""

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for a condition on the records; False when it does not hold in time."""


class VisitQuery(msgspec.Struct, frozen=True):
    """Which visits. ``from_ms``-``to_ms``: those that were there at some moment of it. None = any.

    ``after`` is the (arrived_ms, visit_id) that the page follows. ``visit_ids`` and ``fence_ids``: these alone;
    ``branches``: of devices or at fences of these alone.
    """

    limit: int
    device_id: str | None = None
    fence_id: str | None = None
    visit_ids: tuple[str, ...] | None = None
    state: VisitState | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: tuple[int, str] | None = None
    branches: tuple[str, ...] | None = None
    fence_ids: tuple[str, ...] | None = None


class PingQuery(msgspec.Struct, frozen=True):
    """Pings of a device; ``after`` is the (ts_ms, lat_e7, lon_e7) that the page follows."""

    limit: int
    device_id: str
    after: tuple[int, int, int] | None = None


class EtaQuery(msgspec.Struct, frozen=True):
    """ETAs by fixes of a device; ``after`` is the (computed_ms, job_id) that the page follows."""

    limit: int
    device_id: str
    after: tuple[int, str] | None = None


class RejectedQuery(msgspec.Struct, frozen=True):
    """Which refused pings: received in [from_ms, to_ms). None = any.

    ``after`` is the (received_ms, content_id) that the page follows. ``branches``: of devices of these alone.
    """

    limit: int
    device_id: str | None = None
    code: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: tuple[int, str] | None = None
    branches: tuple[str, ...] | None = None


class AuditQuery(msgspec.Struct, frozen=True):
    """Which writes: in [from_ms, to_ms), of things of these branches. None = any.

    ``after`` is the (at_ms, audit_id) that the page follows.
    """

    limit: int
    kind: str | None = None
    thing_id: str | None = None
    actor: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: tuple[int, str] | None = None
    branches: tuple[str, ...] | None = None


class EventQuery(msgspec.Struct, frozen=True):
    """Which events: recorded in [from_ms, to_ms), with these ids, of these branches. None = any.

    ``types`` are patterns as webhooks have them.
    """

    limit: int
    types: tuple[str, ...] | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    event_ids: tuple[str, ...] | None = None
    branches: tuple[str, ...] | None = None


class DeliveryQuery(msgspec.Struct, frozen=True):
    """Which deliveries to a webhook: with this outcome. None = any.

    ``after`` is the (at_ms, event_id) that the page follows.
    """

    limit: int
    webhook_id: str
    outcome: Outcome | None = None
    after: tuple[int, str] | None = None


class NoticeQuery(msgspec.Struct, frozen=True):
    """Which notices: of this job, to this person, made in [from_ms, to_ms), of these branches. None = any.

    ``after`` is the (created_ms, notice_id) that the page follows.
    """

    limit: int
    job_id: str | None = None
    status: NoticeStatus | None = None
    audience: Audience | None = None
    kind: NoticeKind | None = None
    recipient_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: tuple[int, str] | None = None
    branches: tuple[str, ...] | None = None


class MovementQuery(msgspec.Struct, frozen=True):
    """Which movements of stock: moved in [from_ms, to_ms), from or to a holder (kind and id) or a job. None = any.

    ``after`` is the (at_ms, "movement_id\\nsku") that the page follows. ``branches``: from or to vans and depots of
    these alone.
    """

    limit: int
    holder: tuple[str, str] | None = None
    sku: str | None = None
    job_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: tuple[int, str] | None = None
    branches: tuple[str, ...] | None = None


class StoredJobQuery(msgspec.Struct, frozen=True):
    """Which jobs: each of which one of these is true. ``after`` is the job_id that the page follows.

    ``actors`` stand in their logs, be it as devices; ``words`` in their texts, whatever the case.
    """

    limit: int
    job_ids: tuple[str, ...] = ()
    technician_ids: tuple[str, ...] = ()
    customer_ids: tuple[str, ...] = ()
    site_ids: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    after: str = ""


class WebhookSender(Protocol):
    """Tells a receiver."""

    async def send(self, url: str, signing: Sequence[SigningSecret], event: Event) -> Attempted:
        """What came of an attempt; a failed one is no exception."""


class History(Protocol):
    """What the store remembers; every method raises StoreUnavailable."""

    async def track(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> list[Ping]:
        """A device's distinct pings of [from_ms, to_ms), in order of time, ``limit`` at most."""

    async def every_ping(self, query: PingQuery) -> list[Ping]:
        """A device's distinct pings with all that they state, in order of time."""

    async def fixes(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> Fixes:
        """A device's fixes of [from_ms, to_ms) as the engine reads them, in order, the first ``limit`` at most."""

    async def oldest_fix_ms(self, device_id: str) -> int | None:
        """Event time of a device's oldest fix; None where it has none."""

    async def visits(self, query: VisitQuery) -> list[Visit]:
        """The newest revision of each visit, by arrival; retracted ones only when their state is asked for."""

    async def latest_visits(self, query: VisitQuery) -> list[Visit]:
        """The same, the newest first; ``after`` is where the page before ended."""

    async def revisions(self, visit_id: str) -> list[Visit]:
        """Every revision of a visit, the first one first; empty for an unknown visit."""

    async def rejected(self, query: RejectedQuery) -> list[RejectedPing]:
        """Refused pings, the one received last first."""

    async def etas(self, query: EtaQuery) -> list[Eta]:
        """Every ETA that was said, in the order in which that was."""

    async def audit(self, query: AuditQuery) -> list[AuditRecord]:
        """What was written, the newest first."""

    async def events(self, query: EventQuery) -> list[Event]:
        """What was told, in the order in which it became known."""

    async def deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """How deliveries stand, the newest attempt first."""

    async def notices(self, query: NoticeQuery) -> list[Notice]:
        """Who was told what of jobs, or why not, the newest first."""

    async def movements(self, query: MovementQuery) -> list[Movement]:
        """What moved of stock, the newest first."""

    async def jobs(self, query: StoredJobQuery) -> list[JobRecord]:
        """The newest revision of each job, by id, as far as the store has it (``schemas.tables.jobs``)."""

    def jobs_csv(self, wanted: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Jobs as CSV, by id, in pieces, names first.

        ``wanted`` may say a ``state``, a ``branch``, a list of ``branches``, a ``technician``, and that they were made
        in [``from_ms``, ``to_ms``).
        """

    async def report(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a query of ``api.reports``."""

    def report_csv(self, sql: str, parameters: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The same as CSV, names first, in pieces as the store has them."""

    async def ready(self) -> None:
        """Return when the store answers."""


class StoreOfErasures(Protocol):
    """What an erasure asks of the store; every method raises StoreUnavailable."""

    async def holdings(self, technician_id: str) -> list[Revision]:
        """Who held the devices that a technician ever held, from when on."""

    async def words_of(self, kind: str, person_id: str) -> list[str]:
        """How a technician or a customer was called and reached, as it was written of them."""

    async def rewrite_jobs(self, jobs: Sequence[JobRecord]) -> None:
        """Write further revisions of archived jobs, which nobody else writes any more."""

    async def carry_out(
        self, mutations: Collection[Any], parameters: Mapping[str, Any], values: Sequence[tuple[str, str, int]]
    ) -> int:
        """Let rows go, or change them, and return once that is so; how many they were.

        ``values`` (name, value, number) are what is looked up meanwhile, and goes afterwards.
        """


class Recorded(Protocol):
    """How far the recorder has come."""

    async def recorded(self, topics: Sequence[Topic], within_s: float) -> bool:
        """Whether, within a time, the store has what is on these topics now. Raises LogUnavailable."""

"""What notices follow from: of a job's record what matters here, and who is concerned by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from dispatch.lifecycle import Lifecycle
from schemas.eta import Eta
from schemas.job import Assignment, Risk
from schemas.notice import Notice
from schemas.people import Contact, Technician
from schemas.places import Customer
from schemas.times import Instant

PHASES: Final[dict[str, int]] = {
    "created": 0,
    "scheduled": 1,
    "left_incomplete": 1,
    "dispatched": 2,
    "en_route": 3,
    "on_site": 4,
    "in_progress": 4,
    "completed": 5,
    "invoiced": 5,
    "cancelled": 5,
    "rejected": 5,
}
"""How far a job is, by its state."""

EN_ROUTE: Final = 3
ARRIVED: Final = 4
OVER: Final = 5


class Happened(msgspec.Struct, frozen=True):
    """Of an entry of a log what matters here."""

    state: str
    at: Instant


class JobFacts(
    msgspec.Struct, frozen=True, kw_only=True, rename={"window_from_ms": "window_from", "window_to_ms": "window_to"}
):
    """Of a job's record what matters here."""

    job_id: str
    created_at: Instant
    updated_at: Instant
    state: str
    title: str = ""
    customer_id: str | None = None
    branch: str | None = None
    window_from_ms: Instant | None = None
    window_to_ms: Instant | None = None
    technician_ids: list[str] = []
    risk: Risk = "none"
    log: list[Happened] = []
    assignments: list[Assignment] = []
    erasures: list[str] = []

    def phase(self, lifecycle: Lifecycle) -> int:
        """How far it is; a state that nobody knows is as one in which somebody is at work."""
        return PHASES.get(lifecycle.like(self.state), ARRIVED)

    def is_assigned_to(self, technician_id: str | None) -> bool:
        """Whether it is that technician's now."""
        return any(each.technician_id == technician_id and each.to_ms is None for each in self.assignments)


class Message(msgspec.Struct, frozen=True):
    """That a customer has written; not what."""

    message_id: str
    at: Instant


@dataclass(frozen=True)
class Around:
    """What is known beside the job's record: who it is for, who does it, when they will be there.

    ``time_zone`` is the branch's, else the tenant's.
    """

    customer: Customer | None = None
    technicians: Mapping[str, Technician] = field(default_factory=dict)
    time_zone: str = "UTC"
    eta: Eta | None = None
    messages: tuple[Message, ...] = ()

    @property
    def customers_zone(self) -> str:
        """The time zone that the customer lives by."""
        return (self.customer and self.customer.time_zone) or self.time_zone

    def contact_of(self, notice: Notice) -> Contact | None:
        """How whoever a notice is for is reached; a dispatcher is nobody in particular."""
        if notice.audience == "customer":
            return None if self.customer is None else self.customer.contact
        technician = self.technicians.get(notice.recipient_id or "")
        return None if technician is None or technician.removed_at is not None else technician.contact

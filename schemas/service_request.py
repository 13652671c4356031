"""A service request: what somebody outside asks for, until a dispatcher takes it or not. ``onsite.requests``."""

from typing import Annotated, Literal

import msgspec

from schemas.job import Attachment, Priority
from schemas.people import Contact, Id, Label
from schemas.places import require_point
from schemas.times import Instant

RequestState = Literal["received", "accepted", "declined"]

Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class WishedWindow(msgspec.Struct, forbid_unknown_fields=True, rename={"from_ms": "from", "to_ms": "to"}):
    """A time that would suit."""

    from_ms: Instant
    to_ms: Instant

    def __post_init__(self) -> None:
        if self.from_ms >= self.to_ms:
            raise ValueError("a wished window that ends before it begins")


class Asker(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Who asks, where that is not known as a customer."""

    name: Label
    contact: Contact | None = None


class RequestPlan(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What is asked for. ``external_id`` is its id where it comes from: the same again is the same request.

    ``wished`` are times that would suit, the best first; the place is a site, a point or an address.
    """

    title: Label
    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=300)] | None = None
    branch: str | None = None
    customer_id: Id | None = None
    customer: Asker | None = None
    site_id: Id | None = None
    address: Text | None = None
    lat: float | None = None
    lon: float | None = None
    description: Text = ""
    wished: Annotated[list[WishedWindow], msgspec.Meta(max_length=20)] = []
    priority: Priority = "normal"
    skills: Annotated[list[str], msgspec.Meta(max_length=50)] = []
    attachments: Annotated[list[Attachment], msgspec.Meta(max_length=50)] = []

    def __post_init__(self) -> None:
        require_point(self.lat, self.lon)
        if self.customer_id is not None and self.customer is not None:
            raise ValueError("customer_id and customer: state one of them")


class ServiceRequest(RequestPlan, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The value on the topic. ``reason`` is why it was declined; ``job_id`` the job that was made of it."""

    request_id: str
    state: RequestState
    created_at: Instant
    updated_at: Instant
    job_id: str | None = None
    reason: str | None = None

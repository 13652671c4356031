"""What a customer is shown, and what they say."""

from typing import Annotated

import msgspec

from dispatch.tracking import CustomerState
from schemas.times import Instant
from schemas.tracking import MAX_TEXT_CHARS, CustomerMessage, Stars

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARS)]


class TrackingLink(msgspec.Struct):
    """A job's link for its customer: whoever has it sees what they may see. ``url`` is a path where it is not known
    where customers reach Onsite."""

    job_id: str
    url: str
    token: str
    expires_at: Instant


class ShownEta(msgspec.Struct, rename={"from_ms": "window_from", "to_ms": "window_to"}):
    """When somebody will be there, as of ``computed_at``."""

    eta: Instant
    from_ms: Instant
    to_ms: Instant
    computed_at: Instant


class ShownPosition(msgspec.Struct):
    """Where the technician is, to some ten metres: ``distance_m`` from the customer's place, seen from there in the
    direction ``bearing_deg``."""

    lat: float
    lon: float
    at: Instant
    distance_m: float
    bearing_deg: float


class TrackingAnswer(msgspec.Struct, kw_only=True, rename={"from_ms": "window_from", "to_ms": "window_to"}):
    """All that a link shows. ``window_from``-``window_to`` is promised.

    ``technician`` is the first name of who comes, while somebody is expected or there; ``position`` is where they are
    while they are on the way to this customer. ``time_zone`` and ``language`` are those of the customer.
    """

    state: CustomerState
    title: str
    company: str | None = None
    from_ms: Instant | None = None
    to_ms: Instant | None = None
    eta: ShownEta | None = None
    technician: str | None = None
    position: ShownPosition | None = None
    can_write: bool
    can_rate: bool
    rating: Stars | None = None
    comment: str | None = None
    time_zone: str
    language: str | None = None
    expires_at: Instant


class Rating(msgspec.Struct, forbid_unknown_fields=True):
    """How satisfied a customer is."""

    rating: Stars
    comment: Text = ""


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """What a customer has to say before it is done."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)]


class CustomerWords(msgspec.Struct, kw_only=True):
    """What a customer has said of a job through its links; ``revoked_at`` is when these were last revoked."""

    job_id: str
    rating: Stars | None = None
    comment: str | None = None
    rated_at: Instant | None = None
    messages: list[CustomerMessage]
    revoked_at: Instant | None = None

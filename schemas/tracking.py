"""What there is to a job's tracking link: what a customer says through it, what was revoked. ``onsite.tracking``."""

from typing import Annotated, Final

import msgspec

from schemas.times import Instant

MAX_MESSAGES: Final = 20
"""Of a customer about one job."""
MAX_TEXT_CHARS: Final = 1_000
"""Of a message, and of a comment."""

Stars = Annotated[int, msgspec.Meta(ge=1, le=5, description="1 to 5 stars")]


class CustomerMessage(msgspec.Struct, frozen=True):
    """What a customer wrote about a job that is to come; the same text again is the same message."""

    message_id: str
    text: str
    at: Instant


class TrackingRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The value on the compacted topic, by ``job_id``.

    Links hold a ``generation``; those of another one than this are revoked. ``revoked_at`` is when that was last done.
    The stars of ``rating``, their ``comment`` and ``rated_at`` are None until the customer has left them. Of what was
    said up to ``struck_at`` nothing but the stars is kept: a person was erased.
    """

    job_id: str
    updated_at: Instant
    generation: int = 0
    revoked_at: Instant | None = None
    rating: Stars | None = None
    comment: str | None = None
    rated_at: Instant | None = None
    messages: list[CustomerMessage] = []
    struck_at: Instant | None = None

"""A notice: who is to be told what about a job, and what became of that. The compacted topic ``onsite.notifications``.

Neither a text nor an address is in it: texts are written, and contacts looked up, when it goes out.
"""

from typing import Final, Literal

import msgspec

from schemas.times import Instant

Audience = Literal["customer", "technician", "dispatcher"]
NoticeStatus = Literal["pending", "sent", "suppressed", "failed"]
NoticeKind = Literal[
    "appointment_set",
    "dispatched",
    "en_route",
    "arriving_soon",
    "delayed",
    "arrived",
    "completed",
    "cancelled",
    "assigned",
    "at_risk",
    "running_late",
    "customer_message",
]
Suppression = Literal["stale", "overtaken", "off", "opted_out", "no_contact", "quiet_hours", "cap"]
"""Why a notice does not go out."""

KINDS: Final[dict[Audience, tuple[NoticeKind, ...]]] = {
    "customer": (
        "appointment_set",
        "dispatched",
        "en_route",
        "arriving_soon",
        "delayed",
        "arrived",
        "completed",
        "cancelled",
    ),
    "technician": ("assigned", "customer_message"),
    "dispatcher": ("at_risk", "running_late", "customer_message"),
}
"""What each is told of."""


class Notice(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"from_ms": "window_from", "to_ms": "window_to"},
):
    """``notice_id`` follows from the job, the kind and who is told: there is one of each at most.

    ``reason`` says why it is ``suppressed`` or ``failed``, or why the attempt before did not succeed. ``event_at`` is
    when that happened which is told; ``window_from``-``window_to`` is the window that is told with it. ``attempt``
    counts those that were made; a ``pending`` one goes out at ``due_at``. ``recipient_id`` is a customer or a
    technician; a dispatcher's notice has none.
    """

    notice_id: str
    job_id: str
    audience: Audience
    kind: NoticeKind
    status: NoticeStatus
    reason: str | None = None
    channel: str | None = None
    recipient_id: str | None = None
    branch: str | None = None
    language: str | None = None
    event_at: Instant
    created_at: Instant
    updated_at: Instant
    due_at: Instant | None = None
    sent_at: Instant | None = None
    attempt: int = 0
    from_ms: Instant | None = None
    to_ms: Instant | None = None


class NoticeTold(msgspec.Struct, kw_only=True):
    """The data of an event ``notice.<kind>``: the notice, and its words; who is meant is its ``recipient_id``."""

    notice: Notice
    subject: str
    body: str

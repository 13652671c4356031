"""Webhooks: who is told of which events, on the compacted topic ``onsite.webhooks``, and how it went."""

import base64
import secrets
from typing import Annotated, Any, Final, Literal

import msgspec

from schemas import wire
from schemas.event import Event
from schemas.times import Instant

MAX_URL_CHARS: Final = 2_000
MAX_PATTERNS: Final = 50
SECRET_PREFIX: Final = "whsec_"  # nosec B105 -- what every secret begins with
_SECRET_BYTES: Final = 32

Pattern = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        pattern=r"^(\*|[a-z]+\.(\*|[A-Za-z0-9_-]+))$",
        description="a type of event, all that begin alike (`job.*`), or all (`*`)",
    ),
]

Outcome = Literal["delivered", "retrying", "failed"]


class SigningSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """``whsec_…``; None: it is the newest one and does not expire."""

    secret: str
    expires_at: Instant | None = None


class WebhookPlan(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What people state of a webhook. Events of ``branch``, and of those within it, are told; None: all."""

    url: Annotated[str, msgspec.Meta(max_length=MAX_URL_CHARS, description="http or https")]
    events: Annotated[list[Pattern], msgspec.Meta(min_length=1, max_length=MAX_PATTERNS)]
    branch: str | None = None
    description: Annotated[str, msgspec.Meta(max_length=300)] = ""
    active: bool = True


class Webhook(WebhookPlan, kw_only=True, omit_defaults=False, forbid_unknown_fields=False):
    """As everybody who may sees it. ``disabled_reason`` says why Onsite set ``active`` to false."""

    webhook_id: str
    created_at: Instant
    updated_at: Instant
    disabled_reason: str | None = None


class WebhookRecord(Webhook, kw_only=True, omit_defaults=True):
    """The value on the topic. No signature is made from a hash: secrets are in the clear here, and nowhere else."""

    signing: list[SigningSecret] = []
    removed_at: Instant | None = None


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt: ``status`` and the beginning of the ``answer``, or the ``error`` why there is none."""

    status: int | None = None
    error: str | None = None
    answer: str
    duration_s: float
    retry_after_s: float | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How the delivery of an event to a webhook stands after an attempt: the topic ``onsite.webhooks.deliveries``.

    ``failed`` is a dead letter: no attempt follows. ``attempt`` counts from 1, 0 where there was none; ``next_at`` is
    when the next one follows.
    """

    webhook_id: str
    event_id: str
    event_type: str
    branch: str | None
    at: Instant
    outcome: Outcome
    attempt: int
    status: int | None = None
    error: str | None = None
    answer: str
    duration_s: float
    next_at: Instant | None = None


class Replay(msgspec.Struct, frozen=True):
    """An event that a webhook is to be told again: the topic ``onsite.webhooks.replays``."""

    webhook_id: str
    event: Event


def new_secret() -> str:
    """One that nobody has had."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def public_of(record: WebhookRecord) -> Webhook:
    """The webhook without its secrets."""
    return Webhook(**{name: getattr(record, name) for name in Webhook.__struct_fields__})


def stated_of(record: WebhookRecord) -> dict[str, Any]:
    """What people have stated of it, as JSON."""
    return wire.to_builtins(WebhookPlan(**{name: getattr(record, name) for name in WebhookPlan.__struct_fields__}))

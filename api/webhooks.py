"""Webhooks as requests make and change them, pure. Raises Problem 400 that says where."""

import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from api.http.problems import Problem
from dispatch.receivers import require_receiver
from schemas import wire
from schemas.merge_patch import merged
from schemas.places import Branch, lies_within
from schemas.times import Instant
from schemas.webhook import MAX_PATTERNS, Pattern, SigningSecret, WebhookPlan, WebhookRecord, new_secret, stated_of

MAX_REPLAYED: Final = 5_000
"""Events of one replay."""

BOTH_VALID_MS: Final = 86_400_000
"""For so long after a rotation the secret before is signed with as well."""

_MAX_IDS: Final = 1_000


class ReplayOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"from_ms": "from", "to_ms": "to"}):
    """Events to tell again: recorded in [from, to), of ``types`` (by default the webhook's own), or these alone."""

    from_ms: Instant | None = None
    to_ms: Instant | None = None
    types: list[Pattern] | None = None
    event_ids: list[str] | None = None

    def __post_init__(self) -> None:
        if (self.event_ids is None) == (self.from_ms is None):
            raise ValueError("state either event_ids, or from and to")
        if (self.from_ms is None) != (self.to_ms is None):
            raise ValueError("from and to are stated together")
        if self.from_ms is not None and self.to_ms is not None and self.from_ms >= self.to_ms:
            raise ValueError("from is not before to")
        if self.event_ids is not None and not 1 <= len(self.event_ids) <= _MAX_IDS:
            raise ValueError(f"event_ids: between 1 and {_MAX_IDS}")
        if self.types is not None and not 1 <= len(self.types) <= MAX_PATTERNS:
            raise ValueError(f"types: between 1 and {MAX_PATTERNS}")


def read_plan(content: object, *, allow_private: bool) -> WebhookPlan:
    """What is stated of a webhook."""
    plan = _read(WebhookPlan, content, "webhook")
    try:
        require_receiver(plan.url, allow_private=allow_private)
    except ValueError as error:
        raise Problem(400, "invalid_url", f"$.url: {error}") from error
    return plan


def read_order(content: object) -> ReplayOrder:
    """What is to be told again."""
    return _read(ReplayOrder, content, "replay")


def created(plan: WebhookPlan, now_ms: Instant) -> WebhookRecord:
    """A new webhook, with a secret of its own."""
    return WebhookRecord(
        **msgspec.structs.asdict(plan),
        webhook_id=secrets.token_hex(8),
        created_at=now_ms,
        updated_at=now_ms,
        signing=[SigningSecret(new_secret())],
    )


def patched(before: WebhookRecord, patch: object, now_ms: Instant, *, allow_private: bool) -> WebhookRecord:
    """The webhook after a JSON merge patch (RFC 7396); the very same one when that changes nothing."""
    if not isinstance(patch, Mapping):
        raise Problem(400, "invalid_request", "$: send a JSON object")
    plan = read_plan(merged(stated_of(before), patch), allow_private=allow_private)
    stated = msgspec.structs.asdict(plan)
    if all(getattr(before, name) == value for name, value in stated.items()):
        return before
    reason = None if plan.active else before.disabled_reason
    return msgspec.structs.replace(before, **stated, disabled_reason=reason, updated_at=_after(before, now_ms))


def rotated(before: WebhookRecord, now_ms: Instant) -> WebhookRecord:
    """The webhook with a new secret; the one before is good for a while yet."""
    old = SigningSecret(before.signing[0].secret, Instant(now_ms + BOTH_VALID_MS))
    signing = [SigningSecret(new_secret()), old]
    return msgspec.structs.replace(before, signing=signing, updated_at=_after(before, now_ms))


def removed(before: WebhookRecord, now_ms: Instant) -> WebhookRecord:
    """The webhook after it was removed: its secrets are gone."""
    at = _after(before, now_ms)
    return msgspec.structs.replace(before, signing=[], active=False, updated_at=at, removed_at=at)


def branches_within(branch: str | None, branches: Mapping[str, Branch]) -> tuple[str, ...] | None:
    """The branches whose events a webhook is told of; None: all."""
    if branch is None:
        return None
    return tuple(sorted({each for each in branches if lies_within(each, {branch}, branches)} | {branch}))


def etag_of(record: WebhookRecord) -> str:
    """Changes with every change of the webhook."""
    return f'"{record.updated_at:d}"'


def _read(kind: type[wire.Record], content: object, what: str) -> wire.Record:
    try:
        return wire.decode(kind, msgspec.json.encode(content))
    except (msgspec.MsgspecError, ValueError, UnicodeError, RecursionError) as error:
        raise Problem(400, "invalid_request", f"{what}: {error}") from error


def _after(before: WebhookRecord, now_ms: Instant) -> Instant:
    return Instant(max(now_ms, before.updated_at + 1))

"""The address of a technician's calendar, as it travels on the compacted topic ``onsite.calendars``; only its hash."""

import hashlib
import hmac
import secrets
from typing import Any

import msgspec

from schemas import wire
from schemas.times import Instant


class CalendarFeed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``secret_hash`` is the SHA-256 of a secret with 256 bits of entropy, in hexadecimal; empty once it is removed."""

    technician_id: str
    secret_hash: str
    created_at: Instant
    updated_at: Instant
    removed_at: Instant | None = None

    def opens_with(self, secret: str) -> bool:
        """Whether a secret is this one's. It takes as long whichever it is."""
        given = hashlib.sha256(secret.encode(errors="replace")).hexdigest()
        return hmac.compare_digest(given, self.secret_hash or "-") and self.removed_at is None


def public_of(feed: CalendarFeed) -> dict[str, Any]:
    """What may be shown of a feed."""
    shown = wire.to_builtins(feed)
    del shown["secret_hash"]
    return shown


def new_feed(technician_id: str, now_ms: Instant) -> tuple[CalendarFeed, str]:
    """A feed that nobody has had, and its secret, which exists nowhere else."""
    secret = secrets.token_urlsafe(32)
    secret_hash = hashlib.sha256(secret.encode()).hexdigest()
    feed = CalendarFeed(technician_id=technician_id, secret_hash=secret_hash, created_at=now_ms, updated_at=now_ms)
    return feed, secret

"""An API key, as it travels on the compacted topic ``onsite.keys``, and its last use, on ``onsite.keys.used``.

The secret itself is never stored.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from schemas import wire
from schemas.times import Instant

Role = Literal[
    "admin",
    "operations_manager",
    "branch_manager",
    "dispatcher",
    "technician",
    "accountant",
    "support",
    "viewer",
    "portal",
    "device",
]
"""``admin`` is the super admin."""


class ApiKey(msgspec.Struct):
    """``secret_hash`` is the SHA-256 of a secret with 256 bits of entropy, in hexadecimal.

    With a ``device_id`` it is a device token, good for pings of that device alone. ``branches`` are those that it sees,
    None: all; ``technician_id`` is whose jobs a technician sees.
    """

    key_id: str
    name: str
    role: Role
    secret_hash: str
    created_at: Instant
    revoked_at: Instant | None = None
    device_id: str | None = None
    branches: list[str] | None = None
    technician_id: str | None = None


def public_of(key: ApiKey) -> dict[str, Any]:
    """What may be shown of a key."""
    shown = wire.to_builtins(key)
    del shown["secret_hash"]
    return shown


class KeyUse(msgspec.Struct):
    """A key was used at about ``used_at``."""

    key_id: str
    used_at: Instant


@dataclass(frozen=True)
class NewKey:
    """A key and its token, which exists nowhere else."""

    key: ApiKey
    token: str


def new_key(
    name: str,
    role: Role,
    now_ms: Instant,
    device_id: str | None = None,
    branches: list[str] | None = None,
    technician_id: str | None = None,
) -> NewKey:
    """A key that nobody has had; only the hash of its secret (256 random bits) is to be stored."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    secret_hash = hashlib.sha256(secret.encode()).hexdigest()
    key = ApiKey(key_id, name, role, secret_hash, now_ms, None, device_id, branches, technician_id)
    return NewKey(key, f"onsite_{key_id}_{secret}")

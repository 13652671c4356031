"""An API key, as it travels on the compacted topic ``onsite.keys``, and its last use, on ``onsite.keys.used``.

The secret itself is never stored.
"""

from typing import Literal

import msgspec

from schemas.times import Instant

Role = Literal["admin", "device", "viewer"]


class ApiKey(msgspec.Struct):
    """``secret_hash`` is the SHA-256 of a secret with 256 bits of entropy, in hexadecimal.

    With a ``device_id`` it is a device token, good for pings of that device alone.
    """

    key_id: str
    name: str
    role: Role
    secret_hash: str
    created_at: Instant
    revoked_at: Instant | None = None
    device_id: str | None = None


class KeyUse(msgspec.Struct):
    """A key was used at about ``used_at``."""

    key_id: str
    used_at: Instant

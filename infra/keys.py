"""API keys: made, listed and revoked on the compacted topic ``onsite.keys``."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from infra.compacted import open_topic
from infra.errors import CommandError
from schemas import wire
from schemas.key import ApiKey, KeyUse, Role
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import KEYS, KEYS_USED
from stream.kafka import Follower, KafkaLog


@dataclass(frozen=True)
class NewKey:
    """A key and its token, which exists nowhere else."""

    key: ApiKey
    token: str


class KeyRing:
    """The keys of a system; open it with ``open_key_ring``."""

    def __init__(self, settings: Settings, log: KafkaLog, follower: Follower[ApiKey]) -> None:
        self._clock = settings.clock()
        self._log = log
        self._follower = follower

    def keys(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        return sorted(self._follower.records.values(), key=lambda key: (key.created_at, key.key_id))

    async def create(self, name: str, role: Role, device_id: str | None = None) -> NewKey:
        """Make a key; only the hash of its secret (256 random bits) is stored."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        secret_hash = hashlib.sha256(secret.encode()).hexdigest()
        key = ApiKey(key_id, name, role, secret_hash, self._clock.now_ms(), device_id=device_id)
        await self._log.append(KEYS, [(key_id, wire.encode(key))])
        return NewKey(key, f"onsite_{key_id}_{secret}")

    async def revoke(self, key_id: str) -> ApiKey:
        """Make a key worthless, within a second everywhere. Raises CommandError for an unknown one."""
        key = self._follower.records.get(key_id)
        if key is None:
            raise CommandError(f"there is no key {key_id!r}; `onsite keys list` shows those there are")
        if key.revoked_at is None:
            key = msgspec.structs.replace(key, revoked_at=self._clock.now_ms())
            await self._log.append(KEYS, [(key_id, wire.encode(key))])
        return key


@asynccontextmanager
async def open_key_ring(settings: Settings) -> AsyncIterator[KeyRing]:
    """Connect to the broker and read the keys. Raises CommandError when the broker does not answer."""
    async with open_topic(settings, KEYS, ApiKey) as (log, follower):
        yield KeyRing(settings, log, follower)


async def last_uses(settings: Settings) -> dict[str, Instant]:
    """When each key was last used, to a minute or so. Raises CommandError when the broker does not answer."""
    async with open_topic(settings, KEYS_USED, KeyUse) as (_, follower):
        return {key_id: use.used_at for key_id, use in follower.records.items()}

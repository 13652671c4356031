"""API keys: made, listed and revoked on the compacted topic ``onsite.keys``."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from infra.errors import CommandError
from schemas import wire
from schemas.key import ApiKey, KeyUse, Role
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import KEYS, KEYS_USED, LogUnavailable
from stream.kafka import Follower, KafkaLog

_ANSWER_S: Final = 15.0


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
    log = KafkaLog(settings.kafka)
    follower = Follower(settings.kafka, KEYS, partial(wire.decode, ApiKey))
    await log.start()
    await follower.start()
    try:
        await _until_read(settings, follower)
        yield KeyRing(settings, log, follower)
    except LogUnavailable as error:
        raise CommandError(f"the broker at {settings.kafka}: {error}") from error
    finally:
        await follower.stop()
        await log.stop()


async def last_uses(settings: Settings) -> dict[str, Instant]:
    """When each key was last used, to a minute or so. Raises CommandError when the broker does not answer."""
    follower = Follower(settings.kafka, KEYS_USED, partial(wire.decode, KeyUse))
    await follower.start()
    try:
        await _until_read(settings, follower)
        return {key_id: use.used_at for key_id, use in follower.records.items()}
    finally:
        await follower.stop()


async def _until_read(settings: Settings, follower: Follower[Any]) -> None:
    if not await follower.until(lambda: follower.is_caught_up, _ANSWER_S):
        raise CommandError(f"the broker at {settings.kafka} does not answer (ONSITE_KAFKA); is the system up?")

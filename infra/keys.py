"""API keys: made, listed and revoked on the compacted topic ``onsite.keys``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from infra.audit import put_on_record
from infra.compacted import open_topic
from infra.errors import CommandError
from infra.grants import Grant
from schemas import wire
from schemas.audit import Change
from schemas.key import ApiKey, KeyUse, NewKey, new_key, public_of
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import KEYS, KEYS_USED
from stream.kafka import Follower, KafkaLog


class KeyRing:
    """The keys of a system; open it with ``open_key_ring``."""

    def __init__(self, settings: Settings, log: KafkaLog, follower: Follower[ApiKey]) -> None:
        self._clock = settings.clock()
        self._log = log
        self._follower = follower

    def keys(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        return sorted(self._follower.records.values(), key=lambda key: (key.created_at, key.key_id))

    async def create(self, name: str, granted: Grant, device_id: str | None = None) -> NewKey:
        """Make a key, and store all of it but its secret."""
        now_ms = self._clock.now_ms()
        made = new_key(name, granted.role, now_ms, device_id, granted.branches, granted.technician_id)
        await self._write("created", made.key, None)
        return made

    async def revoke(self, key_id: str) -> ApiKey:
        """Make a key worthless, within a second everywhere. Raises CommandError for an unknown one."""
        key = self._follower.records.get(key_id)
        if key is None:
            raise CommandError(f"there is no key {key_id!r}; `onsite keys list` shows those there are")
        if key.revoked_at is None:
            before, key = key, msgspec.structs.replace(key, revoked_at=self._clock.now_ms())
            await self._write("revoked", key, before)
        return key

    async def _write(self, action: str, key: ApiKey, before: ApiKey | None) -> None:
        was = None if before is None else public_of(before)
        change = Change(action, "key", key.key_id, before=was, after=public_of(key))
        await put_on_record(self._log, self._clock.now_ms(), change)
        await self._log.append(KEYS, [(key.key_id, wire.encode(key))])


@asynccontextmanager
async def open_key_ring(settings: Settings) -> AsyncIterator[KeyRing]:
    """Connect to the broker and read the keys. Raises CommandError when the broker does not answer."""
    async with open_topic(settings, KEYS, ApiKey) as (log, follower):
        yield KeyRing(settings, log, follower)


async def last_uses(settings: Settings) -> dict[str, Instant]:
    """When each key was last used, to a minute or so. Raises CommandError when the broker does not answer."""
    async with open_topic(settings, KEYS_USED, KeyUse) as (_, follower):
        return {key_id: use.used_at for key_id, use in follower.records.items()}

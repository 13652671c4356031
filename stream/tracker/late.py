"""Fixes older than what memory holds: the device's span is derived again from the store, with the same function."""

from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from geofence.fixes import Fixes
from schemas.topics import PINGS, RECORDER_GROUP
from stream.stored import oldest_fix_ms, stored_fixes

FIRST_REACH_MS: Final = 36 * 3_600_000
REACH_FACTOR: Final = 8
"""How far before a late fix the first look-up reaches, and how much farther each next one does."""


class RecordedPings:
    """What the recorder has written: how far it has come, and a device's fixes from a moment on."""

    def __init__(self, bootstrap: str, store: AsyncClient) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._store = store
        self._started = False

    async def offsets(self) -> dict[int, int]:
        """By partition of ``onsite.pings``: every record below this offset is in the store."""
        if not self._started:
            await self._admin.start()
            self._started = True
        committed = await self._admin.list_consumer_group_offsets(RECORDER_GROUP)
        return {
            partition.partition: position.offset
            for partition, position in committed.items()
            if isinstance(partition, TopicPartition) and partition.topic == PINGS.name
        }

    async def fixes_since(self, device_id: str, from_ms: int) -> Fixes:
        """The stored fixes of a device from a moment of event time on, in order."""
        return await stored_fixes(self._store, device_id, from_ms)

    async def oldest_ms(self, device_id: str) -> int:
        """Event time of the oldest stored fix of a device; 0 where there is none."""
        return await oldest_fix_ms(self._store, device_id)

    async def close(self) -> None:
        """Disconnect."""
        if self._started:
            await self._admin.close()

"""Fixes older than what memory holds: the device's span is derived again from the store, with the same function."""

from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.asyncclient import AsyncClient

from geofence.fixes import Fixes
from schemas.tables.visits import SELECTED, of_rows
from schemas.topics import PINGS, RECORDER_GROUP
from schemas.visit import Visit
from stream.kafka import acknowledged_by

FIRST_REACH_MS: Final = 36 * 3_600_000
REACH_FACTOR: Final = 8
"""How far before a late fix the first look-up reaches, and how much farther each next one does."""

log = structlog.get_logger()

STORED_FIXES: Final = """
SELECT toUnixTimestamp64Milli(ts) AS ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s
FROM pings FINAL
WHERE device_id = {device_id:String} AND ts >= fromUnixTimestamp64Milli({from_ms:Int64})
ORDER BY ts, lat_e7, lon_e7
"""

LOGGED_VISITS: Final = f"""
SELECT {SELECTED}
FROM visits FINAL
WHERE device_id = {{device_id:String}}
  AND (departed_at IS NULL OR departed_at >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC'))
"""

OLDEST_STORED: Final = """
SELECT toUnixTimestamp64Milli(ts) FROM pings WHERE device_id = {device_id:String} ORDER BY device_id, ts LIMIT 1
"""


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
        return await acknowledged_by(self._admin, RECORDER_GROUP, PINGS.name)

    async def fixes_since(self, device_id: str, from_ms: int) -> Fixes:
        """The stored fixes of a device from a moment of event time on, in order."""
        answer = await self._store.query_arrow(STORED_FIXES, parameters={"device_id": device_id, "from_ms": from_ms})
        return Fixes(*(answer.column(name).to_numpy() for name in Fixes.__dataclass_fields__))

    async def visits_since(self, device_id: str, from_ms: int) -> list[Visit]:
        """The logged visits of a device, retracted ones too, that had not ended by a moment."""
        answer = await self._store.query(LOGGED_VISITS, parameters={"device_id": device_id, "from_ms": from_ms})
        return of_rows(answer.result_rows)

    async def oldest_ms(self, device_id: str) -> int:
        """Event time of the oldest stored fix of a device; 0 where there is none."""
        answer = await self._store.query(OLDEST_STORED, parameters={"device_id": device_id})
        return int(answer.result_rows[0][0]) if answer.result_rows else 0

    async def close(self) -> None:
        """Disconnect."""
        if self._started:
            await self._admin.close()

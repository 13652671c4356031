"""A device's fixes as the store has them, in the columns of the engine."""

from typing import Final

from clickhouse_connect.driver.asyncclient import AsyncClient

from geofence.fixes import Fixes
from schemas.ping import LATEST_MS, OLDEST_TS_MS

FIXES: Final = """
SELECT toUnixTimestamp64Milli(ts) AS ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s
FROM pings FINAL
WHERE device_id = {device_id:String}
  AND ts >= fromUnixTimestamp64Milli({from_ms:Int64}) AND ts < fromUnixTimestamp64Milli({to_ms:Int64})
ORDER BY ts, lat_e7, lon_e7
"""

OLDEST: Final = """
SELECT toUnixTimestamp64Milli(ts) FROM pings WHERE device_id = {device_id:String} ORDER BY device_id, ts LIMIT 1
"""


async def stored_fixes(store: AsyncClient, device_id: str, from_ms: int, to_ms: int = LATEST_MS + 1) -> Fixes:
    """The stored fixes of a device of [from_ms, to_ms) in event time, in order."""
    parameters = {"device_id": device_id, "from_ms": max(from_ms, OLDEST_TS_MS), "to_ms": to_ms}
    answer = await store.query_arrow(FIXES, parameters=parameters)
    return Fixes(*(answer.column(name).to_numpy() for name in Fixes.__dataclass_fields__))


async def oldest_fix_ms(store: AsyncClient, device_id: str) -> int:
    """Event time of the oldest stored fix of a device; 0 where there is none."""
    answer = await store.query(OLDEST, parameters={"device_id": device_id})
    return int(answer.result_rows[0][0]) if answer.result_rows else 0

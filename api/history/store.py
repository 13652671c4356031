"""What the store remembers, read from ClickHouse. Every value travels as a bound parameter."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import structlog
from aiohttp import ClientError
from clickhouse_connect.driver.exceptions import ClickHouseError

from api.history import listings
from api.history.listings import Listing
from api.http.spreadsheet import guarded_sql
from api.ports import (
    AuditQuery,
    DeliveryQuery,
    EtaQuery,
    EventQuery,
    MovementQuery,
    NoticeQuery,
    PingQuery,
    RejectedQuery,
    StoredJobQuery,
    StoreUnavailable,
    VisitQuery,
)
from geofence.fixes import Fixes
from schemas.audit import AuditRecord
from schemas.eta import Eta
from schemas.event import Event
from schemas.job import JobRecord
from schemas.notice import Notice
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.stock import Movement
from schemas.tables import jobs, visits
from schemas.visit import Visit
from schemas.webhook import Delivery

ANSWER_WITHIN_S: Final = 10.0
REPORT_WITHIN_S: Final = 60.0
"""Until a report's first rows are there."""
READY_WITHIN_S: Final = 2.0

_STORE_ERRORS: Final = (ClickHouseError, ClientError, OSError, TimeoutError)

log = structlog.get_logger()

Record = TypeVar("Record")

_TRACK: Final = """
SELECT toUnixTimestamp64Milli(ts), lat, lon, accuracy_m, speed_mps
FROM pings FINAL
WHERE device_id = {device_id:String}
  AND ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
ORDER BY ts, lat_e7, lon_e7
LIMIT {limit:UInt32}
"""

_PINGS: Final = """
SELECT toUnixTimestamp64Milli(ts), lat, lon, accuracy_m, speed_mps, bearing_deg, altitude_m, battery,
    toUnixTimestamp64Milli(sent_at), nullIf(ping_id, ''), nullIf(activity, ''), nullIf(source, ''),
    toUnixTimestamp64Milli(received_at)
FROM pings FINAL
WHERE device_id = {device_id:String}
  AND ts >= fromUnixTimestamp64Milli({ts_ms:Int64}, 'UTC')
  AND (ts, lat_e7, lon_e7) > (fromUnixTimestamp64Milli({ts_ms:Int64}, 'UTC'), {lat_e7:Int32}, {lon_e7:Int32})
ORDER BY ts, lat_e7, lon_e7
LIMIT {limit:UInt32}
"""
_BEFORE_ALL: Final = (0, 0, 0)

_FIXES: Final = """
SELECT toUnixTimestamp64Milli(ts) AS ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s
FROM pings FINAL
WHERE device_id = {device_id:String}
  AND ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
ORDER BY ts, lat_e7, lon_e7
LIMIT {limit:UInt32}
"""

_OLDEST_FIX: Final = """
SELECT toUnixTimestamp64Milli(ts) FROM pings WHERE device_id = {device_id:String} ORDER BY device_id, ts LIMIT 1
"""

_REVISIONS: Final = f"""
SELECT {visits.SELECTED} FROM visit_revisions FINAL WHERE visit_id = {{visit_id:String}} ORDER BY revision
"""

_JOB_CONDITIONS: Final = {
    "state": "jobs.state = {state:String}",
    "branch": "jobs.branch = {branch:String}",
    "branches": "has({branches:Array(String)}, ifNull(jobs.branch, ''))",
    "technician": "has(jobs.technician_ids, {technician:String})",
    "from_ms": "jobs.created_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')",
    "to_ms": "jobs.created_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')",
}
"""What each filter of exported jobs asks for: of the table's columns, not of those that are exported."""

_JOB_COLUMNS: Final = (
    *("job_id", "external_id", "title", "customer_id", "site_id", "fence_id", "lat", "lon", "address", "branch"),
    *("window_from", "window_to", "duration_s", "priority", "job_type", "fault", "skills", "technician_ids", "state"),
    *("risk", "created_at", "updated_at", "travel_s", "on_site_s", "waiting_s", "visit_ids"),
)
_JOB_LISTS: Final = frozenset({"skills", "technician_ids", "visit_ids"})
_JOB_TEXTS: Final = frozenset(
    {"job_id", "external_id", "title", "customer_id", "site_id", "fence_id", "address", "branch", "job_type", "fault"}
)


def _exported(column: str) -> str:
    """A column of exported jobs: lists in one cell, and no text that a spreadsheet would take for a formula."""
    told = f"arrayStringConcat(jobs.{column}, ' ')" if column in _JOB_LISTS else f"jobs.{column}"
    if column in _JOB_LISTS | _JOB_TEXTS:
        told = guarded_sql(told)
    return f"{told} AS {column}"


_JOBS_EXPORTED: Final = ", ".join(map(_exported, _JOB_COLUMNS))

_JOBS_AT_ONCE: Final = 20_000

_TEXTS_OF_JOB: Final = (
    "concatWithSeparator('\\n', title, notes, ifNull(address, ''), ifNull(fault, ''), checklist, attachments, "
    "arrayStringConcat(log_reason, '\\n'))"
)

_STORED_JOB_CONDITIONS: Final = {
    "job_ids": "job_id IN {job_ids:Array(String)}",
    "technician_ids": "hasAny(technician_ids, {technician_ids:Array(String)})",
    "customer_ids": "has({customer_ids:Array(String)}, ifNull(customer_id, ''))",
    "site_ids": "has({site_ids:Array(String)}, ifNull(site_id, ''))",
    "actors": "hasAny(log_actor, {actors:Array(String)})",
    "words": f"arrayExists(word -> positionCaseInsensitiveUTF8({_TEXTS_OF_JOB}, word) > 0, {{words:Array(String)}})",
}
"""What each of a StoredJobQuery asks for; one of them is enough."""


class ClickHouseHistory:
    """The History port. ``connect`` opens a clickhouse-connect AsyncClient; it is called when first needed."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await self._client.close()

    async def track(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> list[Ping]:
        """As in the port."""
        rows = await self._rows(_TRACK, {"device_id": device_id, "from_ms": from_ms, "to_ms": to_ms, "limit": limit})
        return [Ping(device_id, ts, lat, lon, accuracy, speed) for ts, lat, lon, accuracy, speed in rows]

    async def every_ping(self, query: PingQuery) -> list[Ping]:
        """As in the port."""
        place = dict(zip(("ts_ms", "lat_e7", "lon_e7"), query.after or _BEFORE_ALL, strict=True))
        rows = await self._rows(_PINGS, {"device_id": query.device_id, "limit": query.limit, **place})
        return [Ping(query.device_id, *row) for row in rows]

    async def fixes(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> Fixes:
        """As in the port."""
        parameters = {"device_id": device_id, "from_ms": from_ms, "to_ms": to_ms, "limit": limit}
        columns = await self._ask(lambda client: client.query_arrow(_FIXES, parameters=parameters))
        # Copied: what is compiled ahead is for arrays that can be written to, and Arrow's cannot.
        return Fixes(*(np.array(columns.column(name)) for name in Fixes.__dataclass_fields__))

    async def oldest_fix_ms(self, device_id: str) -> int | None:
        """As in the port."""
        rows = await self._rows(_OLDEST_FIX, {"device_id": device_id})
        return int(rows[0][0]) if rows else None

    async def visits(self, query: VisitQuery) -> list[Visit]:
        """As in the port."""
        return await self._page(listings.VISITS, query)

    async def latest_visits(self, query: VisitQuery) -> list[Visit]:
        """As in the port."""
        return await self._page(listings.LATEST_VISITS, query)

    async def revisions(self, visit_id: str) -> list[Visit]:
        """As in the port."""
        return visits.of_rows(await self._rows(_REVISIONS, {"visit_id": visit_id}))

    async def rejected(self, query: RejectedQuery) -> list[RejectedPing]:
        """As in the port."""
        return await self._page(listings.REJECTED, query)

    async def etas(self, query: EtaQuery) -> list[Eta]:
        """As in the port."""
        return await self._page(listings.ETAS, query)

    async def audit(self, query: AuditQuery) -> list[AuditRecord]:
        """As in the port."""
        return await self._page(listings.AUDIT, query)

    async def events(self, query: EventQuery) -> list[Event]:
        """As in the port."""
        return await self._page(listings.EVENTS, query)

    async def deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """As in the port."""
        return await self._page(listings.DELIVERIES, query)

    async def notices(self, query: NoticeQuery) -> list[Notice]:
        """As in the port."""
        return await self._page(listings.NOTICES, query)

    async def movements(self, query: MovementQuery) -> list[Movement]:
        """As in the port."""
        return await self._page(listings.MOVEMENTS, query)

    async def jobs(self, query: StoredJobQuery) -> list[JobRecord]:
        """As in the port."""
        stated = {name: list(some) for name in _STORED_JOB_CONDITIONS if (some := getattr(query, name))}
        sql = (
            f"SELECT {jobs.SELECTED} FROM jobs FINAL "
            f"WHERE ({' OR '.join(_STORED_JOB_CONDITIONS[name] for name in stated) or 'false'}) "
            "AND job_id > {after:String} ORDER BY job_id LIMIT {limit:UInt32}"
        )
        rows = await self._rows(sql, {**stated, "after": query.after, "limit": query.limit})
        return await asyncio.to_thread(jobs.of_rows, rows)

    async def jobs_csv(self, wanted: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """As in the port. Some thousand at a time, so that neither side ever holds them all."""
        conditions = " AND ".join([_JOB_CONDITIONS[name] for name in wanted] or ["true"])
        some = f"FROM jobs FINAL WHERE {conditions} AND jobs.job_id > {{after:String}}"
        ids = f"SELECT job_id {some} ORDER BY job_id LIMIT {_JOBS_AT_ONCE}"
        after, form = "", "CSVWithNames"
        while True:
            [(count, last)] = await self._rows(f"SELECT count(), max(job_id) FROM ({ids})", {**wanted, "after": after})
            yield await self._csv(
                f"SELECT {_JOBS_EXPORTED} {some} AND jobs.job_id <= {{last:String}} ORDER BY jobs.job_id",
                {**wanted, "after": after, "last": last},
                form,
            )
            if count < _JOBS_AT_ONCE:
                return
            after, form = last, "CSV"

    async def report(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """As in the port."""
        result = await self._ask(lambda client: client.query(sql, parameters=dict(parameters)), REPORT_WITHIN_S)
        return list(result.result_rows)

    async def report_csv(self, sql: str, parameters: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """As in the port."""
        stream = await self._ask(
            lambda client: client.raw_stream(sql, parameters=dict(parameters), fmt="CSVWithNames"), REPORT_WITHIN_S
        )
        try:
            async with stream as chunks:
                async for chunk in chunks:
                    yield chunk
        except _STORE_ERRORS as error:
            raise StoreUnavailable("the store did not answer to the end") from error

    async def ready(self) -> None:
        """As in the port."""
        await self._ask(lambda client: client.query("SELECT 1"), READY_WITHIN_S)

    async def _csv(self, sql: str, parameters: dict[str, Any], form: str) -> bytes:
        lines: bytes = await self._ask(lambda client: client.raw_query(sql, parameters=parameters, fmt=form))
        return lines

    async def _page(self, listing: Listing[Record], query: listings.Query) -> list[Record]:
        sql, parameters = listing.statement(query)
        return listing.of_rows(await self._rows(sql, parameters))

    async def _rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        result = await self._ask(lambda client: client.query(sql, parameters=parameters))
        rows: list[tuple[Any, ...]] = list(result.result_rows)
        return rows

    async def _ask(self, query: Callable[[Any], Awaitable[Any]], within_s: float = ANSWER_WITHIN_S) -> Any:
        """A store that hangs is as one that is away: whoever asks is told so, and soon."""
        try:
            async with asyncio.timeout(within_s):
                async with self._connecting:
                    if self._client is None:
                        self._client = await self._connect()
                return await query(self._client)
        except _STORE_ERRORS as error:
            log.warning("store not answering", error=str(error))
            raise StoreUnavailable("the store does not answer") from error

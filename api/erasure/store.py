"""The store's part in an erasure: who held what when, and rows that go. Every value travels as a bound parameter."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from aiohttp import ClientError
from clickhouse_connect.driver.exceptions import ClickHouseError

from api.erasure.statements import Mutation
from api.ports import StoreUnavailable
from dispatch.holdings import Revision
from schemas.job import JobRecord
from schemas.tables.jobs import JOBS

_LOOK_AGAIN_S: Final = 0.5
_MUTATED_WITHIN_S: Final = 3_600.0

_HOLDINGS: Final = """
SELECT toUnixTimestamp64Milli(at), technician_id, device_ids FROM holdings FINAL
WHERE technician_id IN (
    SELECT technician_id FROM holdings WHERE hasAny(device_ids, (
        SELECT groupUniqArrayArray(device_ids) FROM holdings WHERE technician_id = {technician_id:String}
    ))
)
"""

_WORDS: Final = """
SELECT DISTINCT word FROM (
    SELECT arrayJoin([before, after]) AS side,
        arrayJoin([
            JSONExtractString(ifNull(side, '{}'), 'name'),
            JSONExtractString(ifNull(side, '{}'), 'contact', 'phone'),
            JSONExtractString(ifNull(side, '{}'), 'contact', 'email')
        ]) AS word
    FROM audit WHERE kind = {kind:String} AND id = {person_id:String}
) WHERE word != ''
"""

_UNDER_WAY: Final = """
SELECT count(), any(latest_fail_reason) FROM system.mutations
WHERE database = currentDatabase() AND has({tables:Array(String)}, table) AND NOT is_done
"""


_ERASING: Final = ("erasure_id", "name", "value", "number")
_OVER: Final = Mutation("erasing", "erasure_id = {erasure_id:String}")
"""What an erasure is about goes with it."""


class ErasureStore:
    """The ``StoreOfErasures`` port. ``connect`` opens a clickhouse-connect AsyncClient; it is called when needed."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect

    async def holdings(self, technician_id: str) -> list[Revision]:
        """As in the port."""
        rows = await self._rows(_HOLDINGS, {"technician_id": technician_id})
        return [Revision(int(at_ms), who, tuple(device_ids)) for at_ms, who, device_ids in rows]

    async def words_of(self, kind: str, person_id: str) -> list[str]:
        """As in the port."""
        return [word for (word,) in await self._rows(_WORDS, {"kind": kind, "person_id": person_id})]

    async def rewrite_jobs(self, jobs: Sequence[JobRecord]) -> None:
        """As in the port."""
        rows = pa.Table.from_batches([JOBS.batch(jobs)])
        await self._do(lambda client: client.insert_arrow(JOBS.name, rows))

    async def carry_out(
        self, mutations: Collection[Mutation], parameters: Mapping[str, Any], values: Sequence[tuple[str, str, int]]
    ) -> int:
        """As in the port. One after the other: what one table says is needed to find what goes of another."""
        rows = [(parameters["erasure_id"], *each) for each in values]
        await self._do(lambda client: client.insert("erasing", rows, column_names=_ERASING))
        concerned = 0
        for each in mutations:
            if count := await self._count(each, parameters):
                concerned += count
                await self._mutate(each, parameters)
        await self._mutate(_OVER, parameters)
        return concerned

    async def _mutate(self, mutation: Mutation, parameters: Mapping[str, Any]) -> None:
        """Return once no row is left that is concerned: rewriting large tables takes its time."""
        await self._do(lambda client: client.command(mutation.statement, parameters=dict(parameters)))
        give_up_s = time.monotonic() + _MUTATED_WITHIN_S
        while True:
            [(under_way, reason)] = await self._rows(_UNDER_WAY, {"tables": [mutation.table]})
            if not under_way and not await self._count(mutation, parameters):
                return
            if time.monotonic() > give_up_s or not under_way or reason:
                raise StoreUnavailable(f"{mutation.table}: rows are left{': ' if reason else ''}{reason}")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _count(self, mutation: Mutation, parameters: Mapping[str, Any]) -> int:
        [(count,)] = await self._rows(mutation.count, parameters)
        return int(count)

    async def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        result = await self._do(lambda client: client.query(sql, parameters=dict(parameters)))
        rows: list[tuple[Any, ...]] = list(result.result_rows)
        return rows

    async def _do(self, what: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            client = await self._connect()
            try:
                return await what(client)
            finally:
                await client.close()
        except (ClickHouseError, ClientError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the store: {str(error).splitlines()[0] if str(error) else error!r}") from error

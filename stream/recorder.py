"""The recorder: every topic that analysts want, into ClickHouse. What is acknowledged is stored.

Frames become rows as they arrive; rows of many frames become one insert; only then are the frames acknowledged. A
store that does not answer is waited for: the lane to it fills, Faust stops fetching, the group membership is kept.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import structlog
from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import EventT
from prometheus_client import Counter, Gauge, Histogram

from dispatch.erased import ErasedSpans
from schemas.rejected import RejectedPing
from schemas.settings import Settings
from schemas.tables import TABLES
from schemas.tables.table import Table
from schemas.times import Instant
from schemas.topics import ETAS, PINGS, PINGS_REJECTED, RECORDER_GROUP, VISITS, LogUnavailable
from schemas.wire import decode, encode
from stream.erasures import Erasures
from stream.framed import FramedApp, framed_app
from stream.frames import Frame
from stream.kafka import KafkaLog
from stream.rows import Rows, read_pings, warm_up
from stream.store import STORE_ERRORS, open_store

MAX_POLL_INTERVAL_S: Final = 14 * 86_400.0
"""How long the store may be away before the broker believes that the recorder is."""
FETCH_MIN_BYTES: Final = 1024 * 1024
FETCH_MAX_WAIT_MS: Final = 250
"""A frame costs the recorder as much as a few hundred of its rows: half of the usual time between inserts is well spent
on gathering them."""
WAITING_FRAMES: Final = 64
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
DRAIN_S: Final = 5.0
MAX_RAW_BYTES: Final = 10_000

INSERT_SETTINGS: Final = {"max_partitions_per_insert_block": 0}
"""A backlog may hold fixes of any month: however many partitions it touches, it is taken."""

ERASED_BY: Final = {
    PINGS.name: "ts",
    PINGS_REJECTED.name: "received_at",
    VISITS.name: "arrived_at",
    ETAS.name: "seen_at",
}
"""The column with the moment that tells whether a row of a device was erased."""

log = structlog.get_logger()

rows_inserted = Counter("onsite_recorder_rows", "Rows inserted", ["table"])
rows_waiting = Gauge("onsite_recorder_rows_waiting", "Rows taken from the broker that are not inserted yet", ["table"])
insert_seconds = Histogram("onsite_recorder_insert_seconds", "Time of an insert that succeeded", ["table"])
bad_records = Counter("onsite_recorder_bad_records", "Records nobody can read", ["topic"])
store_up = Gauge("onsite_recorder_store_up", "Whether the last insert succeeded")


def read_frame(frame: Frame) -> Rows:
    """The rows of a frame; records nobody can read are named and left out."""
    table = TABLES[frame.topic]
    if frame.topic == PINGS.name:
        return read_pings(frame.values, frame.timestamps_ms)
    return _read_records(table, frame.values)


def unerased(frame: Frame, rows: Rows, spans: ErasedSpans) -> Rows:
    """The rows without what was erased: what is on its way, is read again or was sent late does not come back."""
    moment = ERASED_BY.get(frame.topic)
    if not spans or moment is None:
        return rows
    batch = rows.batch
    devices = batch.column("device_id").dictionary_encode()
    names = devices.dictionary.to_pylist()
    concerned = [number for number, name in enumerate(names) if spans.spans_of(name)]
    if not concerned:
        return rows
    ts_ms, numbers = batch.column(moment).view(pa.int64()).to_numpy(), devices.indices.to_numpy()
    kept = np.ones(batch.num_rows, np.bool_)
    for number in concerned:
        for span in spans.spans_of(names[number]):
            kept &= ~((numbers == number) & (ts_ms >= int(span.from_ms)) & (ts_ms < int(span.to_ms)))
    return Rows(batch.filter(pa.array(kept)), rows.bad)


def _read_records(table: Table, values: Sequence[bytes | None]) -> Rows:
    records: dict[int, Any] = {}
    bad: list[tuple[int, str]] = []
    for index, value in enumerate(values):
        if value is None:
            continue  # the key was deleted from a compacted topic; what was recorded of it stays
        try:
            records[index] = decode(table.record, value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            bad.append((index, str(error)))
    try:
        return Rows(table.batch(list(records.values())), bad)
    except (pa.ArrowException, OverflowError):  # a number is too large for its column
        misfits = {index: reason for index, record in records.items() if (reason := _misfit(table, record))}
    fitting = [record for index, record in records.items() if index not in misfits]
    return Rows(table.batch(fitting), sorted([*bad, *misfits.items()]))


def _misfit(table: Table, record: Any) -> str | None:
    """Why a record is no row of the table, None where it is one."""
    try:
        table.batch([record])
    except (pa.ArrowException, OverflowError) as error:
        return str(error)
    return None


class PatientStore:
    """Inserts that wait for the store as long as it takes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._down = False

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Return once the store has the rows; an insert that is tried again is harmless (``schemas.tables``)."""
        for pause_s in _pauses():
            client = None
            try:
                client = await self._connected()
                with insert_seconds.labels(table).time():
                    await client.insert_arrow(table, rows, settings=INSERT_SETTINGS)
            except STORE_ERRORS as error:
                self._note(down=True, table=table, error=str(error))
                await self._disconnect(client)
                await asyncio.sleep(pause_s)
            else:
                self._note(down=False, table=table)
                return

    async def close(self) -> None:
        """Disconnect."""
        await self._disconnect(self._client)

    async def _connected(self) -> AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await open_store(self._settings)
            return self._client

    async def _disconnect(self, client: AsyncClient | None) -> None:
        if client is not None and client is self._client:
            self._client = None
            await client.close()

    def _note(self, *, down: bool, **facts: str) -> None:
        store_up.set(not down)
        if down and not self._down:
            log.warning("store not ready, waiting", **facts)
        elif self._down and not down:
            log.info("store is back", **facts)
        self._down = down


class Lane:
    """A topic's way into its table: what waits here is inserted together, then acknowledged."""

    def __init__(self, table: Table, store: PatientStore, settings: Settings) -> None:
        self._table = table.name
        self._store = store
        self._flush_s = settings.recorder_flush_s
        self._max_rows = settings.recorder_max_rows
        self._waiting: asyncio.Queue[tuple[EventT[Any], pa.RecordBatch] | None] = asyncio.Queue(WAITING_FRAMES)
        self._task: asyncio.Future[None] | None = None

    def start(self, app: FramedApp) -> None:
        """Begin to insert, as a part of the app: if this fails for any other reason than the store, the app does."""
        self._task = app.add_future(self._run())

    async def put(self, event: EventT[Any], batch: pa.RecordBatch) -> None:
        """Hand over a frame's rows; waits while the lane is full."""
        rows_waiting.labels(self._table).inc(batch.num_rows)
        await self._waiting.put((event, batch))

    async def stop(self) -> None:
        """Insert what is here and end. Without a store that goes on for ever; cancelled, nothing is acknowledged."""
        if self._task is not None:
            try:
                await self._waiting.put(None)
                await self._task
            finally:
                self._task.cancel()

    async def _run(self) -> None:
        open_ = True
        while open_:
            gathered, open_ = await self._gather()
            rows = pa.Table.from_batches([batch for _, batch in gathered]) if gathered else None
            if rows is not None and rows.num_rows:
                await self._store.insert(self._table, rows)
                rows_inserted.labels(self._table).inc(rows.num_rows)
                rows_waiting.labels(self._table).dec(rows.num_rows)
            for event, _ in gathered:
                event.ack()

    async def _gather(self) -> tuple[list[tuple[EventT[Any], pa.RecordBatch]], bool]:
        """The frames of one insert, and whether more may come."""
        first = await self._waiting.get()
        if first is None:
            return [], False
        gathered = [first]
        rows = first[1].num_rows
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._flush_s):
                while rows < self._max_rows:
                    following = await self._waiting.get()
                    if following is None:
                        return gathered, False
                    gathered.append(following)
                    rows += following[1].num_rows
        return gathered, True


class Recorder:
    """Wires the lanes to Kafka. ``app`` is the Faust app to run."""

    def __init__(self, settings: Settings) -> None:
        self._store = PatientStore(settings)
        self._log = KafkaLog(settings.kafka)
        self._erasures = Erasures(settings)
        self._lanes = {topic: Lane(table, self._store, settings) for topic, table in TABLES.items()}
        self.app = self._build_app(settings)

    def _build_app(self, settings: Settings) -> FramedApp:
        app = framed_app(RECORDER_GROUP, settings, TABLES, broker_max_poll_interval=MAX_POLL_INTERVAL_S)
        app.fetch_min_bytes, app.fetch_max_wait_ms = FETCH_MIN_BYTES, FETCH_MAX_WAIT_MS
        for topic in TABLES:
            app.agent(app.topic(topic, value_serializer="raw", key_serializer="raw"), name=f"record.{topic}")(
                self._record
            )
        app.prepare = self._start
        app.drain = self._drain
        return app

    async def _start(self) -> None:
        await self._log.start()
        await self._erasures.start()
        warm_up()
        for lane in self._lanes.values():
            lane.start(self.app)

    async def _record(self, stream: Any) -> None:
        async for event in stream.noack().events():
            frame: Frame = event.value
            rows = unerased(frame, read_frame(frame), self._erasures.spans)
            if rows.bad:
                await self._report(frame, rows.bad)
            await self._lanes[frame.topic].put(event, rows.batch)

    async def _report(self, frame: Frame, bad: list[tuple[int, str]]) -> None:
        """Count and log what nobody can read; pings go to their topic of rejects, with the reason."""
        index, reason = bad[0]
        bad_records.labels(frame.topic).inc(len(bad))
        log.warning(
            "unreadable records",
            topic=frame.topic,
            partition=frame.partition,
            records=len(bad),
            first_offset=frame.first_offset + index,
            reason=reason.partition(":")[0],
        )
        if frame.topic == PINGS.name:
            await self._reject([("", encode(_rejected(frame, index, reason))) for index, reason in bad])

    async def _reject(self, records: list[tuple[str, bytes | None]]) -> None:
        for pause_s in _pauses():
            try:
                await self._log.append(PINGS_REJECTED, records)
            except LogUnavailable:
                await asyncio.sleep(pause_s)
            else:
                return

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))
        await self._store.close()
        await self._erasures.stop()
        await self._log.stop()


def _rejected(frame: Frame, index: int, reason: str) -> RejectedPing:
    return RejectedPing(
        device_id="",
        code=reason.partition(":")[0],
        reason=reason,
        received_at=Instant(frame.timestamps_ms[index]),
        protocol="kafka",
        raw=(frame.values[index] or b"")[:MAX_RAW_BYTES].decode(errors="replace"),
    )


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further try, without end."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

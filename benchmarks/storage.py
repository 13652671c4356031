"""The recorder and its tables on the real engine: rows per CPU-second, bytes a ping on disk, time of a track query.

The recorder runs in this process and reads a full topic; its CPU time holds all it does from its first frames on, which
do not count, to the last confirmed insert: fetching, decoding, checking, columns, inserts. Beside it the recorder one
writes first: the same records from the same topic, each decoded and inserted as a row. Bytes a ping are of real traces
after all merges, beside a table of floats with the engine's default codecs. A track is a day of one device of a
thousand, read with FINAL.
"""

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from aiokafka import AIOKafkaConsumer
from clickhouse_connect.driver.asyncclient import AsyncClient

from benchmarks.consumers import POLL_S, value_of
from benchmarks.feed import append_pings
from benchmarks.load import Load, build_load
from infra.embedded.broker import Broker
from infra.embedded.store import Store
from infra.migrations import migrate
from schemas.settings import Settings
from schemas.tables.pings import PINGS as TABLE
from schemas.topics import PINGS
from stream.decode import decode_pings
from stream.recorder import Recorder, rows_inserted, rows_waiting
from stream.store import database_of, open_store

PARTITIONS: Final = 4
APPEND: Final = 5_000
PHONES: Final = Path("../shared/data/phones-los-altos/pings.ndjson")
START_MS: Final = 1_772_434_800_000
RECEIVED_MS: Final = 1_790_000_000_000
DEADLINE_S: Final = 240.0
TRACKS: Final = 40
TRACK_PINGS: Final = 5_000

PLAIN_TABLE: Final = """
CREATE TABLE plain (device_id String, ts DateTime64(3), lat Float64, lon Float64, accuracy_m Nullable(Float64),
    speed_mps Nullable(Float64), sent_at Nullable(DateTime64(3)), received_at DateTime64(3))
ENGINE = ReplacingMergeTree ORDER BY (device_id, ts, lat, lon)
"""
TO_PLAIN: Final = (
    "INSERT INTO plain SELECT device_id, ts, lat, lon, accuracy_m, speed_mps, sent_at, received_at FROM fixes"
)

DAYS_OF_DEVICES: Final = """
INSERT INTO pings (device_id, ts, lat_e7, lon_e7, copy_rank, received_at)
SELECT concat('device-', toString(intDiv(number, {each:UInt32}))),
    fromUnixTimestamp64Milli({start:Int64} + (number % {each:UInt32}) * 17000 + rand() % 1000),
    471000000 + rand(1) % 100000, 95000000 + rand(2) % 100000, rand64(), fromUnixTimestamp64Milli({start:Int64})
FROM numbers({rows:UInt64})
"""
TRACK: Final = """
SELECT ts, lat, lon, accuracy_m FROM pings FINAL
WHERE device_id = {device:String} AND ts BETWEEN fromUnixTimestamp64Milli({start:Int64})
    AND fromUnixTimestamp64Milli({start:Int64} + 86400000)
ORDER BY ts
"""


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` takes fewer rows."""
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder)) as broker, Store(Path(folder)) as store:
        settings = Settings(kafka=broker.address, clickhouse=store.url, partitions=PARTITIONS, data_dir=Path(folder))
        return asyncio.run(_measure(settings, quick))


async def _measure(settings: Settings, quick: bool) -> dict[str, dict[str, float]]:
    await migrate(settings)
    load = build_load(minutes=6.0 if quick else 15.0)
    await append_pings(settings, load.records())
    store = await open_store(settings)
    try:
        rate = await _recorder_rate(settings, store, load)
        row_rate = await _row_insert_rate(settings, store, expected=20_000)
        figures: dict[str, float] = {"recorder_rows_per_cpu_s": rate}
        anchors: dict[str, float] = {"row_inserts_rows_per_cpu_s": row_rate}
        ratios = {"onsite_vs_row_inserts": rate / row_rate}
        if PHONES.exists():
            figures["bytes_per_ping"], anchors["plain_table_bytes_per_ping"] = await _bytes_per_ping(settings, store)
            ratios["onsite_vs_plain_table"] = anchors["plain_table_bytes_per_ping"] / figures["bytes_per_ping"]
        figures["track_query_ms"] = await _track_query_ms(store, devices=200 if quick else 1_000)
    finally:
        await store.close()
    return {"figures": figures, "anchors": anchors, "ratios": ratios}


async def _recorder_rate(settings: Settings, store: AsyncClient, load: Load) -> float:
    app = Recorder(settings).app
    waiting, inserted = rows_waiting.labels(TABLE.name), rows_inserted.labels(TABLE.name)
    await app.start()
    async with asyncio.timeout(DEADLINE_S):
        while not (first := value_of(waiting) + value_of(inserted)):  # noqa: ASYNC110 -- as a scraper would
            await asyncio.sleep(POLL_S)
        started_s = time.process_time()
        while value_of(inserted) < len(load):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
    cpu_s = time.process_time() - started_s
    await app.stop()
    assert (await store.query("SELECT count() FROM pings FINAL")).first_row == (load.day.distinct_pings,)
    return (len(load) - first) / cpu_s


async def _row_insert_rate(settings: Settings, store: AsyncClient, expected: int) -> float:
    await store.command("CREATE TABLE as_rows AS pings")
    columns = ["device_id", "ts", "lat_e7", "lon_e7", "copy_rank", "sent_at", "received_at"]
    consumer = AIOKafkaConsumer(
        PINGS.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest", max_poll_records=APPEND
    )
    await consumer.start()
    started_s, seen = time.process_time(), 0
    while seen < expected:
        for fetched in (await consumer.getmany(timeout_ms=1_000)).values():
            rows: list[tuple[Any, ...]] = []
            for record in fetched:
                [ping] = decode_pings([record.value], record.timestamp).pings
                place = round(ping.lat * 1e7), round(ping.lon * 1e7)
                times = [moment and _moment(moment) for moment in (ping.ts_ms, ping.sent_ms, ping.received_ms)]
                rows.append((ping.device_id, times[0], *place, 0, *times[1:]))
            await store.insert("as_rows", rows, column_names=columns)
            seen += len(rows)
    cpu_s = time.process_time() - started_s
    await consumer.stop()
    return seen / cpu_s


async def _bytes_per_ping(settings: Settings, store: AsyncClient) -> tuple[float, float]:
    await store.command("TRUNCATE TABLE pings")
    pings = decode_pings(PHONES.read_bytes().splitlines(), RECEIVED_MS).pings
    await store.insert_arrow("pings", pa.Table.from_batches([TABLE.batch(pings)]))
    await store.command(PLAIN_TABLE)
    await store.command(TO_PLAIN)
    return await _merged_bytes(settings, store, "pings"), await _merged_bytes(settings, store, "plain")


async def _merged_bytes(settings: Settings, store: AsyncClient, table: str) -> float:
    await store.command(f"OPTIMIZE TABLE {table} FINAL")
    answer = await store.query(
        "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts "
        "WHERE active AND database = {database:String} AND table = {table:String}",
        parameters={"database": database_of(settings), "table": table},
    )
    return float(answer.result_rows[0][0])


async def _track_query_ms(store: AsyncClient, devices: int) -> float:
    await store.command("TRUNCATE TABLE pings")
    bounds = {"each": TRACK_PINGS, "start": START_MS, "rows": devices * TRACK_PINGS}
    await store.command(DAYS_OF_DEVICES, parameters=bounds)
    times_s = []
    for number in range(TRACKS):
        asked = {"device": f"device-{number * devices // TRACKS}", "start": START_MS}
        started_s = time.perf_counter()
        answer = await store.query(TRACK, parameters=asked)
        times_s.append(time.perf_counter() - started_s)
        assert len(answer.result_rows) == TRACK_PINGS
    return statistics.median(times_s) * 1e3


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1e3, UTC)

"""A day of one device's track out of 100 million stored pings, as the API asks for it.

The table is the product's own on the embedded store, filled as a day goes by: each insert holds some hours of all
devices, interleaved. Once its merges have come to rest, random days of random devices are asked for, each once and then
once more. The time is that of the API's reader, up to its list of pings; CPU time is the reader's and the store's.
Beside it a query of nothing, which takes what the machine is busy with otherwise, and the same query where the sorting
key does not help.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
from clickhouse_connect.driver.asyncclient import AsyncClient

from api.history.store import ClickHouseHistory
from infra.embedded.store import Store
from infra.migrations import migrate_store
from schemas.settings import Settings
from simulator.day import DAY_STARTS_MS
from stream.store import database_of, open_store

DAY_MS: Final = 86_400_000
PINGS_A_DAY: Final = 5_000
DAYS: Final = 10
INSERTS_A_DAY: Final = 2
ASKED: Final = 50
SCANS: Final = 3
REST_DEADLINE_S: Final = 120.0
MAX_POINTS: Final = 100_001

SOME_HOURS: Final = """
INSERT INTO pings (device_id, ts, lat_e7, lon_e7, copy_rank, sent_at, received_at)
WITH number % {devices:UInt32} AS device, intDiv(number, {devices:UInt32}) AS step
SELECT concat('device-', toString(device)),
    fromUnixTimestamp64Milli({from_ms:Int64} + step * {step_ms:UInt32} + rand() % 1000) AS at,
    470000000 + cityHash64(device) % 10000000 + step * 500 + rand(1) % 900,
    90000000 + cityHash64(device, 1) % 10000000 + rand(2) % 900,
    bitOr(bitShiftLeft(toUInt64(65455 - rand(3) % 40), 48), bitShiftLeft(toUInt64(65535 - rand(4) % 1500), 32)),
    at, at + 2
FROM numbers({rows:UInt64})
"""
WITHOUT_KEY: Final = """
SELECT ts, lat, lon, accuracy_m, speed_mps FROM pings
WHERE identity(device_id) = {device:String} AND identity(ts) >= fromUnixTimestamp64Milli({from_ms:Int64})
    AND identity(ts) < fromUnixTimestamp64Milli({to_ms:Int64})
ORDER BY ts, lat_e7, lon_e7
"""


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` stores 2 million pings."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.start()
        try:
            store.wait_ready()
            settings = Settings(clickhouse=store.url, data_dir=Path(folder))
            pids = [os.getpid(), store.process.pid]
            return asyncio.run(_measure(settings, pids, devices=40 if quick else 2_000))
        finally:
            store.stop()


async def _measure(settings: Settings, pids: Sequence[int], devices: int) -> dict[str, dict[str, float]]:
    await migrate_store(settings)
    store = await open_store(settings)
    history = ClickHouseHistory(lambda: open_store(settings))
    try:
        filled_s = await _fill(store, devices)
        await _come_to_rest(store)
        rows, size, parts = await _stored(settings, store)
        chosen = random.Random(1)
        days = [(f"device-{chosen.randrange(devices)}", chosen.randrange(DAYS)) for _ in range(ASKED)]
        await _track_ms(history, "device-0", 0)  # connects
        began_cpu_s = _cpu_s(pids)
        first_ms = [await _track_ms(history, *day) for day in days]
        again_ms = [await _track_ms(history, *day) for day in days]
        cpu_ms = (_cpu_s(pids) - began_cpu_s) * 1e3 / (2 * ASKED)
        empty_ms = [await _took_ms(store.query("SELECT 1")) for _ in days]
        scan_ms = statistics.median([await _scan_ms(store, *day) for day in days[:SCANS]])
    finally:
        await history.close()
        await store.close()
    return {
        "figures": {
            "stored_pings": rows,
            "bytes_per_ping": size / rows,
            "parts": parts,
            "fill_s": filled_s,
            "track_p50_ms": statistics.median(first_ms),
            "track_p99_ms": _p99(first_ms),
            "track_again_p50_ms": statistics.median(again_ms),
            "track_again_p99_ms": _p99(again_ms),
            "track_cpu_ms": cpu_ms,
        },
        "anchors": {"empty_query_p50_ms": statistics.median(empty_ms), "without_key_ms": scan_ms},
        "ratios": {"onsite_vs_without_key": scan_ms / statistics.median(first_ms)},
    }


async def _fill(store: AsyncClient, devices: int) -> float:
    began_s = time.perf_counter()
    step_ms, each = DAY_MS // PINGS_A_DAY, PINGS_A_DAY // INSERTS_A_DAY
    for number in range(DAYS * INSERTS_A_DAY):
        from_ms = DAY_STARTS_MS + number * each * step_ms
        bounds = {"devices": devices, "from_ms": from_ms, "step_ms": step_ms, "rows": devices * each}
        await store.command(SOME_HOURS, parameters=bounds)
    return time.perf_counter() - began_s


async def _come_to_rest(store: AsyncClient) -> None:
    async with asyncio.timeout(REST_DEADLINE_S):
        while (await store.query("SELECT count() FROM system.merges")).first_row != (0,):  # noqa: ASYNC110
            await asyncio.sleep(0.5)


def _cpu_s(pids: Sequence[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


async def _took_ms(answer: Awaitable[Any]) -> float:
    began_s = time.perf_counter()
    await answer
    return (time.perf_counter() - began_s) * 1e3


async def _stored(settings: Settings, store: AsyncClient) -> tuple[int, int, int]:
    answer = await store.query(
        "SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts "
        "WHERE active AND database = {database:String} AND table = 'pings'",
        parameters={"database": database_of(settings)},
    )
    rows, size, parts = answer.result_rows[0]
    return rows, size, parts


def _bounds(day: int) -> tuple[int, int]:
    from_ms = DAY_STARTS_MS + day * DAY_MS
    return from_ms, from_ms + DAY_MS


async def _track_ms(history: ClickHouseHistory, device: str, day: int) -> float:
    began_s = time.perf_counter()
    pings = await history.track(device, *_bounds(day), MAX_POINTS)
    took_ms = (time.perf_counter() - began_s) * 1e3
    assert len(pings) == PINGS_A_DAY
    return took_ms


async def _scan_ms(store: AsyncClient, device: str, day: int) -> float:
    from_ms, to_ms = _bounds(day)
    began_s = time.perf_counter()
    answer = await store.query(WITHOUT_KEY, parameters={"device": device, "from_ms": from_ms, "to_ms": to_ms})
    took_ms = (time.perf_counter() - began_s) * 1e3
    assert len(answer.result_rows) == PINGS_A_DAY
    return took_ms


def _p99(times_ms: Sequence[float]) -> float:
    return statistics.quantiles(times_ms, n=100, method="inclusive")[98]

"""Fences of 100,000 redrawn while pings come in: when the tracker judges by them, and for how long it halts.

The tracker runs with the load's fences and as many more districts as make 100,000, its checkpoints on, and takes 5,000
pings a second. After a while one fence every two seconds is redrawn. ``seen_…_ms`` is the time from when the record is
handed to the broker until pings are judged by it. ``longest_pause_ms`` is the longest time in which the tracker's event
loop did nothing else, from an edit until half a second after it is seen; ``…_otherwise_ms`` the same at other times:
folding a frame is such a pause, too.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.consumers import no_store, value_of
from benchmarks.delays import load_at
from benchmarks.feed import append_records
from benchmarks.load import FENCES as FENCES_AMONG_DEVICES
from benchmarks.load import Load
from geofence.fences import read_collection
from infra.cli.tracker import MEMORY
from infra.embedded.broker import Broker
from infra.logs import configure_logging
from infra.migrations import create_topics
from schemas.fence import FenceRecord, FenceVersion
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import FENCES, PINGS
from schemas.wire import encode
from stream.kafka import KafkaLog
from stream.tracker.app import Tracker, pings_folded

FENCE_COUNT: Final = 100_000
PINGS_PER_S: Final = 5_000
EDIT_EVERY_S: Final = 2.0
BEAT_S: Final = 0.001
WARM_UP_S: Final = 5.0
AFTERWARDS_S: Final = 0.5
WITHIN_S: Final = 120.0
_SLICE_S: Final = 0.1


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Redraw thirty fences; with ``quick`` five, among a fifth as many."""
    figures = asyncio.run(_measure(FENCE_COUNT // 5, 5) if quick else _measure(FENCE_COUNT, 30))
    return {"figures": figures, "anchors": {}, "ratios": {}}


async def _measure(fences: int, edits: int) -> dict[str, float]:
    quiet_s, edited_s = max(10.0, edits), EDIT_EVERY_S * edits + 5.0
    load, clock_rate = load_at(PINGS_PER_S, quiet_s + edited_s)
    records = [FenceRecord(fence_id, [version], Instant(0)) for fence_id, version in _versions(load, fences)]
    async with _watched_tracker(load, records, clock_rate) as (log, child):
        feeding = asyncio.create_task(_feed(log, load))
        await asyncio.sleep(quiet_s)
        began_s = time.time()
        edited = [await _redraw(log, records[number]) for number in _some(edits)]
        await asyncio.sleep(EDIT_EVERY_S)
        ended_s = time.time()
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
        told = await _ask(child)
    swaps_s = np.array(told["swaps_s"])
    seen_s = np.array([swaps_s[swaps_s > at_s][:1] for at_s in edited])[:, 0] - edited
    at_s, lasted_s = np.array(told["pauses_s"]).T
    counted = (at_s >= began_s - quiet_s + WARM_UP_S) & (at_s < ended_s)
    at_s, pauses_ms = at_s[counted], 1000.0 * lasted_s[counted]
    since_edit_s = at_s - np.array([-np.inf, *edited])[np.searchsorted(edited, at_s)]
    during = since_edit_s < seen_s.max() + AFTERWARDS_S
    return {
        "fences": len(records),
        "edits": len(edited),
        "pings_per_s": told["pings"] / told["lasted_s"],
        "seen_p50_ms": float(np.median(seen_s)) * 1000.0,
        "seen_longest_ms": float(seen_s.max()) * 1000.0,
        "longest_pause_ms": float(pauses_ms[during].max()),
        "longest_pause_otherwise_ms": float(pauses_ms[~during].max()),
        "cores": told["cpu_s"] / told["lasted_s"],
    }


def _versions(load: Load, fences: int) -> list[tuple[str, FenceVersion]]:
    """The load's fences, and those of as many more districts as it takes."""
    return read_collection(json.dumps(load.more_fences(fences)))


def _some(edits: int) -> list[int]:
    """Which fences are redrawn: some of those among the devices."""
    return list(map(int, np.random.default_rng(1).choice(FENCES_AMONG_DEVICES, edits, replace=False)))


async def _redraw(log: KafkaLog, record: FenceRecord) -> float:
    """Let a fence be a few metres elsewhere; when that was handed to the broker, after which it waits for the next."""
    moved = msgspec.structs.replace(record.current, geometry=_shifted(record.current.geometry))
    at_s = time.time()
    await log.append(FENCES, [(record.fence_id, encode(FenceRecord(record.fence_id, [moved], Instant(1))))])
    await asyncio.sleep(EDIT_EVERY_S)
    return at_s


def _shifted(geometry: dict[str, Any]) -> dict[str, Any]:
    rings = [[[lon + 3e-5, lat] for lon, lat in ring] for ring in geometry["coordinates"]]
    return {"type": "Polygon", "coordinates": rings}


async def _feed(log: KafkaLog, load: Load) -> None:
    """The load's pings, at their rate."""
    loop, records = asyncio.get_running_loop(), load.records()
    begun_s, sent = loop.time(), 0
    while sent < len(load):
        due = min(len(load), int((loop.time() - begun_s) * PINGS_PER_S))
        await log.append(PINGS, [next(records) for _ in range(due - sent)])
        sent = due
        await asyncio.sleep(_SLICE_S)


@asynccontextmanager
async def _watched_tracker(
    load: Load, records: list[FenceRecord], clock_rate: float
) -> AsyncIterator[tuple[KafkaLog, Process]]:
    """A broker with the fences and a tracker that has read them."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        broker = Broker(Path(folder))
        broker.start()
        stack.callback(broker.stop)
        await asyncio.to_thread(broker.wait_ready)
        settings = Settings(kafka=broker.address, data_dir=Path(folder))
        await create_topics(settings)
        log = KafkaLog(settings.kafka, WITHIN_S)
        await log.start()
        await append_records(log, FENCES, ((record.fence_id, encode(record)) for record in records))
        argv = [sys.executable, "-m", "benchmarks.edits", settings.kafka, folder, str(clock_rate)]
        argv.append(str(load.day.spec.start_ms))
        child = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, env=os.environ | MEMORY)
        try:
            assert child.stdout is not None
            async with asyncio.timeout(WITHIN_S):
                await child.stdout.readline()  # it is ready
            yield log, child
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
            await log.stop()


async def _ask(child: Process) -> dict[str, Any]:
    """What the tracker noted; it ends."""
    async with asyncio.timeout(WITHIN_S):
        told, _ = await child.communicate(b"\n")
    noted: dict[str, Any] = json.loads(told.splitlines()[-1])
    return noted


async def watch(settings: Settings) -> None:
    """Run a tracker until a line comes in, and print when its event loop was held up and when its fences changed."""

    configure_logging(settings, quiet=True)
    tracker = Tracker(settings, settings.clock(), no_store)
    await tracker.app.start()
    print("ready", flush=True)
    asked = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    loop, fences = asyncio.get_running_loop(), tracker.fences
    pauses_s: list[tuple[float, float]] = []
    swaps_s: list[float] = []
    begun_s, cpu_s, pings = loop.time(), time.process_time(), value_of(pings_folded)
    while not asked.done():
        due_s = loop.time() + BEAT_S
        await asyncio.sleep(BEAT_S)
        pauses_s.append((time.time(), loop.time() - due_s))
        if tracker.fences is not fences:
            fences = tracker.fences
            swaps_s.append(time.time())
    lasted_s = loop.time() - begun_s
    figures = {"pings": value_of(pings_folded) - pings, "lasted_s": lasted_s, "cpu_s": time.process_time() - cpu_s}
    await tracker.app.stop()
    print(json.dumps({"pauses_s": pauses_s, "swaps_s": swaps_s, **figures}), flush=True)


if __name__ == "__main__":
    kafka, folder, clock_rate, start_ms = sys.argv[1:]
    asyncio.run(
        watch(
            Settings(
                kafka=kafka,
                data_dir=Path(folder),
                clock_rate=float(clock_rate),
                clock_start_ms=int(start_ms),
                clock_origin_ms=time.time_ns() // 1_000_000,
            )
        )
    )

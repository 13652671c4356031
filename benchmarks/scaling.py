"""One, two and four trackers on one topic: pings a second, and what a rebalance costs and loses.

Throughput: the trackers join while the topic is empty, are halted, get the whole load as a backlog, and go on together:
pings by wall time until all are folded, and CPU seconds of all of them; the recorder rests meanwhile. Rebalance: pings
go on at a steady rate while a second tracker joins, the first is stopped with SIGTERM, a third joins and the second is
killed with ``kill -9``. ``…_pause_s`` is the longest time in which the live states of some partition were not told;
undisturbed they are told once a second.

Every visit log is held against the engine's own of all pings (``wrong_visits``, all fields but ids and revision
numbers), and every published revision against those of the same number (``revisions_told_two_ways``).
"""

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from subprocess import Popen
from typing import Final

import numpy as np
from aiokafka import AIOKafkaConsumer

from benchmarks.chaos.evidence import Truth, published_visits, wrong_log
from benchmarks.feed import append_fences, append_pings
from benchmarks.load import Load, build_load
from benchmarks.trackers import STOP_WITHIN_S, TrackerProcess, until, until_shared
from geofence.rules import Rules
from infra.embedded import processes
from infra.embedded.broker import Broker
from infra.embedded.store import Store
from infra.migrations import migrate
from infra.system import environment_of
from schemas.clock import Clock
from schemas.settings import Settings
from schemas.topics import LIVE, PINGS
from schemas.visit import Visit
from stream.kafka import KafkaLog
from stream.tracker.partition import warm_up

MINUTES: Final = 15.0
CLOCK_RATE: Final = 20.0
"""Silence is told soon."""
STEADY_PINGS_PER_S: Final = 1_000
STEP_S: Final = 5.0
"""How long pings go on between two disturbances."""
WITHIN_S: Final = 90.0
SETTLE_WITHIN_S: Final = 30.0
PATIENT_S: Final = 60.0
"""The session timeout where trackers are halted."""
_SLICE_S: Final = 0.1
_LOOK_S: Final = 0.5


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` takes a fifth of the devices, one and two trackers, and no rebalance."""
    load = build_load(1_000 if quick else 5_000, MINUTES)
    warm_up(Rules())  # else trackers that start side by side on a fresh build each compile it
    return {
        "figures": asyncio.run(_measure(load, (1, 2) if quick else (1, 2, 4), not quick)),
        "anchors": {},
        "ratios": {},
    }


async def _measure(load: Load, counts: Sequence[int], rebalance: bool) -> dict[str, float]:
    truth = Truth(list(load.pings()), load.fences)
    figures: dict[str, float] = {"pings": len(load)}
    for count in counts:
        figures |= await _throughput(load, truth, count)
    if len(counts) > 1:
        figures["two_vs_one"] = figures["pings_per_s_2_trackers"] / figures["pings_per_s_1_trackers"]
    return figures | (await _rebalance(load, truth) if rebalance else {})


@dataclass(frozen=True)
class _Topics:
    """Topics with the load's fences and no pings yet."""

    settings: Settings
    folder: Path
    stack: AsyncExitStack
    recorder: Popen[bytes]

    def tracker(self, name: str) -> TrackerProcess:
        """Start another."""
        (self.folder / name).mkdir()
        tracker = TrackerProcess(self.settings, self.folder / name)
        self.stack.callback(tracker.stop)
        return tracker


@asynccontextmanager
async def _topics(load: Load, session_timeout_s: float) -> AsyncIterator[_Topics]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker, store = Broker(folder), Store(folder)
        for server in (broker, store):
            server.start()
            stack.callback(server.stop)
            await asyncio.to_thread(server.wait_ready)
        settings = Settings(
            kafka=broker.address,
            clickhouse=store.url,
            data_dir=folder,
            session_timeout_s=session_timeout_s,
            clock_rate=CLOCK_RATE,
            clock_start_ms=load.day.end_ms,
            clock_origin_ms=time.time_ns() // 1_000_000,
        )
        await migrate(settings)
        await append_fences(settings, load)
        argv = [sys.executable, "-m", "infra.cli", "recorder"]
        recorder = processes.spawn(argv, folder / "recorder.log", environment_of(settings))
        stack.callback(processes.stop, recorder, STOP_WITHIN_S)
        yield _Topics(settings, folder, stack, recorder)


async def _throughput(load: Load, truth: Truth, count: int) -> dict[str, float]:
    async with _topics(load, session_timeout_s=PATIENT_S) as topics:
        trackers = [topics.tracker(f"tracker-{number}") for number in range(count)]
        await until_shared(trackers, topics.settings.partitions, WITHIN_S)
        topics.recorder.send_signal(SIGSTOP)
        for tracker in trackers:
            tracker.send_signal(SIGSTOP)
        await append_pings(topics.settings, load.records())
        before_s = [tracker.cpu_s for tracker in trackers]
        began_s = time.monotonic()
        for tracker in trackers:
            tracker.send_signal(SIGCONT)
        await until(lambda: sum(tracker.folded() for tracker in trackers) >= len(load), WITHIN_S)
        lasted_s = time.monotonic() - began_s
        used_s = [tracker.cpu_s - before for tracker, before in zip(trackers, before_s, strict=True)]
        topics.recorder.send_signal(SIGCONT)
        wrong = await _wrong(topics.settings, truth)
    return {
        f"{name}_{count}_trackers": value
        for name, value in {
            "pings_per_s": len(load) / lasted_s,
            "pings_per_cpu_s": len(load) / sum(used_s),
            "cores": sum(used_s) / lasted_s,
            **wrong,
        }.items()
    }


async def _rebalance(load: Load, truth: Truth) -> dict[str, float]:
    async with _topics(load, session_timeout_s=Settings().session_timeout_s) as topics:
        partitions = topics.settings.partitions
        first = topics.tracker("first")
        await until_shared([first], partitions, WITHIN_S)
        moments: dict[str, float] = {}
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_feed(topics.settings, load, over))
            await asyncio.sleep(STEP_S)
            moments["undisturbed"] = time.time() - STEP_S
            moments["join"] = time.time()
            second = topics.tracker("second")
            await until_shared([first, second], partitions, WITHIN_S)
            await asyncio.sleep(STEP_S)
            moments["leave"] = time.time()
            await asyncio.to_thread(first.stop)
            await until_shared([second], partitions, WITHIN_S)
            await asyncio.sleep(STEP_S)
            third = topics.tracker("third")
            await until_shared([second, third], partitions, WITHIN_S)
            await asyncio.sleep(STEP_S)
            moments["kill"] = time.time()
            second.send_signal(SIGKILL)
            await until_shared([third], partitions, WITHIN_S)
            await asyncio.sleep(STEP_S)
            moments["end"] = time.time()
            over.set()
        told = await _told_s(topics.settings)
        spans = {name: (moments[name], until_s) for name, until_s in _ends(moments).items()}
        pauses = {f"{name}_pause_s": _longest_pause_s(told, *span) for name, span in spans.items()}
        wrong = await _wrong(topics.settings, truth)
    return {**pauses, **{f"{name}_after_rebalances": count for name, count in wrong.items()}}


def _ends(moments: dict[str, float]) -> dict[str, float]:
    """The moment that follows each."""
    return dict(zip(moments, list(moments.values())[1:], strict=False))


async def _feed(settings: Settings, load: Load, over: asyncio.Event) -> None:
    """Append pings at a steady rate until it is over, then the rest of them."""
    log, records = KafkaLog(settings.kafka), load.records()
    await log.start()
    due_s = time.monotonic()
    while not over.is_set():
        some: list[tuple[str, bytes | None]] = list(itertools.islice(records, round(STEADY_PINGS_PER_S * _SLICE_S)))
        if not some:
            raise RuntimeError("the load was over before the rebalances were")
        await log.append(PINGS, some)
        due_s += _SLICE_S
        await asyncio.sleep(due_s - time.monotonic())
    await log.stop()
    await append_pings(settings, records)


async def _told_s(settings: Settings) -> dict[int, np.ndarray]:
    """By partition the moments at which live states were told."""
    consumer = AIOKafkaConsumer(LIVE.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    told: dict[int, list[float]] = {}
    ends = await consumer.end_offsets(sorted(consumer.assignment()))
    while not all([await consumer.position(each) >= end for each, end in ends.items()]):
        for each, records in (await consumer.getmany(timeout_ms=200)).items():
            told.setdefault(each.partition, []).extend(record.timestamp / 1000.0 for record in records)
    await consumer.stop()
    return {partition: np.sort(moments_s) for partition, moments_s in told.items()}


def _longest_pause_s(told: dict[int, np.ndarray], from_s: float, to_s: float) -> float:
    """Of all partitions the longest time between two moments of a span."""
    within = ([from_s, *moments_s[(moments_s > from_s) & (moments_s < to_s)], to_s] for moments_s in told.values())
    return max(float(np.diff(moments_s).max()) for moments_s in within)


async def _wrong(settings: Settings, truth: Truth) -> dict[str, float]:
    """Look until the log is right, or time is up: how many visits are wrong then."""
    clock: Clock = settings.clock()
    give_up_s = time.monotonic() + SETTLE_WITHIN_S
    while True:
        published = await published_visits(settings.kafka)
        newest: dict[str, Visit] = {}
        for visit in sorted(published, key=lambda visit: visit.revision):
            newest[visit.visit_id] = visit
        logged = [visit for visit in newest.values() if visit.state != "retracted"]
        wrong = wrong_log(truth.visits(clock.now_ms()), logged)
        if not wrong or time.monotonic() > give_up_s:
            break
        await asyncio.sleep(_LOOK_S)
    for finding in wrong:
        print(finding)
    contents: dict[tuple[str, int], Visit] = {}
    two_ways = sum(contents.setdefault((visit.visit_id, visit.revision), visit) != visit for visit in published)
    return {"wrong_visits": sum(int(finding.split()[0]) for finding in wrong), "revisions_told_two_ways": two_ways}

"""A tracker killed with ``kill -9``, another started at once: how long until the first frame is folded again.

The first tracker has been fed all devices through the topic, among 20,000 polygon fences. What counts is the time from
the end of its session timeout (until then the broker gives its partitions to nobody) to the first frame that the second
one folds. Beside it aiokafka alone reads the same checkpoints from their beginning.
"""

import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

import numpy as np
import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from benchmarks.feed import append_fences, append_pings
from benchmarks.load import Load, build_load
from benchmarks.offsets import behind, ends_of
from infra.embedded.broker import Broker
from infra.embedded.ports import reserve_free
from infra.migrations import create_topics
from infra.supervisor import Command
from infra.system import environment_of
from schemas.settings import Settings
from schemas.topics import PINGS, TRACKER_GROUP

PARTITIONS: Final = 4
LAST_PINGS: Final = 5_000
"""So many are left to the second tracker."""
SESSION_TIMEOUT_S: Final = 10.0
DEADLINE_S: Final = 200.0
LOOK_EVERY_S: Final = 0.05
CHECKPOINTS: Final = f"{TRACKER_GROUP}-segments-changelog"

PHASES: Final = {
    "engine ready": "imports_and_engine",
    "fences read": "fences",
    "partitions assigned": "join",
    "checkpoints read": "read_checkpoints",
    "state restored": "restore",
}
"""What the tracker's log says when a phase is over, in order, and the name of the phase."""


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` has a tenth of the devices. Four in five of them report in the time."""
    load = build_load(devices=12_400 if quick else 124_000, minutes=4.0)
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder)) as broker:
        settings = Settings(
            kafka=broker.address,
            partitions=PARTITIONS,
            data_dir=Path(folder),
            session_timeout_s=SESSION_TIMEOUT_S,
            metrics_port=reserve_free(),
            log_format="json",
        )
        return _measure(settings, Path(folder), load)


def _measure(settings: Settings, folder: Path, load: Load) -> dict[str, dict[str, float]]:
    pings = load.records()
    asyncio.run(create_topics(settings))
    asyncio.run(append_fences(settings, load))
    first, second = (Worker(settings, folder / f"{name}.log") for name in ("first", "second"))
    try:
        first.start()
        asyncio.run(append_pings(settings, itertools.islice(pings, len(load) - LAST_PINGS)))
        _until(lambda: first.frames() > 0)
        _until(lambda: asyncio.run(_behind(settings)) == 0)
        first.process.kill()
        killed_s = time.time()
        second.start()
        asyncio.run(append_pings(settings, pings))
        figures = second.watch(killed_s + SESSION_TIMEOUT_S)
    finally:
        for worker in (first, second):
            worker.stop()
    read_bytes, read_s, read_cpu_s = asyncio.run(_read_alone(settings))
    devices = len(np.unique(load.day.pings.device))
    took_s = figures["read_checkpoints_s"] + figures["restore_s"]
    return {
        "figures": {"devices": devices, "checkpoint_bytes_per_device": read_bytes / devices, **figures},
        "anchors": {"raw_aiokafka_read_s": read_s, "raw_aiokafka_read_cpu_s": read_cpu_s},
        "ratios": {"onsite_vs_raw_aiokafka": read_s / took_s},
    }


class Worker(Command):
    """``onsite tracker`` as a process, its log a JSON object a line."""

    def __init__(self, settings: Settings, log_path: Path) -> None:
        argv = [sys.executable, "-m", "infra.cli", "tracker"]
        super().__init__(argv, log_path, os.environ | environment_of(settings))
        self._log_path = log_path
        self._metrics = f"http://{settings.host}:{settings.metrics_port}/metrics"

    def watch(self, freed_s: float) -> dict[str, float]:
        """Follow the start until the first frame is folded; ``freed_s`` is when its predecessor's session is over.

        The figures: seconds and CPU-seconds of each phase, and seconds until the first frame.
        """
        process, figures = psutil.Process(self.process.pid), dict[str, float]()
        phases = list(PHASES.items())
        began_s, cpu_s = process.create_time(), 0.0
        phase_began_s = began_s

        def end_of_phase(name: str) -> None:
            nonlocal phase_began_s, cpu_s
            now_s, now_cpu_s = time.time(), sum(process.cpu_times()[:2])
            figures[f"{name}_s"], figures[f"{name}_cpu_s"] = now_s - phase_began_s, now_cpu_s - cpu_s
            phase_began_s, cpu_s = now_s, now_cpu_s

        def folded() -> bool:
            said = {event.get("event", "") for event in self._events()}
            while phases and phases[0][0] in said:
                end_of_phase(phases.pop(0)[1])
            return not phases and self.frames() > 0

        _until(folded)
        end_of_phase("first_frame")
        figures["start_to_first_frame_s"] = phase_began_s - began_s
        figures["session_end_to_first_frame_s"] = phase_began_s - freed_s
        figures["cpu_s"] = cpu_s
        figures["resident_mb"] = process.memory_info().rss / 1e6
        return figures

    def _events(self) -> list[dict[str, Any]]:
        lines = self._log_path.read_text(encoding="utf-8").splitlines() if self._log_path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def frames(self) -> float:
        """How many it has folded; none before it serves metrics."""
        try:
            with urllib.request.urlopen(self._metrics, timeout=DEADLINE_S) as answer:
                lines = answer.read().decode().splitlines()
        except URLError:
            return 0.0
        return next(float(line.split()[1]) for line in lines if line.startswith("onsite_tracker_frames_total "))


def _until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > give_up_s:
            raise TimeoutError("the tracker did not come so far")
        time.sleep(LOOK_EVERY_S)


async def _behind(settings: Settings) -> int:
    return await behind(settings.kafka, TRACKER_GROUP, PINGS, await ends_of(settings.kafka, PINGS))


async def _read_alone(settings: Settings) -> tuple[int, float, float]:
    """Bytes of all checkpoint records, and the seconds and CPU-seconds in which aiokafka reads them."""
    began_s, began_cpu_s, size = time.perf_counter(), time.process_time(), 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, auto_offset_reset="earliest", max_partition_fetch_bytes=8 * 1024 * 1024
    )
    await consumer.start()
    partitions = [TopicPartition(CHECKPOINTS, number) for number in range(settings.partitions)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    while not all([await consumer.position(each) >= ends[each] for each in partitions]):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            size += sum(len(record.value or b"") for record in records)
    await consumer.stop()
    return size, time.perf_counter() - began_s, time.process_time() - began_cpu_s

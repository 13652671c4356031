"""Consumers of ``onsite.pings`` to be measured, each run as a process of its own: ``python -m benchmarks.consumers``.

Prints one JSON object: pings per CPU-second of the whole process from the first pings it handled to the last.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from prometheus_client import Counter, Gauge

from geofence.rules import Rules
from schemas.clock import Clock
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.topics import PINGS, VISITS
from schemas.wire import encode
from stream.columns import PingColumns
from stream.framed import framed_app
from stream.tracker.app import Tracker, pings_folded
from stream.tracker.partition import PartitionTracks

POLL_S: Final = 0.05
DEADLINE_S: Final = 240.0


class Meter:
    """Counts pings and the CPU time they took, from ``begin`` or the first ones handled until all that are expected."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._first = 0
        self._seen = 0
        self._begun = False
        self._started_s = 0.0
        self._ended_s = 0.0
        self._full = asyncio.Event()

    def begin(self) -> None:
        """Start the clock: all pings from here on count."""
        self._begun, self._started_s = True, time.process_time()

    def add(self, pings: int) -> None:
        """So many more were handled; where the clock was not started the first ones do that, and do not count."""
        if not pings or self._full.is_set():
            return
        if not self._begun:
            self._first = pings
            self.begin()
        self._seen += pings
        if self._seen >= self._expected:
            self._ended_s = time.process_time()
            self._full.set()

    async def figures(self) -> dict[str, float]:
        """Wait for the last expected ping.

        Raises:
            TimeoutError: They did not all come.
        """
        async with asyncio.timeout(DEADLINE_S):
            await self._full.wait()
        pings, cpu_s = self._seen - self._first, self._ended_s - self._started_s
        return {"pings": pings, "cpu_s": cpu_s, "pings_per_cpu_s": pings / cpu_s}


async def onsite_tracker(settings: Settings, meter: Meter) -> dict[str, float]:
    """The tracker as it runs: frames, fences, visits, checkpoints, live states."""

    tracker = Tracker(settings, Clock(), no_store)

    async def count() -> None:
        seen = 0
        while True:
            await asyncio.sleep(POLL_S)
            before, seen = seen, value_of(pings_folded)
            meter.add(seen - before)

    await tracker.app.start()
    counting = asyncio.create_task(count())
    figures = await meter.figures()
    counting.cancel()
    await tracker.app.stop()
    return figures


async def stock_faust(settings: Settings, meter: Meter) -> dict[str, float]:
    """A plain Faust agent, one event a ping, that does the same: decode, fold, publish."""
    fences = Tracker(settings, Clock(), no_store)
    await fences.prepare()
    app = framed_app("stock-faust", settings, [], stream_buffer_maxsize=4096)
    tracks = PartitionTracks()
    decoder = msgspec.json.Decoder(Ping)
    visits = app.topic(VISITS.name, value_serializer="raw", key_serializer="raw")

    @app.agent(app.topic(PINGS.name, value_serializer="raw", key_serializer="raw"))
    async def track(stream: Any) -> None:
        async for event in stream.events():
            ping = decoder.decode(event.value)
            for visit in tracks.fold(PingColumns.of_pings([ping]), event.message.offset, fences.fences, Rules()):
                await visits.send(key=visit.device_id, value=encode(visit))
            meter.add(1)

    await app.start()
    figures = await meter.figures()
    await app.stop()
    return figures


async def idle_faust(settings: Settings, meter: Meter) -> dict[str, float]:
    """A plain Faust agent that does nothing with its events."""
    app = framed_app("idle-faust", settings, [], stream_buffer_maxsize=4096)

    @app.agent(app.topic(PINGS.name, value_serializer="raw", key_serializer="raw"))
    async def count(stream: Any) -> None:
        async for _ in stream:
            meter.add(1)

    await app.start()
    figures = await meter.figures()
    await app.stop()
    return figures


async def raw_aiokafka(settings: Settings, meter: Meter) -> dict[str, float]:
    """aiokafka alone, each record decoded and dropped."""
    decoder = msgspec.json.Decoder(Ping)
    consumer = AIOKafkaConsumer(
        PINGS.name, bootstrap_servers=settings.kafka, group_id="raw-aiokafka", auto_offset_reset="earliest"
    )
    await consumer.start()
    meter.begin()  # it may be handed all pings at once

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
                for record in records:
                    decoder.decode(record.value)
                meter.add(len(records))

    reading = asyncio.create_task(read())
    figures = await meter.figures()
    reading.cancel()
    await consumer.stop()
    return figures


def value_of(counter: Counter | Gauge) -> int:
    """Of this counter alone: to collect them all takes a millisecond."""
    return int(next(iter(counter.collect())).samples[0].value)


async def no_store() -> Any:
    """Stands in for the store that a tracker asks about late fixes."""
    await asyncio.Event().wait()


CONSUMERS: Final[dict[str, Callable[[Settings, Meter], Coroutine[Any, Any, dict[str, float]]]]] = {
    "onsite_tracker": onsite_tracker,
    "stock_faust": stock_faust,
    "idle_faust": idle_faust,
    "raw_aiokafka": raw_aiokafka,
}


def main() -> None:
    """``python -m benchmarks.consumers NAME KAFKA PARTITIONS EXPECTED``."""
    name, kafka, partitions, expected = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(kafka=kafka, partitions=int(partitions), data_dir=Path(folder))
        print(json.dumps(asyncio.run(CONSUMERS[name](settings, Meter(int(expected))))))


if __name__ == "__main__":
    main()

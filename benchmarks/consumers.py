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
from prometheus_client import REGISTRY

from geofence.rules import Rules
from schemas.clock import Clock
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.topics import PINGS, VISITS
from schemas.wire import encode
from stream.framed import framed_app
from stream.tracker.app import Tracker
from stream.tracker.partition import PartitionTracks

POLL_S: Final = 0.05
DEADLINE_S: Final = 240.0


class Meter:
    """Counts pings and the CPU time they took."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.seen = 0

    async def run(self) -> dict[str, float]:
        """Wait for the first pings, then for all of them."""
        async with asyncio.timeout(DEADLINE_S):
            await self._until(1)
            first, started_s = self.seen, time.process_time()
            await self._until(self._expected)
        cpu_s = time.process_time() - started_s
        return {"pings": self.seen - first, "cpu_s": cpu_s, "pings_per_cpu_s": (self.seen - first) / cpu_s}

    async def _until(self, count: int) -> None:
        while self.seen < count:  # noqa: ASYNC110 -- a poll disturbs what is measured less than an event a ping
            await asyncio.sleep(POLL_S)


async def onsite_tracker(settings: Settings, meter: Meter) -> dict[str, float]:
    """The tracker as it runs: frames, fences, visits, checkpoints, live states."""

    async def no_store() -> Any:
        await asyncio.Event().wait()

    tracker = Tracker(settings, Clock(), no_store)

    async def count() -> None:
        while True:
            meter.seen = int(REGISTRY.get_sample_value("onsite_tracker_pings_total") or 0)
            await asyncio.sleep(POLL_S)

    await tracker.app.start()
    counting = asyncio.create_task(count())
    figures = await meter.run()
    counting.cancel()
    await tracker.app.stop()
    return figures


async def stock_faust(settings: Settings, meter: Meter) -> dict[str, float]:
    """A plain Faust agent, one event a ping, that does the same: decode, fold, publish."""
    fences = Tracker(settings, Clock(), _never)
    await fences.prepare()
    app = framed_app("stock-faust", settings, [], stream_buffer_maxsize=4096)
    tracks = PartitionTracks()
    decoder = msgspec.json.Decoder(Ping)
    visits = app.topic(VISITS.name, value_serializer="raw", key_serializer="raw")

    @app.agent(app.topic(PINGS.name, value_serializer="raw", key_serializer="raw"))
    async def track(stream: Any) -> None:
        async for event in stream.events():
            ping = decoder.decode(event.value)
            for visit in tracks.fold([ping], event.message.offset, fences.fences, Rules()):
                await visits.send(key=visit.device_id, value=encode(visit))
            meter.seen += 1

    await app.start()
    figures = await meter.run()
    await app.stop()
    return figures


async def idle_faust(settings: Settings, meter: Meter) -> dict[str, float]:
    """A plain Faust agent that does nothing with its events."""
    app = framed_app("idle-faust", settings, [], stream_buffer_maxsize=4096)

    @app.agent(app.topic(PINGS.name, value_serializer="raw", key_serializer="raw"))
    async def count(stream: Any) -> None:
        async for _ in stream:
            meter.seen += 1

    await app.start()
    figures = await meter.run()
    await app.stop()
    return figures


async def raw_aiokafka(settings: Settings, meter: Meter) -> dict[str, float]:
    """aiokafka alone, each record decoded and dropped."""
    decoder = msgspec.json.Decoder(Ping)
    consumer = AIOKafkaConsumer(
        PINGS.name, bootstrap_servers=settings.kafka, group_id="raw-aiokafka", auto_offset_reset="earliest"
    )
    await consumer.start()

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
                for record in records:
                    decoder.decode(record.value)
                meter.seen += len(records)

    reading = asyncio.create_task(read())
    figures = await meter.run()
    reading.cancel()
    await consumer.stop()
    return figures


async def _never() -> Any:
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

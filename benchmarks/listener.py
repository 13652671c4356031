"""Listens to ``onsite.visits`` and notes when each event was first told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer

from benchmarks.causes import Event, event_of
from schemas import wire
from schemas.topics import VISITS
from schemas.visit import Visit

_FETCH_MS = 200


class Listener:
    """A subscriber. ``heard_s`` maps an event to the moment on the event loop's clock at which it had it."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.heard_s: dict[Event, float] = {}
        self._consumer = consumer
        self._heard_something = asyncio.Event()

    async def follow(self) -> None:
        """Note what is told, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            fetched = await self._consumer.getmany(timeout_ms=_FETCH_MS)
            now_s = loop.time()
            for records in fetched.values():
                for record in records:
                    self.heard_s.setdefault(event_of(wire.decode(Visit, record.value)), now_s)
            self._heard_something.set()

    async def catch_up(self) -> None:
        """Return when everything is heard that has been told by now."""
        ends = await self._consumer.end_offsets(sorted(self._consumer.assignment()))
        while not all([await self._consumer.position(each) >= end for each, end in ends.items()]):
            self._heard_something.clear()
            await self._heard_something.wait()


@asynccontextmanager
async def listening(kafka: str) -> AsyncIterator[Listener]:
    """Hear all that is told from here on."""
    consumer = AIOKafkaConsumer(VISITS.name, bootstrap_servers=kafka, auto_offset_reset="latest")
    await consumer.start()
    await consumer.seek_to_end()
    listener = Listener(consumer)
    following = asyncio.create_task(listener.follow())
    try:
        yield listener
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await consumer.stop()

"""Listens to the API's live feed and notes when each event was first told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.causes import Event, event_of
from schemas import wire
from schemas.topics import VISITS
from schemas.visit import Visit

_FETCH_MS = 200


class _Message(msgspec.Struct):
    visits: list[Visit]


class Listener:
    """A reader of everything. ``heard_s`` maps an event to the moment on the event loop's clock at which it had it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.heard_s: dict[Event, float] = {}
        self._socket = socket
        self._revisions: dict[str, int] = {}
        self._heard_something = asyncio.Event()

    async def follow(self) -> None:
        """Note what is told, until cancelled."""
        loop = asyncio.get_running_loop()
        async for message in self._socket:
            now_s = loop.time()
            for visit in wire.decode(_Message, message).visits:
                self.heard_s.setdefault(event_of(visit), now_s)
                self._revisions[visit.visit_id] = visit.revision
            self._heard_something.set()

    async def catch_up(self, kafka: str) -> None:
        """Return when everything is heard that is on ``onsite.visits`` by now."""
        told = await _newest_revisions(kafka)
        while any(self._revisions.get(visit_id, 0) < revision for visit_id, revision in told.items()):
            self._heard_something.clear()
            await self._heard_something.wait()


@asynccontextmanager
async def listening(url: str, token: str) -> AsyncIterator[Listener]:
    """Hear all that is told from here on; ``url`` is the API's."""
    address = url.replace("http", "ws", 1) + "/v1/live"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(address, additional_headers=headers, max_size=None, compression=None) as socket:
        await socket.recv()  # the snapshot
        listener = Listener(socket)
        following = asyncio.create_task(listener.follow())
        try:
            yield listener
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _newest_revisions(kafka: str) -> dict[str, int]:
    """By visit id, the highest revision on the topic."""
    consumer = AIOKafkaConsumer(VISITS.name, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        newest: dict[str, int] = {}
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while not all([await consumer.position(each) >= end for each, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=_FETCH_MS)).values():
                for record in records:
                    visit = wire.decode(Visit, record.value)
                    newest[visit.visit_id] = max(visit.revision, newest.get(visit.visit_id, 0))
        return newest
    finally:
        await consumer.stop()

"""A WebSocket peer that takes nothing is closed in time; a stopping server does not wait for it, others are told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import OPEN

from infra.websocket import BoundedWebSocket

DEADLINE_S = 20.0
MESSAGE = "x" * 4_000_000


class Impatient(BoundedWebSocket):
    stalled_after_s = 0.2
    cut_after_s = 0.2


class Talker:
    """An app that sends without end; ``ended`` is set when nobody listens any more."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": MESSAGE})
        finally:
            self.ended.set()


class Silent(Talker):
    """An app that says nothing; ``ended`` is set when it is told that the peer is gone."""

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self.ended.set()


@asynccontextmanager
async def serving(talker: Talker, kind: type[BoundedWebSocket]) -> AsyncIterator[tuple[uvicorn.Server, str]]:
    """Leaves when the server has stopped."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            talker, ws=kind, lifespan="off", log_config=None, timeout_graceful_shutdown=60, ws_per_message_deflate=False
        )
        server = uvicorn.Server(config)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            try:
                yield server, f"ws://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


def slow_peer(url: str) -> connect:
    """Nothing is read ahead of what is asked for, and nobody says goodbye."""
    return connect(url, max_size=None, max_queue=1, close_timeout=0.1)


async def until(server: uvicorn.Server, holds: Callable[[Any], bool]) -> None:
    """Wait until it holds of the server's one connection."""
    while not all(map(holds, server.server_state.connections)):  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0.01)


async def read_on(peer: ClientConnection) -> None:
    while True:
        await peer.recv()


def is_behind(connection: Any) -> bool:
    return not connection.writable.is_set()


def is_closing(connection: Any) -> bool:
    return connection.conn.state is not OPEN


def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    async def check() -> None:
        talker = Talker()
        async with serving(talker, Impatient) as (_, url), slow_peer(url):
            await talker.ended.wait()

    asyncio.run(check())


def test_one_that_reads_again_is_told_why() -> None:
    class Patient(Impatient):
        cut_after_s = DEADLINE_S

    async def check() -> None:
        async with serving(Talker(), Patient) as (server, url), slow_peer(url) as peer:
            await until(server, is_closing)
            with pytest.raises(ConnectionClosed) as closed:
                await read_on(peer)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013

    asyncio.run(check())


def test_one_that_is_slow_is_kept() -> None:
    async def check() -> None:
        talker = Talker()
        async with serving(talker, Impatient) as (_, url), slow_peer(url) as peer:
            for _ in range(20):
                await asyncio.sleep(Impatient.stalled_after_s / 4)
                await peer.recv()
            assert not talker.ended.is_set()

    asyncio.run(check())


def test_the_server_does_not_wait_for_a_peer_that_is_behind() -> None:
    async def check() -> None:
        talker = Talker()
        async with serving(talker, BoundedWebSocket) as (server, url), slow_peer(url):
            await until(server, is_behind)
            server.should_exit = True
            await talker.ended.wait()

    asyncio.run(check())


def test_the_server_says_that_it_stops_also_where_the_app_does_not() -> None:
    async def check() -> None:
        app = Silent()
        async with serving(app, BoundedWebSocket) as (server, url), connect(url) as peer:
            server.should_exit = True
            with pytest.raises(ConnectionClosed) as closed:
                await read_on(peer)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            await app.ended.wait()

    asyncio.run(check())

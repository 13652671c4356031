"""What becomes of a connection whose backlog was refused unread, under the server that is used."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import uvicorn

from api.ingest.admission import Backlogs
from tests.api.conftest import Door
from tests.api.test_pings import GOOD
from tests.fakes import token_of

BODY: int = 2 * 1024 * 1024
HEAD = f"POST /v1/pings HTTP/1.1\r\nHost: onsite\r\nAuthorization: Bearer {token_of('device')}\r\n"
DEADLINE_S: float = 20.0


@pytest.fixture
def busy(door: Door) -> Door:
    """A door whose turns are all taken."""
    backlogs = Backlogs(1_000_000)
    asyncio.run(backlogs.take_turn(100_000_000))
    door.app.state.services = replace(door.app.state.services, backlogs=backlogs)
    return door


@contextlib.asynccontextmanager
async def connected(door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(door.app, log_config=None, access_log=False, lifespan="off"))
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await serving


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The head of the next one; its body is read too."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
    return head


def post_of(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return f"{HEAD}{lines}\r\n".encode() + body


def test_a_refused_body_is_passed_over_and_the_connection_used_again(busy: Door) -> None:
    async def use() -> None:
        async with connected(busy) as (reader, writer):
            for _ in range(3):
                writer.write(post_of(b" " * BODY))
                refusal = await answer(reader)
                assert refusal.startswith(b"http/1.1 429")
                assert b"retry-after: " in refusal
                writer.write(post_of(json.dumps(GOOD).encode()))
                assert (await answer(reader)).startswith(b"http/1.1 202")

    asyncio.run(use())


def test_who_asks_before_sending_is_refused_without_having_to(busy: Door) -> None:
    async def use() -> None:
        async with connected(busy) as (reader, writer):
            writer.write(post_of(b" " * BODY, "Expect: 100-continue")[:-BODY])
            refusal = await answer(reader)
            assert refusal.startswith(b"http/1.1 429")
            assert b"connection: close" in refusal
            assert await reader.read() == b""

    asyncio.run(use())

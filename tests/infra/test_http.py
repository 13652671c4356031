"""Requests whose address or headers have no end: refused, and others are served on."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from infra.http import MOST_BYTES, BoundedHttp

DEADLINE_S = 20.0
ENDLESS = 64 * 1024 * 1024


async def echo(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answers with how many bytes the body has."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(
    protocol: type[BoundedHttp] = BoundedHttp,
) -> AsyncIterator[Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            echo, log_config=None, access_log=False, lifespan="off", http=protocol, timeout_keep_alive=1
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve(sockets=[listener]))
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield lambda: asyncio.open_connection(*listener.getsockname())
        finally:
            server.should_exit = True
            await task


async def status_of(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    return int(head.split()[1])


async def said(request: bytes) -> int:
    """The status that a request is answered with; afterwards another one is served."""
    async with serving() as connect:
        reader, writer = await connect()
        writer.write(request)
        status = await status_of(reader)
        writer.close()
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await status_of(reader) == 200
        writer.close()
        return status


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET + b"X: " + b"a" * (MOST_BYTES - 200) + b"\r\n\r\n", 200),
        (GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (GET + b"X: 1\r\n" * 20_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /?token=" + b"a" * (MOST_BYTES - 200) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (POST + b"X: y\r\n\r\n", 200),
        (POST + b"X: 1\r\n" * 20_000 + b"\r\n", 431),
        (b"no http at all\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"a" * 300_000, 200),
    ],
)
def test_what_is_said_before_and_after_a_body_has_an_end(request_: bytes, status: int) -> None:
    assert asyncio.run(said(request_)) == status


@pytest.mark.parametrize("beginning", [GET + b"X: ", GET + b"X", POST + b"X: ", b"GET /"])
def test_a_line_without_an_end_is_cut_off_while_it_is_sent(beginning: bytes) -> None:
    async def sent_bytes() -> int:
        async with serving() as connect:
            _, writer = await connect()
            writer.write(beginning)
            sent = 0
            try:
                while sent < ENDLESS:
                    writer.write(b"a" * 16_384)
                    await writer.drain()
                    sent += 16_384
            except ConnectionError:
                pass
            return sent

    assert asyncio.run(sent_bytes()) < ENDLESS


def test_requests_one_after_the_other_each_have_their_own_room() -> None:
    async def use() -> None:
        async with serving() as connect:
            reader, writer = await connect()
            for _ in range(5):
                writer.write(GET + b"X: " + b"a" * (MOST_BYTES // 2) + b"\r\n\r\n")
                assert await status_of(reader) == 200
            writer.close()

    asyncio.run(use())


class Impatient(BoundedHttp):
    head_within_s = 0.2


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"])
@pytest.mark.parametrize("beginning", [b"", b"GET / HT", GET])
def test_who_does_not_come_to_the_end_of_a_head_is_let_go(before: bytes, beginning: bytes) -> None:
    async def use() -> None:
        async with serving(Impatient) as connect:
            reader, writer = await connect()
            writer.write(before + beginning)
            if before:
                assert await status_of(reader) == 200
            assert await reader.read() == b""
            writer.close()

    asyncio.run(use())


def test_a_body_may_take_its_time() -> None:
    async def use() -> None:
        async with serving(Impatient) as connect:
            reader, writer = await connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
            for _ in range(4):
                await asyncio.sleep(Impatient.head_within_s / 2)
                writer.write(b"a")
            assert await status_of(reader) == 200
            writer.close()

    asyncio.run(use())

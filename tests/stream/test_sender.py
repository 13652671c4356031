"""One attempt against a receiver on this machine: what is sent, what is read of it, and where nothing is sent."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from dispatch.events import test_event as event_for
from schemas.clock import Clock
from schemas.settings import Settings
from schemas.times import Instant
from schemas.webhook import Attempted, SigningSecret, new_secret
from stream.notify.sender import SHOWN_CHARS, Sender, seconds_of

SECRET = new_secret()
EVENT = event_for("w", None, "n", Instant(0))


def attempt(
    take: Callable[[web.Request], Awaitable[web.StreamResponse]],
    host: str = "127.0.0.1",
    *,
    private: bool = True,
) -> tuple[Attempted, int]:
    """What comes of sending to a receiver, and how often it was asked."""
    asked = 0

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await take(request)

    async def run() -> Attempted:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", counted)
        runner = web.AppRunner(app, shutdown_timeout=0.05)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        sender = Sender(Settings(webhook_timeout_s=0.5, webhook_private_addresses=private), Clock())
        await sender.start()
        try:
            return await sender.send(f"http://{host}:{port}/hook", [SigningSecret(SECRET)], EVENT)
        finally:
            await sender.stop()
            await runner.cleanup()

    return asyncio.run(run()), asked


def test_what_is_sent_is_signed() -> None:
    async def take(request: web.Request) -> web.Response:
        content = Verifier(SECRET).verify(await request.read(), dict(request.headers))
        assert (request.method, content["id"]) == ("POST", EVENT.id)
        return web.Response(text="thanks")

    came, _ = attempt(take)
    assert (came.status, came.error, came.answer) == (200, None, "thanks")


def test_a_redirect_is_not_followed() -> None:
    async def take(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    came, asked = attempt(take)
    assert (came.status, asked) == (307, 1)


def test_of_a_long_answer_only_the_beginning_is_read() -> None:
    async def take(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 10_000)
        return response

    came, _ = attempt(take)
    assert (came.status, came.answer) == (200, "x" * SHOWN_CHARS)


@pytest.mark.parametrize("begins", [False, True])
def test_a_receiver_that_hangs(begins: bool) -> None:
    async def take(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begins:
            await response.prepare(request)
        await asyncio.sleep(5)
        return response

    came, _ = attempt(take)
    assert (came.status, came.error) == (None, "no answer within 0.5 s")
    assert came.duration_s < 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
def test_nothing_is_sent_into_a_network_of_ones_own(host: str) -> None:
    async def take(request: web.Request) -> web.Response:
        return web.Response()

    came, asked = attempt(take, host, private=False)
    assert (came.status, asked) == (None, 0)
    assert "public internet" in (came.error or "") or "canonical" in (came.error or "")


def test_nobody_is_there() -> None:
    async def run() -> Attempted:
        sender = Sender(Settings(webhook_private_addresses=True), Clock())
        await sender.start()
        try:
            return await sender.send("http://127.0.0.1:1/x", [SigningSecret(SECRET)], EVENT)
        finally:
            await sender.stop()

    came = asyncio.run(run())
    assert came.status is None
    assert came.error


def test_retry_after() -> None:
    now_s = time.time()
    assert seconds_of(None, now_s) is None
    assert seconds_of(" 120 ", now_s) == 120
    assert seconds_of("soon", now_s) is None
    assert seconds_of("-5", now_s) is None
    assert seconds_of(formatdate(now_s + 60, usegmt=True), now_s) == pytest.approx(60, abs=1)
    assert seconds_of(formatdate(now_s - 60, usegmt=True), now_s) == 0
    assert seconds_of("Mon, 99 Foo 2026 99:99:99 GMT", now_s) in (None, 0.0)

"""Notices as they leave: to a mail server, to an HTTP gateway, with the key of each, and secrets nowhere else."""

import asyncio
import email
import email.policy
import logging
import re
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from aiohttp import web
from aiosmtpd.controller import Controller

from dispatch.notices.rules import LOG_CHANNEL, Channel
from dispatch.notices.texts import Written
from dispatch.rules import read_rules_of_dispatch
from infra.embedded.ports import reserve_free
from schemas import wire
from schemas.event import Event
from schemas.people import Contact
from schemas.settings import Settings
from schemas.topics import EVENTS, Topic
from stream.kafka import KafkaLog
from stream.notify.channels import KEY_HEADER, NOT_TAKEN, OVERDUE, Channels, address_of
from tests.api.test_notices import noticed

NOTICE = noticed("job-1", notice_id="5f1c2a9be07d4410")
WEBER = Contact(phone="+44 151", email="anna+weber@example.com")
WRITTEN = Written("Mersey Heating: gleich bei Ihnen – bald", "Guten Tag, „Amina“ ist <gleich> da.")


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.port = reserve_free()
        self.mails: list[EmailMessage] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(cast(EmailMessage, mail))
        return "250 OK"

    def __enter__(self) -> "Mailbox":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@asynccontextmanager
async def gateway(answers: list[tuple[str, dict[str, str]]], delay_s: float = 0.0) -> AsyncIterator[int]:
    """An HTTP server that keeps bodies and headers; its port."""

    async def take(request: web.Request) -> web.Response:
        answers.append((await request.text(), dict(request.headers)))
        await asyncio.sleep(delay_s)
        return web.Response(status=503 if request.path == "/broken" else 204)

    app, port = web.Application(), reserve_free()
    app.router.add_post("/{path}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


class MemoryLog:
    def __init__(self) -> None:
        self.appended: list[tuple[Topic, str, bytes]] = []

    async def append_patiently(self, topic: Topic, records: list[tuple[str, bytes]]) -> None:
        self.appended += [(topic, key, value) for key, value in records]


def channels(*stated: Channel, log: MemoryLog | None = None, **settings: Any) -> Channels:
    made = Settings(**settings)
    return Channels(made, made.clock(), stated, cast(KafkaLog, log or MemoryLog()))


def test_a_mail_has_the_key_and_the_words() -> None:
    with Mailbox() as box:
        mail = Channel("mail", url=f"mailto://127.0.0.1:{box.port}?from=jobs@example.com&to={{email}}&format=text")
        sender = channels(mail)
        assert asyncio.run(sender.send(mail, NOTICE, WEBER, WRITTEN)) is None
    (got,) = box.mails
    assert got["To"] == "anna+weber@example.com"
    assert got["Subject"] == WRITTEN.subject
    assert got[KEY_HEADER] == NOTICE.notice_id
    assert len(got.get_all("Message-ID", [])) == 1
    assert got.get_content().strip() == WRITTEN.body


def test_a_gateway_has_the_key_and_says_whether_it_took_it() -> None:
    async def run() -> None:
        got: list[tuple[str, dict[str, str]]] = []
        async with gateway(got) as port:
            good, broken = (Channel(name, url=f"json://127.0.0.1:{port}/{name}") for name in ("good", "broken"))
            sender = channels(good, broken)
            assert await sender.send(good, NOTICE, None, WRITTEN) is None
            assert await sender.send(broken, NOTICE, None, WRITTEN) == NOT_TAKEN
        assert [headers[KEY_HEADER] for _, headers in got] == [NOTICE.notice_id] * 2

    asyncio.run(run())


def test_one_that_hangs_is_given_up_and_in_nobodys_way() -> None:
    async def run() -> None:
        slow, quick = [], []  # type: ignore[var-annotated]
        async with gateway(slow, delay_s=3.0) as hanging, gateway(quick) as well:
            hangs, works = (
                Channel("hangs", url=f"json://127.0.0.1:{hanging}/x"),
                Channel("works", url=f"json://127.0.0.1:{well}/x"),
            )
            sender = channels(hangs, works, notice_timeout_s=1.0, notice_parallel_each=2)
            waiting = [asyncio.create_task(sender.send(hangs, NOTICE, None, WRITTEN)) for _ in range(6)]
            for _ in range(4):
                assert await sender.send(works, NOTICE, None, WRITTEN) is None
            assert not any(each.done() for each in waiting)
            assert set(await asyncio.gather(*waiting)) == {OVERDUE}
            assert len(slow) == 2, "as many as the channel has threads"
            await sender.stop()

    asyncio.run(run())


def test_a_webhook_is_told_an_event_and_the_log_a_line() -> None:
    log, hook = MemoryLog(), Channel("crm", webhook=True)
    sender = channels(hook, LOG_CHANNEL, log=log)
    for _ in range(2):
        assert asyncio.run(sender.send(hook, NOTICE, WEBER, WRITTEN)) is None
    (topic, key, first), (_, _, second) = log.appended
    events = [wire.decode(Event, each) for each in (first, second)]
    assert (topic, key, events[0].type) == (EVENTS, "job-1", "notice.en_route")
    assert events[0].id == events[1].id, "the same, made again"
    assert events[0].data["body"] == WRITTEN.body
    assert b"weber@" not in first
    with structlog.testing.capture_logs() as lines:
        assert asyncio.run(sender.send(LOG_CHANNEL, NOTICE, WEBER, WRITTEN)) is None
    (line,) = lines
    assert (line["event"], line["notice_id"]) == ("notice", NOTICE.notice_id)
    assert not {"Amina", "weber@"} & set(re.findall(r"\w+@?", str(line)))


def test_what_stands_in_braces() -> None:
    url = "twilio://sid:token@15550001/{phone}"
    assert address_of(url, WEBER, "n") == "twilio://sid:token@15550001/%2B44%20151"
    assert address_of("mailto://x?to={email}", WEBER, "n").endswith(f"to=anna%2Bweber%40example.com&+{KEY_HEADER}=n")
    assert address_of("jsons://x/{notice_id}", WEBER, "n") == f"jsons://x/n?+{KEY_HEADER}=n"


def test_secrets_are_the_environments_and_are_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stated = Channel("sms", url="json://user:${SMS_TOKEN}@127.0.0.1:1/x")
    with pytest.raises(ValueError, match="channel sms: the environment has no SMS_TOKEN"):
        channels(stated)
    monkeypatch.setenv("SMS_TOKEN", "s3cret")
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # as infra.logs has it
    with caplog.at_level(logging.DEBUG, "root"), structlog.testing.capture_logs() as lines:
        assert asyncio.run(channels(stated).send(stated, NOTICE, WEBER, WRITTEN)) == NOT_TAKEN
    assert "s3cret" not in f"{caplog.text} {lines}"
    unknown = Channel("odd", url="nonsense://${SMS_TOKEN}")
    with pytest.raises(ValueError, match=r"^channel odd: its url is none that Apprise can read$"):
        channels(unknown)


def test_the_rules_of_the_documentation_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "notices.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert tomllib.loads(text)
    monkeypatch.setenv("TWILIO_SID", "AC" + "0" * 32)
    monkeypatch.setenv("TWILIO_TOKEN", "0" * 32)
    monkeypatch.setenv("MAIL_PASSWORD", "x")
    rules = read_rules_of_dispatch(text.encode()).notices
    channels(*rules.channels)
    assert rules.channel_for("customer", Contact(email="a@example.com")) == rules.channels[1]
    assert rules.channel_for("dispatcher", None) == rules.channels[2]
    assert rules.channel_for("technician", Contact(email="a@example.com")) is None

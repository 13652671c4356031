"""Revisions under way: their order, what goes together, and who waits for what."""

import asyncio
from typing import Any, cast

import pytest

from schemas.ping import OLDEST_TS_MS
from schemas.times import Instant
from schemas.topics import VISITS, RecordTooLarge, Topic
from schemas.visit import Visit
from stream.kafka import KafkaLog
from stream.tracker import publisher
from stream.tracker.publisher import Publisher

AT = Instant(OLDEST_TS_MS)


class Log:
    """Confirms, or refuses, an append when it is told to."""

    def __init__(self) -> None:
        self.appends: list[list[str]] = []
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def append_patiently(self, topic: Topic, records: list[tuple[str, bytes]]) -> None:
        assert topic is VISITS
        self.appends.append([device_id for device_id, _ in records])
        answer = await self.answers.get()
        if answer is not None:
            raise answer


def visits(*device_ids: str) -> list[Visit]:
    return [
        Visit(
            "v", device_id, "site", 1, None, "open", 1, AT, AT, AT, None, None, None, 6.0, 6.0, 6.0, 0.9, "arrived", 9
        )
        for device_id in device_ids
    ]


async def settled() -> None:
    """Let everything go on that does not wait for an answer."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_what_comes_while_some_are_on_their_way_goes_together_after_them() -> None:
    async def use() -> None:
        log = Log()
        tell = Publisher(cast(KafkaLog, cast(Any, log)))
        for device_id in ("a", "b", "c"):
            tell.publish(visits(device_id))
            await settled()
        assert log.appends == [["a"]]
        log.answers.put_nowait(None)
        await settled()
        assert log.appends == [["a"], ["b", "c"]]

    asyncio.run(use())


def test_published_waits_for_all_there_are_and_not_for_those_that_come_later() -> None:
    async def use() -> None:
        log = Log()
        tell = Publisher(cast(KafkaLog, cast(Any, log)))
        await asyncio.wait_for(tell.published(), 1.0)
        tell.publish(visits("a"))
        await settled()
        tell.publish(visits("b"))
        waiting = asyncio.create_task(tell.published())
        log.answers.put_nowait(None)
        await settled()
        tell.publish(visits("c"))
        await settled()
        assert not waiting.done()
        log.answers.put_nowait(None)
        await settled()
        assert waiting.done()
        assert log.appends == [["a"], ["b"], ["c"]]

    asyncio.run(use())


def test_a_refusal_reaches_whoever_publishes_or_waits() -> None:
    async def use() -> None:
        log = Log()
        tell = Publisher(cast(KafkaLog, cast(Any, log)))
        tell.publish(visits("a"))
        log.answers.put_nowait(RecordTooLarge("the record 'a' has too many bytes"))
        with pytest.raises(RecordTooLarge, match="'a'"):
            await tell.published()
        with pytest.raises(RecordTooLarge, match="'a'"):
            tell.publish(visits("b"))
        assert log.appends == [["a"]]

    asyncio.run(use())


def test_who_asks_for_room_waits_while_the_broker_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MOST_WAITING", 2)

    async def use() -> None:
        log = Log()
        tell = Publisher(cast(KafkaLog, cast(Any, log)))
        tell.publish(visits("a"))
        await settled()
        tell.publish(visits("b"))
        await asyncio.wait_for(tell.room(), 1.0)
        tell.publish(visits("c"))
        waiting = asyncio.create_task(tell.room())
        await settled()
        assert not waiting.done()
        log.answers.put_nowait(None)
        log.answers.put_nowait(None)
        await asyncio.wait_for(waiting, 1.0)
        assert log.appends == [["a"], ["b", "c"]]

    asyncio.run(use())

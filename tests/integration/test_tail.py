"""A topic of events followed from where a group has come, on a real broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.embedded.broker import Broker
from schemas.topics import Topic
from stream.kafka import KafkaLog
from stream.tail import Tail
from tests.integration.test_kafka import DEADLINE_S, PARTITIONS, read_all, run

pytestmark = pytest.mark.integration

GROUP = "test-tail"


class Heard:
    """Notes in what order it was told what."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._more = asyncio.Event()

    async def begin(self) -> None:
        self._note("begin")

    def take(self, event: str) -> None:
        self._note(event)

    def caught_up(self) -> None:
        self._note("caught up")

    async def until(self, told: str) -> None:
        while told not in self.told:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), DEADLINE_S)

    def _note(self, what: str) -> None:
        self.told.append(what)
        self._more.set()


async def acknowledge(broker: Broker, topic: Topic) -> None:
    """Everything up to now, by the group."""
    ends = {number: len(records) for number, records in (await read_all(broker, topic)).items()}
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic.name, number) for number in range(PARTITIONS)])
        await consumer.commit({TopicPartition(topic.name, number): end for number, end in ends.items() if end})
    finally:
        await consumer.stop()


def test_only_what_the_group_has_not_acknowledged_is_told_and_after_the_beginning(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        await log.append(topic, [("a", b"put away"), ("b", b"put away")])
        await acknowledge(broker, topic)
        await log.append(topic, [("a", b"\xff unreadable"), ("a", b"waits")])
        heard = Heard()
        tail = Tail(broker.address, topic, GROUP, bytes.decode, heard)
        await tail.start()
        try:
            await heard.until("caught up")
            await log.append(topic, [("c", b"new")])
            await heard.until("new")
        finally:
            await tail.stop()
        assert heard.told == ["begin", "waits", "caught up", "new"]

    run(broker, use)

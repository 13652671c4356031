"""The tail of a topic, on a real broker: the newest records of each partition, and what comes then."""

import asyncio

import pytest

from infra.embedded.broker import Broker
from schemas.topics import Topic
from stream.kafka import KafkaLog
from stream.recent import Recent
from tests.integration.test_kafka import DEADLINE_S, PARTITIONS, run

pytestmark = pytest.mark.integration

EACH = 5


def test_the_newest_of_each_partition_are_read_and_then_what_comes(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        records: dict[int, list[tuple[str, bytes | None]]] = {
            number: [("key", f"{number} {place}".encode()) for place in range(20)] for number in range(PARTITIONS)
        }
        records[0] = records[0][:2]
        records[1].append(("key", b"\xff unreadable"))
        await log.append_in_place(topic, records)
        recent = Recent(broker.address, topic, bytes.decode, EACH * PARTITIONS)
        await recent.start()
        try:
            await asyncio.wait_for(recent.caught_up(), DEADLINE_S)
            expected = {f"{number} {place}" for number in range(2, PARTITIONS) for place in range(20 - EACH, 20)}
            expected |= {"0 0", "0 1"} | {f"1 {place}" for place in range(21 - EACH, 20)}
            assert sorted(recent.take()) == sorted(expected)
            assert recent.take() == []
            await log.append_in_place(topic, {0: [("key", b"new")], 1: [("key", b"newer")]})
            heard: list[str] = []
            async with asyncio.timeout(DEADLINE_S):
                while len(heard) < 2:
                    heard += recent.take()
                    await asyncio.sleep(0.02)
            assert sorted(heard) == ["new", "newer"]
        finally:
            await recent.stop()

    run(broker, use)

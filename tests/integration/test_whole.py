"""Partitions are read whole on a real broker: those that were asked for, up to where they ended."""

import pytest
from aiokafka.structs import TopicPartition

from infra.embedded.broker import Broker
from schemas.topics import Topic
from stream.kafka import KafkaLog
from stream.whole import read_whole
from tests.integration.test_kafka import run

pytestmark = pytest.mark.integration


def test_some_partitions_are_read_from_the_beginning_to_their_ends(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        many = [(f"k{number}", b"%d" % number) for number in range(5_000)]
        await log.append_in_place(topic, {0: [("a", b"1"), ("b", b"2"), ("a", None)], 1: many, 2: [("c", b"3")]})
        taken: dict[int, list[tuple[bytes, bytes | None]]] = {0: [], 1: []}
        ends = await read_whole(
            broker.address, [topic], [0, 1], lambda each, key, value: taken[each.partition].append((key, value))
        )
        assert taken[0] == [(b"a", b"1"), (b"b", b"2"), (b"a", None)]
        assert taken[1] == [(key.encode(), value) for key, value in many]
        assert ends == {TopicPartition(topic.name, 0): 3, TopicPartition(topic.name, 1): 5_000}

    run(broker, use)


def test_nothing_is_read_of_none_and_of_what_is_empty(broker: Broker) -> None:
    async def use(_: KafkaLog, topic: Topic) -> None:
        taken: list[bytes] = []
        assert await read_whole(broker.address, [topic], [], lambda _, key, __: taken.append(key)) == {}
        ends = await read_whole(broker.address, [topic], [0], lambda _, key, __: taken.append(key))
        assert (ends, taken) == ({TopicPartition(topic.name, 0): 0}, [])

    run(broker, use)

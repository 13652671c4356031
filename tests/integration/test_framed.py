"""The framed transport on the real broker: frames, their order, and what is committed when."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition
from faust.types import EventT

from infra.embedded.broker import Broker
from schemas.settings import Settings
from stream.framed import Consumer, FramedApp, framed_app
from stream.frames import Frame

pytestmark = pytest.mark.integration

PARTITIONS = 2
DEADLINE_S = 60.0


class Reader:
    """A framed app that keeps what it gets; ``acknowledge`` decides which events are acknowledged at once.

    A frame takes it ``work_s`` seconds.
    """

    def __init__(
        self, settings: Settings, group: str, topic: str, acknowledge: Callable[[Frame], bool], work_s: float = 0.0
    ) -> None:
        self.frames: list[Frame] = []
        self.events: list[EventT] = []
        self.app: FramedApp = framed_app(group, settings, [topic])

        @self.app.agent(self.app.topic(topic, value_serializer="raw", key_serializer="raw"))
        async def read(stream):
            async for event in stream.noack().events():
                await asyncio.sleep(work_s)
                self.frames.append(event.value)
                self.events.append(event)
                if acknowledge(event.value):
                    event.ack()

    @property
    def records(self) -> int:
        return sum(len(frame) for frame in self.frames)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Reader"]:
        await self.app.start()
        try:
            yield self
        finally:
            await self.app.stop()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.05)


async def create_topic(settings: Settings) -> str:
    topic = f"framed-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    return topic


async def produce(settings: Settings, topic: str, count: int, compression: str | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, compression_type=compression)
    await producer.start()
    for number in range(count):
        await producer.send(topic, str(number).encode(), partition=number % PARTITIONS)
    await producer.stop()


async def committed(settings: Settings, group: str, topic: str) -> dict[int, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        return {
            partition: await consumer.committed(TopicPartition(topic, partition)) or 0
            for partition in range(PARTITIONS)
        }
    finally:
        await consumer.stop()


@pytest.fixture
def framed_settings(broker: Broker, tmp_path: Path) -> Settings:
    return Settings(kafka=broker.address, partitions=PARTITIONS, data_dir=tmp_path, session_timeout_s=6)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "snappy", "gzip"])
def test_every_record_arrives_once_in_order_whatever_the_compression(framed_settings, compression):
    async def scenario() -> None:
        topic = await create_topic(framed_settings)
        await produce(framed_settings, topic, 1_000, compression)
        async with Reader(framed_settings, f"g-{topic}", topic, lambda _: True).running() as reader:
            await until(lambda: reader.records >= 1_000, "1000 records read")
        for partition in range(PARTITIONS):
            frames = [frame for frame in reader.frames if frame.partition == partition]
            values = [int(value) for frame in frames for value in frame.values]
            assert values == list(range(partition, 1_000, PARTITIONS))
            assert [frame.last_offset - frame.first_offset + 1 for frame in frames] == [len(frame) for frame in frames]
        assert len(reader.frames) < 100
        assert await committed(framed_settings, f"g-{topic}", topic) == {0: 500, 1: 500}

    asyncio.run(scenario())


def test_commits_end_at_the_first_frame_not_acknowledged_and_the_rest_comes_again(framed_settings):
    async def scenario() -> None:
        topic = await create_topic(framed_settings)
        group = f"g-{topic}"
        await produce(framed_settings, topic, 10)
        first = Reader(framed_settings, group, topic, lambda frame: frame.partition == 0 or frame.first_offset > 0)
        async with first.running():
            await until(lambda: first.records >= 10, "the first batch")
            await produce(framed_settings, topic, 10)
            await until(lambda: first.records >= 20, "the second batch")
        assert await committed(framed_settings, group, topic) == {0: 10, 1: 0}

        second = Reader(framed_settings, group, topic, lambda _: True)
        async with second.running():
            await until(lambda: second.records >= 10, "partition 1 again")
        assert [frame.partition for frame in second.frames] == [1] * len(second.frames)
        assert [int(value) for frame in second.frames for value in frame.values] == [1, 3, 5, 7, 9] * 2
        assert await committed(framed_settings, group, topic) == {0: 10, 1: 10}

    asyncio.run(scenario())


def test_frames_acknowledged_out_of_order_are_committed_once_the_gap_closes(framed_settings):
    async def scenario() -> None:
        topic = await create_topic(framed_settings)
        group = f"g-{topic}"
        reader = Reader(framed_settings, group, topic, lambda _: False)
        async with reader.running():
            for batch in range(1, 4):
                await produce(framed_settings, topic, 2)
                await until(lambda batch=batch: reader.records >= 2 * batch, f"batch {batch}")
            of_partition_0 = [event for event in reader.events if event.value.partition == 0]
            assert len(of_partition_0) == 3
            of_partition_0[2].ack()
            await reader.app.consumer.commit()
            assert (await committed(framed_settings, group, topic))[0] == 0
            of_partition_0[0].ack()
            await reader.app.consumer.commit()
            assert (await committed(framed_settings, group, topic))[0] == 1
            of_partition_0[1].ack()
            await reader.app.consumer.commit()
            assert (await committed(framed_settings, group, topic))[0] == 3

    asyncio.run(scenario())


def test_no_frame_is_lost_while_faust_seeks_after_the_recovery_of_its_tables(framed_settings, monkeypatch):
    seek = Consumer.perform_seek

    async def seek_slowly(consumer: Consumer) -> None:
        await seek(consumer)
        await asyncio.sleep(1.0)  # time to fetch; afterwards Faust empties its buffers

    async def scenario() -> None:
        topic = await create_topic(framed_settings)

        def reader_with_table(work_s: float) -> tuple[Reader, Any]:
            reader = Reader(framed_settings, f"g-{topic}", topic, lambda _: True, work_s)
            return reader, reader.app.Table("held", partitions=PARTITIONS, key_type=bytes, value_type=bytes)

        first, table = reader_with_table(work_s=0.0)
        async with first.running():
            await table.send_changelog(0, b"something", b"to recover")
        await produce(framed_settings, topic, 10)
        monkeypatch.setattr(Consumer, "perform_seek", seek_slowly)
        second, table = reader_with_table(work_s=2.0)
        async with second.running():
            await until(lambda: second.records >= 10, "a frame of each partition")
        assert table.data == {b"something": b"to recover"}
        assert await committed(framed_settings, f"g-{topic}", topic) == {0: 5, 1: 5}

    asyncio.run(scenario())

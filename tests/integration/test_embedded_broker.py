import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from infra.embedded.broker import Broker
from infra.errors import CommandError

pytestmark = pytest.mark.integration


async def create_topic(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(address: str, topic: str, values: list[bytes], compression: str | None, ts_ms: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address, compression_type=compression, enable_idempotence=True)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, timestamp_ms=ts_ms) for value in values])
    finally:
        await producer.stop()


async def consume(address: str, topic: str, count: int) -> list[tuple[bytes, int]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        got: list[tuple[bytes, int]] = []
        async with asyncio.timeout(20):
            while len(got) < count:
                record = await consumer.getone()
                got.append((record.value, record.timestamp))
        return got
    finally:
        await consumer.stop()


@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "snappy", "zstd"])
def test_records_come_back_in_order_whatever_the_compression(broker: Broker, compression: str | None) -> None:
    topic = f"round-trip-{compression}"
    values = [b"%d" % number for number in range(500)]

    async def round_trip() -> list[tuple[bytes, int]]:
        await create_topic(broker.address, topic)
        await produce(broker.address, topic, values, compression, ts_ms=int(time.time() * 1000))
        return await consume(broker.address, topic, len(values))

    assert [value for value, _ in asyncio.run(round_trip())] == values


def test_a_trace_of_2019_is_kept_by_its_arrival_not_by_its_event_time(broker: Broker) -> None:
    before_ms = int(time.time() * 1000)

    async def round_trip() -> list[tuple[bytes, int]]:
        await create_topic(broker.address, "old-trace")
        await produce(broker.address, "old-trace", [b"then"], None, ts_ms=1_559_347_200_000)
        return await consume(broker.address, "old-trace", 1)

    [(value, stamped_ms)] = asyncio.run(round_trip())
    assert value == b"then"
    assert before_ms - 1000 <= stamped_ms <= time.time() * 1000 + 1000


def test_a_misspelt_topic_is_an_error_not_a_new_topic(broker: Broker) -> None:
    async def send_astray() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.address, request_timeout_ms=2_000)
        await producer.start()
        try:
            await producer.send_and_wait("onsite.pigns", b"?")
        finally:
            await producer.stop()

    with pytest.raises(UnknownTopicOrPartitionError):
        asyncio.run(send_astray())


def test_records_survive_a_restart_and_a_kill_on_the_same_port(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.start()
    try:
        broker.wait_ready()
        address = broker.address
        asyncio.run(create_topic(address, "kept"))
        asyncio.run(produce(address, "kept", [b"one"], "zstd", ts_ms=int(time.time() * 1000)))

        broker.stop()
        broker.start()
        broker.wait_ready()
        asyncio.run(produce(address, "kept", [b"two"], "zstd", ts_ms=int(time.time() * 1000)))

        broker.process.kill()
        broker.process.wait()
        broker.start()
        broker.wait_ready()
        assert broker.address == address
        assert [value for value, _ in asyncio.run(consume(address, "kept", 2))] == [b"one", b"two"]
    finally:
        broker.stop()


def test_a_broker_that_cannot_start_says_why(broker: Broker, tmp_path: Path) -> None:
    taken = int(broker.address.rpartition(":")[2])
    second = Broker(tmp_path, port=taken)
    second.start()
    try:
        second.process.wait(60)
        with pytest.raises(CommandError, match=r"ended while starting .*in use.*broker\.log"):
            second.wait_ready()
    finally:
        second.stop()

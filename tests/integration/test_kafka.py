"""The log and its followers on a real broker."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.embedded.broker import Broker
from infra.embedded.ports import reserve_free
from schemas import wire
from schemas.key import ApiKey
from schemas.times import Instant
from schemas.topics import MAX_RECORD_BYTES, LogUnavailable, RecordTooLarge, Topic
from stream.kafka import Follower, KafkaLog

pytestmark = pytest.mark.integration

PARTITIONS = 4
DEADLINE_S = 20.0


def key(key_id: str, name: str = "n") -> bytes:
    return wire.encode(ApiKey(key_id, name, "viewer", "hash", Instant(1)))


async def new_topic(broker: Broker) -> Topic:
    topic = Topic(f"test.{uuid.uuid4().hex}", key="id", compacted=True)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic.name, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})])
    finally:
        await admin.close()
    return topic


async def with_log(broker: Broker, use: Callable[[KafkaLog, Topic], Awaitable[None]]) -> None:
    log = KafkaLog(broker.address)
    await log.start()
    try:
        await use(log, await new_topic(broker))
    finally:
        await log.stop()


def run(broker: Broker, use: Callable[[KafkaLog, Topic], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(with_log(broker, use), 120))


async def read_all(broker: Broker, topic: Topic) -> dict[int, list[tuple[bytes, bytes]]]:
    """Every record by partition, up to the present end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[int, list[tuple[bytes, bytes]]] = {number: [] for number in range(PARTITIONS)}
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        found[record.partition].append((record.key, record.value))
        return found
    finally:
        await consumer.stop()


def test_records_whose_partitions_are_given_are_there_in_order_however_many(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        given = {0: 2_500, 1: 3, 2: 0}
        records = {
            number: [(f"{number}/{each}", str(each).encode()) for each in range(count)]
            for number, count in given.items()
        }
        assert await log.append_in_place(topic, records) == {0: 2_500, 1: 3}
        found = await read_all(broker, topic)
        for number, count in given.items():
            assert found[number] == [(f"{number}/{each}".encode(), str(each).encode()) for each in range(count)]
        assert await log.append_in_place(topic, {1: records[1]}) == {1: 6}
        assert await log.append_in_place(topic, {}) == {}

    run(broker, use)


def test_appended_records_are_there_in_order_of_their_key(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        # Enough bytes that a partition's group takes several batches.
        records = [(f"d{i % 50}", f"{i:06d}".encode() * 100) for i in range(10_000)]
        await asyncio.gather(*(log.append(topic, records[start : start + 500]) for start in range(0, 10_000, 500)))
        found = await read_all(broker, topic)
        assert sum(map(len, found.values())) == len(records)
        for device in {device for device, _ in records}:
            wanted = [value for owner, value in records if owner == device]
            homes = {number for number, held in found.items() if any(owner == device.encode() for owner, _ in held)}
            assert len(homes) == 1
            assert [value for owner, value in found[homes.pop()] if owner == device.encode()] == wanted

    run(broker, use)


def test_who_waits_no_longer_takes_nothing_from_those_who_share_the_group(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        await log.append(topic, [("a", b"0")])
        impatient, patient = (asyncio.create_task(log.append(topic, [("a", value)])) for value in (b"1", b"2"))
        await asyncio.sleep(0)  # both are queued now
        impatient.cancel()
        await asyncio.wait_for(patient, DEADLINE_S)
        assert impatient.cancelled()
        held = [value for records in (await read_all(broker, topic)).values() for _, value in records]
        assert held == [b"0", b"1", b"2"]

    run(broker, use)


def test_a_key_lands_where_any_producer_puts_it(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        await log.append(topic, [("21", b"x"), ("foobar", b"x"), ("a-little-bit-long-string", b"x")])
        found = await read_all(broker, topic)
        # murmur2 of Kafka's own test vectors, modulo 4.
        assert [owner for owner, _ in found[(-973932308 & 0x7FFFFFFF) % 4]].count(b"21") == 1
        assert [owner for owner, _ in found[(-790332482 & 0x7FFFFFFF) % 4]].count(b"foobar") == 1
        assert [owner for owner, _ in found[(-985981536 & 0x7FFFFFFF) % 4]].count(b"a-little-bit-long-string") == 1

    run(broker, use)


def test_a_record_that_is_too_large_is_told_before_anything_is_sent(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        with pytest.raises(RecordTooLarge, match="'big'"):
            await log.append(topic, [("small", b"x"), ("big", b"x" * (MAX_RECORD_BYTES + 1))])
        await log.append(topic, [("large", b"x" * MAX_RECORD_BYTES)])
        held = [owner for records in (await read_all(broker, topic)).values() for owner, _ in records]
        assert held == [b"large"]

    run(broker, use)


def test_a_follower_reads_the_past_then_the_present(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        await log.append(topic, [("a", key("a")), ("b", key("b")), ("c", key("c")), ("a", key("a", "newer"))])
        await log.append(topic, [("c", None)])
        changes: list[tuple[str, ApiKey | None]] = []
        follower = Follower(broker.address, topic, partial(wire.decode, ApiKey), lambda *change: changes.append(change))
        await follower.start()
        try:
            await asyncio.wait_for(follower.caught_up(), DEADLINE_S)
            assert {owner: each.name for owner, each in follower.records.items()} == {"a": "newer", "b": "n"}
            await log.append(topic, [("d", key("d")), ("b", None)])
            assert await follower.until(lambda: "d" in follower.records and "b" not in follower.records, DEADLINE_S)
            assert ("b", None) in changes
            assert ("d", follower.records["d"]) in changes
        finally:
            await follower.stop()

    run(broker, use)


def test_an_unreadable_record_is_skipped(broker: Broker) -> None:
    async def use(log: KafkaLog, topic: Topic) -> None:
        garbage = [b"", b"garbage", b"\xff\xff", b"{}", b'{"key_id": 5}', b'{"x":' * 100_000]
        await log.append(topic, [("x", value) for value in garbage] + [("x", key("x"))])
        follower = Follower(broker.address, topic, partial(wire.decode, ApiKey))
        await follower.start()
        try:
            assert await follower.until(lambda: "x" in follower.records, DEADLINE_S)
        finally:
            await follower.stop()

    run(broker, use)


def test_a_condition_that_never_holds_times_out(broker: Broker) -> None:
    async def use(_log: KafkaLog, topic: Topic) -> None:
        follower = Follower(broker.address, topic, partial(wire.decode, ApiKey))
        await follower.start()
        try:
            assert await follower.until(lambda: follower.is_caught_up, DEADLINE_S)
            assert not await follower.until(lambda: False, 0.1)
        finally:
            await follower.stop()

    run(broker, use)


def test_no_broker_is_told_and_not_waited_for(broker: Broker) -> None:
    async def use() -> None:
        log = KafkaLog(f"127.0.0.1:{reserve_free()}", timeout_s=0.5)
        await log.start()
        try:
            with pytest.raises(LogUnavailable):
                await log.append(Topic("t", key="k"), [("a", b"b")])
            with pytest.raises(LogUnavailable):
                await log.ready()
        finally:
            await log.stop()

    asyncio.run(asyncio.wait_for(use(), 30))


def test_the_log_outlives_the_broker(tmp_path_factory: pytest.TempPathFactory) -> None:
    broker = Broker(tmp_path_factory.mktemp("restarted"))
    broker.start()

    async def use(log: KafkaLog, topic: Topic) -> None:
        follower = Follower(broker.address, topic, partial(wire.decode, ApiKey))
        await follower.start()
        try:
            await log.append(topic, [("before", key("before"))])
            broker.stop()
            log._timeout_s = 1.0
            with pytest.raises(LogUnavailable):
                await log.append(topic, [("during", key("during"))])
            log._timeout_s = 60.0
            broker.start()
            await log.append(topic, [("after", key("after"))])
            assert await follower.until(lambda: {"before", "after"} <= follower.records.keys(), 60.0)
        finally:
            await follower.stop()

    try:
        broker.wait_ready()
        run(broker, use)
    finally:
        broker.stop()

"""Partitions of compacted topics read whole: from the beginning to where they ended when that began."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.topics import Topic

_AT_ONCE: Final = 2_000
"""After so many records others have their turn."""
_RECONNECT_S: Final = 1.0

Take: TypeAlias = Callable[[TopicPartition, bytes, bytes | None], object]
"""Is given a partition and of each of its records, in order, the key and the value; None: deleted."""

log = structlog.get_logger()


async def read_whole(
    bootstrap: str, topics: Iterable[Topic], partitions: Iterable[int], take: Take
) -> dict[TopicPartition, int]:
    """Read these partitions of these topics; returns where each ended.

    A broker that is lost is waited for, and all is taken again.
    """
    wanted = [TopicPartition(topic.name, number) for topic in topics for number in partitions]
    while wanted:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            consumer.assign(wanted)
            return await _read(consumer, wanted, take)
        except KafkaError as error:
            log.warning("partitions not read", topics=sorted({each.topic for each in wanted}), error=str(error))
            await asyncio.sleep(_RECONNECT_S)
        finally:
            await consumer.stop()
    return {}


async def _read(consumer: AIOKafkaConsumer, wanted: list[TopicPartition], take: Take) -> dict[TopicPartition, int]:
    ends: dict[TopicPartition, int] = await consumer.end_offsets(wanted)
    while not all([await consumer.position(each) >= ends[each] for each in wanted]):
        fetched = await consumer.getmany(timeout_ms=500, max_records=_AT_ONCE)
        for each, messages in fetched.items():
            for message in messages:
                if message.key is not None:
                    take(each, message.key, message.value)
    return ends

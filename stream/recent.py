"""The newest records of a topic, from the tail of each of its partitions on, then whatever comes."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer

from schemas.topics import Topic
from stream.kafka import TopicReader

log = structlog.get_logger()

T = TypeVar("T")


class Recent(TopicReader[T]):
    """Holds what has come since it was last asked: at first the last ``most`` records or so, as many of each partition.

    A record that ``decode`` refuses is logged and skipped.
    """

    def __init__(self, bootstrap: str, topic: Topic, decode: Callable[[bytes], T], most: int) -> None:
        super().__init__(bootstrap, topic, decode)
        self._most = most
        self._waiting: list[T] = []
        self._positions: dict[int, int] = {}
        self._caught_up = asyncio.Event()

    async def caught_up(self) -> None:
        """Wait until what was in the topic at the start has been read."""
        await self._caught_up.wait()

    def take(self) -> list[T]:
        """What has come, once."""
        waiting, self._waiting = self._waiting, []
        return waiting

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        partitions = sorted(consumer.assignment())
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        each_has = -(-self._most // max(len(partitions), 1))
        for each in partitions:
            begin = max(begins[each], ends[each] - each_has)
            consumer.seek(each, self._positions.get(each.partition, begin))
        while True:
            if not self._caught_up.is_set() and all([await consumer.position(each) >= ends[each] for each in ends]):
                log.info("topic read", topic=self._topic.name, records=len(self._waiting))
                self._caught_up.set()
            for each, messages in (await consumer.getmany(timeout_ms=500)).items():
                decoded = [self._decoded(message) for message in messages]
                self._waiting += [record for record in decoded if record is not None]
                self._positions[each.partition] = messages[-1].offset + 1

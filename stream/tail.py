"""A topic of events followed from about now: from where a group that puts it away elsewhere has come."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer

from schemas.topics import Topic
from stream.kafka import TopicReader, acknowledged

log = structlog.get_logger()

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Reader(Protocol[T_contra]):
    """Who is told."""

    async def begin(self) -> None:
        """Read what the group has put away; all that came before the first event is there by now."""

    def take(self, event: T_contra) -> None:
        """The next event."""

    def caught_up(self) -> None:
        """Everything that was in the topic at the start has been told."""


class Tail(TopicReader[T]):
    """Tells a reader every event, some more than once: all that the group had not acknowledged at the start.

    An event that ``decode`` refuses is logged and skipped.
    """

    def __init__(
        self, bootstrap: str, topic: Topic, group: str, decode: Callable[[bytes], T], reader: Reader[T]
    ) -> None:
        super().__init__(bootstrap, topic, decode)
        self._group = group
        self._reader = reader
        self._positions: dict[int, int] | None = None
        self._is_caught_up = False

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        if self._positions is None:
            positions = await acknowledged(self._bootstrap, self._group, self._topic.name)
            await self._reader.begin()
            self._positions = positions
        for each in consumer.assignment():
            if each.partition in self._positions:
                consumer.seek(each, self._positions[each.partition])
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while True:
            if not self._is_caught_up and all([await consumer.position(each) >= ends[each] for each in ends]):
                log.info("topic followed", topic=self._topic.name)
                self._is_caught_up = True
                self._reader.caught_up()
            for each, messages in (await consumer.getmany(timeout_ms=500)).items():
                for message in messages:
                    event = self._decoded(message)
                    if event is not None:
                        self._reader.take(event)
                self._positions[each.partition] = messages[-1].offset + 1

"""A topic of events followed from about now: from where a group that puts it away elsewhere has come."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import Topic

_RECONNECT_S: Final = 1.0

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


class Tail(Generic[T]):
    """Tells a reader every event, some more than once: all that the group had not acknowledged at the start.

    An event that ``decode`` refuses is logged and skipped.
    """

    def __init__(
        self, bootstrap: str, topic: Topic, group: str, decode: Callable[[bytes], T], reader: Reader[T]
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._group = group
        self._decode = decode
        self._reader = reader
        self._positions: dict[TopicPartition, int] | None = None
        self._is_caught_up = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read, and go on trying while the broker is not there."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            # Without a group a consumer is given every partition, also those added later.
            consumer = AIOKafkaConsumer(
                self._topic.name,
                bootstrap_servers=self._bootstrap,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=100,
                metadata_max_age_ms=30_000,
            )
            try:
                await consumer.start()
                if self._positions is None:
                    acknowledged = await self._acknowledged()
                    await self._reader.begin()
                    self._positions = acknowledged
                await self._read(consumer, self._positions)
            except KafkaError as error:
                log.warning("topic not followed", topic=self._topic.name, error=str(error))
                await asyncio.sleep(_RECONNECT_S)
            finally:
                await consumer.stop()

    async def _acknowledged(self) -> dict[TopicPartition, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            await admin.start()
            committed = await admin.list_consumer_group_offsets(self._group)
        finally:
            await admin.close()
        return {each: place.offset for each, place in committed.items() if each.topic == self._topic.name}

    async def _read(self, consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
        for each in consumer.assignment() & positions.keys():
            consumer.seek(each, positions[each])
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while True:
            if not self._is_caught_up and all([await consumer.position(each) >= ends[each] for each in ends]):
                log.info("topic followed", topic=self._topic.name)
                self._is_caught_up = True
                self._reader.caught_up()
            for each, messages in (await consumer.getmany(timeout_ms=500)).items():
                for message in messages:
                    self._tell(message)
                positions[each] = messages[-1].offset + 1

    def _tell(self, message: Any) -> None:
        try:
            event = self._decode(message.value or b"")
        except (ValueError, RecursionError) as error:
            log.warning(
                "unreadable record skipped",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                error=str(error),
            )
            return
        self._reader.take(event)

"""Kafka from asyncio: a log that is appended to, and followers that hold a compacted topic in memory."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Generic, TypeAlias, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from schemas.topics import MAX_RECORD_BYTES, LogUnavailable, RecordTooLarge, Topic

_BATCH_BYTES: Final = 512 * 1024
_MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
_RECONNECT_S: Final = 1.0
_PATIENTLY_AT_ONCE: Final = 2_000
"""Records that are tried again together: so many are confirmed well within the timeout."""
_STOP_S: Final = 10.0
_ANSWER_MS: Final = 2_000

_PATIENCE_S: Final = 5.0
"""A process follows a dozen topics, on most of which hardly anything happens: so long the broker waits for something
to tell of each. When there is something it tells at once."""

log = structlog.get_logger()

T = TypeVar("T")

_Record: TypeAlias = tuple[bytes, bytes | None]
"""Key and value."""

_Groups: TypeAlias = Mapping[int, list[_Record]]
"""Records by partition."""


async def answers(bootstrap: str) -> bool:
    """Does a broker answer there, and does it name a live one? Listening comes earlier than serving."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_ANSWER_MS)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


async def until_answering(bootstrap: str) -> None:
    """Wait for the broker as long as it takes."""
    waiting = False
    while not await answers(bootstrap):
        if not waiting:
            log.warning("broker not there, waiting", bootstrap=bootstrap)
        waiting = True
        await asyncio.sleep(_RECONNECT_S)


class KafkaLog:
    """Appends records and returns when the broker has them on all in-sync replicas.

    Appends that arrive while a partition's batch is on its way share the next one, so many small appends cost
    little more than a large one. Records keep their order within a partition.
    """

    def __init__(self, bootstrap: str, timeout_s: float = 10.0) -> None:
        self._bootstrap = bootstrap
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._renew = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._partitions: dict[str, int] = {}
        self._queued_bytes = 0

    async def start(self) -> None:
        """Begin to connect, and go on trying: a broker that is not there yet is waited for by ``append``."""
        self._connecting = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        """Let what is on its way arrive, within bounds, then disconnect."""
        lanes = [lane.task for lane in self._lanes.values()]
        if lanes and self._connected.is_set():
            idle = asyncio.gather(*(lane.idle() for lane in self._lanes.values()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(idle, _STOP_S)
        if self._connecting is not None:
            lanes.append(self._connecting)
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        await self._disconnect()

    def ensure_room(self) -> None:
        """Raise LogUnavailable when so many records wait that ``append`` takes no more."""
        if self._queued_bytes > _MAX_QUEUED_BYTES:
            raise LogUnavailable("the broker is behind: too many records wait for it")

    async def append(self, topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        """Append (key, value) records; a value of None deletes the key of a compacted topic.

        Returns once the broker has confirmed all of them. Raises LogUnavailable when it has not within the timeout
        (some may be in the log), RecordTooLarge before anything is sent.
        """
        for key, value in records:
            if value is not None and len(value) > MAX_RECORD_BYTES:
                raise RecordTooLarge(f"the record {key!r} has {len(value)} bytes, over {MAX_RECORD_BYTES}")
        self.ensure_room()
        await self._confirmed(topic, lambda partitions: _by_partition(records, partitions))

    async def append_patiently(self, topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        """Append, waiting for the broker as long as it takes: what was derived must not be lost."""
        for start in range(0, len(records), _PATIENTLY_AT_ONCE):
            some = records[start : start + _PATIENTLY_AT_ONCE]
            await self._patiently(topic, lambda some=some: self.append(topic, some))  # type: ignore[misc]

    async def append_in_place(
        self, topic: Topic, records: Mapping[int, Sequence[tuple[str, bytes | None]]]
    ) -> dict[int, int]:
        """The same as ``append_patiently`` where the partitions are given.

        By partition, an offset that is after all of its records.
        """
        ends: dict[int, int] = {}
        each = max(1, _PATIENTLY_AT_ONCE // max(len(records), 1))
        for start in range(0, max(map(len, records.values()), default=0), each):
            some: _Groups = {
                number: [(key.encode(), value) for key, value in group[start : start + each]]
                for number, group in records.items()
                if len(group) > start
            }
            ends |= await self._patiently(topic, lambda some=some: self._confirmed(topic, lambda _: some))  # type: ignore[misc]
        return ends

    async def _patiently(self, topic: Topic, append: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await append()
            except LogUnavailable as error:
                log.warning("broker not ready, waiting", topic=topic.name, error=str(error))
                await asyncio.sleep(_RECONNECT_S)

    async def _confirmed(self, topic: Topic, grouped: Callable[[int], _Groups]) -> dict[int, int]:
        """Queue records in the lanes of their partitions; return when the broker has confirmed them.

        ``grouped`` gives the records by partition, for so many partitions.
        """
        timer: asyncio.TimerHandle | None = None
        try:
            groups = grouped(self._partitions.get(topic.name) or await self._count_partitions(topic.name))
            receipt = _Receipt(len(groups))
            for number, group in groups.items():
                self._lane(topic.name, number).put(group, receipt)
            # The loop's own timer: asyncio.timeout takes as long as all the rest of a small append.
            timer = asyncio.get_running_loop().call_later(self._timeout_s, receipt.fail, TimeoutError())
            return await receipt.ends
        except TimeoutError as error:
            raise LogUnavailable(f"the broker has not confirmed within {self._timeout_s:g} s") from error
        except KafkaError as error:
            raise LogUnavailable(f"the broker refused: {error}") from error
        finally:
            if timer is not None:
                timer.cancel()

    async def ready(self) -> None:
        """Return when the broker answers; raises LogUnavailable when it does not."""
        producer = self._producer
        if producer is None:
            raise LogUnavailable("not connected to the broker")
        try:
            async with asyncio.timeout(2.0):
                await producer.client.fetch_all_metadata()
        except (TimeoutError, KafkaError) as error:
            raise LogUnavailable("the broker does not answer") from error

    async def _count_partitions(self, topic: str) -> int:
        async with asyncio.timeout(self._timeout_s):
            producer = await self._connection()
            count = self._partitions[topic] = len(await producer.partitions_for(topic))
        return count

    def _lane(self, topic: str, partition: int) -> "_Lane":
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(self, topic, partition)
        return lane

    async def _connection(self) -> AIOKafkaProducer:
        await self._connected.wait()
        assert self._producer is not None
        return self._producer

    async def _send(self, topic: str, partition: int, records: list[_Record]) -> int:
        """Send records in as many batches as they need; the offset after them."""
        producer = await self._connection()
        try:
            sent = []
            batch = producer.create_batch()
            for key, value in records:
                if batch.append(key=key, value=value, timestamp=None) is None:
                    sent.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
                    batch = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
            sent.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
            return int(max([(await confirmed).offset + count for confirmed, count in sent]))
        except KafkaError:
            # The idempotent sequence of this producer may be broken for good: go on with a fresh one.
            if producer is self._producer:
                self._renew.set()
            raise

    async def _keep_connected(self) -> None:
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",  # aiokafka has lz4 at its slowest level, which takes eight times as long
                max_batch_size=_BATCH_BYTES,
                request_timeout_ms=round(self._timeout_s * 1000),
            )
            try:
                await producer.start()
            except KafkaError as error:
                log.warning("broker not reached", bootstrap=self._bootstrap, error=str(error))
                await producer.stop()
                await asyncio.sleep(_RECONNECT_S)
                continue
            self._producer = producer
            self._renew.clear()
            self._connected.set()
            await self._renew.wait()
            await self._disconnect()

    async def _disconnect(self) -> None:
        self._connected.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), _STOP_S)
            except (TimeoutError, KafkaError) as error:
                log.warning("producer not stopped cleanly", error=str(error))


class _Receipt:
    """What one append waits for: ``ends`` are the offsets after its records, by partition, once all are confirmed."""

    def __init__(self, partitions: int) -> None:
        self.ends: asyncio.Future[dict[int, int]] = asyncio.get_running_loop().create_future()
        self._so_far: dict[int, int] = {}
        self._partitions = partitions
        if not partitions:
            self.ends.set_result({})

    def confirm(self, partition: int, end: int) -> None:
        """One partition has its records."""
        self._so_far[partition] = end
        if len(self._so_far) == self._partitions and not self.ends.done():
            self.ends.set_result(self._so_far)

    def fail(self, error: Exception) -> None:
        """Nobody can say that all partitions have them."""
        if not self.ends.done():
            self.ends.set_exception(error)


class _Lane:
    """One partition's queue: what is put while a group is being sent becomes the next group."""

    def __init__(self, owner: KafkaLog, topic: str, partition: int) -> None:
        self._owner = owner
        self._topic = topic
        self._partition = partition
        self._records: list[_Record] = []
        self._receipts: list[_Receipt] = []
        self._bytes = 0
        self._waiting = asyncio.Event()
        self._empty = asyncio.Event()
        self.task = asyncio.create_task(self._send_groups())

    def put(self, records: list[_Record], receipt: _Receipt) -> None:
        """Queue records; the receipt is told of them once the broker has confirmed or refused their group."""
        size = sum(len(key) + len(value or b"") for key, value in records)
        self._records += records
        self._receipts.append(receipt)
        self._bytes += size
        self._owner._queued_bytes += size
        self._waiting.set()
        self._empty.clear()

    async def idle(self) -> None:
        """Wait until nothing is queued or on its way."""
        await self._empty.wait()

    async def _send_groups(self) -> None:
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            records, self._records = self._records, []
            receipts, self._receipts = self._receipts, []
            size, self._bytes = self._bytes, 0
            try:
                end = await self._owner._send(self._topic, self._partition, records)
                for receipt in receipts:
                    receipt.confirm(self._partition, end)
            except KafkaError as error:
                for receipt in receipts:
                    receipt.fail(error)
            finally:
                self._owner._queued_bytes -= size
            if not self._records:
                self._empty.set()


def _by_partition(records: Sequence[tuple[str, bytes | None]], partitions: int) -> _Groups:
    groups: dict[int, list[_Record]] = {}
    for key, value in records:
        key_bytes = key.encode()
        groups.setdefault(_key_hash(key_bytes) % partitions, []).append((key_bytes, value))
    return groups


def partition_of(key: str, partitions: int) -> int:
    """The partition, of so many, that holds the records of a key."""
    return _key_hash(key.encode()) % partitions


@lru_cache(maxsize=200_000)
def _key_hash(key: bytes) -> int:
    """Java's default partitioner, so that every producer puts a key into the same partition."""
    return int(murmur2(key)) & 0x7FFFFFFF


async def acknowledged(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """By partition of a topic, the offset that a group will be given next."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return await acknowledged_by(admin, group, topic)
    finally:
        await admin.close()


async def acknowledged_by(admin: AIOKafkaAdminClient, group: str, topic: str) -> dict[int, int]:
    """The same, asked over a connection that stands."""
    committed = await admin.list_consumer_group_offsets(group)
    return {each.partition: position.offset for each, position in committed.items() if each.topic == topic}


class TopicReader(ABC, Generic[T]):
    """Reads all partitions of a topic, in every process for itself; a broker that is not there is waited for."""

    def __init__(self, bootstrap: str, topic: Topic, decode: Callable[[bytes], T]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._decode = decode
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
                fetch_max_wait_ms=round(_PATIENCE_S * 1000),
                metadata_max_age_ms=30_000,
            )
            try:
                await consumer.start()
                # While something waits to be taken nobody asks about the other partitions alone: what comes to the
                # first ones meanwhile would wait for the answer.
                fetcher = consumer._fetcher
                fetcher._prefetch_backoff = fetcher._fetcher_timeout = _PATIENCE_S
                await self._read(consumer)
            except KafkaError as error:
                log.warning("topic not followed", topic=self._topic.name, error=str(error))
                await asyncio.sleep(_RECONNECT_S)
            finally:
                await consumer.stop()

    @abstractmethod
    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        """Read on until cancelled, or until the broker is lost (KafkaError): then it is called again."""

    def _decoded(self, message: Any) -> T | None:
        """What a record says; one that ``decode`` refuses is logged."""
        try:
            return self._decode(message.value or b"")
        except (ValueError, RecursionError) as error:
            log.warning(
                "unreadable record skipped",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                error=str(error),
            )
            return None


class Follower(TopicReader[T]):
    """A compacted topic in memory: read whole from the beginning, then followed, by every process for itself.

    ``records`` holds the newest value by key. ``on_change(key, value)`` is called after each change, None for a
    deleted key, on the event loop's thread. A record that ``decode`` refuses is logged and skipped.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: Topic,
        decode: Callable[[bytes], T],
        on_change: Callable[[str, T | None], None] | None = None,
    ) -> None:
        super().__init__(bootstrap, topic, decode)
        self.records: dict[str, T] = {}
        self.on_change = on_change
        self._caught_up = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def is_caught_up(self) -> bool:
        """Whether everything that was in the topic at the start has been read."""
        return self._caught_up.is_set()

    async def caught_up(self) -> None:
        """Wait until everything that was in the topic at the start has been read."""
        await self._caught_up.wait()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``condition()`` holds, looking after each read; False when it does not within the timeout."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            return False
        return True

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while True:
            if not self._caught_up.is_set() and all([await consumer.position(each) >= ends[each] for each in ends]):
                log.info("topic read", topic=self._topic.name, records=len(self.records))
                self._caught_up.set()
                await self._tell()
            fetched = await consumer.getmany(timeout_ms=500)
            for messages in fetched.values():
                for message in messages:
                    self._take(message)
            if fetched:
                await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _take(self, message: Any) -> None:
        if message.key is None:
            log.warning("record without key skipped", topic=message.topic, offset=message.offset)
            return
        key = message.key.decode(errors="replace")
        if message.value is None:
            self.records.pop(key, None)
            value = None
        else:
            value = self._decoded(message)
            if value is None:
                return
            self.records[key] = value
        if self.on_change is not None:
            self.on_change(key, value)


async def follow_all(followers: Sequence[Follower[Any]]) -> None:
    """Start them, and wait until each has read what was in its topic."""
    for follower in followers:
        await follower.start()
    for follower in followers:
        await follower.caught_up()


async def stop_all(followers: Sequence[Follower[Any]]) -> None:
    """Stop them."""
    for follower in followers:
        await follower.stop()

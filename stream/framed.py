"""Framed consumption: Faust, one event a partition's batch instead of one event a record.

A Faust transport (URL scheme ``framed://``) that coalesces the records fetched from a partition into one ``Frame``, for
the topics an app asks for. Agents, tables, rebalancing and recovery stay Faust's. What Faust counts an offset at a time
(gaps, acknowledgements) is kept here a frame at a time: the committed offset of a framed partition is the end of the
acknowledged prefix of the frames delivered since it was assigned.
"""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, cast

import faust
import structlog
from faust.transport.drivers import TRANSPORTS, aiokafka
from faust.types import TP, ConsumerMessage, EventT, Message

from schemas.settings import Settings
from schemas.topics import Topic
from stream import batches
from stream.collector import settle
from stream.frames import Fetched, Frame
from stream.kafka import until_answering

MAX_FRAME_RECORDS: Final = 40_000
"""Only a backlog fills such a frame, and is worked off the faster: what a device costs a frame counts once.

Frames that wait to be handed over together have as many, or are one frame more.
"""

BUFFERED_FRAMES: Final = 4
"""Frames waiting for an agent; fetching pauses beyond, so memory stays bounded."""

GATHERED_FOR_S: Final = 0.005
"""Faust hands on the frames of a fetch one by one: for so long the first waits for the others."""

REBALANCE_SEEN_AFTER_S: Final = 1.0
"""What is lost to a rebalance may be noticed before the rebalance is."""

THREADS_SWITCH_S: Final = 0.0005
"""Compiled code lets other threads run, and then waits so long for one that is in Python, fetching or packing fences:
Python's own 5 ms, some ten times a frame, would be a pause."""

METADATA_MAX_AGE_MS: Final = 5_000
IDLE_WAIT_MS: Final = 500
_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class PartitionsLostError(Exception):
    """A partition is another process's, or what was kept of it has not been read: nothing more may be made of it."""


class FramedApp(faust.App):
    """A Faust app whose agents receive ``Frame`` values from ``framed_topics``.

    A broker that is not there when it starts is waited for; Faust alone would end.
    Agents acknowledge by hand (``async for event in stream.noack().events(): …; event.ack()``). ``prepare`` is awaited
    before the app joins its group, ``drain`` when it is told to stop, while it can still produce and commit.
    The broker answers a fetch once it has ``fetch_min_bytes`` for it, or after ``fetch_max_wait_ms``; a fetch asks for
    partitions whose last records were taken, and while it waits none asks for the others. When nothing comes at all the
    next fetch is answered with the first record.
    """

    bootstrap: str
    framed_topics: frozenset[str] = frozenset()
    fetch_min_bytes: int = 1
    fetch_max_wait_ms: int = 100
    prepare: Callable[[], Awaitable[None]] | None = None
    drain: Callable[[], Awaitable[None]] | None = None
    crashing: asyncio.Future[None] | None = None
    """Set once something was ``fatal``."""

    def take_frames(self, topic: Topic, on_frames: Callable[[Sequence[Frame]], Awaitable[None]]) -> None:
        """Give the frames of a topic to ``on_frames``: all that wait, each partition's in order; then acknowledge them.

        So what follows from the frames of several partitions is asked of the broker once.
        """
        source = self.topic(topic.name, value_serializer="raw", key_serializer="raw")

        @self.agent(source, name=f"{self.conf.id}.{topic.name}")
        async def take(stream: Any) -> None:
            waiting: list[EventT[Any]] = []
            handling: asyncio.Task[None] | None = None
            try:
                async for event in stream.noack().events():
                    waiting.append(event)
                    if handling is None or handling.done():
                        handling = asyncio.create_task(self._hand_over(topic, waiting, on_frames))
                    if sum(len(each.value) for each in waiting) >= MAX_FRAME_RECORDS:
                        await asyncio.wait([handling])
            finally:
                if handling is not None:
                    handling.cancel()

    async def _hand_over(
        self, topic: Topic, waiting: list[EventT[Any]], on_frames: Callable[[Sequence[Frame]], Awaitable[None]]
    ) -> None:
        """Hand over what waits until nothing does. What came before a rebalance comes again, to whoever has it then."""
        with contextlib.suppress(Exception), self.fatal(topic.name):  # nobody waits for this task: the app does
            await asyncio.sleep(GATHERED_FOR_S)
            while waiting and self.crashing is None:
                events = [each for each in waiting if self._is_ours(each.message)]
                waiting.clear()
                if not events:
                    continue
                try:
                    await on_frames([cast(Frame, each.value) for each in events])
                except PartitionsLostError:
                    await asyncio.sleep(REBALANCE_SEEN_AFTER_S)
                    if all(self._is_ours(each.message) for each in events):
                        raise  # no rebalance explains it
                    continue
                for each in events:
                    each.ack()

    def _is_ours(self, message: Message) -> bool:
        """Whether no rebalance goes on, or has come since, as Faust itself asks before it gives a message."""
        return self.flow_control.is_active() and message.generation_id == self.consumer_generation_id

    @contextmanager
    def fatal(self, step: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Whatever fails in here ends the process: it is started again from what it has written."""
        try:
            yield
        except but:
            raise
        except Exception as error:
            log.exception("process failed", app=self.conf.id, step=step)
            self.crashing = asyncio.ensure_future(self.crash(error))
            raise

    async def on_first_start(self) -> None:
        """Wait for the broker, prepare, compile what reads frames, then start as Faust does."""
        await until_answering(self.bootstrap)
        if self.prepare is not None:
            await self.prepare()
        batches.warm_up()
        settle()
        sys.setswitchinterval(THREADS_SWITCH_S)
        await super().on_first_start()

    async def on_stop(self) -> None:
        """Drain and commit, then stop as Faust does (its own last commit comes when the consumer has left)."""
        if self.drain is not None:
            await self.drain()
        await self.consumer.commit()
        await super().on_stop()


def framed_app(name: str, settings: Settings, framed_topics: Iterable[str], **overrides: Any) -> FramedApp:
    """A Faust app on the framed transport, configured as Onsite's processes need it.

    ``name`` is the consumer group; ``overrides`` are Faust settings.
    """
    TRANSPORTS.aliases["framed"] = "stream.framed:Transport"
    app = FramedApp(
        name,
        **{
            "broker": ";".join(f"framed://{server.strip()}" for server in settings.kafka.split(",")),
            "datadir": settings.data_dir / name,
            "value_serializer": "raw",
            "key_serializer": "raw",
            "topic_partitions": settings.partitions,
            "topic_replication_factor": settings.replication,
            "topic_disable_leader": True,
            "broker_session_timeout": settings.session_timeout_s,
            "broker_heartbeat_interval": settings.session_timeout_s / 5,
            "broker_max_poll_records": MAX_FRAME_RECORDS,
            "broker_commit_interval": 1.0,
            "stream_buffer_maxsize": BUFFERED_FRAMES,
            "stream_wait_empty": False,
            "producer_compression_type": "zstd",
            "producer_max_request_size": 8 * 1024 * 1024,
            # A broker that has just come back may name no topics yet: a group that was assigned none looks again soon.
            "consumer_metadata_max_age_ms": METADATA_MAX_AGE_MS,
            "consumer_max_fetch_size": 8 * 1024 * 1024,
            "consumer_auto_offset_reset": "earliest",
            "web_enabled": False,
            **overrides,
        },
    )
    app.bootstrap = settings.kafka
    app.framed_topics = frozenset(framed_topics)
    return app


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's thread that fetches, told which topics are framed."""

    async def on_start(self) -> None:
        """Start as Faust does; nothing is fetched before it subscribes."""
        await super().on_start()
        app, fetcher = cast(FramedApp, self.app), self._ensure_consumer()._fetcher
        fetcher._records = Fetched(app.framed_topics)
        _gather(fetcher, app.fetch_min_bytes, app.fetch_max_wait_ms)


def _gather(fetcher: Any, min_bytes: int, max_wait_ms: int) -> None:
    """Let records be gathered as long as some come; an idle system does not ask thirty times a second."""
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = min_bytes, max_wait_ms
    fetch = fetcher._proc_fetch_request

    async def fetch_and_see(*request: Any) -> bool:
        has_come: bool = await fetch(*request)
        is_idle = not has_come and not fetcher._records
        fetcher._fetch_min_bytes = 1 if is_idle else min_bytes
        fetcher._fetch_max_wait_ms = max(IDLE_WAIT_MS, max_wait_ms) if is_idle else max_wait_ms
        return has_come

    fetcher._proc_fetch_request = fetch_and_see


class Consumer(aiokafka.Consumer):
    """Faust's Kafka consumer with frames for the topics the app names."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._framed_topics = cast(FramedApp, self.app).framed_topics
        self._delivered: dict[TP, deque[Message]] = {}
        self._room = asyncio.Event()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch from a partition again: there is room for its frames."""
        super().on_buffer_drop(tp)
        self._room.set()

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109
        """While there is room for no partition's frames, wait until there is: Faust would sleep for a second."""
        if self.flow_active and self._buffered_partitions and not self._get_active_partitions():
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), timeout)
            return {}, set()
        return await super()._wait_next_records(timeout)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, Any]:  # noqa: ASYNC109
        if self.app.rebalancing:
            # Faust empties its buffers once its tables are recovered: a frame delivered before would never be seen.
            active_partitions = {tp for tp in active_partitions or () if tp.topic not in self._framed_topics}
            if not active_partitions:
                await self.sleep(_LOOK_EVERY_S)
                return {}
        fetched = await super()._getmany(active_partitions, timeout)
        return {tp: [records] if isinstance(records, Frame) else records for tp, records in fetched.items()}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, Frame):
            return super()._to_message(tp, record)
        message = ConsumerMessage(
            record.topic,
            record.partition,
            # Faust drops a message whose offset it has read past: by its last record a frame that straddles stays.
            record.last_offset,
            int(record.timestamps_ms[-1]) / 1000.0,
            0,
            None,
            None,
            cast(Any, record),
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        read_offset = self._read_offset[tp]
        # A frame that Faust will drop, because it was read before, waits for nobody.
        message.acked = read_offset is not None and message.offset < read_offset
        self._delivered.setdefault(tp, deque()).append(message)
        return message

    def ack(self, message: Message) -> bool:
        """Mark a message as done; a frame's offset is committed once all frames before it are done too."""
        if message.tp.topic not in self._framed_topics:
            return super().ack(message)
        first_time = not message.acked
        message.acked = True
        self._unacked_messages.discard(message)
        return first_time

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self._framed_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp, frames in self._delivered.items():
            if frames and frames[0].acked and (topics is None or tp in topics or tp.topic in topics):
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self._framed_topics:
            return super()._new_offset(tp)
        frames = self._delivered.get(tp, deque())
        committable = None
        while frames and frames[0].acked:
            committable = frames.popleft().offset + 1
        return committable

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was delivered: frames that were not committed come again, to whoever gets the partition."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._delivered.pop(tp, None)


class Transport(aiokafka.Transport):
    """The aiokafka transport with the framing consumer."""

    Consumer: ClassVar[type[aiokafka.Consumer]] = Consumer

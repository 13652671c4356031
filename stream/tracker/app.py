"""The tracker's Faust app: frames of pings in; visits and live states out; checkpoints in a table."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import structlog
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import EventT
from prometheus_client import Counter, Gauge, Histogram

from geofence.fence_book import FenceBook
from geofence.fences import FencePages, FenceSet
from geofence.rule_book import RuleBook
from geofence.rules import Rules
from geofence.tracks import Tracks
from geofence.visits.arrangement import arrangement_of
from geofence.visits.ground import ground_of
from schemas.clock import Clock
from schemas.fence import FenceError, FenceRecord
from schemas.settings import Settings
from schemas.topics import FENCES, LIVE, PINGS, TRACKER_GROUP, VISITS, LogUnavailable
from schemas.visit import Visit
from schemas.wire import decode, encode
from stream.collector import paused, settle
from stream.columns import read_columns
from stream.decode import decode_pings
from stream.erasures import Erasures
from stream.framed import FramedApp, PartitionsLostError, framed_app
from stream.frames import Frame
from stream.kafka import Follower, KafkaLog, acknowledged
from stream.restored import STORE_URL, RestoredOnce, compacted_within
from stream.store import STORE_ERRORS
from stream.tracker.checkpoints import TOLD, by_name, key_of, restored
from stream.tracker.erased import kept_of, unerased
from stream.tracker.late import FIRST_REACH_MS, REACH_FACTOR, RecordedPings
from stream.tracker.live import LiveBoard
from stream.tracker.partition import PartitionTracks, warm_up
from stream.tracker.publisher import Publisher
from stream.tracker.told import ToldVisits

FETCH_MIN_BYTES: Final = 32 * 1024
FETCH_MAX_WAIT_MS: Final = 60
"""A frame costs as much as some dozens of its pings: where few come they are gathered for so long."""
TICK_S: Final = 1.0
LIVE_S: Final = 0.2
FENCES_SETTLE_S: Final = 0.2
"""A burst of fence edits becomes one new fence set."""
RETRY_S: Final = 1.0
SILENT_AFTER_MS: Final = 15_000
"""A device that has not been heard of for this long is looked at again, until silence has said all it can say. What
counts is when pings came in, not what time they tell: a backlog on its way in several parts is no silence."""
AT_A_TIME: Final = 32
LOOK_S: Final = 0.01
"""So many devices at first, and then as many as take so long, are looked at before frames may come between."""
SETTLED_AFTER_CORRELATIONS: Final = 14.0
"""After so many times ``Rules.correlation_s`` of silence the last fix counts as much as it ever will."""

_SERVICE_ERRORS: Final = (*STORE_ERRORS, KafkaError, LogUnavailable)

Slots = npt.NDArray[np.int64]

log = structlog.get_logger()

frames_folded = Counter("onsite_tracker_frames", "Frames folded")
pings_folded = Counter("onsite_tracker_pings", "Pings folded")
pings_unreadable = Counter("onsite_tracker_unreadable_pings", "Records on onsite.pings that are no ping")
visits_published = Counter("onsite_tracker_visit_revisions", "Revisions published", ["state"])
late_waiting = Gauge("onsite_tracker_late_devices", "Devices whose late fixes wait for the store")
devices_tracked = Gauge("onsite_tracker_devices", "Devices in memory")
checkpoint_seconds = Histogram("onsite_tracker_checkpoint_seconds", "Time of a checkpoint")
fold_seconds = Histogram(
    "onsite_tracker_fold_seconds", "Time of folding a frame", buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 1, 5)
)


class Tracker:
    """Wires the pure engine to Kafka. ``app`` is the Faust app to run; ``rule_book`` holds as long as it runs."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        store: Callable[[], Awaitable[AsyncClient]],
        rule_book: RuleBook | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._open_store = store
        self._fences_changed = asyncio.Event()
        self._changed_fences: set[str] = set()
        self._rule_book = rule_book or RuleBook()
        self._rules = self._rule_book.rules
        self._book = FenceBook()
        self._fences = self._set_of(self._book.pages())
        self._swap_fences(self._fences)
        self._partitions: dict[int, PartitionTracks] = {}
        self._board = LiveBoard()
        self._folded: list[EventT[Any]] = []
        self._written_until: dict[int, int] = {}
        self._told_until: dict[int, int] = {}
        self._checkpointing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._log = KafkaLog(settings.kafka)
        self._publisher = Publisher(self._log)
        self._told = ToldVisits(settings.kafka)
        self._erasures = Erasures(settings, "tracker")
        self._follower = Follower(
            settings.kafka, FENCES, lambda value: decode(FenceRecord, value), on_change=self._on_fence
        )
        self.app = self._build_app()

    def _build_app(self) -> FramedApp:
        app = framed_app(TRACKER_GROUP, self._settings, [PINGS.name])
        app.fetch_min_bytes, app.fetch_max_wait_ms = FETCH_MIN_BYTES, FETCH_MAX_WAIT_MS
        self._segments = app.Table(
            "segments",
            key_type=bytes,
            value_type=bytes,
            store=STORE_URL,
            partitions=self._settings.partitions,
            on_recover=self._restore,
            extra_topic_configs={
                "max.message.bytes": 8 * 1024 * 1024,
                "segment.bytes": 16 * 1024 * 1024,
                "min.cleanable.dirty.ratio": 0.2,
                **compacted_within(self._settings),
            },
        )
        pings = app.topic(PINGS.name, value_serializer="raw", key_serializer="raw")

        @app.agent(pings, name="tracker")
        async def track(stream: Any) -> None:
            async for event in stream.noack().events():
                with self.app.fatal("frame"):
                    await self._on_frame(event)

        @app.on_partitions_assigned.connect
        async def assigned(*_: Any, **__: Any) -> None:
            log.info("partitions assigned")

        @app.on_partitions_revoked.connect
        async def revoked(*_: Any, **__: Any) -> None:
            await self._hand_over()

        app.drain = self._drain
        app.prepare = self.prepare
        return app

    @property
    def _changelog(self) -> str:
        return self._segments.changelog_topic.get_topic_name()

    @property
    def fences(self) -> FenceSet:
        """The fences as they stand."""
        return self._fences

    async def prepare(self) -> None:
        """Read all fences, compile what is still uncompiled, start the background work: before joining the group."""
        warm_up(self._rules)
        log.info("engine ready")
        await self._log.start()
        await self._told.start()
        await self._erasures.start()
        await self._follower.start()
        await self._follower.caught_up()
        self._fences_changed.clear()
        self._changed_fences.clear()
        self._swap_fences(self._set_of(self._book.pages()))
        log.info("fences read", rows=len(self._fences))
        for fence_id in self._rule_book.strangers(self._fences.fence_ids):
            log.warning("rules for a fence that is not there (yet)", fence_id=fence_id)
        steps = (
            self._watch_fences,
            self._tick,
            self._tell_live_in_time,
            self._settle_late,
            self._checkpoint_in_time,
            self._erase,
        )
        self._tasks = [asyncio.create_task(self._forever(step)) for step in steps]

    async def _drain(self) -> None:
        async with self._checkpointing:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tell_live()
        await self._checkpoint(handing_over=True)
        await self._follower.stop()
        await self._erasures.stop()
        await self._told.stop()
        await self._log.stop()

    # Frames

    async def _on_frame(self, event: EventT[Any]) -> None:
        frame = cast(Frame, event.value)
        pings = unerased(read_columns(frame.values, frame.timestamps_ms), self._erasures.spans)
        newest = pings.newest_records()
        shown = decode_pings(frame.values.at(newest), frame.timestamps_ms[newest]).pings
        await self._publisher.room()
        now_ms = self._clock.now_ms()
        partition = self._partitions.get(frame.partition)
        if partition is None:
            partition = self._partitions[frame.partition] = PartitionTracks(now_ms)
        with fold_seconds.time():
            revisions = partition.fold(pings, frame.last_offset, self._fences, self._rules, now_ms)
        self._board.see(shown)
        self._publish(revisions)
        self._folded.append(event)
        frames_folded.inc()
        pings_folded.inc(len(pings))
        pings_unreadable.inc(len(pings.bad))

    def _publish(self, revisions: list[Visit]) -> None:
        """Hand over what follows from a change, at once: a checkpoint waits until it is published."""
        for visit in revisions:
            visits_published.labels(visit.state).inc()
            self._board.touch(visit.device_id)
        self._publisher.publish(revisions)

    # Checkpoints

    async def _checkpoint_in_time(self) -> None:
        await asyncio.sleep(self._settings.checkpoint_s)
        if self._folded:
            await self._checkpoint()

    async def _checkpoint(self, *, handing_over: bool = False) -> None:
        """Write what changed, and only then acknowledge the frames that changed it; frames go on meanwhile.

        A tracker that has failed writes nothing more: what it was about may be half done.
        """
        if self.app.crashing is not None:
            return
        async with self._checkpointing:
            # Visits told from here on are known to what is packed below: they are learnt again for nothing.
            told = await self._told.ends(VISITS.name, self._partitions)
            lost = await self._lost()
            with self.app.fatal("checkpoint"), checkpoint_seconds.time():
                if lost and not handing_over:
                    raise PartitionsLostError(f"another tracker has taken over {sorted(lost)}")
                folded, self._folded = self._folded, []
                changed = list(self._changed(told, lost))
                # Never is a change covered that nobody was told of.
                await self._publisher.published()
                for each in [self._write(*record) for record in changed]:
                    record = await each
                    self._written_until[record.partition] = record.offset + 1
                self._told_until |= told
            for event in folded:
                if event.message.partition not in lost:
                    event.ack()
            if folded:
                await self.app.consumer.commit()
            devices_tracked.set(sum(len(partition.tracks) for partition in self._partitions.values()))

    def _changed(self, told: dict[int, int], lost: set[int]) -> Iterator[tuple[int, str, bytes | None]]:
        """(partition, name, value) of the records that say what changed of the partitions that are still ours."""
        for number, partition in self._partitions.items():
            if number in told and number not in lost:
                for name, value in partition.take_changed():
                    yield number, name, value
                if self._told_until.get(number) != told[number]:
                    yield number, TOLD, str(told[number]).encode()

    def _write(self, number: int, name: str, value: bytes | None) -> Awaitable[Any]:
        return self._segments.send_changelog(number, key_of(number, name), value)

    async def _lost(self) -> set[int]:
        """Partitions whose checkpoint somebody else has written to: they are ours no more."""
        ends = await self._told.ends(self._changelog, self._partitions)
        return {number for number, end in ends.items() if end > self._written_until.get(number, end)}

    async def _hand_over(self) -> None:
        await self._checkpoint(handing_over=True)
        self._forget_partitions()
        if self.app.crashing is None:
            # What is still on its way belongs to frames that come again: whoever folds them has to know of it.
            await self._publisher.published()

    def _forget_partitions(self) -> None:
        self._board = LiveBoard()
        self._partitions = {}
        self._folded = []

    async def _restore(self) -> None:
        with self.app.fatal("restore"), paused():
            await self._take_over()
        settle()

    async def _take_over(self) -> None:
        self._forget_partitions()
        assigned = {each.partition for each in self.app.consumer.assignment() if each.topic == PINGS.name}
        read, ends = cast(RestoredOnce, self._segments.data).take()
        records = {number: by_name(each) for number, each in read.items()}
        log.info("checkpoints read", records=sum(map(len, records.values())))
        self._written_until = await self._told.ends(self._changelog, assigned) | ends
        self._told_until = {number: int(each[TOLD]) for number, each in records.items() if TOLD in each}
        now_ms, folded = self._clock.now_ms(), await acknowledged(self._settings.kafka, TRACKER_GROUP, PINGS.name)
        partitions = {
            number: restored(number, records.get(number, {}), now_ms, folded.get(number, 0)) for number in assigned
        }
        told_since = await self._told.since({number: self._told_until.get(number, 0) for number in assigned})
        ping_ends = await self._told.ends(PINGS.name, assigned)
        for number, visit in told_since:
            if self._erasures.spans.covers(visit.device_id, visit.arrived_ms):
                continue
            partitions[number].learn(visit)
            partitions[number].catch_up_offset = ping_ends[number]
        self._partitions = partitions
        self._erasures.news.set()
        devices = sum(len(partition.tracks) for partition in partitions.values())
        log.info("state restored", partitions=sorted(assigned), devices=devices, told_since=len(told_since))

    # Fences

    def _on_fence(self, fence_id: str, record: FenceRecord | None) -> None:
        try:
            if record is None:
                self._book.remove(fence_id)
            else:
                self._book.put(record)
        except FenceError as error:
            log.warning("impossible fence skipped", fence_id=fence_id, error=str(error))
            return
        self._changed_fences.add(fence_id)
        self._fences_changed.set()

    def _set_of(self, pages: FencePages) -> FenceSet:
        """A fence set under the rules, with all that can be made of it beside the frames."""
        fences = self._rule_book.applied_to(FenceSet.of_pages(pages))
        ground_of(fences)
        return fences

    def _swap_fences(self, fences: FenceSet) -> None:
        arrangement_of(fences, after=self._fences)
        self._fences = fences
        self._settled_after_ms = settled_after_ms(fences, self._rules)

    async def _watch_fences(self) -> None:
        await self._fences_changed.wait()
        await asyncio.sleep(FENCES_SETTLE_S)
        edited, self._changed_fences = self._changed_fences, set()
        self._fences_changed.clear()
        # In a thread: packing a hundred thousand fences takes a tenth of a second, in which frames must go on.
        self._swap_fences(await asyncio.to_thread(self._set_of, self._book.pages()))
        log.info("fences changed", fences=len(edited), rows=len(self._fences))
        changed = self._fences.some(edited)
        for number, partition in list(self._partitions.items()):
            slots = np.arange(len(partition.tracks))
            await self._revise(
                number,
                partition,
                slots,
                lambda tracks, some: tracks.look_at_changed(some, self._fences, self._rules, changed),
            )

    # Time

    async def _tick(self) -> None:
        await asyncio.sleep(TICK_S)
        now_ms = self._clock.now_ms()
        for number, partition in list(self._partitions.items()):
            silent = partition.silent(now_ms, SILENT_AFTER_MS, self._settled_after_ms)
            await self._revise(
                number, partition, silent, lambda tracks, some: tracks.look(some, self._fences, self._rules, now_ms)
            )

    async def _revise(
        self, number: int, partition: PartitionTracks, slots: Slots, look: Callable[[Tracks, Slots], list[Visit]]
    ) -> None:
        """Look at slots of a partition, some at a time so that frames can come between, and publish what is new.

        A partition that was handed over meanwhile is left alone.
        """
        first, at_a_time = 0, AT_A_TIME
        while first < len(slots):
            if self._partitions.get(number) is not partition:
                return
            began_s = time.perf_counter()
            revisions = look(partition.tracks, slots[first : first + at_a_time])
            first += at_a_time
            at_a_time = max(1, min(2 * at_a_time, int(at_a_time * LOOK_S / (time.perf_counter() - began_s))))
            partition.note_late()
            if revisions:
                told = {partition.tracks.slots[visit.device_id] for visit in revisions}
                partition.touch(np.array(sorted(told)))
                self._publish(revisions)
            await self._publisher.room()
            await asyncio.sleep(0)

    def _tracks_of(self, device_id: str) -> Tracks | None:
        """The tracks that a device is among."""
        among = (each.tracks for each in self._partitions.values() if device_id in each.tracks.slots)
        return next(among, None)

    async def _tell_live_in_time(self) -> None:
        await asyncio.sleep(LIVE_S)
        await self._tell_live(time.monotonic())

    async def _tell_live(self, at_s: float = math.inf) -> None:
        states = self._board.take_due(self._tracks_of, self._clock.now_ms(), at_s)
        await self._log.append_patiently(LIVE, [(state.device_id, encode(state)) for state in states])

    # Late fixes

    async def _settle_late(self) -> None:
        store = await self._open_store()
        recorded = RecordedPings(self._settings.kafka, store)
        try:
            while True:
                await asyncio.sleep(TICK_S)
                waiting = [(number, each) for number, each in self._partitions.items() if each.late_offset]
                late_waiting.set(sum(len(partition.late_offset) for _, partition in waiting))
                if not waiting:
                    continue
                offsets = await recorded.offsets()
                for number, partition in waiting:
                    for slot, offset in list(partition.late_offset.items()):
                        if offsets.get(number, 0) > offset:
                            await self._settle_device(number, partition, slot, recorded)
        finally:
            await recorded.close()

    async def _settle_device(self, number: int, partition: PartitionTracks, slot: int, recorded: RecordedPings) -> None:
        tracks, asked_offset = partition.tracks, partition.late_offset[slot]
        device_id, spans = tracks.device_ids[slot], self._erasures.spans
        oldest_ms = await recorded.oldest_ms(device_id)
        reach_ms = FIRST_REACH_MS
        while (late := tracks.late.get(slot)) is not None:
            from_ms = max(late.from_ms - reach_ms, oldest_ms)
            stored = await recorded.fixes_since(device_id, from_ms)
            logged = await recorded.visits_since(device_id, from_ms)
            if self._partitions.get(number) is not partition or partition.late_offset[slot] != asked_offset:
                return  # another's by now, or more arrived meanwhile and the recorder must come that far first
            now_ms, complete = self._clock.now_ms(), from_ms == oldest_ms
            for visit in logged:
                if not spans.covers(device_id, visit.arrived_ms):
                    tracks.learn(visit)
            stored = stored.take(kept_of(device_id, stored, spans))
            revisions = tracks.rederive(slot, stored, self._fences, self._rules, now_ms, complete=complete)
            if revisions is not None:
                partition.late_offset.pop(slot, None)
                partition.touch(np.array([slot]))
                self._publish(revisions)
            reach_ms *= REACH_FACTOR

    # Erasure

    async def _erase(self) -> None:
        """Let go of what was erased, also in the checkpoint; then say so."""
        await self._erasures.news.wait()
        self._erasures.news.clear()
        spans = self._erasures.spans
        if self._erasures.take_nudge():
            self._told_until = {}  # it is written anew, in each partition
            await self._checkpoint()
        due = self._erasures.due(list(self._partitions))
        if not due:
            return
        self._partitions = {number: each.without(spans) for number, each in self._partitions.items()}
        self._board.forget(spans)
        await self._checkpoint()
        if self.app.crashing is None:
            await self._erasures.tell(self._log, due)

    # Failures

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a step again and again; a service that does not answer is waited for."""
        while True:
            try:
                with self.app.fatal(step.__name__, but=_SERVICE_ERRORS):
                    await step()
            except _SERVICE_ERRORS as error:
                log.warning("waiting", step=step.__name__, error=str(error))
                await asyncio.sleep(RETRY_S)


def settled_after_ms(fences: FenceSet, rules: Rules) -> float:
    """After how long a silence it has no more to say: an absence is over, a stay long enough, the last fix at rest."""
    longest_s = max(
        np.nanmax(np.append(column, general))
        for column, general in ((fences.bridge_s, rules.bridge_s), (fences.min_on_site_s, rules.min_on_site_s))
    )
    return 1000.0 * max(float(longest_s), SETTLED_AFTER_CORRELATIONS * rules.correlation_s)

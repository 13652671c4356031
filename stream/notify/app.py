"""The notifier's Faust app: jobs, visits and stock in, events out; events in, deliveries to webhooks out; notices.

What was told and what waits to be delivered are tables of the app, written before a frame is acknowledged: after a
crash events are made and delivered again, under the same ids.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, cast

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from dispatch.retries import Verdict, verdict_on
from dispatch.rules import DispatchRules
from dispatch.subscriptions import wants
from dispatch.tracking import TrackingLinks
from schemas.clock import Clock
from schemas.event import Event
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import (
    ETAS,
    EVENTS,
    JOBS,
    MAX_RECORD_BYTES,
    NOTIFICATIONS,
    NOTIFIER_GROUP,
    REQUESTS,
    STOCK,
    TRACKING,
    VISITS,
    WEBHOOK_DELIVERIES,
    WEBHOOK_REPLAYS,
    WEBHOOKS,
    Topic,
)
from schemas.webhook import Attempted, Delivery, Replay, WebhookRecord
from schemas.wire import decode, encode
from stream.collector import settle
from stream.framed import FramedApp, PartitionsLostError, framed_app
from stream.frames import Frame
from stream.kafka import KafkaLog
from stream.notify.notices import Notices
from stream.notify.outbox import Outbox, Pending
from stream.notify.places import Places
from stream.notify.sender import Sender
from stream.notify.teller import Teller, unreadable
from stream.records import records_of
from stream.restored import STORE_URL, RestoredOnce, compacted_within

LOOK_EVERY_S: Final = 0.25
"""What is due is looked at so often."""
DRAIN_S: Final = 5.0
FETCH_MIN_BYTES: Final = 64 * 1024
FETCH_MAX_WAIT_MS: Final = 200
"""What happens is gathered for so long: telling of one thing costs as much as telling of some dozens."""

TOLD: Final = Topic(f"{NOTIFIER_GROUP}-told-changelog", key="job or visit", compacted=True)
PENDING: Final = Topic(f"{NOTIFIER_GROUP}-pending-changelog", key="webhook_id/event", compacted=True)
"""What the tables are read back from; Faust makes them."""

GIVEN_UP: Final = Verdict("failed", None)

log = structlog.get_logger()

events_told = Counter("onsite_notifier_events", "Events made", ["type"])
attempts_made = Counter("onsite_notifier_attempts", "Attempts to deliver an event, by what followed", ["outcome"])
deliveries_waiting = Gauge("onsite_notifier_deliveries_waiting", "Deliveries that wait, those under way too")


class Notifier:
    """Wires the parts to Kafka. ``app`` is the Faust app to run.

    Raises:
        ValueError: a channel of notices that cannot be.
    """

    def __init__(
        self, settings: Settings, clock: Clock, rules: DispatchRules, links: TrackingLinks | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rates = rules.rates
        self._schedule_s = settings.webhook_schedule_s()
        self._places = Places(settings)
        self._notices = Notices(settings, clock, rules, self._places, links)
        self._sender = Sender(settings, clock)
        self._log = KafkaLog(settings.kafka)
        self._tellers: dict[int, Teller] = {}
        self._outbox = self._empty_outbox()
        self._under_way: set[asyncio.Task[None]] = set()
        self._due = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.app = self._build_app()

    def _empty_outbox(self) -> Outbox[Pending]:
        return Outbox(self._settings.webhook_parallel, self._settings.webhook_parallel_each)

    def _build_app(self) -> FramedApp:
        agents: dict[Topic, Callable[[Sequence[Frame]], Awaitable[None]]] = {
            JOBS: self._on_jobs,
            ETAS: self._notices.take,
            TRACKING: self._notices.take,
            VISITS: self._on_facts,
            REQUESTS: self._on_facts,
            STOCK: self._on_facts,
            EVENTS: self._on_events,
            WEBHOOK_REPLAYS: self._on_replays,
        }
        app = framed_app(NOTIFIER_GROUP, self._settings, [topic.name for topic in agents], table_standby_replicas=0)
        app.fetch_min_bytes, app.fetch_max_wait_ms = FETCH_MIN_BYTES, FETCH_MAX_WAIT_MS
        self._told_table = self._table(app, "told")
        self._notice_table = app.Table(
            "notices",
            key_type=bytes,
            value_type=bytes,
            store=STORE_URL,
            partitions=self._settings.partitions,
            changelog_topic=app.topic(
                NOTIFICATIONS.name, key_serializer="raw", value_serializer="raw", partitions=self._settings.partitions
            ),
        )
        self._pending_table = self._table(app, "pending", on_recover=self._restore)
        for topic, on_frames in agents.items():
            app.take_frames(topic, on_frames)

        @app.on_partitions_revoked.connect
        async def revoked(*_: Any, **__: Any) -> None:
            await self._stop_deliveries(0.0)
            await self._notices.let_go()
            self._tellers, self._outbox = {}, self._empty_outbox()

        app.prepare = self._prepare
        app.drain = self._drain
        return app

    def _table(self, app: FramedApp, name: str, **more: Any) -> Any:
        return app.Table(
            name,
            key_type=bytes,
            value_type=bytes,
            store=STORE_URL,
            partitions=self._settings.partitions,
            extra_topic_configs=compacted_within(self._settings),
            **more,
        )

    async def _prepare(self) -> None:
        await self._log.start()
        await self._places.start()
        await self._sender.start()
        await self._notices.start(self.app)
        self._looking = asyncio.create_task(self._send_what_is_due())

    async def _drain(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(self._stop_deliveries(DRAIN_S), self._notices.stop(DRAIN_S))
        await self._sender.stop()
        await self._places.stop()
        await self._log.stop()

    async def _stop_deliveries(self, within_s: float) -> None:
        """Let those under way end, within bounds; what is cut off is delivered again, under the same id."""
        tasks = list(self._under_way)
        if tasks and within_s:
            await asyncio.wait(tasks, timeout=within_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _restore(self) -> None:
        with self.app.fatal("restore"):
            assigned = {each.partition for each in self.app.consumer.assignment() if each.topic == EVENTS.name}
            told, _ = cast(RestoredOnce, self._told_table.data).take()
            waiting, _ = cast(RestoredOnce, self._pending_table.data).take()
            notices, _ = cast(RestoredOnce, self._notice_table.data).take()
            self._tellers = {
                number: Teller(
                    {key.decode(): value for key, value in told.get(number, {}).items()}, self._places, self._rates
                )
                for number in assigned
            }
            self._outbox = self._empty_outbox()
            for number in assigned:
                for value in waiting.get(number, {}).values():
                    self._outbox.put(decode(Pending, value))
            deliveries_waiting.set(len(self._outbox))
            log.info("what was told is read", partitions=sorted(assigned), waiting=len(self._outbox))
            await self._notices.restore(assigned, notices)
        settle()

    # Facts become events

    async def _on_jobs(self, frames: Sequence[Frame]) -> None:
        await self._on_facts(frames)
        await self._notices.take(frames)

    async def _on_facts(self, frames: Sequence[Frame]) -> None:
        events: list[Event] = []
        written: dict[int, list[tuple[str, bytes | None]]] = {}
        # All are asked for before any tells: what is told counts as told.
        tellers = [self._teller_of(frame) for frame in frames]
        for frame, teller in zip(frames, tellers, strict=True):
            news, told = teller.news_of(frame, self._clock.moment_of)
            events += news
            written.setdefault(frame.partition, []).extend(told.items())
        await self._log.append_patiently(EVENTS, _encoded(events))
        for event in events:
            events_told.labels(event.type).inc()
        await self._log.append_in_place(TOLD, written)

    def _teller_of(self, frame: Frame) -> Teller:
        teller = self._tellers.get(frame.partition)
        if teller is None:
            raise PartitionsLostError(f"{frame.topic} of partition {frame.partition} before its table was read")
        return teller

    # Events become deliveries

    async def _on_events(self, frames: Sequence[Frame]) -> None:
        waiting = [
            Pending(webhook.webhook_id, event, _machine_ms(), frame.partition)
            for frame in frames
            for event in records_of(Event, frame, unreadable)
            for webhook in self._places.webhooks.values()
            if webhook.active and webhook.removed_at is None and wants(webhook, event, self._places.branches)
        ]
        await self._let_wait([each for each in waiting if each.key not in self._outbox])

    async def _on_replays(self, frames: Sequence[Frame]) -> None:
        await self._let_wait(
            [
                Pending(each.webhook_id, each.event, _machine_ms(), frame.partition)
                for frame in frames
                for each in records_of(Replay, frame, unreadable)
            ]
        )

    async def _let_wait(self, waiting: Sequence[Pending]) -> None:
        """Write the deliveries down, then let them go out; those that are too many are dead letters at once."""
        most = self._settings.webhook_max_pending
        room = {each.webhook_id: most - self._outbox.waiting_for(each.webhook_id) for each in waiting}
        written: dict[int, list[tuple[str, bytes | None]]] = {}
        taken: list[Pending] = []
        too_many: list[Delivery] = []
        for pending in waiting:
            if room[pending.webhook_id] > 0:
                room[pending.webhook_id] -= 1
                written.setdefault(pending.partition, []).append((pending.key, encode(pending)))
                taken.append(pending)
            else:
                too_many.append(self._standing(pending, 0, _never_sent(f"more than {most} deliveries wait"), GIVEN_UP))
        await self._report(too_many)
        await self._log.append_in_place(PENDING, written)
        for pending in taken:
            self._outbox.put(pending)
        deliveries_waiting.set(len(self._outbox))
        self._due.set()

    async def _send_what_is_due(self) -> None:
        with self.app.fatal("look"):
            while True:
                self._due.clear()
                for pending in self._outbox.take(_machine_ms()):
                    task = asyncio.create_task(self._deliver(pending, self._outbox))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._due.wait(), LOOK_EVERY_S)

    async def _deliver(self, pending: Pending, outbox: Outbox[Pending]) -> None:
        """Make an attempt and write down what follows from it: only what is written down is over."""
        with self.app.fatal("deliver"):
            webhook = self._places.webhooks.get(pending.webhook_id)
            made, verdict, failed = pending.attempt, GIVEN_UP, None
            if webhook is None or webhook.removed_at is not None or not webhook.active:
                came = _never_sent("the webhook is not active")
            else:
                made += 1
                came = await self._sender.send(webhook.url, webhook.signing, pending.event)
                verdict = verdict_on(made, came, self._schedule_s, random.random())
                failed = verdict.outcome != "delivered"
                attempts_made.labels(verdict.outcome).inc()
                if verdict.disables:
                    await self._disable(webhook)
            await self._report([self._standing(pending, made, came, verdict)])
            again: Pending | None = None
            if verdict.wait_s is not None:
                due_ms = _machine_ms() + round(1000 * verdict.wait_s)
                again = msgspec.structs.replace(pending, due_ms=due_ms, attempt=made)
            if outbox.has(pending):  # otherwise it is to be told anew: that is written down already
                value = None if again is None else encode(again)
                await self._log.append_in_place(PENDING, {pending.partition: [(pending.key, value)]})
            if outbox.back(pending, failed=failed):
                if again is None:
                    outbox.remove(pending)
                else:
                    outbox.put(again)
            deliveries_waiting.set(len(self._outbox))
            self._due.set()

    async def _disable(self, webhook: WebhookRecord) -> None:
        """The receiver wants no more of it; who has changed the webhook meanwhile has the last word."""
        if self._places.webhooks.get(webhook.webhook_id) is not webhook:
            return
        log.warning("webhook disabled: its receiver answered 410", webhook_id=webhook.webhook_id)
        after = msgspec.structs.replace(
            webhook,
            active=False,
            disabled_reason="the receiver answered 410 Gone",
            updated_at=Instant(max(self._clock.now_ms(), webhook.updated_at + 1)),
        )
        await self._log.append_patiently(WEBHOOKS, [(webhook.webhook_id, encode(after))])

    def _standing(self, pending: Pending, made: int, came: Attempted, verdict: Verdict) -> Delivery:
        """How a delivery stands after ``made`` attempts."""
        webhook = self._places.webhooks.get(pending.webhook_id)
        now_ms = self._clock.now_ms()
        return Delivery(
            webhook_id=pending.webhook_id,
            event_id=pending.event.id,
            event_type=pending.event.type,
            branch=None if webhook is None else webhook.branch,
            at=now_ms,
            outcome=verdict.outcome,
            attempt=made,
            status=came.status,
            error=came.error,
            answer=came.answer,
            duration_s=came.duration_s,
            next_at=None if verdict.wait_s is None else Instant(now_ms + round(1000 * verdict.wait_s)),
        )

    async def _report(self, deliveries: Iterable[Delivery]) -> None:
        await self._log.append_patiently(WEBHOOK_DELIVERIES, [(each.webhook_id, encode(each)) for each in deliveries])


def _encoded(events: Iterable[Event]) -> list[tuple[str, bytes | None]]:
    records: list[tuple[str, bytes | None]] = []
    for event in events:
        value = encode(event)
        if len(value) > MAX_RECORD_BYTES:
            log.error("event left out: too large", id=event.id, type=event.type, bytes=len(value))
            continue
        records.append((event.subject, value))
    return records


def _never_sent(error: str) -> Attempted:
    return Attempted(status=None, error=error, answer="", duration_s=0.0)


def _machine_ms() -> int:
    """The machine's moment: receivers live by real time, however fast Onsite's clock runs."""
    return time.time_ns() // 1_000_000

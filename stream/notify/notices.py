"""Notices of jobs: written down before they go out, and again once they have; what was under way goes out again.

A notice follows from how its job stands, not from a record that is read: whatever has changed of a job is looked at.
Of the jobs of its partitions a notifier reads what there is when these are assigned, then takes the app's frames; what
is over leaves memory. The notices themselves are a table of the app, in the partitions of their jobs.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from dispatch.notices.book import NoticeBook
from dispatch.notices.facts import OVER, Around, JobFacts
from dispatch.notices.intents import next_look_ms
from dispatch.notices.rules import Channel
from dispatch.notices.texts import TextError
from dispatch.retries import wait_after
from dispatch.rules import DispatchRules
from dispatch.tracking import TrackingLinks
from schemas.clock import Clock
from schemas.notice import Notice
from schemas.places import Customer
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import CUSTOMERS, NOTIFICATIONS
from schemas.wire import decode, encode
from stream.framed import FramedApp, PartitionsLostError
from stream.frames import Frame
from stream.kafka import Follower, KafkaLog, follow_all, partition_of, stop_all
from stream.notify.channels import Channels
from stream.notify.ledger import Going, going
from stream.notify.outbox import Outbox
from stream.notify.places import Places
from stream.notify.share import TAKEN, Share
from stream.whole import read_whole

LOOK_EVERY_S: Final = 0.2
GATHERED_FOR_S: Final = 0.02
"""What changes is looked at together with what else changes within so long."""
LOOKED_AT_ONCE: Final = 2_000
"""After so many jobs others have their turn: all are looked at when partitions are assigned."""
PARALLEL: Final = 64
"""Notices under way at once, by notifier."""
KNOWN_WITHIN_S: Final = 2.0
"""So long after a job has changed those it names may become known later than it."""
PAST_MS: Final = 4 * 86_400_000
"""Of a job that is over for so long nothing is told any more, and nothing looked at."""

log = structlog.get_logger()

notices_made = Counter("onsite_notifier_notices", "Notices, by what became of them", ["kind", "status", "reason"])
sends_made = Counter("onsite_notifier_notice_attempts", "Attempts to send a notice", ["channel", "outcome"])
notices_waiting = Gauge("onsite_notifier_notices_waiting", "Notices that wait, those under way too")
jobs_held = Gauge("onsite_notifier_jobs", "Jobs of which there may be something to tell")


@dataclass
class _Standing:
    """What is ours, by partition, and the notices that wait. Another one after each rebalance."""

    shares: dict[int, Share]
    outbox: Outbox[Going]
    under_way: set[asyncio.Task[None]] = field(default_factory=set)


class Notices:
    """Takes note of what notices follow from, and sends them. ``fatal`` is the app's.

    ``links`` are None where nobody knows at which address customers reach the pages of their jobs. Raises ValueError
    for a channel that cannot be.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        rules: DispatchRules,
        places: Places,
        links: TrackingLinks | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rules = rules.notices
        self._time_zone = rules.time_zone
        self._lifecycle = rules.lifecycle()
        self._schedule_s = settings.notice_schedule_s()
        self._places = places
        self._links = links
        self._book = NoticeBook(rules.notices, self._lifecycle)
        self._log = KafkaLog(settings.kafka)
        self._channels = Channels(settings, clock, rules.notices.channels, self._log)
        self._unsettled: set[str] = set()
        self._look_ms: dict[str, int] = {}
        self._news = asyncio.Event()
        self._standing = self._nothing()
        self._working: asyncio.Task[None] | None = None
        self._customers = Follower(settings.kafka, CUSTOMERS, lambda value: decode(Customer, value))

    def _nothing(self) -> _Standing:
        return _Standing({}, Outbox(PARALLEL, self._settings.notice_parallel_each))

    async def start(self, app: FramedApp) -> None:
        """Read who there is, then begin to look."""
        await self._log.start()
        await follow_all([self._customers])
        self._working = asyncio.create_task(self._work(app))

    async def stop(self, within_s: float) -> None:
        """Let what is under way end, within bounds; what is cut off goes out again, under the same id."""
        if self._working is not None:
            self._working.cancel()
        await self.let_go(within_s)
        await self._channels.stop()
        await stop_all([self._customers])
        await self._log.stop()

    async def let_go(self, within_s: float = 0.0) -> None:
        """The partitions are another's now."""
        standing, self._standing = self._standing, self._nothing()
        self._unsettled.clear()
        self._look_ms.clear()
        tasks = list(standing.under_way)
        if tasks and within_s:
            await asyncio.wait(tasks, timeout=within_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def restore(self, partitions: Iterable[int], records: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """The notices of these partitions, as they are written: what there is of their jobs is read."""
        before = self._standing
        shares = {number: self.share(records.get(number, {})) for number in partitions}
        ends = await read_whole(
            self._settings.kafka,
            TAKEN,
            shares,
            lambda each, key, value: shares[each.partition].take(each.topic, value, key),
        )
        for each, end in ends.items():
            shares[each.partition].read_until[each.topic] = end
        await self._delete_gone(shares)
        if self._standing is before:  # no other rebalance has come
            self.stand(shares)
            log.info("jobs read", partitions=sorted(shares), jobs=sum(len(each.jobs) for each in shares.values()))

    def share(self, notices: Mapping[bytes, bytes]) -> Share:
        """A partition's, of which nothing is known but its notices."""
        return Share({key.decode(): value for key, value in notices.items()}, self._is_past)

    def stand(self, shares: Mapping[int, Share]) -> None:
        """These are ours: pending notices go out, and every job is looked at."""
        standing = self._nothing()
        for number, share in shares.items():
            standing.shares[number] = share
            for notice in share.ledger.pending.values():
                standing.outbox.put(going(notice, number))
            self._unsettled |= share.known_jobs
        self._standing = standing
        notices_waiting.set(len(standing.outbox))
        self._news.set()

    async def take(self, frames: Sequence[Frame]) -> None:
        """Something of what notices follow from has changed. Raises PartitionsLostError."""
        shares = self._standing.shares
        lost = {frame.partition for frame in frames} - shares.keys()
        if lost:
            raise PartitionsLostError(f"jobs of partitions {sorted(lost)} before what there is of them was read")
        for frame in frames:
            for job_id in shares[frame.partition].take_frame(frame):
                self.look_at(job_id)
        await self._delete_gone({frame.partition: shares[frame.partition] for frame in frames})

    async def _delete_gone(self, shares: Mapping[int, Share]) -> None:
        gone = {number: [(notice_id, None) for notice_id in share.take_gone()] for number, share in shares.items()}
        await self._log.append_in_place(NOTIFICATIONS, {number: ids for number, ids in gone.items() if ids})

    def _is_past(self, job: JobFacts) -> bool:
        return job.phase(self._lifecycle) == OVER and self._clock.now_ms() - job.updated_at > PAST_MS

    def look_at(self, job_id: str) -> None:
        """Something of a job has changed."""
        self._unsettled.add(job_id)
        self._news.set()

    async def _work(self, app: FramedApp) -> None:
        with app.fatal("notices"):
            while True:
                self._news.clear()
                standing = self._standing
                await self._look(standing)
                for each in standing.outbox.take(self._clock.now_ms()):
                    task = asyncio.create_task(self._deliver(app, standing, each))
                    standing.under_way.add(task)
                    task.add_done_callback(standing.under_way.discard)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_EVERY_S)
                await asyncio.sleep(GATHERED_FOR_S)

    # Jobs become notices

    async def _look(self, standing: _Standing) -> None:
        """What is to be told of the jobs that have changed, or of which time makes something to tell."""
        now_ms = self._clock.now_ms()
        self._unsettled.update([job_id for job_id, look_ms in self._look_ms.items() if look_ms <= now_ms])
        jobs = list(islice(self._unsettled, LOOKED_AT_ONCE))
        self._unsettled.difference_update(jobs)
        if self._unsettled:
            self._news.set()
        written: dict[int, list[Notice]] = {}
        for job_id in jobs:
            self._look_ms.pop(job_id, None)
            number = self._partition_of(job_id)
            share = standing.shares.get(number)
            job = None if share is None else share.jobs.get(job_id)
            if share is not None and job is not None:
                written.setdefault(number, []).extend(self._news_of(job, share, now_ms))
        await self._write(standing, written)
        for job_id in jobs:
            share = standing.shares.get(self._partition_of(job_id))
            if share is not None:
                self._let_go_when_over(job_id, share, now_ms)
        jobs_held.set(sum(len(share.jobs) for share in standing.shares.values()))

    def _partition_of(self, job_id: str) -> int:
        return partition_of(job_id, self._settings.partitions)

    def _let_go_when_over(self, job_id: str, share: Share, now_ms: int) -> None:
        """A job that is over, of which no notice waits and all is stale, leaves memory; one that is not yet, later.

        What has changed since it was looked at is looked at first.
        """
        if job_id in self._unsettled or job_id in self._look_ms:
            return
        job = share.jobs.get(job_id)
        if (job is not None and job.phase(self._lifecycle) < OVER) or share.ledger.waits_for(job_id):
            return
        moments_ms = [message.at for message in share.words.messages_of(job_id)]
        if job is not None:
            moments_ms.append(job.updated_at)
        stale_ms = max(moments_ms, default=0) + round(60_000 * self._rules.fresh_min)
        if stale_ms < now_ms:
            share.let_go(job_id)
        else:
            self._look_ms[job_id] = stale_ms + 1

    def _news_of(self, job: JobFacts, share: Share, now_ms: Instant) -> list[Notice]:
        if self._may_become_known(job, now_ms):
            self._look_ms[job.job_id] = now_ms + 1
            return []
        around = self._around(job, share)
        look_ms = next_look_ms(job, around.eta, self._rules, self._lifecycle, now_ms)
        if look_ms is not None:
            self._look_ms[job.job_id] = look_ms
        known = share.ledger.notices_of(job.job_id)
        return [*self._book.forgotten(job, known, now_ms), *self._book.news(job, around, known, now_ms)]

    def _may_become_known(self, job: JobFacts, now_ms: int) -> bool:
        """Whether the job names somebody of whom nothing has been read, and that may be on its way."""
        if now_ms - job.updated_at > 1000 * KNOWN_WITHIN_S * self._clock.rate:
            return False
        is_strange = job.customer_id is not None and job.customer_id not in self._customers.records
        return is_strange or any(each not in self._places.technicians for each in job.technician_ids)

    def _around(self, job: JobFacts, share: Share) -> Around:
        customer = self._customers.records.get(job.customer_id or "")
        branch = self._places.branches.get(job.branch or "")
        return Around(
            None if customer is None or customer.removed_at is not None else customer,
            self._places.technicians,
            (branch.time_zone if branch is not None else None) or self._time_zone,
            share.etas.get(job.job_id),
            share.words.messages_of(job.job_id),
        )

    async def _write(self, standing: _Standing, notices: Mapping[int, Sequence[Notice]]) -> None:
        """Write notices down by partition, then let those go that wait."""
        values = {
            number: [(each.notice_id, encode(each)) for each in group] for number, group in notices.items() if group
        }
        await self._log.append_in_place(NOTIFICATIONS, values)
        for number, group in values.items():
            for notice, (_, value) in zip(notices[number], group, strict=True):
                standing.shares[number].ledger.keep(notice, value)
                if notice.status == "pending":
                    standing.outbox.put(going(notice, number))
                notices_made.labels(notice.kind, notice.status, notice.reason or "").inc()
        notices_waiting.set(len(standing.outbox))

    # Notices go out

    async def _deliver(self, app: FramedApp, standing: _Standing, sending: Going) -> None:
        """Look at a notice again, send it, and write down what came of it: only what is written down is over."""
        with app.fatal("notice"):
            share = standing.shares[sending.partition]
            notice = share.ledger.pending.get(sending.notice_id)
            failed: bool | None = None
            if notice is not None:
                after = await self._sent(notice, share)
                failed = None if after.attempt == notice.attempt else after.status != "sent"
                await self._write_after(standing, sending, after)
            standing.outbox.back(sending, failed=failed)
            if standing.outbox.has(sending):
                standing.outbox.remove(sending)
            notices_waiting.set(len(standing.outbox))
            self._news.set()

    async def _write_after(self, standing: _Standing, sending: Going, after: Notice) -> None:
        value = encode(after)
        await self._log.append_in_place(NOTIFICATIONS, {sending.partition: [(after.notice_id, value)]})
        standing.shares[sending.partition].ledger.keep(after, value)
        if after.status == "pending":
            standing.outbox.put(going(after, sending.partition))
        else:
            self.look_at(after.job_id)  # it may be over
            notices_made.labels(after.kind, after.status, after.reason or "").inc()

    async def _sent(self, notice: Notice, share: Share) -> Notice:
        """The notice after it was looked at and, where nothing was in its way, an attempt was made."""
        now_ms = self._clock.now_ms()
        job = share.jobs.get(notice.job_id)
        around = Around() if job is None else self._around(job, share)
        notice = self._book.checked(notice, job, around, now_ms)
        channel = self._rules.channel_called(notice.channel)
        if notice.status != "pending" or (notice.due_at or 0) > now_ms or job is None or channel is None:
            return notice
        told = msgspec.structs.replace(
            notice,
            status="sent",
            reason=None,
            sent_at=now_ms,
            due_at=None,
            attempt=notice.attempt + 1,
        )
        try:
            written = self._book.texts.write(
                notice.kind,
                notice.language or self._rules.language,
                self._book.told(notice, job, around, self._link_of(job, share), now_ms),
            )
        except TextError as error:
            return msgspec.structs.replace(told, status="failed", reason=str(error), sent_at=None)
        why = await self._channels.send(channel, told, around.contact_of(notice), written)
        sends_made.labels(channel.name, "sent" if why is None else "failed").inc()
        return told if why is None else self._after_failure(told, channel, why)

    def _after_failure(self, notice: Notice, channel: Channel, why: str) -> Notice:
        """The notice that was not sent: it waits for the next attempt, or has failed for good."""
        wait_s = wait_after(notice.attempt, self._schedule_s, random.random())
        changes: dict[str, Any] = {"status": "failed" if wait_s is None else "pending", "reason": why, "sent_at": None}
        if wait_s is not None:
            due_ms = time.time_ns() // 1_000_000 + round(1000 * wait_s)
            changes["due_at"] = self._clock.moment_of(due_ms)  # whoever takes it lives by real time
        log.warning(
            "notice not sent", notice_id=notice.notice_id, channel=channel.name, attempt=notice.attempt, why=why
        )
        return msgspec.structs.replace(notice, **changes)

    def _link_of(self, job: JobFacts, share: Share) -> str | None:
        """The address of a job's page."""
        return None if self._links is None else self._links.link_of(job, share.words.generation_of(job.job_id))

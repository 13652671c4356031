"""The notifier's notices over a log in memory: written before they go out, tried again, taken over by another."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import pytest

from dispatch.notices.facts import JobFacts
from dispatch.notices.rules import Channel, NoticeRules
from dispatch.notices.texts import Written
from dispatch.rules import DispatchRules
from dispatch.tracking import TrackingLinks
from schemas.clock import Clock
from schemas.notice import Notice
from schemas.people import Contact
from schemas.places import Branch, Customer
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import JOBS, TRACKING, Topic
from schemas.tracking import CustomerMessage, TrackingRecord
from schemas.wire import decode, encode
from stream.framed import PartitionsLostError
from stream.kafka import partition_of
from stream.notify.notices import Notices
from stream.notify.share import Share
from tests.dispatch.examples import move
from tests.dispatch.notices.cases import AMINA, WEBER, job
from tests.frames import frame_of

START_MS = 12 * 3_600_000
"""Noon, when the jobs of ``tests.dispatch.notices.cases`` are created."""

RULES = DispatchRules(
    notices=NoticeRules(
        quiet_from="00:00",
        quiet_to="00:00",
        channels=(
            Channel("mail", url="mailto://127.0.0.1?from=jobs@example.com&to={email}"),
            Channel("slow", ("dispatcher",), "json://x"),
        ),
    )
)


class MemoryLog:
    """What was written, in order, with what had been sent by then."""

    def __init__(self, sent: list[str]) -> None:
        self.written: list[tuple[Notice, int]] = []
        self.deleted: list[str] = []
        self.held: asyncio.Event | None = None
        """Until it is set what is written takes."""
        self._sent = sent

    async def append_in_place(self, topic: Any, records: dict[int, list[tuple[str, bytes | None]]]) -> dict[int, int]:
        if records and self.held is not None:
            await self.held.wait()
        for number, group in records.items():
            for key, value in group:
                if value is None:
                    self.deleted.append(key)
                    continue
                notice = decode(Notice, value)
                assert (key, number) == (notice.notice_id, partition_of(notice.job_id, 8))
                self.written.append((notice, len(self._sent)))
        return {}

    @property
    def newest(self) -> dict[str, Notice]:
        return {notice.notice_id: notice for notice, _ in self.written}


class MemoryChannels:
    """``answers`` are what the next sends are answered; then they succeed."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.texts: list[Written] = []
        self.answers: list[str | None] = []
        self.held: dict[str, asyncio.Event] = {}

    async def send(self, channel: Channel, notice: Notice, contact: Contact | None, written: Written) -> str | None:
        self.sent.append(notice.notice_id)
        self.texts.append(written)
        if channel.name in self.held:
            await self.held[channel.name].wait()
        return self.answers.pop(0) if self.answers else None

    async def stop(self) -> None:
        """Nothing is open."""


class App:
    """Of a Faust app what is used."""

    failed: BaseException | None = None

    @contextmanager
    def fatal(self, step: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed = error
            raise


class Known:
    technicians = {"amina": AMINA}  # noqa: RUF012 -- as Places has it
    branches: dict[str, Branch] = {}  # noqa: RUF012


class Process:
    """A notifier that has all partitions."""

    def __init__(self, retries: str = "0.01,0.01", **hooks: Any) -> None:
        settings = Settings(notice_retries_s=retries)
        clock = Clock(1.0, START_MS, time.time_ns() // 1_000_000)
        self.app = App()
        self.channels = MemoryChannels()
        self.log = MemoryLog(self.channels.sent)
        self.notices = Notices(settings, clock, RULES, cast(Any, Known()), **hooks)
        self.notices._log = self.log  # type: ignore[assignment]
        self.notices._channels = self.channels  # type: ignore[assignment]
        self.know(WEBER)
        self._task: asyncio.Task[None] | None = None
        self._offset = 0

    def know(self, customer: Customer) -> None:
        self.notices._customers.records[customer.customer_id] = customer

    async def see(self, facts: JobFacts) -> None:
        """A revision of the job comes."""
        await self.come(JOBS, facts.job_id, encode(facts))

    async def hear(self, message_id: str, job_id: str = "job-1") -> None:
        """The customer has written; each record has one message, as those of processes that do not know of others."""
        at = Instant(START_MS)
        said = TrackingRecord(job_id=job_id, updated_at=at, messages=[CustomerMessage(message_id, "Ring twice", at)])
        await self.come(TRACKING, job_id, encode(said))

    async def come(self, topic: Topic, job_id: str, value: bytes | None) -> None:
        """A frame of one record."""
        self._offset += 1
        deleted = [job_id.encode()] if value is None else []
        number = partition_of(job_id, 8)
        frame = frame_of(topic.name, [value], START_MS, partition=number, first_offset=self._offset, deleted=deleted)
        await self.notices.take([frame])

    async def begin(self, *kept: Notice, jobs: Sequence[JobFacts] = (), partitions: Iterable[int] = range(8)) -> None:
        """Partitions are assigned: of these jobs there are records, and these notices are kept."""
        records: dict[int, dict[bytes, bytes]] = {}
        for notice in kept:
            records.setdefault(partition_of(notice.job_id, 8), {})[notice.notice_id.encode()] = encode(notice)
        shares = {number: self.notices.share(records.get(number, {})) for number in partitions}
        for each in jobs:
            if partition_of(each.job_id, 8) in shares:
                shares[partition_of(each.job_id, 8)].take(JOBS.name, encode(each))
        self.notices.stand(shares)
        if self._task is None:
            self._task = asyncio.create_task(self.notices._work(cast(Any, self.app)))

    def share_of(self, job_id: str) -> Share:
        return self.notices._standing.shares[partition_of(job_id, 8)]

    async def until(self, condition: Callable[[], bool]) -> None:
        give_up_s = time.monotonic() + 10
        while not condition():
            assert self.app.failed is None
            assert time.monotonic() < give_up_s, self.log.newest
            await asyncio.sleep(0.005)

    def of(self, kind: str) -> list[Notice]:
        return [each for each in self.log.newest.values() if each.kind == kind]

    def is_now(self, kind: str, status: str) -> bool:
        return any(each.status == status for each in self.of(kind))

    async def end(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await self.notices.let_go()


def now(minutes: float = 0.0) -> float:
    return START_MS / 60_000 + minutes


def test_it_is_written_down_before_it_goes_out_and_after() -> None:
    async def run() -> None:
        links = TrackingLinks(b"a secret", "https://example.com")
        process = Process(links=links)
        await process.begin()
        await process.see(job(title="Boiler service"))
        await process.until(lambda: process.is_now("appointment_set", "sent"))
        told = [(notice, sent) for notice, sent in process.log.written if notice.kind == "appointment_set"]
        assert [(notice.status, sent) for notice, sent in told] == [("pending", 0), ("sent", 1)]
        (sent,) = process.of("appointment_set")
        assert (sent.channel, sent.attempt, sent.recipient_id, sent.due_at) == ("mail", 1, "weber", None)
        link = process.channels.texts[0].body.rpartition("13:00–15:00. ")[2]
        assert links.read(link.removeprefix("https://example.com/t/")).job_id == "job-1"
        assert [each.reason for each in process.of("assigned")] == ["no_contact"], "no channel for technicians"
        await process.see(job(title="Boiler service"))
        await process.see(job(move("en_route", now(0.01)), title="Boiler service"))
        await process.until(lambda: process.is_now("en_route", "sent"))
        assert len(process.channels.sent) == 2
        await process.end()

    asyncio.run(run())


def test_what_fails_is_tried_again_and_given_up() -> None:
    async def run() -> None:
        process = Process()
        process.channels.answers = ["busy", "busy", None, "busy", "busy", "busy"]
        await process.begin()
        await process.see(job())
        await process.until(lambda: process.is_now("appointment_set", "sent"))
        (sent,) = process.of("appointment_set")
        assert (sent.attempt, sent.reason) == (3, None)
        await process.see(job(move("en_route", now(0.01))))
        await process.until(lambda: process.is_now("en_route", "failed"))
        (failed,) = process.of("en_route")
        assert (failed.attempt, failed.reason, failed.sent_at, failed.due_at) == (3, "busy", None, None)
        await process.end()

    asyncio.run(run())


def test_who_opts_out_between_attempts_is_left_alone() -> None:
    async def run() -> None:
        process = Process("0.3,0.3")
        process.channels.answers = ["busy"]
        await process.begin()
        await process.see(job())
        await process.until(lambda: len(process.channels.sent) == 1)
        process.know(msgspec.structs.replace(WEBER, opt_out=True))
        await process.until(lambda: process.is_now("appointment_set", "suppressed"))
        assert process.of("appointment_set")[0].reason == "opted_out"
        assert len(process.channels.sent) == 1
        await process.end()

    asyncio.run(run())


def test_another_goes_on_with_what_was_written_down() -> None:
    async def run() -> None:
        first = Process()
        first.channels.held["mail"] = asyncio.Event()
        await first.begin()
        await first.see(job())
        await first.until(lambda: len(first.channels.sent) == 1)
        await first.end()  # it had been sent, perhaps, and nobody has written that down
        second = Process()
        await second.begin(*first.log.newest.values(), jobs=[job()])
        await second.until(lambda: second.is_now("appointment_set", "sent"))
        assert second.channels.sent == first.channels.sent, "under the same id"
        assert [each.status for each, _ in second.log.written] == ["sent"], "and nothing anew"
        third = Process()
        await third.begin(*(first.log.newest | second.log.newest).values(), jobs=[job()])
        await third.see(job(move("en_route", now(0.01))))
        await third.until(lambda: third.is_now("en_route", "sent"))
        assert len(third.channels.sent) == 1
        for process in (second, third):
            await process.end()

    asyncio.run(run())


def test_a_channel_that_hangs_is_in_nobodys_way() -> None:
    async def run() -> None:
        process = Process()
        process.channels.held["slow"] = asyncio.Event()
        await process.begin()
        for number in range(20):
            risky = msgspec.structs.replace(job(job_id=f"j{number}"), risk="at_risk")
            await process.see(risky)
        await process.until(lambda: sum(each.status == "sent" for each in process.of("appointment_set")) == 20)
        assert not process.is_now("at_risk", "sent")
        process.channels.held["slow"].set()
        await process.until(lambda: sum(each.status == "sent" for each in process.of("at_risk")) == 20)
        await process.end()

    asyncio.run(run())


def test_who_becomes_known_a_little_later_is_told() -> None:
    async def run() -> None:
        process = Process()
        del process.notices._customers.records["weber"]
        await process.begin()
        await process.see(job())
        await asyncio.sleep(0.3)
        assert process.log.written == []
        process.know(WEBER)
        await process.until(lambda: process.is_now("appointment_set", "sent"))
        await process.end()

    asyncio.run(run())


def test_what_a_customer_writes_is_told_once() -> None:
    async def run() -> None:
        process = Process()
        await process.begin()
        await process.hear("m-1")
        await process.see(job())
        await process.until(lambda: process.is_now("customer_message", "sent"))
        await process.hear("m-2")
        await process.until(lambda: sum(each.audience == "dispatcher" for each in process.of("customer_message")) == 2)
        await process.end()

    asyncio.run(run())


@pytest.mark.parametrize("partitions", [[], [0], list(range(8))])
def test_it_tells_of_its_own_partitions_alone(partitions: list[int]) -> None:
    async def run() -> None:
        process = Process()
        await process.begin(jobs=[job(job_id=f"j{number}") for number in range(40)], partitions=partitions)
        ours = {f"j{number}" for number in range(40) if partition_of(f"j{number}", 8) in partitions}
        await process.until(lambda: {each.job_id for each in process.of("appointment_set")} >= ours)
        await asyncio.sleep(0.1)
        assert {each.job_id for each in process.log.newest.values()} == ours
        await process.end()

    asyncio.run(run())


def test_what_is_over_leaves_memory_and_is_told_no_second_time() -> None:
    async def run() -> None:
        process = Process()
        await process.begin()
        over = job(move("on_site", now(-40)), move("completed", now(-35)), at=now(-50))
        await process.see(over)
        await process.hear("m-1")
        await process.until(lambda: "job-1" in process.share_of("job-1").jobs and bool(process.of("customer_message")))
        assert process.share_of("job-1").ledger.open_jobs == ["job-1"], "a message may be told of for a while"
        told = dict(process.log.newest)
        fresh = msgspec.structs.replace(over, job_id="fresh", updated_at=Instant(START_MS))
        await process.begin(*told.values(), jobs=[over, fresh, job(job_id="open")])
        await process.until(lambda: "job-1" not in process.share_of("job-1").jobs)
        await process.until(lambda: process.is_now("appointment_set", "sent"))
        assert "job-1" not in process.share_of("job-1").ledger.open_jobs
        assert {"fresh", "open"} <= {
            each for number in range(8) for each in process.notices._standing.shares[number].jobs
        }
        written = len(process.log.written)
        await process.see(over)
        await process.until(lambda: not process.notices._unsettled)
        await process.until(lambda: "job-1" not in process.share_of("job-1").jobs)
        assert process.log.written[written:] == [], "what was told stays known"
        await process.end()

    asyncio.run(run())


def test_what_changes_of_a_job_while_it_is_let_go_of_is_not_lost() -> None:
    async def run() -> None:
        process = Process()
        process.log.held = asyncio.Event()
        over = job(move("on_site", now(-50)), move("completed", now(-40)), at=now(-60))
        await process.begin(jobs=[over])
        await process.until(lambda: not process.notices._unsettled)
        await process.see(msgspec.structs.replace(over, customer_id=None, erasures=["e-1"]))
        process.log.held.set()
        await process.until(lambda: "job-1" not in process.share_of("job-1").jobs)
        customers = [each for each in process.log.newest.values() if each.audience == "customer"]
        assert {each.recipient_id for each in customers} == {None}
        await process.end()

    asyncio.run(run())


def test_a_job_stays_while_a_notice_of_it_waits() -> None:
    async def run() -> None:
        process = Process("0.2")
        process.channels.answers = ["busy"]
        await process.begin()
        over = job(move("on_site", now(-30)), move("completed", now(-20)), at=now(-50))
        await process.see(msgspec.structs.replace(over, updated_at=Instant(START_MS - 3_600_000)))
        await process.until(lambda: len(process.channels.sent) == 1)
        assert "job-1" in process.share_of("job-1").jobs
        await process.until(lambda: process.is_now("completed", "sent"))
        await process.until(lambda: "job-1" not in process.share_of("job-1").jobs)
        await process.end()

    asyncio.run(run())


def test_a_job_that_is_deleted_is_let_go_of_with_its_notices() -> None:
    async def run() -> None:
        process = Process("3600")
        process.channels.answers = ["busy"]
        await process.begin()
        await process.see(job())
        await process.until(lambda: process.is_now("appointment_set", "pending") and len(process.channels.sent) == 1)
        await process.until(lambda: bool(process.of("assigned")))
        await process.come(JOBS, "job-1", None)
        assert sorted(process.log.deleted) == sorted(process.log.newest)
        assert process.share_of("job-1").known_jobs == set()
        await process.come(JOBS, "job-1", None)
        assert len(process.log.deleted) == len(process.log.newest)
        await process.end()

    asyncio.run(run())


def test_frames_before_the_jobs_were_read_are_refused() -> None:
    async def run() -> None:
        process = Process()
        with pytest.raises(PartitionsLostError):
            await process.see(job())

    asyncio.run(run())

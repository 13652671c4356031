"""The foreman as a process: commands answered, jobs moved on by visits, killed in the middle, nothing lost."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from infra.embedded import processes
from infra.embedded.broker import Broker
from infra.migrations import create_topics
from infra.system import environment_of
from schemas import wire
from schemas.audit import AuditRecord
from schemas.job import JobPlan, JobRecord
from schemas.job_command import Answer, Command, CreateJob, MoveJob, Sender
from schemas.live import LiveState
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import AUDIT, JOB_ANSWERS, JOB_COMMANDS, JOBS, LIVE, VISITS
from schemas.visit import Visit
from stream.kafka import Follower, KafkaLog

pytestmark = pytest.mark.integration

DEADLINE_S = 60.0
NOON_MS = 1_772_452_800_000
OFFICE = Sender("dispatcher", "key:office", "dispatcher")


def at(minute: float) -> Instant:
    return Instant(NOON_MS + round(60_000 * minute))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of its own."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        settings = Settings(
            kafka=broker.address, data_dir=tmp_path_factory.mktemp("data"), session_timeout_s=3.0, log_format="json"
        )
        asyncio.run(create_topics(settings))
        yield settings


class Foreman:
    """A foreman process, and what it has said so far."""

    def __init__(self, settings: Settings, log_path: Path) -> None:
        argv = [sys.executable, "-m", "infra.cli", "foreman"]
        self.process: subprocess.Popen[bytes] = processes.spawn(argv, log_path, environment_of(settings))
        self.log_path = log_path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Office:
    """Sends commands and reads jobs."""

    def __init__(
        self, settings: Settings, log: KafkaLog, jobs: Follower[JobRecord], answers: dict[str, Answer]
    ) -> None:
        self.settings = settings
        self.log = log
        self.jobs = jobs
        self.answers = answers

    async def send(self, *commands: Command) -> None:
        await self.log.append(JOB_COMMANDS, [(each.job_id, wire.encode(each)) for each in commands])

    async def ask(self, command: Command) -> Answer:
        """What becomes of a command: the job itself tells, or the answer to what has not changed it."""
        await self.send(command)

        def revision() -> int | None:
            job = self.jobs.records.get(command.job_id)
            return next((each.revision for each in job.answered if each.key == command.key), None) if job else None

        async with asyncio.timeout(DEADLINE_S):
            while command.request_id not in self.answers and revision() is None:  # noqa: ASYNC110 -- filled by others
                await asyncio.sleep(0.02)
        changed = Answer(command.request_id, command.job_id, revision() or 0)
        return self.answers.get(command.request_id, changed)

    async def until_state(
        self, job_id: str, state: str, meanwhile: Callable[["Office"], Awaitable[None]] | None = None
    ) -> JobRecord:
        """The job once it is in a state; ``meanwhile`` goes on happening, twice a second."""
        give_up_s = time.monotonic() + DEADLINE_S
        while not await self.jobs.until(
            lambda: job_id in self.jobs.records and self.jobs.records[job_id].state == state, 0.5
        ):
            assert time.monotonic() < give_up_s, self.jobs.records.get(job_id)
            if meanwhile is not None:
                await meanwhile(self)
        return self.jobs.records[job_id]

    async def visit(self, *visits: Visit) -> None:
        await self.log.append(VISITS, [(each.device_id, wire.encode(each)) for each in visits])

    async def live(self, device_id: str, minute: float, lat: float, open_visits: list[str]) -> None:
        state = LiveState(device_id, at(minute), lat, 9.5, 5.0, None, None, None, "moving", open_visits, at(minute))
        await self.log.append(LIVE, [(device_id, wire.encode(state))])


@asynccontextmanager
async def office(settings: Settings) -> AsyncIterator[Office]:
    log = KafkaLog(settings.kafka)
    jobs = Follower(settings.kafka, JOBS, lambda value: wire.decode(JobRecord, value))
    consumer = AIOKafkaConsumer(JOB_ANSWERS.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    answers: dict[str, Answer] = {}

    async def listen() -> None:
        async for record in consumer:
            answer = wire.decode(Answer, record.value)
            answers[answer.request_id] = answer

    await log.start()
    await jobs.start()
    await consumer.start()
    await jobs.caught_up()
    listening = asyncio.create_task(listen())
    try:
        yield Office(settings, log, jobs, answers)
    finally:
        listening.cancel()
        await consumer.stop()
        await jobs.stop()
        await log.stop()


async def written(settings: Settings) -> list[AuditRecord]:
    """All that is on record."""
    consumer = AIOKafkaConsumer(AUDIT.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        records: list[AuditRecord] = []
        async with asyncio.timeout(DEADLINE_S):
            while any([await consumer.position(each) < ends[each] for each in ends]):
                for some in (await consumer.getmany(timeout_ms=500)).values():
                    records += [wire.decode(AuditRecord, each.value) for each in some]
        return records
    finally:
        await consumer.stop()


def create(job_id: str, technician_id: str, fence_id: str, lat: float = 47.0) -> CreateJob:
    plan = JobPlan(
        technician_ids=[technician_id],
        fence_id=fence_id,
        lat=lat,
        lon=9.5,
        window_from_ms=at(0),
        window_to_ms=at(240),
    )
    return CreateJob(
        job_id=job_id, sender=OFFICE, key=f"create-{job_id}", issued_at=at(0), request_id=f"create-{job_id}", plan=plan
    )


def move(job_id: str, to: str, minute: float) -> MoveJob:
    name = f"{job_id}-{to}-{minute}"
    return MoveJob(job_id=job_id, sender=OFFICE, key=name, issued_at=at(minute), request_id=name, to=to)


def visit(visit_id: str, device_id: str, fence_id: str, revision: int, arrived: float, departed: float | None) -> Visit:
    end = None if departed is None else at(departed)
    on_site_s = 60.0 * ((departed or arrived + 3) - arrived)
    return Visit(
        visit_id,
        device_id,
        fence_id,
        1,
        None,
        "confirmed" if departed is None else "closed",
        revision,
        at(arrived),
        at(arrived),
        at(arrived),
        end,
        end,
        end,
        on_site_s,
        on_site_s,
        on_site_s,
        0.9,
        "arrived",
        9,
    )


async def driving_north(desk: Office) -> None:
    """Live states come by themselves, again and again; not in step with visits."""
    await desk.live("van-a", 9, 46.9, ["v0"])
    await desk.live("van-a", 14, 46.95, [])


def log_of(job: JobRecord) -> list[tuple[str, float, str]]:
    return [(entry.state, (entry.at - NOON_MS) / 60_000, entry.source) for entry in job.log]


def test_a_job_moves_on_from_visits_and_words(settings: Settings, tmp_path: Path) -> None:
    async def run() -> None:
        async with office(settings) as desk:
            created = await desk.ask(create("job-a", "van-a", "site-a"))
            assert (created.revision, created.refusal) == (1, None)
            refused = await desk.ask(move("job-a", "completed", 1))
            assert refused.refusal is not None
            assert refused.refusal.allowed == (
                "created",
                "dispatched",
                "en_route",
                "on_site",
                "in_progress",
                "rejected",
                "cancelled",
            )
            await desk.visit(visit("v0", "van-a", "depot", 1, -60, 10))
            job = await desk.until_state("job-a", "en_route", driving_north)
            assert log_of(job)[-1] == ("en_route", 10, "automatic")
            await desk.visit(visit("v1", "van-a", "site-a", 1, 20, None))
            await desk.until_state("job-a", "on_site")
            assert (await desk.ask(move("job-a", "in_progress", 25))).refusal is None
            await desk.visit(visit("v1", "van-a", "site-a", 2, 20, 50))
            job = await desk.until_state("job-a", "completed")
            assert log_of(job)[2:] == [
                ("en_route", 10, "automatic"),
                ("on_site", 20, "automatic"),
                ("in_progress", 25, "dispatcher"),
                ("completed", 50, "automatic"),
            ]
            assert (job.travel_s, job.on_site_s, job.waiting_s, job.visit_ids) == (600.0, 1_800.0, 300.0, ["v1"])

    foreman = Foreman(with_clock(settings), tmp_path / "foreman.log")
    try:
        asyncio.run(run())
        assert foreman.stop() == 0
    finally:
        foreman.kill()


def test_nothing_is_lost_or_done_twice_when_foremen_are_killed(settings: Settings, tmp_path: Path) -> None:
    """Two share the jobs; each is killed in its turn and another one started, while commands and visits go on."""
    count = 40

    async def run(crew: list[Foreman]) -> None:
        async with office(settings) as desk:
            await desk.send(*(create(f"k{number}", f"van-{number}", f"site-{number}") for number in range(count)))
            for step, (state, arrived, departed) in enumerate((("on_site", 20, None), ("completed", 20, 50))):
                for number in range(count):
                    await desk.visit(
                        visit(f"w{number}", f"van-{number}", f"site-{number}", step + 1, arrived, departed)
                    )
                    if number % 10 == 5:
                        crew[step].kill()
                        crew.append(Foreman(with_clock(settings), tmp_path / f"foreman-{len(crew)}.log"))
                        crew[step], crew[-1] = crew[-1], crew[step]
                for number in range(count):
                    job = await desk.until_state(f"k{number}", state)
                    assert [each[0] for each in log_of(job)][2:] == ["on_site", "completed"][: step + 1]
                    assert job.on_site_s == (180.0 if departed is None else 1_800.0)
            moves = [move(f"k{number}", "invoiced", 60) for number in range(count)]
            await desk.send(*moves)
            crew[0].kill()
            await desk.send(*moves)  # as one would who has not heard an answer
            for number in range(count):
                job = await desk.until_state(f"k{number}", "invoiced")
                assert [each[0] for each in log_of(job)].count("invoiced") == 1
            on_record = {(each.id, (each.after or {})["revision"]) for each in await written(settings)}
            for number in range(count):
                job = desk.jobs.records[f"k{number}"]
                by_people = {(job.job_id, each.revision) for each in job.answered}
                assert len(by_people) == 2
                assert by_people <= on_record, "a change is on record before it is made"

    crew = [Foreman(with_clock(settings), tmp_path / f"foreman-{number}.log") for number in range(2)]
    try:
        asyncio.run(run(crew))
    finally:
        for foreman in crew:
            foreman.kill()


def with_clock(settings: Settings) -> Settings:
    """An hour and a half past noon, and standing nearly still."""
    return settings.model_copy(
        update={"clock_start_ms": int(at(90)), "clock_rate": 0.001, "clock_origin_ms": 1_790_000_000_000}
    )

"""The foreman's Faust app: commands in, jobs and answers out; visits and live states in, news for jobs out.

A job has one writer: whoever has the partition of its key. What it writes to ``onsite.jobs`` is its only state; it is
read back when partitions are assigned. The rounds of devices are kept in a table of the same app.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import structlog
from prometheus_client import Counter, Gauge, Histogram

from dispatch.job_book import JobBook
from dispatch.recurrence import Occurrence
from dispatch.rounds import DeviceRounds
from dispatch.rules import DispatchRules
from schemas.clock import Clock
from schemas.job import Evidence, JobRecord
from schemas.job_command import Answer, Command, CreateJob, Sender, TellEvidence
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import (
    AUDIT,
    FOREMAN_GROUP,
    JOB_ANSWERS,
    JOB_COMMANDS,
    JOBS,
    LIVE,
    ROUNDS,
    VISITS,
    LogUnavailable,
    Topic,
)
from schemas.visit import Visit
from schemas.wire import decode, encode
from stream.collector import settle
from stream.erasures import Erasures
from stream.foreman.crew import Crew
from stream.foreman.etas import EVERY_S, Etas
from stream.foreman.patrol import Patrol, Sighting
from stream.foreman.writer import CarriedOut, JobPartition, WrittenJobs, read_commands
from stream.framed import FramedApp, PartitionsLostError, framed_app
from stream.frames import Frame
from stream.kafka import KafkaLog, partition_of
from stream.log_ends import LogEnds
from stream.recorder_lag import RecorderLag
from stream.records import records_by_partition
from stream.restored import STORE_URL, RestoredOnce, compacted_within

LOOK_AGAIN_S: Final = 0.2
"""What the crew's changes mean for rounds is looked at so often."""
FETCH_MIN_BYTES: Final = 64 * 1024
FETCH_MAX_WAIT_MS: Final = 50
"""A frame costs as much as some dozens of live states, which come by the thousand: they are gathered for so long."""
ARCHIVE_EVERY_S: Final = 10.0
ARCHIVED_AT_ONCE: Final = 1_000
"""By the clock on the wall, so often so many jobs of each partition: commands wait meanwhile."""
RECORDED_WITHIN_S: Final = 5.0

POSITIONS: Final = Sender("automatic", "foreman")
CALENDAR: Final = Sender("system", "recurrence")

log = structlog.get_logger()

commands_done = Counter("onsite_foreman_commands", "Commands carried out, refused ones too")
jobs_written = Counter("onsite_foreman_job_revisions", "Revisions of jobs written")
news_told = Counter("onsite_foreman_news", "News of rounds told to jobs")
unreadable = Counter("onsite_foreman_unreadable_records", "Records nobody can read", ["topic"])
jobs_archived = Counter("onsite_foreman_jobs_archived", "Jobs that were over for long, let go")
jobs_kept = Gauge("onsite_foreman_jobs", "Jobs whose writer this process is")
frame_seconds = Histogram("onsite_foreman_frame_seconds", "Time of a frame of commands")


class Foreman:
    """Wires the pure parts to Kafka. ``app`` is the Faust app to run; ``rules`` hold as long as it runs."""

    def __init__(self, settings: Settings, clock: Clock, rules: DispatchRules) -> None:
        self._settings = settings
        self._clock = clock
        self._rules = rules
        self._book = JobBook(rules, settings.jobs_kept_days)
        self._jobs: dict[int, JobPartition] = {}
        self._patrols: dict[int, Patrol] = {}
        self._written_until: dict[int, int] = {}
        self._unsettled: set[str] = set()
        self._written = WrittenJobs()
        self._crew = Crew(settings, rules, self._unsettled.add, self._written.record_of)
        self._log = KafkaLog(settings.kafka)
        self._ends = LogEnds(settings.kafka)
        self._recorder = RecorderLag(settings.kafka, settings.partitions)
        self._erasures = Erasures(settings, "foreman")
        self._etas = Etas(settings, clock, rules, self._crew, self._log, self._heading_of)
        self._tasks: list[asyncio.Task[None]] = []
        # Held from a change of rounds until what follows from it is told and written.
        self._changing = asyncio.Lock()
        self._writing = asyncio.Lock()
        self.app = self._build_app()

    def _build_app(self) -> FramedApp:
        topics = (JOB_COMMANDS, VISITS, LIVE)
        app = framed_app(FOREMAN_GROUP, self._settings, [topic.name for topic in topics], table_standby_replicas=0)
        app.fetch_min_bytes, app.fetch_max_wait_ms = FETCH_MIN_BYTES, FETCH_MAX_WAIT_MS
        self._job_table = app.Table(
            "jobs",
            key_type=bytes,
            value_type=bytes,
            store=STORE_URL,
            partitions=self._settings.partitions,
            changelog_topic=app.topic(
                JOBS.name, key_serializer="raw", value_serializer="raw", partitions=self._settings.partitions
            ),
        )
        self._rounds_table = app.Table(
            "rounds",
            key_type=bytes,
            value_type=bytes,
            store=STORE_URL,
            partitions=self._settings.partitions,
            on_recover=self._restore,
            extra_topic_configs=compacted_within(self._settings),
        )
        agents: dict[Topic, Callable[[Sequence[Frame]], Awaitable[None]]] = {
            JOB_COMMANDS: self._on_commands,
            VISITS: self._on_visits,
            LIVE: self._on_live,
        }
        for topic, on_frames in agents.items():
            app.take_frames(topic, on_frames)

        @app.on_partitions_revoked.connect
        async def revoked(*_: Any, **__: Any) -> None:
            async with self._writing, self._changing:
                self._jobs, self._patrols = {}, {}

        app.prepare = self._prepare
        app.drain = self._drain
        return app

    async def _prepare(self) -> None:
        await self._log.start()
        await self._ends.start()
        await self._crew.start()
        await self._erasures.start()
        await self._etas.start()
        self._unsettled.clear()
        steps = (self._look_again(), self._expect(), self._let_go())
        self._tasks = [asyncio.create_task(each) for each in steps]

    async def _drain(self) -> None:
        async with self._writing, self._changing:
            for each in self._tasks:
                each.cancel()
        await self._etas.stop()
        await self._erasures.stop()
        await self._crew.stop()
        await self._ends.stop()
        await self._log.stop()

    async def _restore(self) -> None:
        with self.app.fatal("restore"):
            assigned = {each.partition for each in self.app.consumer.assignment() if each.topic == JOB_COMMANDS.name}
            jobs, ends = cast(RestoredOnce, self._job_table.data).take()
            rounds, _ = cast(RestoredOnce, self._rounds_table.data).take()
            self._written_until = await self._ends.ends(JOBS.name, assigned) | ends
            self._jobs = {
                number: JobPartition(_by_id(jobs.get(number, {})), self._book, self._clock.now_ms(), self._written)
                for number in assigned
            }
            self._patrols = {
                number: Patrol(self._crew, self._rules, _rounds_of(rounds.get(number, {}))) for number in assigned
            }
            # What was heard, and not told before the partitions changed hands, is told now.
            heard = (device_id for patrol in self._patrols.values() for device_id in patrol.rounds)
            self._unsettled.update(map(self._crew.technician_of, heard))
            self._etas.keep_only(assigned)
            log.info("jobs read", partitions=sorted(assigned), jobs=self._count_jobs())
        settle()

    # Commands

    async def _on_commands(self, frames: Sequence[Frame]) -> None:
        with frame_seconds.time():
            by_partition = self._commands_of(frames)
            async with self._writing:
                now_ms = self._clock.now_ms()
                done: dict[int, CarriedOut] = {}
                for number, commands in by_partition.items():
                    partition = self._jobs.get(number)
                    if partition is None:
                        raise PartitionsLostError(f"commands of partition {number} before its jobs were read")
                    done[number] = partition.carry_out(commands, now_ms)
                await self._put_on_record(done.values())
                await self._write({number: each.records for number, each in done.items()}, now_ms)
            await self._answer(answer for each in done.values() for answer in each.answers)
        commands_done.inc(sum(len(commands) for commands in by_partition.values()))
        self._count_jobs()

    def _commands_of(self, frames: Sequence[Frame]) -> dict[int, list[Command]]:
        """By partition, in order; what nobody can read and what is in the wrong partition is left out and counted."""
        by_partition: dict[int, list[Command]] = {}
        for frame in frames:
            commands, bad = read_commands(frame.values)
            ours = [each for each in commands if self._partition_of(each.job_id) == frame.partition]
            unreadable.labels(JOB_COMMANDS.name).inc(bad + len(commands) - len(ours))
            by_partition.setdefault(frame.partition, []).extend(ours)
        return by_partition

    def _partition_of(self, key: str) -> int:
        return partition_of(key, self._settings.partitions)

    async def _put_on_record(self, done: Iterable[CarriedOut]) -> None:
        """What people have changed, before it is."""
        await self._log.append_patiently(
            AUDIT, [(record.key, encode(record)) for each in done for record in each.audit]
        )

    async def _write(self, records: Mapping[int, Sequence[JobRecord]], now_ms: Instant) -> None:
        """Append revisions of jobs by partition; return when the broker has them. Raises PartitionsLostError."""
        records = {number: group for number, group in records.items() if group}
        values = {number: [encode(record) for record in group] for number, group in records.items()}
        await self._append(
            {
                number: [(record.job_id, value) for record, value in zip(group, values[number], strict=True)]
                for number, group in records.items()
            }
        )
        for number, group in records.items():
            self._jobs[number].keep(group, values[number], now_ms)
            jobs_written.inc(len(group))

    async def _append(self, values: Mapping[int, Sequence[tuple[str, bytes | None]]]) -> None:
        """Append to the jobs of partitions, as long as nobody else does. Raises PartitionsLostError."""
        if not values:
            return
        for number, end in (await self._ends.ends(JOBS.name, values)).items():
            if end > self._written_until.get(number, end):
                raise PartitionsLostError(f"another foreman writes the jobs of partition {number}")
        self._written_until |= await self._log.append_in_place(JOBS, values)

    def _count_jobs(self) -> int:
        count = sum(len(partition.records) for partition in self._jobs.values())
        jobs_kept.set(count)
        return count

    async def _look_at_jobs(self) -> None:
        """Time has passed: some jobs are late, promises are to be escalated, jobs that come again are to be made."""
        async with self._writing:
            now_ms = self._clock.now_ms()
            changed = {
                number: [
                    after
                    for record in partition.due(now_ms)
                    if (after := await self._looked(partition, record, now_ms))
                ]
                for number, partition in self._jobs.items()
            }
            await self._write(changed, now_ms)

    async def _looked(self, partition: JobPartition, record: JobRecord, now_ms: Instant) -> JobRecord | None:
        """The next revision of a job that is due, if there is one. What is to be made of it is ordered before."""
        after = self._book.look(record, now_ms)
        ahead = self._book.made_ahead(after or record, self._crew.time_zone_of(record.branch), now_ms)
        if ahead is not None:
            after, occurrences = ahead
            await self._log.append_patiently(
                JOB_COMMANDS, [(each.job_id, encode(_ordering(each, now_ms))) for each in occurrences]
            )
        if after is None:
            partition.pass_over(record, now_ms)
        return after

    async def _answer(self, answers: Iterable[Answer]) -> None:
        await self._log.append_patiently(JOB_ANSWERS, [(answer.request_id, encode(answer)) for answer in answers])

    # The archive

    async def _let_go(self) -> None:
        """Jobs that have been over for long are let go, once the store has them for good."""
        waits = False
        while True:
            await asyncio.sleep(ARCHIVE_EVERY_S)
            with self.app.fatal("archive"):
                if not any(self._to_archive(1).values()):
                    continue
                is_recorded = await self._is_recorded()
                if is_recorded:
                    await self._archive()
                elif not waits:
                    log.warning("jobs are not archived: the recorder has not come as far as the jobs go")
                waits = not is_recorded

    async def _archive(self) -> None:
        async with self._writing:
            gone = {number: job_ids for number, job_ids in self._to_archive(ARCHIVED_AT_ONCE).items() if job_ids}
            await self._append({number: [(job_id, None) for job_id in job_ids] for number, job_ids in gone.items()})
            for number, job_ids in gone.items():
                self._jobs[number].let_go(job_ids)
            self._count_jobs()
        jobs_archived.inc(count := sum(map(len, gone.values())))
        log.info("jobs archived", jobs=count)

    def _to_archive(self, limit: int) -> dict[int, list[str]]:
        now_ms = self._clock.now_ms()
        return {number: partition.to_archive(now_ms, limit) for number, partition in self._jobs.items()}

    async def _is_recorded(self) -> bool:
        """Whether the store has all that was written of jobs up to now; False too where nobody knows."""
        try:
            return await self._recorder.recorded([JOBS], RECORDED_WITHIN_S)
        except LogUnavailable:
            return False

    # Rounds

    async def _on_visits(self, frames: Sequence[Frame]) -> None:
        visits = records_by_partition(
            Visit, frames, unreadable, lambda visit: not self._is_erased(visit.device_id, visit.arrived_ms)
        )
        await self._look(visits, lambda number, patrol: patrol.hear(visits[number]))

    async def _on_live(self, frames: Sequence[Frame]) -> None:
        sightings = records_by_partition(
            Sighting, frames, unreadable, lambda seen: not self._is_erased(seen.device_id, seen.ts_ms)
        )
        for group in sightings.values():
            self._etas.see(group)
        await self._look(sightings, lambda number, patrol: patrol.see(sightings[number]))

    def _is_erased(self, device_id: str, at_ms: int) -> bool:
        spans = self._erasures.spans
        return bool(spans) and spans.covers(device_id, at_ms)

    async def _look_again(self) -> None:
        """Jobs or technicians have changed: what the rounds of those concerned say may be for other jobs now."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            with self.app.fatal("jobs"):
                await self._look_at_jobs()
            with self.app.fatal("erasures"):
                await self._erase()
            with self.app.fatal("rounds"):
                technicians = set(self._unsettled)
                self._unsettled -= technicians
                await self._look_at_rounds_of(technicians)

    async def _look_at_rounds_of(self, technicians: Iterable[str]) -> None:
        devices = {device_id for each in technicians for device_id in self._crew.devices_of(each)}
        if devices:
            self._etas.change(devices)
            await self._look(self._patrols, lambda _, patrol: devices & patrol.rounds.keys())

    async def _erase(self) -> None:
        """Let go of what was erased, also in the table; then say so."""
        due = self._erasures.due(list(self._patrols))
        if not due:
            return
        async with self._changing:
            written: dict[int, list[tuple[str, bytes | None]]] = {}
            for number, patrol in self._patrols.items():
                gone = patrol.forget_erased(self._erasures.spans)
                written[number] = [(device_id, None) for device_id in gone]
                written[number] += [(rounds.device_id, encode(rounds)) for rounds in patrol.take_changed()]
            await self._log.append_in_place(ROUNDS, written)
        await self._etas.erase(self._patrols.keys(), self._erasures.spans)
        await self._erasures.tell(self._log, due)

    async def _look(self, numbers: Iterable[int], changed: Callable[[int, Patrol], set[str]]) -> None:
        """Tell the jobs what is new of the devices of partitions, then write down that they were told."""
        async with self._changing:
            now_ms = self._clock.now_ms()
            patrols = {number: self._patrols[number] for number in numbers if number in self._patrols}
            devices = {number: sorted(changed(number, patrol)) for number, patrol in patrols.items()}
            news = [
                each
                for number, patrol in patrols.items()
                for device_id in devices[number]
                for each in patrol.news_of(device_id, now_ms)
            ]
            self._etas.change(device_id for group in devices.values() for device_id in group)
            await self._log.append_patiently(
                JOB_COMMANDS, [(job_id, encode(_telling(job_id, each))) for job_id, each in news]
            )
            news_told.inc(len(news))
            # Not by the table, which would send them one by one.
            await self._log.append_in_place(
                ROUNDS,
                {
                    number: [(rounds.device_id, encode(rounds)) for rounds in patrol.take_changed()]
                    for number, patrol in patrols.items()
                },
            )

    # ETAs

    async def _expect(self) -> None:
        """Ask and tell when somebody will be where; between two assignments nobody knows whose devices these are."""
        while True:
            await asyncio.sleep(EVERY_S)
            if self._patrols:
                with self.app.fatal("etas"):
                    await self._etas.turn(self._patrols.keys(), self._erasures.spans)

    def _heading_of(self, device_id: str) -> str | None:
        patrol = self._patrols.get(self._partition_of(device_id))
        return None if patrol is None else patrol.under_way(device_id)


def _telling(job_id: str, evidence: Evidence) -> TellEvidence:
    key = f"{evidence.device_id}@{int(evidence.recorded_at)}"
    return TellEvidence(
        job_id=job_id, sender=POSITIONS, key=key, issued_at=Instant(evidence.recorded_at), evidence=evidence
    )


def _ordering(occurrence: Occurrence, now_ms: Instant) -> CreateJob:
    return CreateJob(
        job_id=occurrence.job_id, sender=CALENDAR, key=occurrence.job_id, issued_at=now_ms, plan=occurrence.plan
    )


def _by_id(records: dict[bytes, bytes]) -> dict[str, bytes]:
    return {key.decode(): value for key, value in records.items()}


def _rounds_of(records: dict[bytes, bytes]) -> dict[str, DeviceRounds]:
    return {key.decode(): decode(DeviceRounds, value) for key, value in records.items()}

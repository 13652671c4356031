"""The jobs of a partition, and what commands make of them, in the order in which they come."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, takewhile
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec
import structlog

from dispatch.job_audit import audit_of
from dispatch.job_book import JobBook
from schemas.audit import AuditRecord
from schemas.job import JobRecord
from schemas.job_command import Answer, Command, read_command
from schemas.times import Instant
from schemas.wire import decode

WRITTEN_LATELY: Final = 4_096

log = structlog.get_logger()


class WrittenJobs:
    """Jobs that were written lately, by their values: what comes back from the topic, or is changed again soon, has
    not to be decoded, which takes as long as all else that is done for a revision."""

    def __init__(self) -> None:
        self._records: dict[bytes, JobRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def note(self, value: bytes, record: JobRecord, before: bytes | None) -> None:
        """Take note of a revision that follows another one; neither may be changed from now on."""
        if before is not None:
            self._records.pop(before, None)
        self._records[value] = record
        if len(self._records) > WRITTEN_LATELY:
            del self._records[next(iter(self._records))]

    def record_of(self, value: bytes) -> JobRecord:
        """The job of a value; raises msgspec.ValidationError or msgspec.DecodeError."""
        record = self._records.get(value)
        return decode(JobRecord, value) if record is None else record


class CarriedOut(NamedTuple):
    """Of commands: what people are to be on record for, then the revisions to write, in order, then the answers."""

    audit: list[AuditRecord]
    records: list[JobRecord]
    answers: list[Answer]


class JobPartition:
    """``records`` are the jobs as they are written: the value of each by its id."""

    def __init__(self, records: Mapping[str, bytes], book: JobBook, now_ms: Instant, written: WrittenJobs) -> None:
        self.records: dict[str, bytes] = {}
        self._book = book
        self._written = written
        self._look_ms: dict[str, int] = {}
        # By when they are due: what changes goes to the end, and is due last.
        self._archived_from_ms: dict[str, int] = {}
        for job_id, value in records.items():
            self._keep(job_id, value, decode(JobRecord, value), now_ms)
        self._archived_from_ms = dict(sorted(self._archived_from_ms.items(), key=itemgetter(1)))

    def carry_out(self, commands: Sequence[Command], now_ms: Instant) -> CarriedOut:
        """What is to be written and answered; ``records`` is as it was before.

        What a command has changed the job tells itself: only those that change nothing are answered.
        """
        current: dict[str, JobRecord | None] = {}
        done = CarriedOut([], [], [])
        for command in commands:
            job_id = command.job_id
            if job_id not in current:
                current[job_id] = self._record(job_id)
            before = current[job_id]
            outcome = self._book.apply(before, command, now_ms)
            if outcome.record is not None:
                current[job_id] = outcome.record
                done.records.append(outcome.record)
                if (audit := audit_of(command, before, outcome.record, now_ms)) is not None:
                    done.audit.append(audit)
            elif command.request_id:
                done.answers.append(outcome.answer)
        return done

    def due(self, now_ms: Instant) -> list[JobRecord]:
        """The jobs that time changes, or of which others are to be made."""
        due = [job_id for job_id, look_ms in self._look_ms.items() if look_ms <= now_ms]
        return [record for job_id in due if (record := self._record(job_id)) is not None]

    def keep(self, records: Sequence[JobRecord], values: Sequence[bytes], now_ms: Instant) -> None:
        """Take note of what is written."""
        for record, value in zip(records, values, strict=True):
            self._written.note(value, record, self.records.get(record.job_id))
            self._keep(record.job_id, value, record, now_ms)

    def pass_over(self, record: JobRecord, now_ms: Instant) -> None:
        """Look at a job that was due, and has not changed, when it is due next."""
        self._look_later(record, now_ms)

    def to_archive(self, now_ms: Instant, limit: int) -> list[str]:
        """Jobs that have been over for long, ``limit`` at most, those first that have been for longest."""
        due = takewhile(lambda each: each[1] <= now_ms, self._archived_from_ms.items())
        return [job_id for job_id, _ in islice(due, limit)]

    def let_go(self, job_ids: Iterable[str]) -> None:
        """Take note that jobs are archived."""
        for job_id in job_ids:
            del self.records[job_id]
            self._look_ms.pop(job_id, None)
            self._archived_from_ms.pop(job_id, None)

    def _keep(self, job_id: str, value: bytes, record: JobRecord, now_ms: Instant) -> None:
        self.records[job_id] = value
        self._look_later(record, now_ms)
        self._archived_from_ms.pop(job_id, None)
        archived_from_ms = self._book.archived_from_ms(record)
        if archived_from_ms is not None:
            self._archived_from_ms[job_id] = archived_from_ms

    def _look_later(self, record: JobRecord, now_ms: Instant) -> None:
        look_ms = self._book.next_look_ms(record, now_ms)
        if look_ms is None:
            self._look_ms.pop(record.job_id, None)
        else:
            self._look_ms[record.job_id] = look_ms

    def _record(self, job_id: str) -> JobRecord | None:
        value = self.records.get(job_id)
        return None if value is None else self._written.record_of(value)


def read_commands(values: Sequence[bytes | None]) -> tuple[list[Command], int]:
    """The commands among the values of records, and how many of these nobody can read."""
    commands: list[Command] = []
    for value in values:
        try:
            commands.append(read_command(value or b""))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            log.warning("unreadable command skipped", error=str(error))
    return commands, len(values) - len(commands)

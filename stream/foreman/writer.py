"""The jobs of a partition, and what commands make of them, in the order in which they come."""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from dispatch.job_book import JobBook
from schemas.job import JobRecord
from schemas.job_command import Answer, Command, read_command
from schemas.times import Instant
from schemas.wire import decode, encode

log = structlog.get_logger()


class JobPartition:
    """``records`` are the jobs as they are written: the value of each by its id."""

    def __init__(self, records: Mapping[str, bytes] | None = None) -> None:
        self.records = dict(records or {})

    def carry_out(
        self, commands: Sequence[Command], book: JobBook, now_ms: Instant
    ) -> tuple[list[tuple[str, bytes]], list[Answer]]:
        """The records to write, in order, and the answers to give once they are; ``records`` is as it was before."""
        current: dict[str, JobRecord | None] = {}
        written: list[tuple[str, bytes]] = []
        answers: list[Answer] = []
        for command in commands:
            job_id = command.job_id
            if job_id not in current:
                current[job_id] = self._record(job_id)
            outcome = book.apply(current[job_id], command, now_ms)
            if outcome.record is not None:
                current[job_id] = outcome.record
                written.append((job_id, encode(outcome.record)))
            if command.request_id:
                answers.append(outcome.answer)
        return written, answers

    def _record(self, job_id: str) -> JobRecord | None:
        value = self.records.get(job_id)
        return None if value is None else decode(JobRecord, value)


def read_commands(values: Sequence[bytes | None]) -> tuple[list[Command], int]:
    """The commands among the values of records, and how many of these nobody can read."""
    commands: list[Command] = []
    for value in values:
        try:
            commands.append(read_command(value or b""))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            log.warning("unreadable command skipped", error=str(error))
    return commands, len(values) - len(commands)

"""Where commands for jobs are handed in: the writer of the job is told, and what becomes of it is waited for."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from api.http.problems import Problem
from api.ports import EventLog, ReadModel
from dispatch.job_book import fingerprint_of
from schemas import wire
from schemas.job import JobRecord
from schemas.job_command import Answer, Command, Refusal
from schemas.topics import JOB_COMMANDS, LogUnavailable

ANSWER_WITHIN_S: Final = 10.0


class JobDesk:
    """Of one process. What a command has changed the job itself tells; the foreman answers those that change nothing.

    ``see`` is called with each change of a job, ``take`` with every answer that the foreman gives, whoever asked.
    """

    def __init__(self, log: EventLog, jobs: ReadModel[JobRecord]) -> None:
        self._log = log
        self._jobs = jobs
        self._waiting: dict[str, _Wait] = {}
        self._of_job: defaultdict[str, list[_Wait]] = defaultdict(list)

    async def carry_out(self, command: Command) -> JobRecord:
        """The job after the command, once this process's own read model has it.

        Raises Problem where it is refused, LogUnavailable where it is not known in time whether it was carried out: the
        same command can be sent again.
        """
        wait = self._waiting[command.request_id] = _Wait(command)
        self._of_job[command.job_id].append(wait)
        timer: asyncio.TimerHandle | None = None
        try:
            await self._log.append(JOB_COMMANDS, [(command.job_id, wire.encode(command))])
            timer = asyncio.get_running_loop().call_later(ANSWER_WITHIN_S, wait.give_up)
            outcome = await wait.outcome
        finally:
            if timer is not None:
                timer.cancel()
            del self._waiting[command.request_id]
            self._of_job[command.job_id].remove(wait)
            if not self._of_job[command.job_id]:
                del self._of_job[command.job_id]
        if isinstance(outcome, Refusal):
            more: dict[str, Any] = {} if outcome.allowed is None else {"allowed": list(outcome.allowed)}
            raise Problem(outcome.status, outcome.code, outcome.detail, **more)
        return outcome

    def see(self, job_id: str, record: JobRecord | None) -> None:
        """A job has changed."""
        if record is not None:
            for wait in self._of_job.get(job_id, ()):
                wait.look_at(record)

    def take(self, answer: Answer) -> None:
        """An answer."""
        wait = self._waiting.get(answer.request_id)
        if wait is None:
            return
        if answer.refusal is not None:
            wait.end(answer.refusal)
            return
        wait.revision = answer.revision
        record = self._jobs.records.get(answer.job_id)
        if record is not None:
            wait.look_at(record)


@dataclass(eq=False)
class _Wait:
    """For a command to be carried out; or, where it was before, for the ``revision`` that the foreman names."""

    command: Command
    revision: int | None = None
    outcome: "asyncio.Future[JobRecord | Refusal]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def give_up(self) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(LogUnavailable("the job's writer has not answered in time"))

    def look_at(self, record: JobRecord) -> None:
        if _has_changed(self.command, record) if self.revision is None else record.revision >= self.revision:
            self.end(record)

    def end(self, outcome: JobRecord | Refusal) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def _has_changed(command: Command, record: JobRecord) -> bool:
    """Whether the command is among those that made the job what it is."""
    return any(
        each.key == command.key and each.fingerprint == fingerprint_of(command) for each in reversed(record.answered)
    )

"""Where commands for jobs are handed in: the writer of the job is told, and its answer is waited for."""

import asyncio
import itertools
import secrets
from typing import Any, Final

from api.ports import EventLog, ReadModel
from api.problems import Problem
from schemas import wire
from schemas.job import JobRecord
from schemas.job_command import Answer, Command
from schemas.topics import JOB_COMMANDS, LogUnavailable

ANSWER_WITHIN_S: Final = 10.0


class JobDesk:
    """Of one process. ``take`` is called with every answer that the foreman gives, whoever asked, and ``see`` with each
    change of a job: those who wait for a job are woken by it alone.
    """

    def __init__(self, log: EventLog, jobs: ReadModel[JobRecord]) -> None:
        self._log = log
        self._jobs = jobs
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._unseen: dict[str, set[asyncio.Future[None]]] = {}

    def take(self, answer: Answer) -> None:
        """An answer."""
        waiting = self._waiting.get(answer.request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def carry_out(self, command: Command) -> JobRecord:
        """The job after the command, once this process's own read model has it.

        Raises Problem where it is refused, LogUnavailable where it is not known in time whether it was carried out: the
        same command can be sent again.
        """
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[command.request_id] = waiting
        try:
            await self._log.append(JOB_COMMANDS, [(command.job_id, wire.encode(command))])
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await waiting
        except TimeoutError as error:
            raise LogUnavailable("the job's writer has not answered in time") from error
        finally:
            del self._waiting[command.request_id]
        if answer.refusal is not None:
            refusal = answer.refusal
            more: dict[str, Any] = {} if refusal.allowed is None else {"allowed": list(refusal.allowed)}
            raise Problem(refusal.status, refusal.code, refusal.detail, **more)
        return await self._seen(answer)

    def see(self, job_id: str, _record: JobRecord | None) -> None:
        """A job has changed."""
        for waiting in self._unseen.get(job_id, ()):
            if not waiting.done():
                waiting.set_result(None)

    async def _seen(self, answer: Answer) -> JobRecord:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while (record := self._jobs.records.get(answer.job_id)) is None or record.revision < answer.revision:
                    await self._changed(answer.job_id)
        except TimeoutError as error:
            raise LogUnavailable("it is done, but was not read back in time") from error
        return record

    async def _changed(self, job_id: str) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        others = self._unseen.setdefault(job_id, set())
        others.add(waiting)
        try:
            await waiting
        finally:
            others.discard(waiting)
            if not others:
                self._unseen.pop(job_id, None)


_process: Final = secrets.token_hex(8)
_requests: Final = itertools.count()


def new_request_id() -> str:
    """By which an answer is known, unlike any other's."""
    return f"{_process}{next(_requests):x}"

"""A command is answered by the job that it has changed, or by the foreman, once its job is there to be read."""

import asyncio
from typing import Any, Final, cast

import msgspec
import pytest

from api.http.problems import Problem
from api.jobs import desk as desks
from api.jobs.desk import JobDesk
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from schemas.job import JobRecord
from schemas.job_command import Answer, MoveJob, Refusal
from schemas.times import Instant
from schemas.topics import LogUnavailable
from tests.dispatch.examples import DISPATCHER, after, create, move


class Model:
    def __init__(self) -> None:
        self.records: dict[str, JobRecord] = {}


class Log:
    async def append(self, *_: Any) -> None:
        """It is written."""


BOOK = JobBook(DispatchRules())
FIRST = after(BOOK, create())
COMMAND = MoveJob(
    job_id="job-1", sender=DISPATCHER, key="k", issued_at=Instant(FIRST.updated_at + 1), request_id="r", to="dispatched"
)


def changed_by(record: JobRecord, command: MoveJob) -> JobRecord:
    found = BOOK.apply(record, command, Instant(record.updated_at + 60_000)).record
    assert found is not None
    return found


BY_IT = changed_by(FIRST, COMMAND)
BY_OTHERS = after(BOOK, create(), move("dispatched", 5, DISPATCHER))
LATER = changed_by(BY_IT, msgspec.structs.replace(COMMAND, key="j", to="en_route"))
CHANGES: Final = {"by it": BY_IT, "by others": BY_OTHERS, "later": LATER}


async def told(*steps: str, command: MoveJob = COMMAND) -> JobRecord:
    """What the command is answered with when these things happen one after the other."""
    model = Model()
    model.records["job-1"] = FIRST
    desk = JobDesk(cast(Any, Log()), cast(Any, model))
    answered = asyncio.create_task(desk.carry_out(command))
    await asyncio.sleep(0)
    for step in steps:
        if step in CHANGES:
            model.records["job-1"] = CHANGES[step]
            desk.see("job-1", CHANGES[step])
        elif step == "repeated":
            desk.take(Answer("r", "job-1", BY_IT.revision))
        elif step == "refused":
            desk.take(Answer("r", "job-1", FIRST.revision, Refusal(409, "not_allowed", "no", ("cancelled",))))
        elif step == "to another":
            desk.take(Answer("s", "job-1", FIRST.revision, Refusal(409, "not_allowed", "no")))
        for _ in range(3):
            await asyncio.sleep(0)
        if step != steps[-1]:
            assert not answered.done()
    try:
        return await answered
    finally:
        assert not desk._waiting
        assert not desk._of_job


@pytest.mark.parametrize("steps", [("by it",), ("by others", "by it"), ("to another", "by it"), ("later",)])
def test_the_job_as_the_command_left_it_or_later_is_the_answer(steps: tuple[str, ...]) -> None:
    assert asyncio.run(told(*steps)) == CHANGES[steps[-1]]


@pytest.mark.parametrize("steps", [("by it", "repeated"), ("later", "repeated"), ("repeated", "by it")])
def test_what_changes_nothing_is_answered_once_the_job_can_be_read(steps: tuple[str, ...]) -> None:
    record = next(CHANGES[step] for step in steps if step in CHANGES)
    assert asyncio.run(told(*steps, command=msgspec.structs.replace(COMMAND, key="elsewhere"))) == record


def test_a_refusal_says_why() -> None:
    with pytest.raises(Problem) as refused:
        asyncio.run(told("by others", "refused"))
    assert (refused.value.status, refused.value.code) == (409, "not_allowed")


@pytest.mark.parametrize("steps", [("repeated",), ("by others",), ("to another",)])
def test_nobody_waits_for_ever(steps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "ANSWER_WITHIN_S", 0.05)
    never_seen = msgspec.structs.replace(COMMAND, to="completed")
    with pytest.raises(LogUnavailable):
        asyncio.run(told(*steps, command=never_seen))


def test_another_command_under_the_same_key_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "ANSWER_WITHIN_S", 0.05)
    with pytest.raises(LogUnavailable):
        asyncio.run(told("by it", command=msgspec.structs.replace(COMMAND, to="cancelled")))

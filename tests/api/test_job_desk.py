"""A command is answered once its job is there to be read, whichever of the two comes first."""

import asyncio
from typing import Any, cast

import pytest

from api.jobs import desk as desks
from api.jobs.desk import JobDesk
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from schemas.job import JobRecord
from schemas.job_command import Answer
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
SECOND = after(BOOK, create(), move("dispatched", 5, DISPATCHER))
COMMAND = type(move("dispatched", 5))(
    job_id="job-1", sender=DISPATCHER, key="k", issued_at=SECOND.updated_at, request_id="r", to="dispatched"
)
ANSWER = Answer("r", "job-1", SECOND.revision)


async def told(*steps: str) -> JobRecord:
    """What the command is answered with when these things happen one after the other."""
    model = Model()
    model.records["job-1"] = FIRST
    desk = JobDesk(cast(Any, Log()), cast(Any, model))
    answered = asyncio.create_task(desk.carry_out(COMMAND))
    await asyncio.sleep(0)
    for step in steps:
        if step == "answer":
            desk.take(ANSWER)
        elif step == "change":
            model.records["job-1"] = SECOND
            desk.see("job-1", SECOND)
        elif step == "older change":
            desk.see("job-1", FIRST)
        for _ in range(3):
            await asyncio.sleep(0)
        if step != steps[-1]:
            assert not answered.done()
    record = await answered
    assert not desk._waiting
    assert not desk._unseen
    return record


@pytest.mark.parametrize(
    "steps",
    [("answer", "change"), ("change", "answer"), ("answer", "older change", "change")],
)
def test_the_answer_has_the_job_as_it_is_then(steps: tuple[str, ...]) -> None:
    assert asyncio.run(told(*steps)) == SECOND


@pytest.mark.parametrize("steps", [("answer",), ("change",), ("answer", "older change")])
def test_nobody_waits_for_ever(steps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "ANSWER_WITHIN_S", 0.05)
    with pytest.raises(LogUnavailable):
        asyncio.run(told(*steps))

"""What is put on record of a job."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.job_audit import audit_of, changed
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.audit import Actor
from schemas.job import Job, JobRecord, job_of, public_fields
from schemas.job_command import Command, EditJob, Sender
from tests.dispatch.examples import DISPATCHER, after, approach, create, minute, move, tell

LAPS = st.integers(0, 5)
BOOK = JobBook(DispatchRules())


def edit(notes: str, by: Sender) -> EditJob:
    return EditJob(job_id="job-1", sender=by, key="edit", issued_at=minute(5), changes={"notes": notes})


def record_of(laps: int, *, cancelled: bool = False) -> JobRecord:
    """A job that went from scheduled to dispatched, back, and so on."""
    states = [("dispatched", "scheduled")[number % 2] for number in range(laps)] + ["cancelled"] * cancelled
    commands = [move(state, 5 * number, DISPATCHER) for number, state in enumerate(states, 1)]
    return after(BOOK, create(), *commands)


def test_a_new_job_is_on_record_whole() -> None:
    record = record_of(0)
    assert changed(None, record) == (None, wire.to_builtins(job_of(record)))


@given(LAPS, st.booleans(), LAPS, st.booleans())
def test_of_two_states_the_one_follows_from_the_other_and_the_record(
    laps: int, cancelled: bool, more_laps: int, cancelled_then: bool
) -> None:
    before, now = record_of(laps, cancelled=cancelled), record_of(more_laps, cancelled=cancelled_then)
    was, since = changed(before, now)
    assert was is not None
    assert was.keys() == since.keys()
    derived = {name: getattr(before, name) for name in before.__struct_fields__}
    if "log" in since:
        assert before.log[len(before.log) - len(was["log"]) :] == was["log"]
        since = since | {"log": before.log[: len(before.log) - len(was["log"])] + since["log"]}
    assert job_of(JobRecord(**{**derived, **since})) == job_of(now)


def test_what_did_not_change_is_not_on_record() -> None:
    before, now = record_of(1), record_of(2)
    was, since = changed(before, now)
    assert (was["state"], since["state"]) == ("dispatched", "scheduled")  # type: ignore[index]
    assert (was["log"], [entry.state for entry in since["log"]]) == ([], ["scheduled"])  # type: ignore[index]
    assert since.keys() <= {"state", "log", "revision", "updated_at"}


def test_what_is_public_of_a_record_comes_first_in_it() -> None:
    record = record_of(2)
    assert public_fields(record) == {name: getattr(record, name) for name in Job.__struct_fields__}


@pytest.mark.parametrize(
    ("command", "action"),
    [
        (create(), "created"),
        (move("dispatched", 5, DISPATCHER), "moved"),
        (edit("ring twice", DISPATCHER), "edited"),
    ],
)
def test_a_person_is_on_record_with_what_they_changed(command: Command, action: str) -> None:
    before = None if action == "created" else record_of(0)
    now = BOOK.apply(before, command, minute(6)).record
    assert now is not None
    record = audit_of(msgspec.structs.replace(command, sender_name="The office"), before, now, minute(6))
    assert record is not None
    assert (record.action, record.kind, record.id, record.at) == (action, "job", "job-1", minute(6))
    assert (record.actor, record.role) == (Actor("key", "office", "The office"), "dispatcher")
    assert (record.before, record.after) == changed(before, now)


@pytest.mark.parametrize(
    "command", [tell(approach(None, 5, None), recorded=6), edit("found", Sender("system", "system:geocoder", "admin"))]
)
def test_what_no_person_did_is_not_on_record(command: Command) -> None:
    before = record_of(0)
    now = BOOK.apply(before, command, minute(6)).record
    assert now is not None
    assert audit_of(command, before, now, minute(6)) is None

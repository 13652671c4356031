"""What is put on record of a job."""

from hypothesis import given
from hypothesis import strategies as st

from api.jobs.audit import changed
from api.jobs.lists import job_of
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.job import JobRecord
from tests.dispatch.examples import DISPATCHER, after, create, move

LAPS = st.integers(0, 5)


def record_of(laps: int, *, cancelled: bool = False) -> JobRecord:
    """A job that went from scheduled to dispatched, back, and so on."""
    states = [("dispatched", "scheduled")[number % 2] for number in range(laps)] + ["cancelled"] * cancelled
    commands = [move(state, 5 * number, DISPATCHER) for number, state in enumerate(states, 1)]
    return after(JobBook(DispatchRules()), create(), *commands)


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

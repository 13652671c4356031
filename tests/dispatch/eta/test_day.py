"""What of a technician's jobs is for today, in which order, and which way is under way."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.eta.appointments import AT_WORK, appointment_of, arrivals_of, done_of
from dispatch.eta.day import MOST_CALLS, day_end_ms, day_of, is_for_today
from dispatch.job_book import JobBook
from dispatch.lifecycle import BUILT_IN, Lifecycle, OwnState
from dispatch.rules import DispatchRules
from schemas.times import parse_instant
from tests.dispatch.eta.offices import RULES, at, job
from tests.dispatch.examples import DISPATCHER, after, approach, create, minute, move, tell

BOOK = JobBook(DispatchRules())
AWAITED = st.sampled_from(["created", "scheduled", "dispatched", "en_route", "on_site", "in_progress"])


def names(*jobs: object, heading: str | None = None) -> tuple[str | None, list[str], bool]:
    day = day_of(jobs, heading)  # type: ignore[arg-type]
    return day.at and day.at.job_id, [each.job_id for each in day.calls], day.is_under_way


def test_jobs_come_as_they_are_planned_and_emergencies_first() -> None:
    jobs = [job("b", 0, begins=60), job("a", 0, begins=30), job("c", 0, begins=90, priority="emergency")]
    assert names(*jobs) == (None, ["c", "a", "b"], False)


def test_positions_say_which_way_is_under_way_and_else_who_said_so_last() -> None:
    a, b = job("a", 0, begins=0), job("b", 0, begins=60)
    assert names(a, b, heading="b") == (None, ["b", "a"], True)
    b = msgspec.structs.replace(b, state="en_route")
    assert names(a, b) == (None, ["b", "a"], True)
    assert names(a, b, heading="a") == (None, ["a", "b"], True)
    at_work = msgspec.structs.replace(a, state="in_progress", since_ms=at(-20))
    assert names(at_work, b) == ("a", ["b"], False), "b was said before"
    assert names(msgspec.structs.replace(at_work, since_ms=at(-40)), b) == (None, ["b"], True)
    assert names(at_work, b, heading="b") == (None, ["b"], True)


@given(st.lists(st.tuples(AWAITED, st.integers(-60, 60), st.integers(-60, 60)), max_size=30), st.integers(0, 30))
def test_everybody_who_is_awaited_is_in_the_day_once_up_to_a_bound(
    drawn: list[tuple[str, int, int]], heading: int
) -> None:
    jobs = [
        job(f"j{number}", 0, state=state, since_ms=at(since), begins=begins)
        for number, (state, since, begins) in enumerate(drawn)
    ]
    place, calls, is_under_way = names(*jobs, heading=f"j{heading}")
    awaited = [each.job_id for each in jobs if each.state not in AT_WORK]
    assert len(set(calls)) == len(calls) == min(len(awaited), MOST_CALLS)
    assert set(calls) <= set(awaited)
    assert place is None or not is_under_way
    if f"j{heading}" in awaited:
        assert (calls[0], is_under_way) == (f"j{heading}", True)


@pytest.mark.parametrize(
    ("begins", "ends", "state", "is_today"),
    [
        (0, 60, "scheduled", True),
        (14.9 * 60, None, "scheduled", True),
        (15.1 * 60, None, "scheduled", False),
        (None, 60, "scheduled", True),
        (-13 * 60, -11 * 60, "scheduled", True),
        (-14 * 60, -12.1 * 60, "scheduled", False),
        (None, None, "scheduled", False),
        (None, None, "dispatched", True),
        (30 * 60, None, "en_route", True),
        (30 * 60, None, "dispatched", False),
    ],
)
def test_what_is_for_today(begins: float | None, ends: float | None, state: str, is_today: bool) -> None:
    assert is_for_today(job("a", 0, begins=begins, ends=ends, state=state), at(0), "UTC", RULES) is is_today


def test_nobody_is_at_work_or_on_the_way_for_days() -> None:
    for state in ("en_route", "on_site"):
        known = job("a", 0, state=state, since_ms=at(0))
        assert is_for_today(known, at(11 * 60), "UTC", RULES)
        assert not is_for_today(known, at(13 * 60), "UTC", RULES)


def test_who_works_at_night_has_a_job_after_midnight() -> None:
    assert is_for_today(job("a", 0, begins=17 * 60), at(14 * 60), "UTC", RULES)


@pytest.mark.parametrize(
    ("moment", "zone", "over"),
    [
        ("2026-03-02T09:00:00Z", "UTC", "2026-03-03T00:00:00Z"),
        ("2026-03-02T23:30:00Z", "Europe/Zurich", "2026-03-03T23:00:00Z"),
        ("2026-03-28T23:30:00Z", "Europe/Zurich", "2026-03-29T22:00:00Z"),
        ("2026-03-02T09:00:00Z", "Asia/Kathmandu", "2026-03-02T18:15:00Z"),
    ],
)
def test_a_day_is_over_by_the_clock_on_the_wall(moment: str, zone: str, over: str) -> None:
    assert day_end_ms(parse_instant(moment), zone) == parse_instant(over)


def test_an_appointment_is_what_the_job_says() -> None:
    record = after(BOOK, create(lat=47.0, lon=9.5, job_type="boiler"), move("en_route", 50))
    appointment = appointment_of(record, BUILT_IN)
    assert appointment is not None
    assert (appointment.state, appointment.since_ms, appointment.duration_s) == ("en_route", minute(50), 1_200.0)
    assert not appointment.is_at_work
    come = after(BOOK, create(lat=47.0, lon=9.5), tell(approach(50, 70, None), recorded=72), move("in_progress", 75))
    appointment = appointment_of(come, BUILT_IN)
    assert appointment is not None
    assert (appointment.is_at_work, appointment.since_ms) == (True, minute(70))
    assert arrivals_of(come) == (("van-1", minute(70)),)
    assert done_of(come, BUILT_IN) is None


def test_nobody_is_awaited_once_a_job_is_over_or_nowhere() -> None:
    cancelled = after(BOOK, create(lat=47.0, lon=9.5), move("cancelled", 5, DISPATCHER))
    assert appointment_of(cancelled, BUILT_IN) is None
    assert appointment_of(after(BOOK, create()), BUILT_IN) is None
    over = after(BOOK, create(lat=47.0, lon=9.5, duration_s=900.0), tell(approach(50, 70, 100), recorded=101))
    assert appointment_of(over, BUILT_IN) is None
    done = done_of(over, BUILT_IN)
    assert done is not None
    assert (done.job_type, done.estimate_s, done.actual_s) == ("", 900.0, 1_800.0)


def test_a_tenants_own_state_is_as_the_one_it_is_like() -> None:
    own = OwnState(from_=("dispatched",), to=("on_site",), like="en_route")
    book = JobBook(DispatchRules(states={"loading": own}))
    record = after(book, create(lat=47.0, lon=9.5), move("dispatched", 5, DISPATCHER), move("loading", 10, DISPATCHER))
    appointment = appointment_of(record, Lifecycle.extended_by({"loading": own}))
    assert appointment is not None
    assert appointment.state == "en_route"

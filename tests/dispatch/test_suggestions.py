"""Small moves against every plan that differs by one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.day_plan import Day, DayJob, DayTechnician
from dispatch.spans import Span
from dispatch.suggestions import best_for, suggest_for
from tests.dispatch.days import HOUR_MS, days, grid_travel, tours_of


def overtime_s(plan, name):
    return sum(stop.overtime_s for stop in plan.stops[name])


def moved(tours, job_id, name, position):
    """The plan with a job given to somebody."""
    others = {who: [each for each in ids if each != job_id] for who, ids in tours.items()}
    others[name].insert(position, job_id)
    return others


@given(st.data())
def test_moves_are_the_best_of_all_there_are(data):
    day = data.draw(days(most_jobs=6))
    tours = data.draw(tours_of(day))
    name = data.draw(st.sampled_from(list(day.technicians)))
    was = day.plan(tours)
    owner = {job_id: who for who, ids in tours.items() for job_id in ids}
    expected = {}
    for job_id, job in day.jobs.items():
        for taker, technician in day.technicians.items():
            given_or_taken = name in (taker, owner.get(job_id))
            if taker == owner.get(job_id) or not given_or_taken or not day.may_do(technician, job):
                continue
            for position in range(len(tours[taker]) + 1):
                plan = day.plan(moved(tours, job_id, taker, position))
                saves_s = was.figures.cost_s - plan.figures.cost_s
                if saves_s > 1e-6 and overtime_s(plan, taker) <= overtime_s(was, taker):
                    expected[job_id] = max(saves_s, expected.get(job_id, 0.0))
    moves = suggest_for(day, tours, name, limit=100)
    assert [move.saves_s for move in moves] == pytest.approx(sorted(expected.values(), reverse=True))
    assert {move.job_id: pytest.approx(move.saves_s) for move in moves} == expected
    for move in moves:
        plan = day.plan(moved(tours, move.job_id, move.technician_id, move.position))
        assert move.stop in plan.stops[move.technician_id]
        assert move.from_technician_id == owner.get(move.job_id)
        assert move.saves_travel_s == pytest.approx(was.figures.travel_s - plan.figures.travel_s)
        assert move.saves_late_s == pytest.approx(was.figures.late_s - plan.figures.late_s)
    assert suggest_for(day, tours, name, limit=2) == moves[:2]


@given(st.data())
def test_offers_say_who_is_there_soonest_and_what_that_delays(data):
    day = data.draw(days(most_jobs=6).filter(lambda day: day.jobs))
    tours = data.draw(tours_of(day))
    job_id = data.draw(st.sampled_from(list(day.jobs)))
    offers = best_for(day, tours, job_id)
    able = {name for name, one in day.technicians.items() if day.may_do(one, day.jobs[job_id])}
    assert {offer.technician_id for offer in offers} == able
    in_time = [offer.stop.start_ms for offer in offers if offer.overtime_s <= 0.0]
    assert in_time == sorted(in_time)
    assert [offer.overtime_s > 0.0 for offer in offers] == sorted(offer.overtime_s > 0.0 for offer in offers)
    without = day.plan({who: [each for each in ids if each != job_id] for who, ids in tours.items()})
    for offer in offers:
        name = offer.technician_id
        plan = day.plan(moved(tours, job_id, name, 0))
        assert offer.stop == plan.stops[name][0]
        assert offer.overtime_s == pytest.approx(overtime_s(plan, name) - overtime_s(without, name))
        later = {
            new.job_id: ((new.start_ms - old.start_ms) / 1000, new.late_s)
            for old, new in zip(without.stops[name], plan.stops[name][1:], strict=True)
            if new.start_ms > old.start_ms
        }
        assert {delay.job_id: (delay.by_s, delay.late_s) for delay in offer.delays} == later


def a_day():
    people = [
        DayTechnician(technician_id=name, lat=0.0, lon=lon, free_ms=8 * HOUR_MS, spans=[Span(0, 20 * HOUR_MS)])
        for name, lon in (("ann", 0.0), ("bob", 0.5))
    ]
    work = [
        DayJob(job_id="far", lat=0.0, lon=0.6, duration_s=600.0),
        DayJob(job_id="near", lat=0.0, lon=0.1, duration_s=600.0, to_ms=9 * HOUR_MS),
        DayJob(job_id="burst", lat=0.0, lon=0.2, duration_s=600.0, priority="emergency"),
    ]
    return Day(people, work, grid_travel)


def test_who_finishes_early_is_offered_what_nobody_does_and_then_what_is_near():
    moves = suggest_for(a_day(), {"ann": [], "bob": ["far", "near"]}, "ann")
    assert [(move.job_id, move.from_technician_id) for move in moves[:2]] == [("burst", None), ("near", "bob")]
    assert (moves[1].saves_late_s, moves[1].saves_travel_s) == (720.0, 2400.0)


def test_of_who_is_late_a_job_is_taken():
    day = a_day()
    tours = {"ann": ["burst", "near", "far"], "bob": []}
    (move, *_) = suggest_for(day, tours, "ann")
    assert (move.job_id, move.technician_id) == ("far", "bob")


def test_an_emergency_is_offered_to_the_soonest_and_says_what_waits():
    ann, bob = best_for(a_day(), {"ann": ["near"], "bob": ["far"]}, "burst")
    assert (ann.technician_id, bob.technician_id) == ("ann", "bob")
    assert [(delay.job_id, delay.by_s) for delay in ann.delays] == [("near", 60 + 1200 + 600 + 60 + 600 - 660)]
    assert ann.stop.leave_ms == 8 * HOUR_MS


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: suggest_for(a_day(), {}, "eve"), "'eve'"),
        (lambda: suggest_for(a_day(), {"ann": ["gone"]}, "ann"), "'gone'"),
        (lambda: best_for(a_day(), {}, "gone"), "'gone'"),
    ],
)
def test_what_is_refused_says_why(ask, said):
    with pytest.raises(ValueError, match=said):
        ask()

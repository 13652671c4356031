"""What times and figures follow from a plan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.day_plan import LATE_FACTOR, LEFT_OVER_S, Day, DayJob, DayTechnician, PlannedStop
from dispatch.spans import Span
from tests.dispatch.days import HOUR_MS, days, grid_travel, tours_of


@given(st.data())
def test_stops_follow_from_the_order_of_jobs(data):
    day = data.draw(days())
    tours = data.draw(tours_of(day))
    plan = day.plan(tours)
    for name, job_ids in tours.items():
        technician = day.technicians[name]
        stops = plan.stops[name]
        assert [stop.job_id for stop in stops] == job_ids
        now_ms, place = technician.free_ms, day.home[name]
        for stop in stops:
            job = day.jobs[stop.job_id]
            assert stop.leave_ms >= now_ms
            assert stop.travel_s == day.travel_s[place, day.site[stop.job_id]]
            assert stop.arrive_ms == stop.leave_ms + stop.travel_s * 1000
            assert stop.start_ms == max(stop.arrive_ms, job.from_ms or 0)
            assert stop.depart_ms == stop.start_ms + job.duration_s * 1000
            assert stop.late_s == (0 if job.to_ms is None else max(0, stop.start_ms - job.to_ms) / 1000)
            on_shift = any(a <= stop.leave_ms and stop.depart_ms <= b for a, b in technician.spans)
            assert on_shift == (stop.overtime_s == 0.0)
            # No span of work that it could have been done in comes before the one that it is done in.
            for a, b in technician.spans:
                start_ms = max(max(now_ms, a) + stop.travel_s * 1000, job.from_ms or 0)
                if max(now_ms, a) + (stop.depart_ms - stop.start_ms) + start_ms - max(now_ms, a) <= b:
                    assert stop.depart_ms <= start_ms + job.duration_s * 1000
            now_ms, place = stop.depart_ms, day.site[stop.job_id]


@given(st.data())
def test_figures_add_up(data):
    day = data.draw(days())
    tours = data.draw(tours_of(day))
    plan = day.plan(tours)
    stops = [stop for each in plan.stops.values() for stop in each]
    figures = plan.figures
    assert {stop.job_id for stop in stops} | {left.job_id for left in plan.left_over} == set(day.jobs)
    assert figures.jobs == len(stops)
    assert figures.left_over == len(plan.left_over) == len(day.jobs) - len(stops)
    assert figures.late_jobs == sum(stop.late_s > 0 for stop in stops)
    left_s = sum(LEFT_OVER_S[day.jobs[left.job_id].priority] for left in plan.left_over)
    assert figures.cost_s == pytest.approx(
        figures.travel_s + LATE_FACTOR * (figures.late_s + figures.overtime_s) + left_s
    )
    assert figures.unable == sum(
        not day.may_do(day.technicians[name], day.jobs[job_id]) for name, ids in tours.items() for job_id in ids
    )


def technician(name="ann", **stated):
    return DayTechnician(
        **{"technician_id": name, "lat": 0.0, "lon": 0.0, "free_ms": 0, "spans": [Span(0, 9 * HOUR_MS)]} | stated
    )


def job(name="j", **stated):
    return DayJob(**{"job_id": name, "lat": 0.1, "lon": 0.0, "duration_s": 60.0} | stated)


def test_why_a_job_is_left_over():
    people = [
        technician("ann", skills=frozenset(["gas"])),
        technician("bob", skills=frozenset(["power"]), free_ms=9 * HOUR_MS),
    ]
    work = [
        job("a", skills=frozenset(["gas"])),
        job("b", skills=frozenset(["power"])),
        job("c", skills=frozenset(["gas", "power"])),
        job("d", technician_ids=frozenset(["eve"])),
    ]
    reasons = {left.job_id: left.reason for left in Day(people, work, grid_travel).plan({}).left_over}
    assert reasons == {"a": "no_time", "b": "no_shift", "c": "no_skill", "d": "no_skill"}


def test_jobs_under_way_come_first_and_count_for_nothing():
    under_way = PlannedStop("now", 0, 1, 2, 3, 1.0, late_s=5.0)
    day = Day([technician(fixed=[under_way])], [job()], grid_travel)
    plan = day.plan({"ann": ["j"]})
    assert [stop.job_id for stop in plan.stops["ann"]] == ["now", "j"]
    assert (plan.figures.jobs, plan.figures.late_s) == (1, 0.0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Day([technician(), technician()], [], grid_travel), "twice"),
        (lambda: Day([], [job(), job()], grid_travel), "twice"),
        (lambda: Day([], [job(duration_s=-1.0)], grid_travel), "'j' takes -1.0 s"),
        (lambda: Day([], [job(from_ms=2, to_ms=1)], grid_travel), "'j': its window"),
        (lambda: Day([], [job()], lambda lat, lon: np.zeros((2, 2))), "between 1 places"),
        (lambda: Day([], [job()], lambda lat, lon: np.full((1, 1), np.inf)), "it takes inf s"),
        (lambda: Day([], [job()], grid_travel).plan({"eve": ["j"]}), "'eve' is not in this day"),
        (lambda: Day([technician()], [job()], grid_travel).plan({"ann": ["j", "j"]}), "'j' is not in this day, or"),
        (lambda: Day([technician()], [job()], grid_travel).plan({"ann": ["k"]}), "'k' is not in this day, or"),
    ],
)
def test_what_is_refused_says_why(make, said):
    with pytest.raises(ValueError, match=said):
        make()

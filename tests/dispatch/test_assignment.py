"""Suggested plans: what always holds, and against all plans there are on tiny days."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.assignment import suggest_day
from dispatch.day_plan import Day, DayJob, DayTechnician
from dispatch.spans import Span
from routing.matrix import straight_line_matrix
from tests.dispatch.days import HOUR_MS, days, grid_travel, least_cost_s, tours_of


@settings(max_examples=60)
@given(days(most_technicians=2, most_jobs=4, most_spans=1))
def test_on_tiny_days_no_plan_within_windows_is_better(day):
    plan = suggest_day(day, {}, iterations=150, allow_late=False).plan
    assert plan.figures.late_s == plan.figures.overtime_s == plan.figures.unable == 0
    assert plan.figures.cost_s == pytest.approx(least_cost_s(day))


@settings(max_examples=80)
@given(st.data())
def test_skills_and_shifts_are_kept_and_lateness_is_the_exception(data):
    day = data.draw(days(most_jobs=8))
    current = data.draw(tours_of(day))
    suggestion = suggest_day(day, current, iterations=60)
    figures = suggestion.plan.figures
    assert suggestion.current == day.plan(current)
    if suggestion.current.figures.unable == 0:
        assert suggestion.saves_s >= 0.0
    if suggestion.plan == suggestion.current:
        return
    assert figures.unable == 0
    assert figures.overtime_s == 0.0
    assert suggestion.saves_travel_s == suggestion.current.figures.travel_s - figures.travel_s
    strict = suggest_day(day, {}, iterations=60, allow_late=False).plan
    assert figures.late_s == 0.0 or strict.figures.left_over > figures.left_over
    assert {left.job_id for left in suggestion.plan.left_over} <= {left.job_id for left in strict.left_over}


@settings(max_examples=20)
@given(days(most_jobs=8), st.integers(0, 1000))
def test_the_same_seed_makes_the_same_plan(day, seed):
    once = suggest_day(day, {}, seed=seed, iterations=50)
    assert once == suggest_day(day, {}, seed=seed, iterations=50)


def test_a_split_shift_is_kept_with_the_way_between():
    ann = DayTechnician(
        technician_id="ann",
        lat=0.0,
        lon=0.0,
        free_ms=0,
        spans=[Span(8 * HOUR_MS, 10 * HOUR_MS), Span(12 * HOUR_MS, 14 * HOUR_MS)],
    )
    work = [DayJob(job_id=f"j{k}", lat=0.1, lon=0.1 * k, duration_s=4000.0) for k in range(3)]
    plan = suggest_day(Day([ann], work, grid_travel), {}, iterations=50).plan
    assert [stop.leave_ms // HOUR_MS for stop in plan.stops["ann"]] == [8, 12]
    assert [left.reason for left in plan.left_over] == ["no_time"]


def test_who_has_one_span_left_is_planned_along_with_the_others():
    spans = [Span(8 * HOUR_MS, 10 * HOUR_MS), Span(12 * HOUR_MS, 14 * HOUR_MS)]
    far, near = (
        DayTechnician(technician_id=name, lat=0.0, lon=lon, free_ms=11 * HOUR_MS, spans=spans[first:])
        for name, lon, first in (("far", 2.0, 1), ("near", 0.0, 0))
    )
    work = [DayJob(job_id="j", lat=0.0, lon=0.1, duration_s=60.0)]
    plan = suggest_day(Day([far, near], work, grid_travel), {}, iterations=50).plan
    assert [stop.job_id for stop in plan.stops["near"]] == ["j"]


def test_a_window_that_cannot_be_kept_is_late_rather_than_left_over():
    ann = DayTechnician(technician_id="ann", lat=0.0, lon=0.0, free_ms=9 * HOUR_MS, spans=[Span(0, 20 * HOUR_MS)])
    over = DayJob(job_id="over", lat=0.0, lon=0.1, duration_s=60.0, from_ms=6 * HOUR_MS, to_ms=8 * HOUR_MS)
    day = Day([ann], [over], grid_travel)
    assert suggest_day(day, {}, iterations=10).plan.figures.late_s == HOUR_MS / 1000 + 660.0
    assert suggest_day(day, {}, iterations=10, allow_late=False).plan.figures.left_over == 1


def test_a_company_day_is_planned_in_seconds():
    rng = np.random.default_rng(3)
    people = [
        DayTechnician(
            technician_id=f"t{k}",
            lat=47.0 + 0.4 * rng.random(),
            lon=8.0 + 0.6 * rng.random(),
            free_ms=8 * HOUR_MS,
            spans=[Span(8 * HOUR_MS, 17 * HOUR_MS)],
            skills=frozenset(rng.choice(["gas", "water", "power", "lift"], 2, replace=False).tolist()),
        )
        for k in range(40)
    ]
    work = [
        DayJob(
            job_id=f"j{k}",
            lat=47.0 + 0.4 * rng.random(),
            lon=8.0 + 0.6 * rng.random(),
            duration_s=float(rng.choice([1200, 1800, 2700, 3600])),
            from_ms=(from_ms := int(rng.integers(8, 15)) * HOUR_MS),
            to_ms=from_ms + 2 * HOUR_MS,
            skills=frozenset([str(rng.choice(["gas", "water", "power", "lift"]))]),
        )
        for k in range(300)
    ]
    day = Day(people, work, straight_line_matrix)
    by_chance = {f"t{k}": [f"j{n}" for n in range(k, 300, 40)] for k in range(40)}
    started_s = time.thread_time()
    suggestion = suggest_day(day, by_chance, iterations=300)
    assert time.thread_time() - started_s < 20.0
    figures = suggestion.plan.figures
    assert figures.left_over == figures.unable == 0
    assert figures.late_jobs < 6
    assert figures.travel_s < 0.6 * suggestion.current.figures.travel_s

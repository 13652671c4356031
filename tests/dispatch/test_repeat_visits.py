"""Repeat visits against a comparison of all jobs with all others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.repeat_visits import FirstTimeFix, first_time_fix, repeat_visits
from schemas.times import Instant
from tests.dispatch.logs import job_of

DAY_MS = 86_400_000
HERE = ("on_site", "in_progress", "completed", "left_incomplete", "invoiced")
STATES = ("scheduled", "en_route", "on_site", "left_incomplete", "completed", "cancelled", "invoiced")


@st.composite
def histories(draw):
    found = []
    for k in range(draw(st.integers(0, 8))):
        states = draw(st.lists(st.sampled_from(STATES), max_size=4))
        days = sorted(draw(st.lists(st.integers(0, 20), min_size=len(states), max_size=len(states))))
        found.append(
            job_of(
                *zip(states, [day * DAY_MS for day in days], strict=True),
                job_id=f"j{k}",
                created_ms=draw(st.integers(0, 20)) * DAY_MS,
                window_from_ms=draw(st.none() | st.integers(0, 20).map(lambda day: Instant(day * DAY_MS))),
                site_id=draw(st.sampled_from([None, "here", "there"])),
                fault=draw(st.sampled_from([None, " ", "No heat", "no heat ", "leak"])),
                job_type=draw(st.sampled_from([None, "repair", "Repair"])),
            )
        )
    return found


def when(job, states):
    return next((entry.at for entry in job.log if entry.state in states), None)


def came(job):
    arrived = when(job, HERE)
    planned = job.created_at if job.window_from_ms is None else job.window_from_ms
    return planned if arrived is None else arrived


def same(one, other):
    def said(text):
        return (text or "").strip().lower()

    if one.site_id is None or one.site_id != other.site_id:
        return False
    if said(one.fault) or said(other.fault):
        return said(one.fault) == said(other.fault)
    return said(one.job_type) != "" and said(one.job_type) == said(other.job_type)


@given(histories(), st.sampled_from([0, 3, 14]), st.sampled_from([0, 2, 30]))
def test_repeats_are_those_of_the_last_one_completed_before(jobs, within_days, warranty_days):
    found = {
        repeat.job_id: repeat for repeat in repeat_visits(jobs, within_days=within_days, warranty_days=warranty_days)
    }
    for job in jobs:
        done = [
            (when(other, ["completed"]), other.job_id)
            for other in jobs
            if other is not job and same(job, other) and when(other, ["completed"]) is not None
        ]
        done = [each for each in done if each[0] < came(job)]
        after_ms = came(job) - max(done)[0] if done else None
        longest_ms = max(within_days, warranty_days) * DAY_MS
        if after_ms is None or after_ms > longest_ms or job.state in ("cancelled", "rejected"):
            assert job.job_id not in found
        else:
            expected = (job.job_id, max(done)[1], after_ms / 1000, after_ms <= warranty_days * DAY_MS)
            assert found[job.job_id] == expected


@given(histories())
def test_a_complaint_is_fixed_at_once_or_somebody_came_again(jobs):
    repeats = repeat_visits(jobs, within_days=14)
    counted = [
        job
        for job in jobs
        if when(job, ["completed"]) is not None
        and same(job, job)
        and job.job_id not in [repeat.job_id for repeat in repeats]
    ]
    fixed = [
        job
        for job in counted
        if job.job_id not in [repeat.of_job_id for repeat in repeats]
        and not any(e.state == "left_incomplete" and e.at <= when(job, ["completed"]) for e in job.log)
    ]
    told = first_time_fix(jobs, jobs, within_days=14)
    assert told == FirstTimeFix(len(counted), len(fixed))
    assert told.rate == (len(fixed) / len(counted) if counted else None)


def test_a_boiler_that_fails_again():
    def visit(job_id, day, **stated):
        stated = {"site_id": "here", "fault": "no heat"} | stated
        return job_of(("on_site", day * DAY_MS), ("completed", day * DAY_MS + 3_600_000), job_id=job_id, **stated)

    jobs = [visit("a", 0), visit("b", 5), visit("c", 100), visit("d", 6, fault="leak"), visit("e", 7, site_id="there")]
    (repeat,) = repeat_visits(jobs, within_days=30, warranty_days=2)
    assert repeat == ("b", "a", 5 * 86_400 - 3600, False)
    assert first_time_fix(jobs, jobs, within_days=30) == (4, 3)
    assert first_time_fix(jobs[:1], jobs, within_days=30).rate == 0.0
    assert first_time_fix([], jobs, within_days=30).rate is None


def test_days_below_nothing_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        repeat_visits([], within_days=-1)

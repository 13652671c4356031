"""Days from records."""

from dispatch.assignment import suggest_day
from dispatch.day_plan import Day
from dispatch.day_records import day_job, day_technician, is_to_be_planned, tours_of
from dispatch.lifecycle import Lifecycle, OwnState
from dispatch.spans import Span
from schemas.people import Shift, Technician
from schemas.times import Instant, parse_epoch_ms
from tests.dispatch.days import HOUR_MS, grid_travel
from tests.dispatch.logs import job_of

EIGHT_MS = parse_epoch_ms("2026-11-26T08:00Z")


def scheduled(job_id, technician_ids=(), window=None, **stated):
    from_ms, to_ms = (None, None) if window is None else (Instant(EIGHT_MS + hour * HOUR_MS) for hour in window)
    return job_of(
        ("scheduled", 0),
        job_id=job_id,
        technician_ids=list(technician_ids),
        window_from_ms=from_ms,
        window_to_ms=to_ms,
        **stated,
    )


def test_what_is_to_be_planned():
    own = Lifecycle.extended_by({"parts_ordered": OwnState(("created",), ("scheduled",), like="scheduled")})
    planned = [state for state in own.paths if is_to_be_planned(job_of((state, 0)), own)]
    assert planned == ["created", "scheduled", "dispatched", "parts_ordered"]


def test_todays_plan_is_in_the_order_of_windows():
    jobs = [
        scheduled("any", ["ann"], created_ms=0),
        scheduled("late", ["ann", "bob"], (3, 4)),
        scheduled("early", ["ann"], (1, 4)),
        scheduled("nobody", [], (1, 2)),
        scheduled("bobs", ["bob"], (1, 2)),
    ]
    assert tours_of(jobs) == {"ann": ["early", "late", "any"], "bob": ["bobs"]}


def test_a_day_of_records_is_planned():
    ann = Technician(
        technician_id="ann",
        name="Ann",
        skills=["gas"],
        shifts=[Shift("08:00", "12:00", ["thu"], "Europe/London")],
    )
    jobs = [
        scheduled("a", ["ann"], (2, 3), duration_s=1800.0, skills=["gas"], priority="high"),
        scheduled("b"),
        scheduled("c", skills=["lift"]),
    ]
    person = day_technician(ann, 0.0, 0.0, EIGHT_MS - HOUR_MS, EIGHT_MS + 10 * HOUR_MS)
    assert person.spans == [Span(EIGHT_MS, EIGHT_MS + 4 * HOUR_MS)]
    day = Day([person], [day_job(job, 0.0, 0.1, usual_duration_s=600.0) for job in jobs], grid_travel)
    assert (day.jobs["a"].priority, day.jobs["a"].duration_s, day.jobs["b"].duration_s) == ("high", 1800.0, 600.0)
    plan = suggest_day(day, tours_of(jobs), iterations=50).plan
    starts_ms = {stop.job_id: stop.start_ms for stop in plan.stops["ann"]}
    assert starts_ms.keys() == {"a", "b"}
    assert starts_ms["a"] == EIGHT_MS + 2 * HOUR_MS
    assert [(left.job_id, left.reason) for left in plan.left_over] == [("c", "no_skill")]

"""Jobs that come again, against a calendar that is walked day by day."""

import time
from calendar import monthrange
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.local_time import local_time, reached_ms
from dispatch.recurrence import check_recurrence, occurrences
from schemas.job import ChecklistItem, JobPlan, UsedPart
from schemas.times import Instant, parse_epoch_ms
from tests.dispatch.wall_clock import CHANGES, DAY_MS, MINUTE_MS

LONDON = ZoneInfo("Europe/London")


def template(recurrence, begins="2026-03-02T09:00Z", lasts_minutes=120, **stated):
    from_ms = parse_epoch_ms(begins)
    return JobPlan(
        window_from_ms=Instant(from_ms),
        window_to_ms=Instant(from_ms + lasts_minutes * MINUTE_MS),
        recurrence=recurrence,
        **stated,
    )


def found(plan, from_, to, zone="Europe/London"):
    return list(occurrences("boiler", plan, zone, parse_epoch_ms(from_), parse_epoch_ms(to)))


# A rule, and whether it comes on a day, so many days, weeks and months after the one on which it begins.
RULES = {
    "FREQ=DAILY": lambda day, days, weeks, months: True,
    "FREQ=DAILY;INTERVAL=10": lambda day, days, weeks, months: days % 10 == 0,
    "FREQ=WEEKLY;BYDAY=MO,SU": lambda day, days, weeks, months: day.weekday() in (0, 6),
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU": lambda day, days, weeks, months: day.weekday() == 1 and weeks % 2 == 0,
    "FREQ=MONTHLY;BYMONTHDAY=31": lambda day, days, weeks, months: day.day == 31,
    "FREQ=MONTHLY;BYMONTHDAY=-1": lambda day, days, weeks, months: day.day == monthrange(day.year, day.month)[1],
    "FREQ=MONTHLY;INTERVAL=3;BYDAY=2TH": lambda day, days, weeks, months: (
        day.weekday() == 3 and 8 <= day.day <= 14 and months % 3 == 0
    ),
    "FREQ=YEARLY;BYMONTH=2,8;BYMONTHDAY=29": lambda day, days, weeks, months: day.month in (2, 8) and day.day == 29,
    "RRULE:FREQ=DAILY;BYHOUR=2,9;BYMINUTE=30": lambda day, days, weeks, months: True,
}


@given(
    st.sampled_from(sorted(CHANGES)),
    st.sampled_from(sorted(RULES)),
    st.integers(0, 500 * 1440),
    st.integers(-300, 900),
    st.integers(0, 400),
    st.none() | st.integers(1, 30),
)
def test_occurrences_are_the_days_of_the_calendar(zone_name, recurrence, begins_minute, skipped_days, days, count):
    zone = ZoneInfo(zone_name)
    begins_ms = parse_epoch_ms("2026-01-01T00:00Z") + begins_minute * MINUTE_MS
    begins = local_time(begins_ms, zone)
    from_ms = begins_ms + skipped_days * DAY_MS
    to_ms = from_ms + days * DAY_MS
    text = recurrence if count is None else f"{recurrence};COUNT={count}"
    plan = JobPlan(window_from_ms=Instant(begins_ms), recurrence=text)

    times = (
        [begins.time()] if "BYHOUR" not in recurrence else [begins.time().replace(hour=h, minute=30) for h in (2, 9)]
    )
    monday = begins.date() - timedelta(days=begins.weekday())
    expected = []
    for passed in range(1400):
        day = begins.date() + timedelta(days=passed)
        months = (day.year - begins.year) * 12 + day.month - begins.month
        if RULES[recurrence](day, passed, (day - monday).days // 7, months):
            expected += [moment for at in times if (moment := datetime.combine(day, at)) >= begins]
    expected = expected[:count]
    wanted = [moment for moment in expected if from_ms <= reached_ms(moment, zone) < to_ms]

    told = list(occurrences("t", plan, zone_name, from_ms, to_ms))
    assert [each.job_id for each in told] == [f"t@{moment:%Y-%m-%dT%H:%M}" for moment in wanted]
    assert [each.plan.window_from_ms for each in told] == [reached_ms(moment, zone) for moment in wanted]


@given(st.sampled_from(sorted(RULES)), st.integers(0, 400), st.integers(0, 400))
def test_what_is_asked_for_in_parts_is_the_same(recurrence, first_day, second_day):
    plan = template(recurrence)
    start_ms = plan.window_from_ms
    a, b = sorted([start_ms + first_day * DAY_MS, start_ms + second_day * DAY_MS])
    whole = list(occurrences("t", plan, "Europe/London", start_ms, b))
    parts = [
        *occurrences("t", plan, "Europe/London", start_ms, a),
        *occurrences("t", plan, "Europe/London", a, b),
    ]
    assert parts == whole


def test_nine_stays_nine_when_the_clocks_change_and_windows_as_long():
    told = found(template("FREQ=WEEKLY"), "2026-03-20T00:00Z", "2026-04-01T00:00Z")
    assert [each.job_id for each in told] == ["boiler@2026-03-23T09:00", "boiler@2026-03-30T09:00"]
    windows = [[local_time(at, LONDON).hour for at in (w.plan.window_from_ms, w.plan.window_to_ms)] for w in told]
    assert windows == [[9, 11], [9, 11]]
    assert [each.plan.window_from_ms for each in told] == [
        parse_epoch_ms("2026-03-23T09:00Z"),
        parse_epoch_ms("2026-03-30T08:00Z"),
    ]


def test_a_window_in_the_hour_that_is_skipped_keeps_its_length():
    plan = template("FREQ=DAILY", "2026-03-02T01:15Z", 30)
    (told,) = found(plan, "2026-03-29T00:00Z", "2026-03-30T00:00Z")
    assert told.plan.window_from_ms == parse_epoch_ms("2026-03-29T01:00Z")
    assert told.plan.window_to_ms == parse_epoch_ms("2026-03-29T01:30Z")


def test_all_else_is_copied():
    plan = template(
        "FREQ=YEARLY",
        external_id="crm-1",
        title="Service",
        site_id="s",
        skills=["gas"],
        technician_ids=["ann"],
        parts=[UsedPart("filter", 1)],
        checklist=[ChecklistItem("pressure", done=True)],
        duration_s=3600.0,
        priority="low",
        job_type="service",
    )
    (told,) = found(plan, "2027-01-01T00:00Z", "2028-01-01T00:00Z")
    copied = told.plan
    assert (copied.external_id, copied.recurrence) == (None, None)
    assert copied.checklist == [ChecklistItem("pressure")]
    for name in ("title", "site_id", "skills", "technician_ids", "parts", "duration_s", "priority", "job_type"):
        assert getattr(copied, name) == getattr(plan, name)


@pytest.mark.parametrize(
    ("until", "last"),
    [("20260304", "2026-03-04"), ("20260304T090000Z", "2026-03-04"), ("20260304T085959", "2026-03-03")],
)
def test_until_ends_it(until, last):
    told = found(template(f"FREQ=DAILY;UNTIL={until}"), "2026-03-01T00:00Z", "2027-01-01T00:00Z")
    assert told[-1].job_id == f"boiler@{last}T09:00"


@pytest.mark.parametrize(
    ("recurrence", "said"),
    [
        ("FREQ=SECONDLY", "FREQ is none of DAILY"),
        ("FREQ=HOURLY", "FREQ is none of DAILY"),
        ("INTERVAL=2", "FREQ is none of DAILY"),
        ("", "cannot be read"),
        ("every day", "cannot be read"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ=DAILY;BYSECOND=1", "'BYSECOND=1'"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY"),
        ("FREQ=DAILY;BYHOUR=25", "hour"),
        ("FREQ=MONTHLY;BYDAY=99MO", "there cannot be"),
        ("FREQ=DAILY;INTERVAL=0", "from 1"),
        ("FREQ=DAILY;COUNT=-1", "from 1"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "exclude each other"),
        ("FREQ=DAILY;UNTIL=tomorrow", "cannot be read"),
        ("FREQ=DAILY;BYHOUR=8,9;BYMINUTE=" + ",".join(map(str, range(60))), "120 jobs a day"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("FREQ=DAILY\nEXDATE:20260101T090000", "cannot be read"),
        ("FREQ=DAILY;BYHOUR=9\nRDATE:20260101T090000", "cannot be read"),
    ],
)
def test_what_is_refused_says_why(recurrence, said):
    with pytest.raises(ValueError, match=said):
        check_recurrence(recurrence, 0, "Europe/London")


def test_a_template_without_a_beginning_is_refused():
    with pytest.raises(ValueError, match="'t' has no recurrence"):
        next(occurrences("t", JobPlan(recurrence="FREQ=DAILY"), "Europe/London", 0, 1))


def test_a_rule_that_never_comes_ends_soon():
    started_s = time.thread_time()
    assert found(template("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "2026-03-01T00:00Z", "2027-01-01T00:00Z") == []
    assert time.thread_time() - started_s < 3.0


def test_rules_that_are_taken():
    for recurrence in RULES:
        check_recurrence(recurrence, 0, "Asia/Kolkata")

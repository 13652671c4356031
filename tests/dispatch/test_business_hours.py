"""Business hours against a clock that is read minute by minute."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.business_hours import BusinessHours, OpenHours, after_business_s, business_s_between, open_spans
from dispatch.local_time import WEEKDAYS, local_time
from dispatch.spans import Span
from schemas.times import parse_epoch_ms
from tests.dispatch.wall_clock import DAY_MS, MINUTE_MS, clock_of, open_at, weekly_hours, zones_and_moments

EVERY_MORNING = BusinessHours("UTC", [OpenHours(list(WEEKDAYS), "08:00", "09:00")])


@st.composite
def businesses(draw):
    zone, from_ms = draw(zones_and_moments())
    hours = draw(st.lists(weekly_hours, min_size=1, max_size=2))
    first = local_time(from_ms, ZoneInfo(zone)).date()
    holidays = [first + timedelta(days=n) for n in draw(st.sets(st.integers(-1, 4), max_size=3))]
    return BusinessHours(zone, [OpenHours(*each) for each in hours], holidays), from_ms


@given(businesses(), st.integers(0, 3 * 1440))
def test_business_seconds_are_those_at_which_the_clock_shows_business(drawn, minutes):
    business, from_ms = drawn
    to_ms = from_ms + minutes * MINUTE_MS
    clock = clock_of(business.time_zone, from_ms, to_ms)
    open_minutes = sum(
        any(open_at(clock[at_ms], hours.days, hours.from_, hours.to, business.holidays) for hours in business.hours)
        for at_ms in range(from_ms, to_ms, MINUTE_MS)
    )
    assert business_s_between(business, from_ms, to_ms) == open_minutes * 60.0


@given(businesses(), st.integers(0, 400_000_000))
def test_after_business_seconds_is_the_first_moment_by_which_they_have_passed(drawn, wanted_ms):
    business, from_ms = drawn
    at_ms = after_business_s(business, from_ms, wanted_ms / 1000)
    assert business_s_between(business, from_ms, at_ms) == wanted_ms / 1000
    assert at_ms == from_ms or business_s_between(business, from_ms, at_ms - 1) < wanted_ms / 1000


def test_holidays_close_what_would_begin_on_them():
    business = BusinessHours("Europe/London", [OpenHours(["thu", "fri"], "22:00", "02:00")], [date(2026, 12, 25)])
    from_ms = parse_epoch_ms("2026-12-24T00:00Z")
    night = parse_epoch_ms("2026-12-24T22:00Z")
    assert open_spans(business, from_ms, from_ms + 3 * DAY_MS) == [Span(night, night + 4 * 3_600_000)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BusinessHours("Europe/London", []), "never open"),
        (lambda: BusinessHours("Mars/Base", [OpenHours(["mon"], "08:00", "17:00")]), "Mars/Base"),
        (lambda: OpenHours([], "08:00", "17:00"), "no day"),
        (lambda: OpenHours(["mon"], "08:00", "08:00"), "end when they begin"),
        (lambda: OpenHours(["mon"], "8", "09:00"), "'8'"),
        (lambda: after_business_s(EVERY_MORNING, 0, -1.0), "-1.0 seconds"),
        (lambda: after_business_s(EVERY_MORNING, 0, float("nan")), "nan seconds"),
        (lambda: after_business_s(EVERY_MORNING, 253_402_214_400_000, 1e6), "beyond the years"),
    ],
)
def test_what_is_refused_says_why(make, said):
    with pytest.raises(ValueError, match=said):
        make()

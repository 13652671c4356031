"""Shifts against a clock that is read minute by minute."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from dispatch.local_time import local_time, reached_ms
from dispatch.shifts import ShiftHours, is_on_shift, shift_spans
from dispatch.spans import Span, merged
from schemas.people import Shift, Technician
from schemas.times import format_instant, parse_epoch_ms
from tests.dispatch.wall_clock import DAY_MS, MINUTE_MS, clock_of, open_at, weekly_hours, zones_and_moments


@given(zones_and_moments(), st.lists(weekly_hours, min_size=1, max_size=3), st.data())
def test_weekly_and_single_shifts_are_those_of_the_clock(zone_and_from, weekly, data):
    zone, from_ms = zone_and_from
    to_ms = from_ms + data.draw(st.integers(1, 3 * 1440)) * MINUTE_MS
    once_ms = from_ms + data.draw(st.integers(-1440, 1440)) * MINUTE_MS
    shifts = [Shift(opens, closes, days, zone) for days, opens, closes in weekly]
    shifts.append(Shift(format_instant(once_ms), format_instant(once_ms + 90 * MINUTE_MS)))
    technician = Technician(technician_id="t", name="T", shifts=shifts)
    spans = shift_spans(technician, from_ms, to_ms)

    assert all(span.from_ms < span.to_ms for span in spans)
    assert all(a.to_ms < b.from_ms for a, b in pairwise(spans))
    clock = clock_of(zone, from_ms, to_ms)
    for at_ms in range(from_ms, to_ms, MINUTE_MS):
        works = any(open_at(clock[at_ms], *hours) for hours in weekly) or 0 <= at_ms - once_ms < 90 * MINUTE_MS
        assert works == any(span.from_ms <= at_ms < span.to_ms for span in spans), format_instant(at_ms)
    some_ms = data.draw(st.integers(from_ms, to_ms - 1))
    assert is_on_shift(technician, some_ms) == any(span.from_ms <= some_ms < span.to_ms for span in spans)


@given(
    zones_and_moments(),
    st.lists(weekly_hours, min_size=1, max_size=3),
    st.integers(0, 180),
    st.lists(st.integers(-3 * 1440, 3 * 1440), min_size=1, max_size=30),
)
def test_hours_cover_what_lies_within_the_margin_of_a_shift(zone_and_around, weekly, margin, minutes):
    zone, around_ms = zone_and_around
    margin_ms = margin * MINUTE_MS
    technician = Technician(
        technician_id="t", name="T", shifts=[Shift(opens, closes, days, zone) for days, opens, closes in weekly]
    )
    hours = ShiftHours(technician.shifts, margin_ms)
    spans = shift_spans(technician, around_ms - 5 * DAY_MS, around_ms + 5 * DAY_MS)
    for at_ms in (around_ms + minute * MINUTE_MS for minute in minutes):
        near = any(span.from_ms - margin_ms <= at_ms < span.to_ms + margin_ms for span in spans)
        assert hours.cover(at_ms) == near, format_instant(at_ms)
        assert hours.cover(at_ms) == near


def test_a_shift_in_an_hour_that_the_clock_leaves_out_is_none_and_has_no_margin():
    """In Santiago 6 September 2026 began at one o'clock."""
    hours = ShiftHours([Shift("00:00", "01:00", ["sun"], "America/Santiago")], 10 * MINUTE_MS)
    assert not hours.cover(parse_epoch_ms("2026-09-06T04:00:00Z"))
    assert hours.cover(parse_epoch_ms("2026-09-13T03:00:00Z"))


def test_hours_are_worked_out_once_for_a_stretch_of_time(monkeypatch):
    asked = []
    monkeypatch.setattr("dispatch.shifts.zone_of", lambda name: asked.append(name) or ZoneInfo(name))
    hours = ShiftHours([Shift("08:00", "16:00", ["mon"], "Europe/London")], 1_800_000)
    eight_ms = parse_epoch_ms("2026-03-02T08:00Z")
    assert all(hours.cover(eight_ms + second * 1000) for second in range(-1800, 8 * 3600 + 1800))
    assert len(asked) == 1
    assert not hours.cover(eight_ms - 1_800_001)
    assert not hours.cover(eight_ms + 8 * 3_600_000 + 1_800_000)


def test_without_shifts_a_technician_always_works():
    technician = Technician(technician_id="t", name="T")
    assert shift_spans(technician, 5, 9) == [Span(5, 9)]
    assert shift_spans(technician, 9, 5) == []
    assert is_on_shift(technician, 0)


def test_a_night_shift_is_as_long_as_the_night():
    nights = Shift("22:00", "06:00", ["sat"], "Europe/London")
    technician = Technician(technician_id="t", name="T", shifts=[nights])
    for month, day, hours in ((3, 28, 7), (6, 6, 8), (10, 24, 9)):
        noon_ms = parse_epoch_ms(f"2026-{month:02}-{day:02}T12:00Z")
        (span,) = shift_spans(technician, noon_ms, noon_ms + DAY_MS)
        assert span.to_ms - span.from_ms == hours * 3_600_000


@given(zones_and_moments())
def test_a_time_of_the_clock_is_reached_when_it_or_a_later_one_is_first_shown(zone_and_moment):
    zone, around_ms = zone_and_moment
    local = local_time(around_ms, ZoneInfo(zone))
    found_ms = reached_ms(local, ZoneInfo(zone))
    assert found_ms <= around_ms
    assert local_time(found_ms, ZoneInfo(zone)) == local
    for skipped in (-45, -15, 15, 45):  # some of these lie in a gap
        wanted = local + timedelta(minutes=skipped)
        found_ms = reached_ms(wanted, ZoneInfo(zone))
        assert local_time(found_ms, ZoneInfo(zone)) >= wanted
        assert local_time(found_ms - 1, ZoneInfo(zone)) < wanted


def test_a_day_that_a_place_has_skipped_has_no_shift():
    technician = Technician(
        technician_id="t", name="T", shifts=[Shift("08:00", "16:00", ["fri"], "Pacific/Apia")]
    )  # Samoa went from Thursday the 29th to Saturday the 31st
    from_ms = parse_epoch_ms("2011-12-28T00:00Z")
    assert shift_spans(technician, from_ms, from_ms + 5 * DAY_MS) == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: Span(*ends))))
def test_merged_spans_are_the_same_moments_in_the_fewest_spans(spans):
    found = merged(spans)
    for at_ms in range(61):
        assert any(a <= at_ms < b for a, b in spans) == any(a <= at_ms < b for a, b in found)
    assert all(a.to_ms < b.from_ms for a, b in pairwise(found))


def test_the_epoch_is_the_epoch():
    assert local_time(0, ZoneInfo("UTC")).replace(tzinfo=UTC) == datetime(1970, 1, 1, tzinfo=UTC)

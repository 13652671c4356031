"""An oracle of hours: a clock that is read minute by minute, most of all where it is put forward or back."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from dispatch.local_time import WEEKDAYS, local_time
from schemas.times import parse_epoch_ms

MINUTE_MS = 60_000
DAY_MS = 86_400_000

# Around changes of the clock: London and Berlin at night, Santiago and Beirut at midnight, Lord Howe by half an hour.
CHANGES = {
    "Europe/London": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "Europe/Berlin": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/Santiago": ("2026-04-05T03:00Z", "2026-09-06T04:00Z"),
    "Asia/Beirut": ("2024-03-30T22:00Z", "2024-10-26T21:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00Z", "2026-10-03T15:30Z"),
    "Asia/Kolkata": ("2026-06-01T00:00Z",),
}


@st.composite
def zones_and_moments(draw):
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change_ms = parse_epoch_ms(draw(st.sampled_from(CHANGES[zone])))
    return zone, change_ms + draw(st.integers(-3 * 1440, 3 * 1440)) * MINUTE_MS


clock_times = st.one_of(
    st.sampled_from(["00:00", "01:00", "01:30", "02:00", "02:30", "03:00", "23:30"]),
    st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59)),
)
weekly_hours = st.tuples(
    st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True), clock_times, clock_times
).filter(lambda hours: hours[1] != hours[2])


def clock_of(zone_name, from_ms, to_ms):
    """What the clock shows at each minute, and the latest that it has shown by then."""
    zone, latest, shown = ZoneInfo(zone_name), datetime.min, {}
    for at_ms in range(from_ms - 3 * DAY_MS, to_ms, MINUTE_MS):
        latest = max(latest, local_time(at_ms, zone))
        shown[at_ms] = latest
    return shown


def open_at(latest, days, opens, closes, closed_on=()):
    """Whether weekly hours have begun and not ended, when the latest that the clock has shown is ``latest``."""
    for back in (0, 1):
        day = latest.date() - timedelta(days=back)
        begins = datetime.fromisoformat(f"{day}T{opens}")
        ends = datetime.fromisoformat(f"{day}T{closes}") + timedelta(days=closes <= opens)
        if WEEKDAYS[day.weekday()] in days and day not in closed_on and begins <= latest < ends:
            return True
    return False

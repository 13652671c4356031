"""Moments from what a clock on the wall shows, and hours that come again each week, across changes of the clock."""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dispatch.spans import Span
from schemas.people import Weekday

WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def local_time(at_ms: int, zone: ZoneInfo) -> datetime:
    """What the clock shows at a moment, without its zone. Raises ValueError beyond the years 1 to 9999."""
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(f"{at_ms} ms is beyond the years that have dates") from error


def reached_ms(local: datetime, zone: ZoneInfo) -> int:
    """The first moment at which the clock shows ``local`` (without a zone), or a later time where that is skipped.

    So of an hour that comes twice the first one counts, and what begins within a skipped hour begins when the clock
    jumps; one time of a clock is never reached before an earlier one.
    """
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return (moment - _EPOCH) // _MILLISECOND
    # In a gap (PEP 495): fold=0 is as much after the jump as fold=1 is before it, and clocks jump at whole seconds.
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC).replace(microsecond=0)
    before_s, after_s = ((side - _EPOCH) // timedelta(seconds=1) for side in (before, moment))
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if local_time(middle_s * 1000, zone) >= local:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s * 1000


def weekly_spans(
    days: Collection[Weekday],
    opens: time,
    closes: time,
    zone: ZoneInfo,
    from_ms: int,
    to_ms: int,
    closed_on: Collection[date] = (),
) -> Iterator[Span]:
    """The hours of each week that have a part between two moments, whole, by the day on which they begin.

    Hours that close before they open close on the day after. Those that would begin on a day of ``closed_on`` do not.
    """
    overnight = _DAY if closes <= opens else timedelta()
    # A day more on either side: overnight hours, and clocks put back at midnight.
    day = local_time(from_ms, zone).date() - _DAY
    last = local_time(to_ms, zone).date() + _DAY
    while day <= last:
        if WEEKDAYS[day.weekday()] in days and day not in closed_on:
            span = Span(
                reached_ms(datetime.combine(day, opens), zone),
                reached_ms(datetime.combine(day, closes) + overnight, zone),
            )
            if span.from_ms < to_ms and span.to_ms > from_ms:
                yield span
        day += _DAY

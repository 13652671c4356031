"""Time that counts: the hours in which a business is open, week by week, without its holidays."""

from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec

from dispatch.local_time import weekly_spans
from dispatch.spans import Span, clipped, length_ms, merged
from schemas.people import Weekday, read_clock_time, zone_of

_STEP_MS: Final = 14 * 86_400_000
"""A fortnight at a time: most answers lie within one."""


class OpenHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """On these days of the week from ``from`` to ``to`` (``"08:00"``); those that end first end a day later."""

    days: list[Weekday]
    from_: str
    to: str

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("business hours on no day of the week")
        if read_clock_time(self.from_) == read_clock_time(self.to):
            raise ValueError("business hours that end when they begin")


class BusinessHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weekly hours by the clock of ``time_zone``; none begin on a day of ``holidays``."""

    time_zone: str
    hours: list[OpenHours]
    holidays: list[date] = []

    def __post_init__(self) -> None:
        zone_of(self.time_zone)
        if not self.hours:
            raise ValueError("business hours without hours: the business would never open")


def open_spans(business: BusinessHours, from_ms: int, to_ms: int) -> list[Span]:
    """When the business is open between two moments (epoch ms): spans in the order of time that do not touch."""
    zone, holidays = zone_of(business.time_zone), frozenset(business.holidays)
    spans = (
        span
        for hours in business.hours
        for span in weekly_spans(
            hours.days, read_clock_time(hours.from_), read_clock_time(hours.to), zone, from_ms, to_ms, holidays
        )
    )
    return clipped(merged(spans), from_ms, to_ms)


def business_s_between(business: BusinessHours, from_ms: int, to_ms: int) -> float:
    """Seconds of business between two moments (epoch ms), to the millisecond; 0 where the second is not later."""
    return length_ms(open_spans(business, from_ms, to_ms)) / 1000


def after_business_s(business: BusinessHours, from_ms: int, seconds: float) -> int:
    """The first moment (epoch ms) by which so many seconds of business have passed since ``from_ms``.

    Raises ValueError for less than no seconds, and where they would not have passed by the year 9999.
    """
    if not seconds >= 0.0:
        raise ValueError(f"{seconds} seconds of business: less than none cannot pass")
    left_ms = round(seconds * 1000)
    if left_ms == 0:
        return from_ms
    for span in _open_from(business, from_ms):
        if left_ms <= span.to_ms - span.from_ms:
            return span.from_ms + left_ms
        left_ms -= span.to_ms - span.from_ms
    raise AssertionError("weekly hours do not end")


def _open_from(business: BusinessHours, from_ms: int) -> Iterator[Span]:
    """Without end; what is open where one step ends comes in two spans."""
    while True:
        yield from open_spans(business, from_ms, from_ms + _STEP_MS)
        from_ms += _STEP_MS

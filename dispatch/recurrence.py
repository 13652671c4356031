"""Jobs that come again: from a template with an RRULE (RFC 5545) to the jobs of some time ahead.

A rule is read by the clock of a time zone: what is due at nine stays due at nine when the clocks change.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from dateutil.rrule import rrule, rrulestr

from dispatch.local_time import local_time, reached_ms
from schemas.job import JobPlan
from schemas.people import zone_of
from schemas.times import Instant

MOST_A_DAY: Final = 24
"""More jobs than this on one day are no maintenance plan but a mistake."""

_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_DAYS_BY: Final = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYSETPOS")
_PARTS: Final = frozenset(["FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", *_DAYS_BY, "BYHOUR", "BYMINUTE"])
_VALUE: Final = re.compile(r"[A-Z0-9,+-]+")

_CYCLE_YEARS: Final = 400
"""The calendar repeats itself after so many years, weekdays and all."""


class Occurrence(NamedTuple):
    """A job to be made: the same ``job_id`` whenever and wherever it is found, and what it begins with."""

    job_id: str
    plan: JobPlan


class _Rule(NamedTuple):
    """``rule`` is without the end that ``text`` may state: so many times, or until then on the clock."""

    text: str
    rule: rrule
    begins: datetime
    times: int | None
    until: datetime | None


def check_recurrence(recurrence: str, window_from_ms: int, time_zone: str) -> None:
    """Raise ValueError, which says why, for a rule that ``occurrences`` would refuse, or that never comes.

    ``window_from_ms`` (epoch ms) is where it would begin.
    """
    zone = zone_of(time_zone)
    begins = local_time(window_from_ms, zone)
    rule = _read(recurrence, begins, zone)
    end = datetime(min(begins.year + _CYCLE_YEARS, datetime.max.year), 12, 31)
    if next(_moments(rule, end), None) is None:
        raise ValueError(f"recurrence {recurrence!r} never comes")


def occurrences(template_id: str, template: JobPlan, time_zone: str, from_ms: int, to_ms: int) -> Iterator[Occurrence]:
    """The jobs of a template whose windows begin in ``from_ms`` (inclusive) to ``to_ms`` (exclusive), in order.

    The rule counts from the template's own ``window_from``, which is an occurrence if it follows the rule. Windows are
    as long by the clock as the template's. All else is copied, but ``external_id``, which is one job's alone, and what
    is ticked off. Raises ValueError for a template without a window or a rule, and for a rule that cannot be read or
    goes beyond ``MOST_A_DAY``.
    """
    if template.window_from_ms is None or template.recurrence is None:
        raise ValueError(f"template {template_id!r} has no recurrence, or no window_from that it could begin with")
    zone = zone_of(time_zone)
    begins = local_time(template.window_from_ms, zone)
    rule = _read(template.recurrence, begins, zone)
    for local in _moments(rule, local_time(to_ms, zone) + timedelta(days=1)):
        at_ms = reached_ms(local, zone)
        if at_ms >= to_ms:
            break
        if at_ms >= from_ms:
            yield Occurrence(f"{template_id}@{local:%Y-%m-%dT%H:%M}", _shifted(template, begins, local, zone))


def _moments(rule: _Rule, end: datetime) -> Iterator[datetime]:
    """When the rule comes until ``end``, on the clock.

    dateutil minds no end while it finds nothing, but the end of the year 9999. So it looks in the last cycle of the
    calendar in which the rule's beginning and ``end`` have room: a rule that comes no more costs 0.5 s, not 6 s.
    """
    last = end if rule.until is None else min(end, rule.until)
    later = (datetime.max.year - max(last.year, rule.begins.year)) // _CYCLE_YEARS * _CYCLE_YEARS
    begins = rule.begins.replace(year=rule.begins.year + later)
    found = rule.rule.replace(dtstart=begins, until=last.replace(year=last.year + later))
    try:
        for moment in islice(iter(found), rule.times):
            yield moment.replace(year=moment.year - later)
    except IndexError as error:  # dateutil's, for the 99th Monday of a month
        raise ValueError(f"recurrence {rule.text!r}: it asks for a day that there cannot be") from error


def _shifted(template: JobPlan, begins: datetime, local: datetime, zone: ZoneInfo) -> JobPlan:
    """The template's fields with the window of an occurrence."""
    assert template.window_from_ms is not None
    from_ms = reached_ms(local, zone)
    to_ms = None
    if template.window_to_ms is not None:
        to_ms = reached_ms(local + (local_time(template.window_to_ms, zone) - begins), zone)
        if to_ms <= from_ms:  # within an hour that is skipped or comes twice
            to_ms = from_ms + template.window_to_ms - template.window_from_ms
    fields: dict[str, Any] = {name: getattr(template, name) for name in JobPlan.__struct_fields__}
    fields |= {
        "external_id": None,
        "recurrence": None,
        "window_from_ms": Instant(from_ms),
        "window_to_ms": None if to_ms is None else Instant(to_ms),
        "checklist": [msgspec.structs.replace(item, done=False) for item in template.checklist],
    }
    return JobPlan(**fields)


def _read(recurrence: str, begins: datetime, zone: ZoneInfo) -> _Rule:
    """The rule of a text like ``FREQ=MONTHLY;BYDAY=1MO``, with or without ``RRULE:`` before it."""
    parts: dict[str, str] = {}
    for part in recurrence.strip().removeprefix("RRULE:").upper().split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS or name in parts or not _VALUE.fullmatch(value):
            raise ValueError(f"recurrence {recurrence!r}: {part!r} cannot be read, or is there twice")
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"recurrence {recurrence!r}: FREQ is none of {', '.join(_FREQUENCIES)}")
    a_day = len(parts.get("BYHOUR", "").split(",")) * len(parts.get("BYMINUTE", "").split(","))
    if a_day > MOST_A_DAY:
        raise ValueError(f"recurrence {recurrence!r}: {a_day} jobs a day, more than {MOST_A_DAY}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError(f"recurrence {recurrence!r}: COUNT and UNTIL exclude each other")
    numbers = [parts[name] for name in ("INTERVAL", "COUNT") if name in parts]
    if not all(number.isdecimal() and 0 < int(number) < 1_000_000 for number in numbers):
        raise ValueError(f"recurrence {recurrence!r}: INTERVAL and COUNT are numbers from 1 to 999999")
    count, until = parts.pop("COUNT", None), parts.pop("UNTIL", None)
    try:
        rule = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=begins)
        last = None if until is None else _until(until, zone)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"recurrence {recurrence!r} cannot be read: {error}") from error
    return _Rule(recurrence, rule, begins, None if count is None else int(count), last)


def _until(text: str, zone: ZoneInfo) -> datetime:
    """The last moment of a rule on the clock: a day (all of it), a local time, or UTC with a Z."""
    if len(text) == 8:
        return datetime.strptime(text, "%Y%m%d") + timedelta(days=1, microseconds=-1)
    if text.endswith("Z"):
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return moment.astimezone(zone).replace(tzinfo=None)
    return datetime.strptime(text, "%Y%m%dT%H%M%S")

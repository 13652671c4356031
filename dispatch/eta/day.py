"""What a technician's day is from now on: where they are at work, which way they are on, which jobs follow."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from dispatch.eta.appointments import Appointment
from dispatch.heading import planned_order
from dispatch.local_time import local_time, reached_ms
from dispatch.rules import DispatchRules

MOST_CALLS: Final = 12
"""Of a day so many jobs ahead have an ETA: what is farther away nobody knows."""

_QUARTER_MS: Final = 900_000


@dataclass(frozen=True)
class Day:
    """``at`` is where somebody is at work; ``calls`` follow in this order, with the first of them ``is_under_way``."""

    at: Appointment | None
    calls: tuple[Appointment, ...]
    is_under_way: bool


def day_of(appointments: Iterable[Appointment], heading: str | None) -> Day:
    """The day of a technician with these appointments, who by position is on the way to ``heading``."""
    awaited, at = [], None
    for each in appointments:
        if not each.is_at_work:
            awaited.append(each)
        elif at is None or (each.since_ms, each.job_id) > (at.since_ms, at.job_id):
            at = each
    awaited.sort(key=planned_order)
    first = _under_way(awaited, at, heading)
    if first is None:
        return Day(at, tuple(awaited[:MOST_CALLS]), is_under_way=False)
    rest = [each for each in awaited if each is not first]
    return Day(None, (first, *rest[: MOST_CALLS - 1]), is_under_way=True)


def is_for_today(appointment: Appointment, now_ms: int, time_zone: str, rules: DispatchRules) -> bool:
    """Whether somebody is to come before the day is over, by the clock of ``time_zone``, and still may.

    A job without a window is for today once it is dispatched.
    """
    first_ms, last_ms = appointment.window_from_ms, appointment.window_to_ms
    begins_ms, ends_ms = (last_ms if first_ms is None else first_ms), (first_ms if last_ms is None else last_ms)
    if appointment.is_at_work or appointment.state == "en_route":
        return now_ms - appointment.since_ms <= 1000 * rules.late_s
    if begins_ms is None or ends_ms is None:
        return appointment.state == "dispatched"
    until_ms = max(day_end_ms(now_ms, time_zone), now_ms + 1000 * rules.early_s)
    return begins_ms < until_ms and ends_ms + 1000 * rules.late_s >= now_ms


def day_end_ms(now_ms: int, time_zone: str) -> int:
    """When the day of a moment is over (epoch ms)."""
    return _day_end_ms(now_ms // _QUARTER_MS, time_zone)


@lru_cache(4_096)
def _day_end_ms(quarter: int, time_zone: str) -> int:
    """Days begin at whole quarters of an hour."""
    zone = ZoneInfo(time_zone)
    tomorrow = local_time(quarter * _QUARTER_MS, zone).date() + timedelta(days=1)
    return reached_ms(datetime.combine(tomorrow, time()), zone)


def _under_way(awaited: list[Appointment], at: Appointment | None, heading: str | None) -> Appointment | None:
    """Positions say most; of what people said the latest counts: who is at work since then is not on the way."""
    for each in awaited:
        if each.job_id == heading:
            return each
    since_ms = -1 if at is None else at.since_ms
    return next((each for each in awaited if each.state == "en_route" and each.since_ms > since_ms), None)

"""The customer's page from what they may see, pure: sentences, steps, a small chart of where the technician is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from api.tracking.answers import ShownPosition, TrackingAnswer
from api.tracking.words import WORDS, Language, day_of, distance_of
from dispatch.local_time import local_time
from dispatch.tracking import CustomerState
from schemas.people import zone_of

STEPS: Final[tuple[CustomerState, ...]] = ("scheduled", "on_the_way", "arrived", "completed")
_AT: Final[dict[CustomerState, int]] = {
    "received": -1,
    "scheduled": 0,
    "on_the_way": 1,
    "arrived": 2,
    "unfinished": 0,
    "completed": 3,
    "cancelled": -1,
}
"""Which of the steps a state is."""

_MIDDLE: Final = 100.0
_NEAREST: Final = 14.0
_FARTHEST: Final = 84.0
"""Of the chart, 200 units wide: where the customer is, and how far from there the technician is drawn."""
_NEAR_M: Final = 200.0
_FAR_M: Final = 20_000.0


@dataclass(frozen=True)
class Page:
    """What the template shows. ``chart`` is where to draw the technician, x to the right and y down."""

    headline: str
    lines: list[str]
    steps: list[tuple[str, bool, bool]]
    """In words, whether it is behind, whether it is the present one."""
    away: str | None
    chart: tuple[float, float] | None
    chart_title: str
    until: str


def page_of(answer: TrackingAnswer, language: Language, now_ms: int) -> Page:
    """In a language, by the clock of where the customer is."""
    words, zone = WORDS[language], zone_of(answer.time_zone)
    position, present = answer.position, _AT[answer.state]
    return Page(
        headline=_headline(answer, words),
        lines=list(_lines(answer, words, language, zone, now_ms)),
        steps=[(words[f"step_{each}"], number < present, number == present) for number, each in enumerate(STEPS)],
        away=None if position is None else words["away"].format(distance=distance_of(position.distance_m, language)),
        chart=None if position is None else chart_of(position),
        chart_title=words["map"].format(name=answer.technician or words["somebody"]),
        until=words["until"].format(day=day_of(local_time(answer.expires_at, zone), language)),
    )


def chart_of(position: ShownPosition) -> tuple[float, float]:
    """Where a position is drawn: in its direction, the nearer it is the closer to the middle."""
    share = math.log1p(position.distance_m / _NEAR_M) / math.log1p(_FAR_M / _NEAR_M)
    radius = _NEAREST + (_FARTHEST - _NEAREST) * min(share, 1.0)
    turn = math.radians(position.bearing_deg)
    return round(_MIDDLE + radius * math.sin(turn), 1), round(_MIDDLE - radius * math.cos(turn), 1)


def _headline(answer: TrackingAnswer, words: Mapping[str, str]) -> str:
    named = f"{answer.state}_named"
    if answer.technician and named in words:
        return words[named].format(name=answer.technician)
    return words[answer.state]


def _lines(
    answer: TrackingAnswer, words: Mapping[str, str], language: Language, zone: ZoneInfo, now_ms: int
) -> list[str]:
    found = []
    today = local_time(now_ms, zone).date()
    if answer.eta is not None:
        begins, ends = local_time(answer.eta.from_ms, zone), local_time(answer.eta.to_ms, zone)
        key = "expected" if begins.date() == today else "expected_on"
        found.append(words[key].format(day=day_of(begins, language), begins=_clock(begins), ends=_clock(ends)))
        found.append(words["as_of"].format(time=_clock(local_time(answer.eta.computed_at, zone))))
    if answer.state in ("scheduled", "on_the_way") and answer.from_ms is not None and answer.to_ms is not None:
        begins, ends = local_time(answer.from_ms, zone), local_time(answer.to_ms, zone)
        found.append(words["promised"].format(day=day_of(begins, language), begins=_clock(begins), ends=_clock(ends)))
    return found


def _clock(at: datetime) -> str:
    return f"{at:%H:%M}"

"""Where somebody on the road is going: which of the next jobs the way so far leads towards."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from dispatch.eta.appointments import Appointment
from dispatch.rounds import Candidate
from dispatch.rules import DispatchRules
from geofence.geodesy import haversine_m

SEEN_M: Final = 250.0
"""Nearer to the place that was left than this, nobody can tell."""

DETOUR: Final = 1.25
"""The way so far and the straight line from there to a job may together be this much longer than the straight line."""

CLEARLY: Final = 1.08
"""Another job that is on the way by so much more than the one planned next is taken for the target instead."""

NEARER: Final = 0.9
"""Of the distance at first, what is left of it at most."""


def headed_for(left: tuple[float, float], here: tuple[float, float], planned: Sequence[Candidate]) -> Candidate | None:
    """The job that somebody who left one place (lat, lon) and is at another is going to; None while that is open.

    ``planned`` are those that may be meant, in the order in which they are planned. Of those that the way leads towards
    the first is meant, unless it leads clearly more towards another.
    """
    gone_m = haversine_m(*left, *here)
    if gone_m < SEEN_M:
        return None
    towards: list[tuple[float, Candidate]] = []
    for each in planned:
        if each.lat is None or each.lon is None:
            continue
        at_first_m = haversine_m(*left, each.lat, each.lon)
        ahead_m = haversine_m(*here, each.lat, each.lon)
        detour = (gone_m + ahead_m) / max(at_first_m, 1.0)
        if detour <= DETOUR and ahead_m <= NEARER * at_first_m:
            towards.append((detour, each))
    if not towards:
        return None
    first = towards[0]
    best = min(towards, key=lambda each: each[0])
    return best[1] if first[0] > CLEARLY * best[0] else first[1]


def planned_at(jobs: Iterable[Candidate], technician_id: str, at_ms: int, rules: DispatchRules) -> list[Candidate]:
    """A technician's jobs that may be next at a moment, in the order in which they are planned."""

    def is_next(job: Candidate) -> bool:
        begins_ms = -math.inf if job.window_from_ms is None else job.window_from_ms - 1000 * rules.early_s
        ends_ms = math.inf if job.window_to_ms is None else job.window_to_ms + 1000 * rules.late_s
        is_over = job.over_ms is not None or job.ended_ms is not None
        return not is_over and job.is_of(technician_id, at_ms) and begins_ms <= at_ms <= ends_ms

    return sorted(filter(is_next, jobs), key=planned_order)


def planned_order(job: Candidate | Appointment) -> tuple[object, ...]:
    """The order in which jobs are planned: emergencies first, then as they are due."""
    due_ms = job.created_ms if job.window_from_ms is None else job.window_from_ms
    return job.priority != "emergency", due_ms, job.created_ms, job.job_id

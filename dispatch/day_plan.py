"""A day's plan: who does which jobs in which order, when that is, and how good it is.

A plan is stated as *tours*, the jobs of each technician in order; all times follow from them, so that a plan that
people have made and one that a solver suggests are measured alike.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from dispatch.spans import Span
from schemas.job import Priority

Floats = npt.NDArray[np.float64]
TravelTimes = Callable[[Floats, Floats], Floats]
"""Latitudes and longitudes float64[n] -> seconds from place i to place j, float64[n, n]."""

Tours = Mapping[str, Sequence[str]]
"""Technician -> the jobs to be done, in order, after those that are fixed."""

Reason = Literal["no_skill", "no_shift", "no_time"]

LEFT_OVER_S: Final[dict[Priority, float]] = {
    "emergency": 2_304_000.0,
    "high": 576_000.0,
    "normal": 288_000.0,
    "low": 144_000.0,
}
"""A job left over is as bad as so much travel: one of low priority as bad as when it is four hours late."""

LATE_FACTOR: Final = 10.0
"""A second of lateness, or of work after a shift, is as bad as so many seconds of travel."""


class DayJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be planned. ``from_ms``-``to_ms``: the arrival that was promised, either may be open.

    ``technician_ids``: only these may do it; empty: whoever has the skills.
    """

    job_id: str
    lat: float
    lon: float
    duration_s: float
    from_ms: int | None = None
    to_ms: int | None = None
    priority: Priority = "normal"
    skills: frozenset[str] = frozenset()
    technician_ids: frozenset[str] = frozenset()


class PlannedStop(msgspec.Struct, frozen=True):
    """A job in a plan, epoch ms: set off, there, begun (not before its window), done.

    ``travel_s`` is the way to it, ``late_s`` how long after its window it begins, ``overtime_s`` what of way and work
    lies after the end of the shift.
    """

    job_id: str
    leave_ms: int
    arrive_ms: int
    start_ms: int
    depart_ms: int
    travel_s: float
    late_s: float = 0.0
    overtime_s: float = 0.0


class DayTechnician(msgspec.Struct, frozen=True, kw_only=True):
    """Whom jobs are planned for: free at ``free_ms`` (epoch ms) at a place, working in ``spans`` (sorted, apart).

    ``fixed`` are the jobs under way, which no plan changes: the place and the moment are those after them.
    """

    technician_id: str
    lat: float
    lon: float
    free_ms: int
    spans: Sequence[Span]
    skills: frozenset[str] = frozenset()
    fixed: Sequence[PlannedStop] = ()


class LeftOver(msgspec.Struct, frozen=True):
    """A job that nobody does, and why: nobody has the skills, works then, or has the time."""

    job_id: str
    reason: Reason


class Figures(msgspec.Struct, frozen=True):
    """How good a plan is, jobs under way left aside. ``unable``: jobs planned for somebody who may not do them.

    ``cost_s`` weighs all of it in seconds of travel (``LEFT_OVER_S``, ``LATE_FACTOR``): the less, the better.
    """

    jobs: int
    left_over: int
    unable: int
    travel_s: float
    late_jobs: int
    late_s: float
    overtime_s: float
    cost_s: float


class Plan(msgspec.Struct, frozen=True):
    """The stops of each technician, fixed ones first, what is left over, and the figures of it all."""

    stops: dict[str, list[PlannedStop]]
    left_over: list[LeftOver]
    figures: Figures


class Day:
    """What is to be planned: technicians, jobs and the travel times between them, which are asked for once.

    Raises ValueError for an id that comes twice, a window or a duration that cannot be, and travel times of the wrong
    shape or without end: a place that no road leads to cannot be planned.
    """

    def __init__(self, technicians: Sequence[DayTechnician], jobs: Sequence[DayJob], travel: TravelTimes) -> None:
        self.technicians = {technician.technician_id: technician for technician in technicians}
        self.jobs = {job.job_id: job for job in jobs}
        if len(self.technicians) < len(technicians) or len(self.jobs) < len(jobs):
            raise ValueError("a technician or a job is in this day twice")
        for job in jobs:
            if not 0.0 <= job.duration_s < math.inf:
                raise ValueError(f"job {job.job_id!r} takes {job.duration_s} s")
            if job.from_ms is not None and job.to_ms is not None and job.from_ms > job.to_ms:
                raise ValueError(f"job {job.job_id!r}: its window ends before it begins")
        self.home = {technician_id: place for place, technician_id in enumerate(self.technicians)}
        """Technician -> the row of ``travel_s`` where the first way begins."""
        self.site = {job_id: place for place, job_id in enumerate(self.jobs, len(self.home))}
        """Job -> the row of ``travel_s`` of its place."""
        self.travel_s = _travel_times([*technicians, *jobs], travel)
        """float64[n, n], seconds from place to place."""

    @cached_property
    def _travel_ms(self) -> list[list[int]]:
        """Rounded up, as lists: single look-ups in those are quick."""
        found: list[list[int]] = np.ceil(self.travel_s * 1000.0).astype(np.int64).tolist()
        return found

    def may_do(self, technician: DayTechnician, job: DayJob) -> bool:
        """Whether the technician has the skills, and is one of those whom the job names, if it names any."""
        named = not job.technician_ids or technician.technician_id in job.technician_ids
        return named and job.skills <= technician.skills

    def stops(self, technician: DayTechnician, job_ids: Iterable[str]) -> list[PlannedStop]:
        """When a technician does these jobs in this order, each as early as can be; fixed ones are not among them.

        Way and work of one job lie within one span of work. What fits in none is done after the last one: overtime.
        """
        now_ms, place = technician.free_ms, self.home[technician.technician_id]
        found = []
        for job_id in job_ids:
            there = self.site[job_id]
            stop = _stop(self.jobs[job_id], now_ms, self._travel_ms[place][there], technician.spans)
            found.append(stop)
            now_ms, place = stop.depart_ms, there
        return found

    def plan(self, tours: Tours) -> Plan:
        """The times of a plan and its figures. Raises ValueError for what is not of this day, or a job done twice."""
        stops = {}
        done: set[str] = set()
        unable = 0
        for technician_id, job_ids in tours.items():
            technician = self.technicians.get(technician_id)
            if technician is None:
                raise ValueError(f"technician {technician_id!r} is not in this day")
            for job_id in job_ids:
                if job_id not in self.jobs or job_id in done:
                    raise ValueError(f"job {job_id!r} is not in this day, or planned twice")
                done.add(job_id)
                unable += not self.may_do(technician, self.jobs[job_id])
            stops[technician_id] = self.stops(technician, job_ids)
        left_over = [LeftOver(job_id, self.reason(job)) for job_id, job in self.jobs.items() if job_id not in done]
        planned = [stop for each in stops.values() for stop in each]
        travel_s, late_s = sum(stop.travel_s for stop in planned), sum(stop.late_s for stop in planned)
        overtime_s = sum(stop.overtime_s for stop in planned)
        figures = Figures(
            jobs=len(planned),
            left_over=len(left_over),
            unable=unable,
            travel_s=travel_s,
            late_jobs=sum(stop.late_s > 0.0 for stop in planned),
            late_s=late_s,
            overtime_s=overtime_s,
            cost_s=sum(cost_s(stop) for stop in planned)
            + sum(LEFT_OVER_S[self.jobs[left.job_id].priority] for left in left_over),
        )
        everyone = {key: [*one.fixed, *stops.get(key, ())] for key, one in self.technicians.items()}
        return Plan(everyone, left_over, figures)

    def reason(self, job: DayJob) -> Reason:
        """Why a job that nobody does is left over."""
        able = [technician for technician in self.technicians.values() if self.may_do(technician, job)]
        if not able:
            return "no_skill"
        works = any(span.to_ms > one.free_ms for one in able for span in one.spans)
        return "no_time" if works else "no_shift"


def cost_s(stop: PlannedStop) -> float:
    """What a stop costs, in seconds of travel."""
    return stop.travel_s + LATE_FACTOR * (stop.late_s + stop.overtime_s)


def _stop(job: DayJob, now_ms: int, travel_ms: int, spans: Sequence[Span]) -> PlannedStop:
    work_ms = math.ceil(job.duration_s * 1000.0)
    leave_ms = end_ms = now_ms
    for span in spans:
        if span.to_ms > now_ms:
            leave_ms, end_ms = max(now_ms, span.from_ms), span.to_ms
            if _start_ms(job, leave_ms + travel_ms) + work_ms <= end_ms:
                break
    arrive_ms = leave_ms + travel_ms
    start_ms = _start_ms(job, arrive_ms)
    depart_ms = start_ms + work_ms
    late_ms = 0 if job.to_ms is None else max(0, start_ms - job.to_ms)
    overtime_ms = max(0, depart_ms - end_ms)
    return PlannedStop(
        job.job_id, leave_ms, arrive_ms, start_ms, depart_ms, travel_ms / 1000, late_ms / 1000, overtime_ms / 1000
    )


def _start_ms(job: DayJob, arrive_ms: int) -> int:
    return arrive_ms if job.from_ms is None else max(arrive_ms, job.from_ms)


def _travel_times(places: Sequence[DayTechnician | DayJob], travel: TravelTimes) -> Floats:
    if not places:
        return np.zeros((0, 0))
    lat, lon = np.array([(place.lat, place.lon) for place in places], np.float64).T
    found = np.asarray(travel(lat, lon), np.float64)
    if found.shape != (len(places), len(places)):
        raise ValueError(f"travel times between {len(places)} places: {found.shape}")
    there, back = np.nonzero(~(np.isfinite(found) & (found >= 0.0)))
    if len(there):
        start, end = places[there[0]], places[back[0]]
        raise ValueError(
            f"from ({start.lat}, {start.lon}) to ({end.lat}, {end.lon}) it takes {found[there[0], back[0]]} s"
        )
    return found

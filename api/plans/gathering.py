"""What a plan is made of, gathered from the records: who works, from where on, and which jobs are to be done. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.day_plan import DayJob, DayTechnician, PlannedStop
from dispatch.day_records import day_job, day_technician, is_to_be_planned, tours_of
from dispatch.lifecycle import Lifecycle
from routing.provider import Floats
from schemas.job import JobRecord
from schemas.people import Technician

USUAL_DURATION_S: Final = 3_600.0
"""Of a job without an estimate."""

_UNDER_WAY: Final = frozenset({"en_route", "on_site", "in_progress"})


@dataclass(frozen=True)
class DayAhead:
    """``current`` is the plan as the jobs state it. ``unplaced`` are jobs of which nobody knows where they are.

    ``travel_s`` float64[n, n] are the travel times between all places, those of technicians first, where there is a
    map; None: the straight line has to do.
    """

    technicians: list[DayTechnician]
    jobs: list[DayJob]
    current: dict[str, list[str]]
    unplaced: list[str]
    travel_s: Floats | None = None

    def places(self) -> tuple[Floats, Floats]:
        """Latitudes and longitudes, in the order of ``travel_s``."""
        every: list[DayTechnician | DayJob] = [*self.technicians, *self.jobs]
        return np.array([each.lat for each in every]), np.array([each.lon for each in every])


def gather(
    technicians: Iterable[Technician],
    jobs: Iterable[JobRecord],
    places: Mapping[str, tuple[float, float]],
    lifecycle: Lifecycle,
    from_ms: int,
    to_ms: int,
) -> DayAhead:
    """The jobs whose windows meet [``from_ms``, ``to_ms``), or that have none, and who may do them.

    ``places`` (lat, lon) are where technicians are, or will start from. Who is at a job is free when it is expected to
    end, where it is.
    """
    under_way: dict[str, list[JobRecord]] = {}
    to_plan: list[JobRecord] = []
    for job in jobs:
        if lifecycle.like(job.state) in _UNDER_WAY:
            for technician_id in job.technician_ids:
                under_way.setdefault(technician_id, []).append(job)
        elif is_to_be_planned(job, lifecycle) and _meets(job, from_ms, to_ms):
            to_plan.append(job)
    people = [
        found
        for each in technicians
        if (found := _free_from(each, under_way.get(each.technician_id, []), places, from_ms, to_ms)) is not None
    ]
    planned = [
        day_job(job, job.lat, job.lon, usual_duration_s=USUAL_DURATION_S)
        for job in to_plan
        if job.lat is not None and job.lon is not None
    ]
    known, placed = {each.technician_id for each in people}, {each.job_id for each in planned}
    current = tours_of(job for job in to_plan if job.job_id in placed)
    return DayAhead(
        people,
        planned,
        {who: tour for who, tour in current.items() if who in known},
        sorted(job.job_id for job in to_plan if job.job_id not in placed),
    )


def _free_from(
    technician: Technician,
    under_way: Iterable[JobRecord],
    places: Mapping[str, tuple[float, float]],
    from_ms: int,
    to_ms: int,
) -> DayTechnician | None:
    """A technician from the end of what is under way on; None where nobody knows where that is."""
    place, free_ms = places.get(technician.technician_id), from_ms
    fixed = []
    for job in under_way:
        stop = _fixed(job, from_ms)
        fixed.append(stop)
        if stop.depart_ms >= free_ms and job.lat is not None and job.lon is not None:
            place, free_ms = (job.lat, job.lon), stop.depart_ms
    return None if place is None else day_technician(technician, *place, free_ms, to_ms, fixed)


def _meets(job: JobRecord, from_ms: int, to_ms: int) -> bool:
    begins_before = job.window_from_ms is None or job.window_from_ms < to_ms
    return begins_before and (job.window_to_ms is None or job.window_to_ms > from_ms)


def _fixed(job: JobRecord, from_ms: int) -> PlannedStop:
    """A job under way, until it is expected to end; never before the plan begins."""
    begun_ms = int(job.log[-1].at)
    ends_ms = begun_ms + round(1000 * (USUAL_DURATION_S if job.duration_s is None else job.duration_s))
    return PlannedStop(job.job_id, begun_ms, begun_ms, begun_ms, max(ends_ms, from_ms), 0.0)

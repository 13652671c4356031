"""From the records of jobs and technicians to what a day's plan is made of."""

from collections.abc import Iterable, Sequence
from typing import Final

from dispatch.day_plan import DayJob, DayTechnician, PlannedStop
from dispatch.lifecycle import BUILT_IN, Lifecycle
from dispatch.shifts import shift_spans
from schemas.job import Job
from schemas.people import Technician

_TO_COME: Final = frozenset({"created", "scheduled", "dispatched"})


def is_to_be_planned(job: Job, lifecycle: Lifecycle = BUILT_IN) -> bool:
    """Whether a plan may still give the job to somebody: nobody is on the way to it, and it is not over."""
    return lifecycle.like(job.state) in _TO_COME


def day_job(job: Job, lat: float, lon: float, *, usual_duration_s: float) -> DayJob:
    """A job at its place (degrees); without an estimate of its own it takes as long as usual."""
    return DayJob(
        job_id=job.job_id,
        lat=lat,
        lon=lon,
        duration_s=usual_duration_s if job.duration_s is None else job.duration_s,
        from_ms=job.window_from_ms,
        to_ms=job.window_to_ms,
        priority=job.priority,
        skills=frozenset(job.skills),
    )


def day_technician(
    technician: Technician, lat: float, lon: float, free_ms: int, until_ms: int, fixed: Sequence[PlannedStop] = ()
) -> DayTechnician:
    """A technician who is free at a place (degrees) from ``free_ms`` on, planned until ``until_ms`` (epoch ms)."""
    return DayTechnician(
        technician_id=technician.technician_id,
        lat=lat,
        lon=lon,
        free_ms=free_ms,
        spans=shift_spans(technician, free_ms, until_ms),
        skills=frozenset(technician.skills),
        fixed=fixed,
    )


def tours_of(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """Today's plan as the jobs state it: each with the first of its technicians, in the order of their windows.

    A job without a window comes after those with one; of equal ones the older first. Jobs of nobody are in no tour.
    """
    found: dict[str, list[str]] = {}
    for job in sorted(jobs, key=_by_window):
        if job.technician_ids:
            found.setdefault(job.technician_ids[0], []).append(job.job_id)
    return found


def _by_window(job: Job) -> tuple[float, float, int, str]:
    begins, ends = (float("inf") if at is None else at for at in (job.window_from_ms, job.window_to_ms))
    return begins, ends, job.created_at, job.job_id

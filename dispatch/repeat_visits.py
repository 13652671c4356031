"""What was not mended the first time: somebody came to the same site for the same fault soon after."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from dispatch.delay import CALLED_OFF, has_arrived
from dispatch.lifecycle import BUILT_IN, Lifecycle
from schemas.job import Job

_DAY_MS: Final = 86_400_000

_Complaint = tuple[str, str, str]


class RepeatVisit(NamedTuple):
    """A job for what another one, completed ``after_s`` before, was for. ``warranty``: that one is to answer for it."""

    job_id: str
    of_job_id: str
    after_s: float
    warranty: bool


class FirstTimeFix(NamedTuple):
    """Of so many complaints dealt with, so many at the first visit. ``rate`` is None where there were none."""

    complaints: int
    fixed: int

    @property
    def rate(self) -> float | None:
        """From 0 to 1."""
        return self.fixed / self.complaints if self.complaints else None


def repeat_visits(
    jobs: Iterable[Job], *, within_days: float, warranty_days: float = 0.0, lifecycle: Lifecycle = BUILT_IN
) -> list[RepeatVisit]:
    """Which jobs are repeats, in the order of the jobs; each of the last one completed before somebody came.

    The same is what has the same ``site_id`` and the same ``fault``, or where neither states a fault, the same
    ``job_type``, whatever their case. A repeat comes within ``within_days`` after the other was completed, under
    warranty within ``warranty_days``; when it comes is when somebody arrived, or is to arrive, or when it was made.
    Jobs that were called off are no repeats. Raises ValueError for days below 0.
    """
    if not within_days >= 0.0 or not warranty_days >= 0.0:
        raise ValueError(f"within {within_days} days, under warranty for {warranty_days}: days are at least 0")
    listed = [(job, complaint) for job in jobs if (complaint := _complaint(job)) is not None]
    completed: defaultdict[_Complaint, list[tuple[int, str]]] = defaultdict(list)
    for job, complaint in listed:
        done_ms = _first_ms(job, lifecycle, "completed")
        if done_ms is not None:
            completed[complaint].append((done_ms, job.job_id))
    for each in completed.values():
        each.sort()
    found = []
    for job, complaint in listed:
        came_ms = _came_ms(job, lifecycle)  # not after its own completion
        before = bisect_left(completed[complaint], (came_ms, ""))
        if before == 0 or lifecycle.like(job.state) in CALLED_OFF:
            continue
        done_ms, of_job_id = completed[complaint][before - 1]
        after_days = (came_ms - done_ms) / _DAY_MS
        if after_days <= max(within_days, warranty_days):
            found.append(RepeatVisit(job.job_id, of_job_id, (came_ms - done_ms) / 1000, after_days <= warranty_days))
    return found


def first_time_fix(
    jobs: Collection[Job], history: Collection[Job], *, within_days: float, lifecycle: Lifecycle = BUILT_IN
) -> FirstTimeFix:
    """How many of the completed ``jobs`` mended it at the first visit.

    ``history`` are all jobs that may be repeats or repeated, ``jobs`` among them. A job counts that was completed, says
    what it is for, and is no repeat itself. It has mended that if nobody left it incomplete before, and nobody came for
    the same within ``within_days`` after; while these last, that may change. Raises ValueError as ``repeat_visits``
    does.
    """
    repeats = repeat_visits(history, within_days=within_days, lifecycle=lifecycle)
    again, not_mended = {repeat.job_id for repeat in repeats}, {repeat.of_job_id for repeat in repeats}
    counted = [
        job
        for job in jobs
        if _first_ms(job, lifecycle, "completed") is not None
        and _complaint(job) is not None
        and job.job_id not in again
    ]
    fixed = [job for job in counted if job.job_id not in not_mended and not _was_left(job, lifecycle)]
    return FirstTimeFix(len(counted), len(fixed))


def _complaint(job: Job) -> _Complaint | None:
    """What jobs have in common that are for the same; None: nothing is known that could be."""
    for kind, text in (("fault", job.fault), ("job_type", job.job_type)):
        if job.site_id is not None and text is not None and text.strip():
            return job.site_id, kind, text.strip().casefold()
    return None


def _first_ms(job: Job, lifecycle: Lifecycle, state: str) -> int | None:
    return next((int(entry.at) for entry in job.log if lifecycle.like(entry.state) == state), None)


def _came_ms(job: Job, lifecycle: Lifecycle) -> int:
    arrived_ms = next((int(entry.at) for entry in job.log if has_arrived(entry.state, lifecycle)), None)
    if arrived_ms is not None:
        return arrived_ms
    return job.created_at if job.window_from_ms is None else job.window_from_ms


def _was_left(job: Job, lifecycle: Lifecycle) -> bool:
    """Whether somebody left it incomplete before it was first completed, as it has been."""
    left_ms, done_ms = (_first_ms(job, lifecycle, state) for state in ("left_incomplete", "completed"))
    return left_ms is not None and done_ms is not None and left_ms <= done_ms

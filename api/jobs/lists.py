"""Jobs in the order in which they are due, and those of them that are asked for. Pure."""

import heapq
from collections.abc import Iterable

import msgspec

from schemas.job import Job, JobRecord, Risk


class JobQuery(msgspec.Struct, frozen=True):
    """Which jobs. ``from_ms``-``to_ms``: those due then. None = any.

    ``after`` is the (due_ms, job_id) that the page follows.
    """

    states: tuple[str, ...] = ()
    technician_id: str | None = None
    customer_id: str | None = None
    site_id: str | None = None
    branch: str | None = None
    external_id: str | None = None
    risk: Risk | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: tuple[int, str] | None = None

    def asks_for(self, job: JobRecord) -> bool:
        """Whether the job is one of them."""
        place = place_of(job)
        return (
            (not self.states or job.state in self.states)
            and (self.technician_id is None or self.technician_id in job.technician_ids)
            and (self.customer_id is None or self.customer_id == job.customer_id)
            and (self.site_id is None or self.site_id == job.site_id)
            and (self.branch is None or self.branch == job.branch)
            and (self.external_id is None or self.external_id == job.external_id)
            and (self.risk is None or self.risk == job.risk)
            and (self.from_ms is None or place[0] >= self.from_ms)
            and (self.to_ms is None or place[0] < self.to_ms)
            and (self.after is None or place > self.after)
        )


def place_of(job: Job) -> tuple[int, str]:
    """Where a job stands in a list: by when its window begins, else by when it was made."""
    return int(job.created_at if job.window_from_ms is None else job.window_from_ms), job.job_id


def listed(jobs: Iterable[JobRecord], query: JobQuery, limit: int) -> list[JobRecord]:
    """The first ``limit`` of those asked for."""
    return heapq.nsmallest(limit, filter(query.asks_for, jobs), key=place_of)

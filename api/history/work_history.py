"""What was done for a customer, or at a site: jobs with their visits, and visits that were for no job; newest first."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from api.auth.scope import Scope
from api.jobs.lists import place_of
from api.ports import VisitQuery
from api.services import Services
from schemas.job import Job, JobRecord, job_of
from schemas.times import Instant
from schemas.visit import Visit

_AT_ONCE: Final = 500
_LOOKED_AT: Final = 10
"""Pages of visits that are looked through for some that are for no job."""


class HistoryItem(msgspec.Struct):
    """A job with its ``visits``, or (``job`` None) one visit that was for none.

    ``at``: when the job was due, or where nothing was promised was made; when the visit began.
    """

    at: Instant
    job: Job | None
    visits: list[Visit]

    @property
    def place(self) -> tuple[int, str]:
        """Where it stands in the history."""
        return int(self.at), self.visits[0].visit_id if self.job is None else self.job.job_id


async def history_of(
    jobs: Sequence[JobRecord],
    fence_ids: Collection[str],
    after: tuple[int, str] | None,
    limit: int,
    scope: Scope,
    services: Services,
) -> list[HistoryItem]:
    """The first ``limit`` that follow ``after``. Raises StoreUnavailable."""
    following = (job for job in jobs if after is None or place_of(job) < after)
    chosen = sorted(following, key=place_of, reverse=True)[:limit]
    items = [HistoryItem(Instant(place_of(job)[0]), job_of(job), []) for job in chosen]
    items += [
        HistoryItem(visit.arrived_ms, None, [visit])
        for visit in await _visits_for_no_job(jobs, fence_ids, after, limit, scope, services)
    ]
    items = sorted(items, key=lambda item: item.place, reverse=True)[:limit]
    await _add_visits(items, services)
    return items


async def _visits_for_no_job(
    jobs: Sequence[JobRecord],
    fence_ids: Collection[str],
    after: tuple[int, str] | None,
    limit: int,
    scope: Scope,
    services: Services,
) -> list[Visit]:
    if not fence_ids:
        return []
    found: list[Visit] = []
    for_jobs = {visit_id for job in jobs for visit_id in job.visit_ids}  # the index has none of archived ones
    query = VisitQuery(_AT_ONCE, fence_ids=tuple(sorted(fence_ids)), after=after, branches=scope.branches_seen())
    for _ in range(_LOOKED_AT):
        some = await services.history.latest_visits(query)
        others = [visit for visit in some if visit.visit_id not in for_jobs]
        found += [visit for visit in others if services.job_index.of_its_job(visit).job_id is None]
        if len(some) < _AT_ONCE or len(found) >= limit:
            break
        query = msgspec.structs.replace(query, after=(int(some[-1].arrived_ms), some[-1].visit_id))
    return found[:limit]


async def _add_visits(items: Sequence[HistoryItem], services: Services) -> None:
    wanted = {visit_id for item in items if item.job is not None for visit_id in item.job.visit_ids}
    if not wanted:
        return
    visits = await services.history.visits(VisitQuery(len(wanted), visit_ids=tuple(sorted(wanted))))
    by_id = {visit.visit_id: visit for visit in visits}
    for item in items:
        if item.job is not None:
            found = [by_id[visit_id] for visit_id in item.job.visit_ids if visit_id in by_id]
            item.visits = [msgspec.structs.replace(visit, job_id=item.job.job_id) for visit in found]

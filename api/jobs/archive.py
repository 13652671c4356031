"""Jobs that are archived: the foreman has let them go, the store has them for good."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog

from api.http.problems import Problem
from api.ports import StoredJobQuery, StoreUnavailable
from api.services import Services
from schemas.job import JobRecord
from schemas.settings import JOBS_KEPT_DAYS_AT_LEAST

_LOOK_UP_WITHIN_S: Final = 2.0
_KEPT_MS: Final = JOBS_KEPT_DAYS_AT_LEAST * 86_400_000

log = structlog.get_logger()


async def archived_job(job_id: str, services: Services) -> JobRecord | None:
    """One of them. Raises StoreUnavailable."""
    stored = await services.history.jobs(StoredJobQuery(1, job_ids=(job_id,)))
    return next(iter(_of_these_archived(stored, services)), None)


async def archived_jobs(query: StoredJobQuery, services: Services) -> AsyncIterator[JobRecord]:
    """All of them that are asked for, ``query.limit`` at a time. Raises StoreUnavailable."""
    while stored := await services.history.jobs(query):
        for job in _of_these_archived(stored, services):
            yield job
        if len(stored) < query.limit:
            return
        query = msgspec.structs.replace(query, after=stored[-1].job_id)


async def require_new(job_id: str, services: Services) -> None:
    """Raise Problem 409 where a job of this id is archived: the store would take the new one for an old revision.

    A store that does not answer is no reason to turn a job away: it is made, and the log says that nobody has looked.
    """
    if services.settings.jobs_kept_days == 0:
        return
    try:
        async with asyncio.timeout(_LOOK_UP_WITHIN_S):
            found = await archived_job(job_id, services)
    except (StoreUnavailable, TimeoutError):
        log.warning("a job is made without a look at the archive: the store does not answer", job=job_id)
        return
    if found is not None:
        raise refused_as_archived(job_id)


def refused_as_archived(job_id: str) -> Problem:
    """Of what would change such a job."""
    return Problem(409, "archived", f"the job {job_id!r} is archived: it can be read, and nothing of it changed")


def _of_these_archived(stored: list[JobRecord], services: Services) -> list[JobRecord]:
    """What is not at hand because it is archived, and not because the store was faster than this process."""
    changed_before_ms = services.clock.now_ms() - _KEPT_MS
    at_hand = services.jobs.records
    return [job for job in stored if job.job_id not in at_hand and job.updated_at <= changed_before_ms]

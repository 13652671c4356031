"""Jobs as they are now, for who may see them."""

from collections.abc import Mapping
from typing import NamedTuple

from api.auth.scope import Scope
from api.http.answers import JSONAnswer
from api.http.problems import Problem, unavailable
from api.jobs.answers import answer_of
from api.jobs.archive import archived_job, refused_as_archived
from api.services import Services
from schemas.job import JobRecord


def jobs_of(services: Services) -> Mapping[str, JobRecord]:
    """By id; raises Problem 503 while they are still being read."""
    if not services.jobs.is_caught_up:
        raise unavailable("the jobs are still being read")
    return services.jobs.records


class FoundJob(NamedTuple):
    """A job, and whether nothing of it can be changed any more."""

    record: JobRecord
    is_archived: bool


async def job_of_id(job_id: str, services: Services) -> FoundJob | None:
    """A job, be it archived; raises Problem 503 while they are still being read, StoreUnavailable."""
    at_hand = jobs_of(services).get(job_id)
    if at_hand is not None:
        return FoundJob(at_hand, is_archived=False)
    archived = await archived_job(job_id, services)
    return None if archived is None else FoundJob(archived, is_archived=True)


async def found_job(services: Services, scope: Scope, job_id: str) -> FoundJob:
    """A job to be read; raises Problem 404 where there is none, or none that may be seen, StoreUnavailable."""
    found = await job_of_id(job_id, services)
    if found is None or not scope.sees_job(found.record):
        raise Problem(404, "unknown_job", f"there is no job {job_id!r}")
    return found


async def standing_job(services: Services, scope: Scope, job_id: str) -> JobRecord:
    """A job to be changed; raises as ``found_job`` does, and Problem 409 for one that is archived."""
    found = await found_job(services, scope, job_id)
    if found.is_archived:
        raise refused_as_archived(job_id)
    return found.record


def etag_of(record: JobRecord) -> str:
    """Of its state."""
    return f'"{record.revision}"'


def job_answer(record: JobRecord, services: Services, status: int = 200, *, archived: bool = False) -> JSONAnswer:
    """What everybody sees of it, and how it stands with what is promised of it."""
    return JSONAnswer(answer_of(record, services, archived=archived), status, {"ETag": etag_of(record)})

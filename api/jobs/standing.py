"""Jobs as they are now, for who may see them."""

from collections.abc import Mapping

from api.auth.scope import Scope
from api.http.answers import JSONAnswer
from api.http.problems import Problem, unavailable
from api.jobs.answers import answer_of
from api.services import Services
from schemas.job import JobRecord


def jobs_of(services: Services) -> Mapping[str, JobRecord]:
    """By id; raises Problem 503 while they are still being read."""
    if not services.jobs.is_caught_up:
        raise unavailable("the jobs are still being read")
    return services.jobs.records


def standing_job(services: Services, scope: Scope, job_id: str) -> JobRecord:
    """A job; raises Problem 404 where there is none, or none that may be seen."""
    record = jobs_of(services).get(job_id)
    if record is None or not scope.sees_job(record):
        raise Problem(404, "unknown_job", f"there is no job {job_id!r}")
    return record


def etag_of(record: JobRecord) -> str:
    """Of its state."""
    return f'"{record.revision}"'


def job_answer(record: JobRecord, services: Services, status: int = 200) -> JSONAnswer:
    """What everybody sees of it, and how it stands with what is promised of it."""
    return JSONAnswer(answer_of(record, services), status, {"ETag": etag_of(record)})

"""Which job a visit is for, looked up from the jobs' own records."""

import msgspec

from schemas.job import JobRecord
from schemas.visit import Visit


class JobIndex:
    """``changed`` is called with each change of a job."""

    def __init__(self) -> None:
        self._job_of_visit: dict[str, str] = {}
        self._visits_of_job: dict[str, list[str]] = {}

    def changed(self, job_id: str, record: JobRecord | None) -> None:
        """A job has another record, or none any more."""
        for visit_id in self._visits_of_job.pop(job_id, []):
            if self._job_of_visit.get(visit_id) == job_id:
                del self._job_of_visit[visit_id]
        if record is not None and record.visit_ids:
            self._visits_of_job[job_id] = record.visit_ids
            self._job_of_visit |= dict.fromkeys(record.visit_ids, job_id)

    def of_its_job(self, visit: Visit) -> Visit:
        """The visit with the job that it is for."""
        job_id = self._job_of_visit.get(visit.visit_id)
        return visit if job_id is None else msgspec.structs.replace(visit, job_id=job_id)

    def visits_of(self, job_id: str) -> list[str]:
        """The visits of a job."""
        return self._visits_of_job.get(job_id, [])

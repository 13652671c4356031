"""What people do to jobs, put on record: only a job's writer knows what has become of it, so it is told afterwards."""

from api.audit import put_on_record
from api.auth import Principal
from api.jobs.lists import job_of
from api.services import Services
from schemas import wire
from schemas.audit import Change
from schemas.job import JobRecord, Source
from schemas.job_command import Sender


def sender_of(principal: Principal) -> Sender:
    """Who a principal is to a job's log."""
    source: Source = "technician" if principal.role == "technician" else "dispatcher"
    technician_id = principal.technician_id if principal.role == "technician" else None
    return Sender(source, f"{principal.way}:{principal.identity}", principal.role, technician_id)


async def put_job_on_record(
    action: str, before: JobRecord | None, after: JobRecord, principal: Principal, services: Services
) -> None:
    """Append what somebody has made of a job; raises LogUnavailable."""
    was = None if before is None else wire.to_builtins(job_of(before))
    change = Change(action, "job", after.job_id, after.branch, was, wire.to_builtins(job_of(after)))
    await put_on_record(services.log, principal, services.clock.now_ms(), [change])

"""What people do to jobs, put on record: only a job's writer knows what has become of it, so it is told afterwards."""

from itertools import takewhile
from typing import Any

from api.audit import put_on_record
from api.auth import Principal
from api.jobs.lists import job_of
from api.services import Services
from schemas import wire
from schemas.audit import Change
from schemas.job import Job, JobRecord, Source
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
    was, now = changed(before, after)
    change = Change(action, "job", after.job_id, after.branch, was, now)
    await put_on_record(services.log, principal, services.clock.now_ms(), [change])


def changed(before: JobRecord | None, after: JobRecord) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What there was and what there is since: of a job that was there what differs, of its log from where it does."""
    if before is None:
        return None, wire.to_builtins(job_of(after))
    names = [name for name in Job.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    was, now = ({name: getattr(job, name) for name in names} for job in (before, after))
    if "log" in names:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(before.log, after.log, strict=False))
        since = sum(1 for _ in alike)
        was["log"], now["log"] = before.log[since:], after.log[since:]
    return was, now

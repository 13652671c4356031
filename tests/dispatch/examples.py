"""Jobs, words, visits and commands of a working day, written in minutes."""

from typing import Any

from dispatch.job_book import JobBook
from dispatch.rounds import Stop
from schemas.job import Approach, Evidence, JobPlan, JobRecord
from schemas.job_command import Command, CreateJob, MoveJob, Sender, TellEvidence
from schemas.times import Instant

DISPATCHER = Sender("dispatcher", "key:office", "dispatcher")
TECHNICIAN = Sender("technician", "account:amina", "technician", "amina")
POSITIONS = Sender("automatic", "foreman")


def minute(number: float) -> Instant:
    return Instant(round(number * 60_000))


def stop(visit_id: str, fence_id: str, arrived: float, departed: float | None) -> Stop:
    """A visit in its first revision; one that lasts has done so for two minutes."""
    end = arrived + 2 if departed is None else departed
    state = "confirmed" if departed is None else "closed"
    departed_ms = None if departed is None else int(minute(departed))
    return Stop(visit_id, fence_id, state, 1, int(minute(arrived)), departed_ms, (end - arrived) * 60.0)


def create(job_id: str = "job-1", at: float = 0, key: str = "create", **plan: Any) -> CreateJob:
    stated = {"technician_ids": ["amina"], "window_from_ms": minute(60), "window_to_ms": minute(180)} | plan
    return CreateJob(job_id=job_id, sender=DISPATCHER, key=key, issued_at=minute(at), plan=JobPlan(**stated))


def move(to: str, at: float, by: Sender = TECHNICIAN, key: str | None = None, job_id: str = "job-1") -> MoveJob:
    return MoveJob(job_id=job_id, sender=by, key=key or f"{to}-{at}", issued_at=minute(at), to=to, at=minute(at))


def approach(
    left: float | None, arrived: float | None, departed: float | None, visit_id: str | None = None
) -> Approach:
    here_s = 120.0 if arrived is None or departed is None else (departed - arrived) * 60.0
    return Approach(
        None if left is None else minute(left),
        None if arrived is None else visit_id or f"visit-{arrived:g}",
        None if arrived is None else minute(arrived),
        None if departed is None else minute(departed),
        here_s,
    )


def tell(*approaches: Approach, recorded: float, device_id: str = "van-1", moves: bool = True) -> TellEvidence:
    evidence = Evidence(device_id, "amina", list(approaches), minute(recorded), moves)
    return TellEvidence(
        job_id="job-1", sender=POSITIONS, key=f"{device_id}-{recorded}", issued_at=minute(recorded), evidence=evidence
    )


def after(book: JobBook, *commands: Command) -> JobRecord:
    """The record after commands, each carried out when it was issued; none may be refused."""
    record: JobRecord | None = None
    for command in commands:
        outcome = book.apply(record, command, command.issued_at)
        assert outcome.answer.refusal is None, outcome.answer.refusal
        record = outcome.record or record
    assert record is not None
    return record


def told(record: JobRecord) -> list[tuple[str, float, str]]:
    """The log as (state, minute, source)."""
    return [(entry.state, entry.at / 60_000, entry.source) for entry in record.log]

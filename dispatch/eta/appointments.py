"""Jobs as far as ETAs are concerned, and what there is to learn of those that somebody has been to."""

from typing import Final

import msgspec

from dispatch.lifecycle import BEFORE_ARRIVAL, Lifecycle
from dispatch.rounds import USUAL_S
from schemas.job import JobRecord

AT_WORK: Final = frozenset({"on_site", "in_progress"})
_DONE: Final = frozenset({"completed", "invoiced"})


class Appointment(msgspec.Struct, frozen=True):
    """A job where somebody is awaited, or is at work. ``state`` is the built-in one that its own is like.

    ``since_ms`` is when it came to that state; of one where somebody is at work, when they came.
    """

    job_id: str
    lat: float
    lon: float
    state: str
    since_ms: int
    technician_ids: tuple[str, ...]
    priority: str
    created_ms: int
    window_from_ms: int | None
    window_to_ms: int | None
    duration_s: float
    job_type: str
    branch: str | None
    risk: str

    @property
    def is_at_work(self) -> bool:
        """Whether somebody is there."""
        return self.state in AT_WORK


class Done(msgspec.Struct, frozen=True):
    """Work that is over: its type, the estimate and how long somebody was there, seconds."""

    job_type: str
    estimate_s: float
    actual_s: float


def appointment_of(record: JobRecord, lifecycle: Lifecycle) -> Appointment | None:
    """A job as an appointment; None where nobody is awaited or at work, or where nobody knows where it is."""
    state = lifecycle.like(record.state)
    if record.lat is None or record.lon is None or state not in AT_WORK.union(BEFORE_ARRIVAL):
        return None
    since_ms = int(record.log[-1].at)
    if state in AT_WORK:
        for entry in reversed(record.log):
            if lifecycle.like(entry.state) not in AT_WORK:
                break
            since_ms = int(entry.at)
    return Appointment(
        record.job_id,
        record.lat,
        record.lon,
        state,
        since_ms,
        tuple(record.technician_ids),
        record.priority,
        int(record.created_at),
        record.window_from_ms,
        record.window_to_ms,
        record.duration_s or USUAL_S,
        record.job_type or "",
        record.branch,
        record.risk,
    )


def arrivals_of(record: JobRecord) -> tuple[tuple[str, int], ...]:
    """When devices have come to the place of a job (device_id, epoch ms), as their positions tell."""
    return tuple(
        (evidence.device_id, int(approach.arrived_ms))
        for evidence in record.evidence
        for approach in evidence.approaches
        if approach.arrived_ms is not None
    )


def done_of(record: JobRecord, lifecycle: Lifecycle) -> Done | None:
    """The work on a job, once it is over and it is known how long it took."""
    if lifecycle.like(record.state) not in _DONE or not record.on_site_s:
        return None
    return Done(record.job_type or "", record.duration_s or USUAL_S, record.on_site_s)

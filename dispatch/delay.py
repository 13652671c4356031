"""Whether a job will be done when it was promised: at risk before it is late."""

from collections.abc import Sequence
from typing import Final

from dispatch.lifecycle import BEFORE_ARRIVAL, BUILT_IN, Lifecycle
from schemas.job import EtaWindow, Job, LogEntry, Risk

CALLED_OFF: Final = frozenset({"cancelled", "rejected"})
"""States in which nobody waits for anybody."""

_WAITING: Final = frozenset({"created", "scheduled"})
"""A job that comes back to one of these waits for another arrival."""


def risk_of(
    job: Job,
    eta: EtaWindow | None,
    at_ms: int,
    previous: Risk = "none",
    *,
    clear_s: float = 120.0,
    lifecycle: Lifecycle = BUILT_IN,
) -> Risk:
    """The risk of a job at a moment (epoch ms), from its window, its log up to then and the newest ETA.

    ``late`` when the window is over and nobody has arrived within it; an arrival that becomes known afterwards undoes
    that. ``at_risk`` when the ETA window ends after the promised one. A job that was at risk stays so until its ETA
    window ends at least ``clear_s`` before the promised one does, so that an ETA at the edge does not flap, and as long
    as there is no ETA. Without the end of a window, and once somebody is there in time or the job is called off, there
    is no risk. Raises ValueError for a ``clear_s`` below 0.
    """
    if not clear_s >= 0.0:
        raise ValueError(f"clear_s: {clear_s} is less than 0")
    log = [entry for entry in job.log if entry.at <= at_ms]
    if job.window_to_ms is None or (log and lifecycle.like(log[-1].state) in CALLED_OFF):
        return "none"
    arrived_ms = _arrival_ms(log, job.window_from_ms, lifecycle)
    if arrived_ms is not None:
        return "late" if arrived_ms > job.window_to_ms else "none"
    if at_ms > job.window_to_ms:
        return "late"
    if eta is None:
        return "at_risk" if previous == "at_risk" else "none"
    room_ms = clear_s * 1000.0 if previous == "at_risk" else 0.0
    return "at_risk" if eta.to_ms > job.window_to_ms - room_ms else "none"


def has_arrived(state: str, lifecycle: Lifecycle = BUILT_IN) -> bool:
    """Whether somebody is there, or was, when a job comes to a state."""
    return lifecycle.like(state) not in CALLED_OFF.union(BEFORE_ARRIVAL)


def _arrival_ms(log: Sequence[LogEntry], window_from_ms: int | None, lifecycle: Lifecycle) -> int | None:
    """When somebody arrived for this window, epoch ms; None: nobody has.

    An arrival before the job last waited to be planned was for another window, and so was one that ended, the job left
    incomplete, before this window began.
    """
    found: int | None = None
    for entry in log:
        state = lifecycle.like(entry.state)
        if state in _WAITING:
            found = None
        elif found is None and has_arrived(entry.state, lifecycle):
            found = entry.at
        if state == "left_incomplete" and window_from_ms is not None and entry.at < window_from_ms:
            found = None
    return found

"""What of ETAs is worth telling: to those who follow them, and to the job's one writer."""

from typing import Final

from dispatch.eta.appointments import Appointment
from schemas.eta import Eta

MOVED_MS: Final = 30_000
"""An ETA that has moved by so much, at the arrival or an end of its window, is told anew, …"""
TOLD_AGAIN_MS: Final = 120_000
"""… and one that has not after so long."""


def is_news(eta: Eta, told: Eta | None) -> bool:
    """Whether an ETA is worth telling after another."""
    if told is None or eta.computed_at - told.computed_at >= TOLD_AGAIN_MS:
        return True
    same = ("provider", "device_id", "technician_id", "stops_before")
    if any(getattr(eta, name) != getattr(told, name) for name in same):
        return True
    moved = (eta.eta - told.eta, eta.from_ms - told.from_ms, eta.to_ms - told.to_ms)
    return max(map(abs, moved)) >= MOVED_MS


def changes_risk(job: Appointment, to_ms: int, clear_s: float) -> bool:
    """Whether a job's risk is another once it is known that its ETA window ends at a moment (see ``risk_of``)."""
    if job.window_to_ms is None:
        return False
    if job.risk == "none":
        return to_ms > job.window_to_ms
    return job.risk == "at_risk" and to_ms <= job.window_to_ms - 1000 * clear_s

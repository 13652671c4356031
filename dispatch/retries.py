"""When a delivery is tried again, and when no more. Pure: time and chance are arguments."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.settings import LONGEST_WEBHOOK_WAIT_S
from schemas.webhook import Attempted, Outcome

JITTER: Final = 0.2
"""A wait is up to so much longer than the schedule says, so that what failed together is not tried together."""

GONE: Final = 410


class Verdict(NamedTuple):
    """``wait_s`` until the next attempt, None where there is none. ``disables``: the receiver wants no more of it."""

    outcome: Outcome
    wait_s: float | None
    disables: bool = False


def verdict_on(attempt: int, came: Attempted, schedule_s: Sequence[float], chance: float) -> Verdict:
    """What follows from attempt number ``attempt`` (1, 2, …); ``schedule_s`` are the waits, ``chance`` is in [0, 1).

    Any 2xx is a delivery. A receiver may ask for a longer wait (Retry-After), not for a shorter one.
    """
    if came.status is not None and 200 <= came.status < 300:
        return Verdict("delivered", None)
    if came.status == GONE:
        return Verdict("failed", None, disables=True)
    wait_s = wait_after(attempt, schedule_s, chance)
    if wait_s is None:
        return Verdict("failed", None)
    return Verdict("retrying", min(LONGEST_WEBHOOK_WAIT_S, max(wait_s, came.retry_after_s or 0.0)))


def wait_after(attempt: int, schedule_s: Sequence[float], chance: float) -> float | None:
    """Seconds from failed attempt number ``attempt`` (1, 2, …) to the next one; None: it was the last."""
    return schedule_s[attempt - 1] * (1 + JITTER * chance) if attempt <= len(schedule_s) else None

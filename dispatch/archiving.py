"""When a job that is over need not be at hand any more: from then on the store alone has it. Pure."""

from typing import Final

from dispatch.lifecycle import Lifecycle
from schemas.job import JobRecord

_DAY_MS: Final = 86_400_000


def comes_again(record: JobRecord, lifecycle: Lifecycle) -> bool:
    """Whether others are made of it."""
    has_rule = record.recurrence is not None and record.window_from_ms is not None
    return has_rule and lifecycle.like(record.state) not in ("cancelled", "rejected")


def archived_from_ms(record: JobRecord, lifecycle: Lifecycle, kept_days: int) -> int | None:
    """From when on a job is to be archived, as it stands: ``kept_days`` after its last change; None: never.

    0 days: no job ever is.
    """
    if kept_days == 0 or not lifecycle.is_over(record.state) or comes_again(record, lifecycle):
        return None
    return record.updated_at + kept_days * _DAY_MS

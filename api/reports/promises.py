"""How promises of the service contract were kept: clocks of jobs, counted. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from dispatch.rules import DispatchRules
from dispatch.sla import ClockState, Promise, sla_clocks
from schemas.job import Job, LogEntry, Priority
from schemas.times import Instant

STATES: Final[tuple[ClockState, ...]] = ("met", "breached", "running", "paused", "stopped")

_Group = tuple[str, str | None, str, Priority, Promise]


class PromiseCount:
    """Counts the clocks of jobs as they stand at ``now_ms``, by day, branch, technician, priority and promise.

    What is in memory grows with the groups, not with the jobs.
    """

    def __init__(self, rules: DispatchRules, now_ms: int) -> None:
        self._rules = rules
        self._now_ms = now_ms
        self._counts: dict[_Group, Counter[ClockState]] = {}

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of ``SLA_JOBS``."""
        for job_id, day, branch, technician_ids, priority, created_ms, states, moments in rows:
            job = _job(job_id, priority, created_ms, states, moments)
            for clock in sla_clocks(job, self._rules.sla, self._rules.business, self._now_ms):
                for technician_id in technician_ids or [""]:
                    group = day, branch, technician_id, priority, clock.promise
                    self._counts.setdefault(group, Counter())[clock.state] += 1

    def rows(self) -> list[tuple[Any, ...]]:
        """Of each group its names, how many clocks there are, how many in each of ``STATES``, and the share kept of
        those that are over (None where none is).
        """
        found = []
        for group in sorted(self._counts, key=lambda group: (*(each or "" for each in group),)):
            counts = self._counts[group]
            over = counts["met"] + counts["breached"]
            share = counts["met"] / over if over else None
            found.append((*group, counts.total(), *(counts[state] for state in STATES), share))
        return found


def _job(job_id: str, priority: Priority, created_ms: int, states: Sequence[str], moments: Sequence[int]) -> Job:
    log = [LogEntry(state, Instant(at), Instant(at), "system", "") for state, at in zip(states, moments, strict=True)]
    created_at = Instant(created_ms)
    return Job(
        job_id=job_id,
        revision=1,
        created_at=created_at,
        updated_at=created_at,
        state=states[-1] if states else "created",
        priority=priority,
        log=log,
    )

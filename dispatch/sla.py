"""Promises of a service contract: how soon somebody comes, how soon it is mended, and who has to hear of it before.

A clock runs from a job's creation, in business hours or always, and stands still while the job is in a state that
pauses it. When it has run for as long as was promised, the promise is due.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from dispatch.business_hours import BusinessHours, after_business_s, business_s_between
from schemas.job import Escalation, Job, LogEntry, Priority
from schemas.times import Instant

Promise = Literal["response", "resolution"]
ClockState = Literal["running", "paused", "met", "breached", "stopped"]
"""How it stands with a promise. ``breached`` it stays, fulfilled later or not; ``stopped``: nobody waits any more."""

_PROMISES: Final[tuple[Promise, ...]] = ("response", "resolution")


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is promised for a priority, in seconds of business hours or of all hours; None: nothing."""

    response_s: float | None = None
    resolution_s: float | None = None
    hours: Literal["business", "always"] = "business"

    def __post_init__(self) -> None:
        for name, seconds in (("response_s", self.response_s), ("resolution_s", self.resolution_s)):
            if seconds is not None and not 0.0 < seconds < 366 * 86_400:
                raise ValueError(f"{name}: {seconds} is not between 0 and a year")


class SlaRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tenant promises, by priority, and by which states of a job it is judged.

    The first of ``response_states`` is the response, the first of ``resolution_states`` the resolution. While a job is
    in one of ``paused_by`` its clocks stand still, as they do in one of ``stopped_by``, where nobody waits for them any
    more. Escalations come at these fractions of what was promised (``escalate_at``).
    """

    priorities: dict[Priority, Target] = {}
    response_states: tuple[str, ...] = ("en_route", "on_site", "in_progress", "completed")
    resolution_states: tuple[str, ...] = ("completed",)
    paused_by: tuple[str, ...] = ()
    stopped_by: tuple[str, ...] = ("cancelled", "rejected")
    escalate_at: tuple[float, ...] = (0.8, 1.0)

    def __post_init__(self) -> None:
        for fraction in self.escalate_at:
            if not 0.0 < fraction <= 10.0:
                raise ValueError(f"escalate_at: {fraction} is not between 0 and 10")


class SlaClock(msgspec.Struct, frozen=True, rename={"due_ms": "due_at"}):
    """How it stands with a promise at a moment.

    ``due_ms`` (epoch ms) is None where the clock was paused or stopped before: nobody knows. ``remaining_s`` is what is
    left of the promised seconds; of a breached promise, by how many seconds of any kind it was missed so far, below 0.
    """

    promise: Promise
    state: ClockState
    due_ms: Instant | None
    remaining_s: float


class _Run(NamedTuple):
    """The clock runs, epoch ms; without ``to_ms``: still."""

    from_ms: int
    to_ms: int | None


def sla_clocks(job: Job, rules: SlaRules, business: BusinessHours | None, at_ms: int) -> list[SlaClock]:
    """The clocks of a job at a moment (epoch ms), by its log up to then: response, then resolution, where promised.

    Raises ValueError where a target counts business hours and there are none.
    """
    found = []
    for promise, promised_s, hours in _promised(job, rules, business):
        log = _log_until(job, at_ms)
        fulfilled_ms = _fulfilled_ms(log, rules, promise)
        runs = _runs(job, log, rules, fulfilled_ms)
        due_ms = _moment(runs, hours, promised_s)
        end_ms = at_ms if fulfilled_ms is None else fulfilled_ms
        passed_ms = sum(_counted_ms(hours, run.from_ms, end_ms if run.to_ms is None else run.to_ms) for run in runs)
        if due_ms is not None and end_ms > due_ms:
            state: ClockState = "breached"
            remaining_s = (due_ms - end_ms) / 1000
        else:
            state = "met" if fulfilled_ms is not None else _open_state(log, rules)
            remaining_s = promised_s - passed_ms / 1000
        found.append(SlaClock(promise, state, None if due_ms is None else Instant(due_ms), remaining_s))
    return found


def escalations_between(
    job: Job, rules: SlaRules, business: BusinessHours | None, from_ms: int, to_ms: int
) -> list[Escalation]:
    """What has to be escalated after ``from_ms`` until ``to_ms`` (epoch ms), in the order of time, by the log then.

    Each fraction of a promise comes once, and not when it was fulfilled or the clock stopped before. When a log is
    corrected, a moment may move into a span that was asked about before: ask about that again, and take what has a new
    ``escalation_id``. Raises ValueError as ``sla_clocks`` does.
    """
    found = []
    for promise, promised_s, hours in _promised(job, rules, business):
        log = _log_until(job, to_ms)
        fulfilled_ms = _fulfilled_ms(log, rules, promise)
        runs = _runs(job, log, rules, fulfilled_ms)
        for fraction in sorted(set(rules.escalate_at)):
            moment_ms = _moment(runs, hours, promised_s * fraction)
            if moment_ms is None or not from_ms < moment_ms <= to_ms:
                continue
            if fulfilled_ms is None or moment_ms < fulfilled_ms:
                escalation_id = f"{job.job_id}:{promise}:{fraction:g}"
                found.append(Escalation(escalation_id, job.job_id, promise, fraction, Instant(moment_ms)))
    return sorted(found, key=lambda escalation: escalation.at_ms)


def _promised(
    job: Job, rules: SlaRules, business: BusinessHours | None
) -> Iterator[tuple[Promise, float, BusinessHours | None]]:
    """What is promised, in how many seconds, of which hours (None: all)."""
    target = rules.priorities.get(job.priority)
    if target is None:
        return
    if target.hours == "business" and business is None:
        raise ValueError(f"the promise for priority {job.priority!r} counts business hours, and none are stated")
    for promise, seconds in zip(_PROMISES, (target.response_s, target.resolution_s), strict=True):
        if seconds is not None:
            yield promise, seconds, business if target.hours == "business" else None


def _log_until(job: Job, at_ms: int) -> list[LogEntry]:
    return [entry for entry in job.log if entry.at <= at_ms]


def _fulfilled_ms(log: Sequence[LogEntry], rules: SlaRules, promise: Promise) -> int | None:
    states = rules.response_states if promise == "response" else rules.resolution_states
    return next((int(entry.at) for entry in log if entry.state in states), None)


def _runs(job: Job, log: Sequence[LogEntry], rules: SlaRules, fulfilled_ms: int | None) -> list[_Run]:
    """When the clock runs, in the order of time; what happens after the promise was fulfilled changes nothing."""
    halting = {*rules.paused_by, *rules.stopped_by}
    found: list[_Run] = []
    since_ms: int | None = job.created_at
    for entry in log:
        if fulfilled_ms is not None and entry.at >= fulfilled_ms:
            break
        if since_ms is None and entry.state not in halting:
            since_ms = max(entry.at, job.created_at)
        elif since_ms is not None and entry.state in halting:
            found.append(_Run(since_ms, max(entry.at, since_ms)))
            since_ms = None
    if since_ms is not None:
        found.append(_Run(since_ms, None))
    return found


def _moment(runs: Sequence[_Run], hours: BusinessHours | None, seconds: float) -> int | None:
    """When a clock has run for so long; None where it stands still before."""
    left_ms = round(seconds * 1000)
    for run in runs:
        run_ms = None if run.to_ms is None else _counted_ms(hours, run.from_ms, run.to_ms)
        if run_ms is None or left_ms <= run_ms:
            return run.from_ms + left_ms if hours is None else after_business_s(hours, run.from_ms, left_ms / 1000)
        left_ms -= run_ms
    return None


def _counted_ms(hours: BusinessHours | None, from_ms: int, to_ms: int) -> int:
    return max(0, to_ms - from_ms) if hours is None else round(business_s_between(hours, from_ms, to_ms) * 1000)


def _open_state(log: Sequence[LogEntry], rules: SlaRules) -> ClockState:
    state = log[-1].state if log else None
    if state in rules.stopped_by:
        return "stopped"
    return "paused" if state in rules.paused_by else "running"

"""How right the logs of jobs are, against the truth of a simulated company.

A log can be no better than the visits it follows from. Where these do not have the stop, the departure before it, or
have another in between that was none, the job is ``blind``: its words are looked for, the rest is not judged.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dispatch.rules import DispatchRules
from schemas.job import Job, LogEntry
from simulator.company import Company, Truth, Word
from simulator.score import LoggedStay

LONGEST_LEG_MS: Final = 1000 * DispatchRules().longest_leg_s

SLACK_MS: Final = 120_000
"""An interval of a visit is right nineteen times in twenty; so far beside it a time still counts as right."""


class LoggedVisit(LoggedStay, Protocol):
    """A stay, and whose it is."""

    @property
    def device_id(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class JobScore:
    """``wrong`` says what is not as it was, a line each; ``blind`` are the jobs that are not judged."""

    judged: int
    wrong: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)

    @property
    def right(self) -> int:
        """How many of those judged are as they were."""
        return self.judged - len({finding.partition(":")[0] for finding in self.wrong} - set(self.blind))


def judge_jobs(company: Company, jobs: Mapping[str, Job], visits: Iterable[LoggedVisit]) -> JobScore:
    """Hold every job of a company against the truth. ``visits`` are all confirmed and closed ones."""
    words: dict[str, list[Word]] = {}
    for word in company.words:
        words.setdefault(word.job_id, []).append(word)
    zones = {each["id"] for each in company.fences["features"] if each["properties"]["kind"] == "zone"}
    by_device: dict[str, list[LoggedVisit]] = {}
    for visit in visits:
        if visit.fence_id not in zones:  # nobody leaves a zone for the next place
            by_device.setdefault(visit.device_id, []).append(visit)
    devices = {each["technician_id"]: each["device_ids"] for each in company.technicians}
    wrong: list[str] = []
    blind: list[str] = []
    for job_id, truth in company.truths.items():
        rounds = [by_device.get(device, []) for each in truth.technician_ids for device in devices[each]]
        theirs = [visit for visits in rounds for visit in visits]
        job, said = jobs.get(job_id), words.get(job_id, [])
        if job is None:
            wrong.append(f"{job_id}: lost")
            continue
        wrong += [f"{job_id}: {finding}" for finding in _lost_words(job, said)]
        if any(_is_blind(truth, each) for each in rounds):
            blind.append(job_id)
        else:
            wrong += [f"{job_id}: {finding}" for finding in _wrong_log(job, truth, said, theirs)]
    return JobScore(len(company.truths) - len(blind), wrong, blind)


def _is_blind(truth: Truth, visits: Sequence[LoggedVisit]) -> bool:
    arrived_ms, departed_ms, left_ms = truth.arrived_ms, truth.departed_ms, truth.left_before_ms
    if arrived_ms is None:
        return False
    there = [visit for visit in visits if visit.fence_id == truth.fence_id and _arrived_at(visit, arrived_ms)]
    if not any(departed_ms is None or _left_at(visit, departed_ms) for visit in there):
        return True
    if left_ms is None:
        return False
    is_elsewhere = any(left_ms < visit.arrived_ms < arrived_ms and visit not in there for visit in visits)
    return is_elsewhere or not any(_left_at(visit, left_ms) for visit in visits)


def _left_at(visit: LoggedVisit, at_ms: int) -> bool:
    earliest_ms, latest_ms = visit.departed_earliest_ms, visit.departed_latest_ms
    if earliest_ms is None or latest_ms is None:
        return False
    return earliest_ms - SLACK_MS <= at_ms <= latest_ms + SLACK_MS


def _arrived_at(visit: LoggedVisit, at_ms: int) -> bool:
    return visit.arrived_earliest_ms - SLACK_MS <= at_ms <= visit.arrived_latest_ms + SLACK_MS


def _lost_words(job: Job, words: Sequence[Word]) -> Iterable[str]:
    told = {(entry.state, int(entry.at)) for entry in job.log if entry.source in ("technician", "dispatcher")}
    for word in words:
        if (word.to, word.at_ms) not in told:
            yield f"the word {word.to} of {word.by} is not in the log"


def _wrong_log(job: Job, truth: Truth, words: Sequence[Word], visits: Sequence[LoggedVisit]) -> Iterable[str]:
    expected = expected_log(truth, words)
    found = _essential(job.log)
    states = {entry.state for entry in found}
    if found and any(entry.source == "technician" for entry in found[:2]):
        # Somebody said what they did before positions could tell how they came: no need to tell that any more.
        expected = [each for each in expected if each[0] in states or each[1] != "automatic"]
    if truth.arrived_ms is not None and truth.departed_ms is None:
        found = found[: len(expected)]  # the day ended there: when it was left cannot be known
    if [entry.state for entry in found] != [state for state, _, _ in expected]:
        yield f"{[(entry.state, entry.source) for entry in found]} instead of {[each[:2] for each in expected]}"
        return
    for entry, (state, source, at_ms) in zip(found, expected, strict=True):
        if (entry.source == "automatic") != (source == "automatic"):
            yield f"{state} is {entry.source}, not {source}"
        elif not _is_right(entry, at_ms, visits):
            yield f"{state} is {(entry.at - at_ms) / 1000:+.0f} s off"


def _essential(log: Sequence[LogEntry]) -> list[LogEntry]:
    """What follows the creation; of an end that positions told and a person confirmed, the person's word."""
    entries = [entry for entry in log if entry.state not in ("created", "scheduled")]
    return [
        entry
        for entry, following in itertools.zip_longest(entries, entries[1:])
        if following is None or following.state != entry.state or entry.source != "automatic"
    ]


def _is_right(entry: LogEntry, at_ms: int, visits: Sequence[LoggedVisit]) -> bool:
    """Whether an entry is at the true moment, as far as the interval of the visit that it follows from can tell.

    By the estimates a place may be left a little after the next is reached: then it counts as left on arrival there.
    """
    if entry.source != "automatic":
        return entry.at == at_ms
    if entry.state == "on_site":
        return any(visit.arrived_ms == entry.at and _arrived_at(visit, at_ms) for visit in visits)
    return any(
        visit.departed_ms is not None and 0 <= visit.departed_ms - entry.at <= SLACK_MS and _left_at(visit, at_ms)
        for visit in visits
    )


def expected_log(truth: Truth, words: Sequence[Word]) -> list[tuple[str, str, int]]:
    """(state, source, moment) of what follows the creation."""
    events: list[tuple[int, int, str, str]] = [(word.at_ms, 1, word.to, word.by) for word in words]
    if truth.arrived_ms is not None and truth.logs_itself:
        left_ms = truth.left_before_ms
        if left_ms is not None and truth.arrived_ms - left_ms <= LONGEST_LEG_MS:
            events.append((left_ms, 0, "en_route", "automatic"))
        events.append((truth.arrived_ms, 0, "on_site", "automatic"))
        is_completed = any(word.to == "completed" for word in words)
        if truth.departed_ms is not None and not is_completed:
            events.append((truth.departed_ms, 0, "completed", "automatic"))
    return [(state, source, at_ms) for at_ms, _, state, source in sorted(events)]

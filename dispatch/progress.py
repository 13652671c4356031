"""The log of a job: what people said, and between it what positions tell; in whatever order that came, the same log.

A word is never undone: every one is in the log, and after it only what happened later moves the job on. One exception
helps those who speak late: whoever says "scheduled", "dispatched" or "en route" of a job where somebody has arrived
meanwhile does not take it back from there, unless that is known as they say it.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

import msgspec

from dispatch.lifecycle import BEFORE_ARRIVAL, Lifecycle, Step
from dispatch.rules import DispatchRules
from schemas.job import Approach, Evidence, JobRecord, LogEntry, Word
from schemas.times import Instant

_REASONS: Final[dict[Step, str]] = {"leaving": "on_the_way", "arriving": "arrived", "departing": "departed"}
"""Of the entries that follow; in the order in which steps of the same moment come."""


_ORDER: Final = {step: number for number, step in enumerate(_REASONS)}


Sighted = tuple[Evidence, Approach]


@dataclass(frozen=True)
class Stay:
    """Somebody is at the job's place, one or several devices one after the other or together, with short absences.

    ``first`` is who arrived, ``last`` who left; ``departed_ms`` None: still there.
    """

    first: Sighted
    last: Sighted
    arrived_ms: Instant
    departed_ms: Instant | None


@dataclass(frozen=True)
class _Told:
    """What positions tell."""

    at_ms: Instant
    step: Step
    evidence: Evidence
    approach: Approach


def stays_of(evidence: Iterable[Evidence], return_within_s: float) -> list[Stay]:
    """The times in which somebody was there, in order; absences of up to ``return_within_s`` count as there."""
    there = [(each, approach) for each in evidence for approach in each.approaches if approach.arrived_ms is not None]
    there.sort(key=lambda sighted: (sighted[1].arrived_ms, sighted[0].device_id))
    stays: list[Stay] = []
    for sighted in there:
        arrived_ms, departed_ms = sighted[1].arrived_ms, sighted[1].departed_ms
        assert arrived_ms is not None
        before = stays[-1] if stays else None
        if before is None or _until(before.departed_ms) + 1000 * return_within_s < arrived_ms:
            stays.append(Stay(sighted, sighted, arrived_ms, departed_ms))
        elif _until(departed_ms) > _until(before.departed_ms):
            stays[-1] = replace(before, last=sighted, departed_ms=departed_ms)
    return stays


def _until(departed_ms: int | None) -> float:
    return math.inf if departed_ms is None else departed_ms


def job_log(record: JobRecord, lifecycle: Lifecycle, rules: DispatchRules) -> list[LogEntry]:
    """The log of a job from its words and the evidence, in the order of what happened.

    An entry that was in the log before keeps the moment at which it was recorded.
    """
    recorded = {(entry.state, entry.at): entry.recorded_at for entry in record.log if entry.source == "automatic"}
    moving = [each for each in record.evidence if each.moves]
    told = deque(
        sorted(_told(moving, rules), key=lambda each: (each.at_ms, _ORDER[each.step], each.evidence.device_id))
    )
    log: list[LogEntry] = []
    for position_ms, word in _in_time(record.words):
        while told and told[0].at_ms < position_ms:
            _follow(log, told.popleft(), lifecycle, rules, recorded)
        _say(log, word, lifecycle)
    for each in told:
        _follow(log, each, lifecycle, rules, recorded)
    return log


def _told(evidence: Sequence[Evidence], rules: DispatchRules) -> list[_Told]:
    told: list[_Told] = []
    for stay in stays_of(evidence, rules.return_within_s):
        left_ms = stay.first[1].left_ms
        if left_ms is not None:
            told.append(_Told(left_ms, "leaving", *stay.first))
        told.append(_Told(stay.arrived_ms, "arriving", *stay.first))
        if stay.departed_ms is not None:
            told.append(_Told(stay.departed_ms, "departing", *stay.last))
    told += [
        _Told(approach.left_ms, "leaving", each, approach)
        for each in evidence
        for approach in each.approaches
        if approach.arrived_ms is None and approach.left_ms is not None
    ]
    return told


def _in_time(words: Sequence[Word]) -> list[tuple[float, Word]]:
    """The words in the order of what they tell; what was said at the creation comes before everything."""
    created_ms = words[0].recorded_at
    positions_ms = [
        -math.inf if word.recorded_at == created_ms and word.state in ("created", "scheduled") else float(word.at)
        for word in words
    ]
    return sorted(zip(positions_ms, words, strict=True), key=itemgetter(0))


def _say(log: list[LogEntry], word: Word, lifecycle: Lifecycle) -> None:
    """Put a word into the log: at its end, before an arrival that it lags behind, or in the place of an automatic end.

    Who says that a job is done, not knowing that positions have just told so, tells better when it was.
    """
    entry = word.entry()
    if not log or log[-1].source != "automatic":
        log.append(entry)
        return
    if log[-1].state == word.state != word.from_state and lifecycle.is_over(word.state):
        log.pop()
    if _is_forward(word, lifecycle):
        behind = len(log)
        while behind and log[behind - 1].source == "automatic" and _is_ahead(log[behind - 1], word, lifecycle):
            behind -= 1
        if log[behind:] and log[-1].state == "on_site":
            log.insert(behind, entry)
            return
    log.append(entry)


def _is_forward(word: Word, lifecycle: Lifecycle) -> bool:
    """Whether it was said of a job that stood before that state, on its way to the place."""
    origin, target = lifecycle.like(word.from_state), lifecycle.like(word.state)
    if origin not in BEFORE_ARRIVAL or target not in BEFORE_ARRIVAL:
        return False
    return BEFORE_ARRIVAL.index(origin) < BEFORE_ARRIVAL.index(target)


def _is_ahead(entry: LogEntry, word: Word, lifecycle: Lifecycle) -> bool:
    state, said = lifecycle.like(entry.state), lifecycle.like(word.state)
    return state == "on_site" or (state == "en_route" and said != "en_route")


def _follow(
    log: list[LogEntry],
    told: _Told,
    lifecycle: Lifecycle,
    rules: DispatchRules,
    recorded: Mapping[tuple[str, Instant], Instant],
) -> None:
    """Move the job on, where positions do from the state it is in."""
    if not log or not lifecycle.follows(log[-1].state, told.step):
        return
    if told.step == "departing" and rules.on_leaving == "nothing":
        return
    state = {"leaving": "en_route", "arriving": "on_site", "departing": rules.on_leaving}[told.step]
    recorded_at = recorded.get((state, told.at_ms), told.evidence.recorded_at)
    log.append(
        LogEntry(
            state,
            told.at_ms,
            recorded_at,
            "automatic",
            told.evidence.device_id,
            _REASONS[told.step],
            visit_id=told.approach.visit_id,
        )
    )


def measured(record: JobRecord) -> JobRecord:
    """The record with the times that its visits and its log come to.

    ``travel_s`` is all ways to the place, ``on_site_s`` the time in which somebody was there, ``waiting_s`` the part of
    it before work began: at the first ``in_progress``, else at the beginning of the promised window.
    """
    approaches = [each for evidence in record.evidence for each in evidence.approaches]
    legs_s = [
        (each.arrived_ms - each.left_ms) / 1000
        for each in approaches
        if each.left_ms is not None and each.arrived_ms is not None
    ]
    spans = sorted(
        (each.arrived_ms, each.departed_ms or each.arrived_ms + round(1000 * each.on_site_s))
        for each in approaches
        if each.arrived_ms is not None
    )
    return msgspec.structs.replace(
        record,
        travel_s=sum(legs_s) if legs_s else None,
        on_site_s=_covered_s(spans) if spans else None,
        waiting_s=_waiting_s(record, spans) if spans else None,
        visit_ids=sorted({each.visit_id for each in approaches if each.visit_id is not None}),
    )


def _covered_s(spans: Sequence[tuple[int, int]], until_ms: float = math.inf) -> float:
    """How long at least one of the spans, in their order, lasts up to a moment."""
    covered_ms, reached_ms = 0.0, -math.inf
    for start_ms, end_ms in spans:
        covered_ms += max(0.0, min(end_ms, until_ms) - max(start_ms, reached_ms))
        reached_ms = max(reached_ms, end_ms)
    return covered_ms / 1000


def _waiting_s(record: JobRecord, spans: Sequence[tuple[int, int]]) -> float:
    begun = [int(entry.at) for entry in record.log if entry.state == "in_progress"]
    if begun:
        return _covered_s(spans, min(begun))
    return 0.0 if record.window_from_ms is None else _covered_s(spans, record.window_from_ms)

"""Which of a device's visits is for which job, and where it is heading: the evidence that moves jobs on. Pure.

Visits are taken in the order of arrival; each goes to the job that is most likely meant, of those that are its
technician's at that time and at that fence. What later visits or a person's word change is found by doing it all again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from dispatch.lifecycle import Lifecycle
from dispatch.rules import DispatchRules
from schemas.job import Approach, Assignment, Evidence, JobRecord
from schemas.times import Instant
from schemas.visit import Visit, VisitState

_RANKS: Final = {"emergency": 0, "high": 1, "normal": 2, "low": 3}


class Candidate(msgspec.Struct, frozen=True):
    """A job as far as visits are concerned.

    ``over_ms`` is when a person said that nothing more is to happen, ``ended_ms`` when positions did; ``visit_ids`` are
    those that it has.
    """

    job_id: str
    fence_id: str | None
    lat: float | None
    lon: float | None
    window_from_ms: int | None
    window_to_ms: int | None
    priority: str
    created_ms: int
    assignments: tuple[Assignment, ...]
    over_ms: int | None = None
    ended_ms: int | None = None
    visit_ids: frozenset[str] = frozenset()

    def is_of(self, technician_id: str, at_ms: int) -> bool:
        """Whether the job was this technician's at a moment."""
        return any(
            each.technician_id == technician_id
            and (each.from_ms is None or each.from_ms <= at_ms)
            and (each.to_ms is None or at_ms < each.to_ms)
            for each in self.assignments
        )


def candidate_of(record: JobRecord, lifecycle: Lifecycle) -> Candidate:
    """What of a job's record visits are held against."""
    said, last = max(record.words, key=lambda word: word.at), record.log[-1]
    is_over = lifecycle.is_over(record.state)
    return Candidate(
        record.job_id,
        record.fence_id,
        record.lat,
        record.lon,
        record.window_from_ms,
        record.window_to_ms,
        record.priority,
        record.created_at,
        tuple(record.assignments),
        said.at if lifecycle.is_over(said.state) else None,
        last.at if is_over and last.source == "automatic" else None,
        frozenset(record.visit_ids),
    )


class Stop(msgspec.Struct, frozen=True, array_like=True):
    """A visit as far as jobs are concerned, in its revision; ``departed_ms`` is None while it lasts."""

    visit_id: str
    fence_id: str
    state: VisitState
    revision: int
    arrived_ms: int
    departed_ms: int | None
    on_site_s: float

    @property
    def is_believed(self) -> bool:
        """Whether it has lasted long enough, and was not taken back."""
        return self.state in ("confirmed", "closed")


def stop_of(visit: Visit) -> Stop:
    """What of a visit matters to jobs."""
    departed_ms = None if visit.departed_ms is None else int(visit.departed_ms)
    arrived_ms = int(visit.arrived_ms)
    return Stop(visit.visit_id, visit.fence_id, visit.state, visit.revision, arrived_ms, departed_ms, visit.on_site_s)


@dataclass(frozen=True)
class Part:
    """A part of a stop, up to where a person said that its job was done and the next one began."""

    stop: Stop
    from_ms: int
    to_ms: int | None
    job_id: str | None


def parts_of(
    stops: Sequence[Stop], technician_id: str, candidates: Iterable[Candidate], rules: DispatchRules
) -> list[Part]:
    """All stops of one device, in the order of arrival, each with the job that it, or a part of it, is for."""
    at_fence: dict[str, list[Candidate]] = {}
    for each in candidates:
        if each.fence_id is not None:
            at_fence.setdefault(each.fence_id, []).append(each)
    known = frozenset(stop.visit_id for stop in stops)
    left: dict[str, int] = {}
    parts: list[Part] = []
    for stop in sorted(stops, key=lambda stop: (stop.arrived_ms, stop.visit_id)):
        from_ms = stop.arrived_ms
        there = [each for each in at_fence.get(stop.fence_id, ()) if not _is_past(each, stop, known, rules)]
        while True:
            job = _meant(there, technician_id, stop, from_ms, left, rules)
            to_ms = stop.departed_ms
            if job is not None and job.over_ms is not None and (to_ms is None or job.over_ms < to_ms):
                following = {**left, job.job_id: job.over_ms}
                if _meant(there, technician_id, stop, job.over_ms, following, rules) is not None:
                    to_ms = job.over_ms
            parts.append(Part(stop, from_ms, to_ms, None if job is None else job.job_id))
            if job is not None and to_ms is not None:
                left[job.job_id] = to_ms
            if to_ms is None or to_ms == stop.departed_ms:
                break
            from_ms = to_ms
    return parts


def _is_past(job: Candidate, stop: Stop, known: frozenset[str], rules: DispatchRules) -> bool:
    """Whether a job had ended, by visits that are not remembered any more, when this stop began."""
    ended_ms = job.ended_ms
    return (
        ended_ms is not None
        and stop.arrived_ms > ended_ms + 1000 * rules.return_within_s
        and not (job.visit_ids & known)
    )


def _meant(
    there: Sequence[Candidate],
    technician_id: str,
    stop: Stop,
    from_ms: int,
    left: Mapping[str, int],
    rules: DispatchRules,
) -> Candidate | None:
    """The job that a stop is for from a moment on; None where it is for none.

    ``left`` says when the jobs of earlier stops were left.
    """
    to_ms = stop.departed_ms or max(from_ms, stop.arrived_ms + round(1000 * stop.on_site_s))

    def is_back(job: Candidate) -> bool:
        return job.job_id in left and from_ms - left[job.job_id] <= 1000 * rules.return_within_s

    def is_likely(job: Candidate) -> bool:
        if not job.is_of(technician_id, from_ms) or (job.over_ms is not None and from_ms >= job.over_ms):
            return False
        if job.job_id in left and rules.on_leaving == "completed" and not is_back(job):
            return False
        is_late = job.window_to_ms is not None and from_ms > job.window_to_ms
        return _away_s(job, from_ms, to_ms) <= (rules.late_s if is_late else rules.early_s)

    def preference(job: Candidate) -> tuple[object, ...]:
        due_ms = job.created_ms if job.window_from_ms is None else job.window_from_ms
        away_s = _away_s(job, from_ms, to_ms)
        was_there = job.job_id in left
        return (not is_back(job), was_there, away_s, _RANKS[job.priority], due_ms, job.created_ms, job.job_id)

    return min(filter(is_likely, there), key=preference, default=None)


def _away_s(job: Candidate, from_ms: int, to_ms: int) -> float:
    """How far a span lies from the job's window, seconds; 0 where they meet, or there is none."""
    before = 0.0 if job.window_to_ms is None else (from_ms - job.window_to_ms) / 1000
    after = 0.0 if job.window_from_ms is None else (job.window_from_ms - to_ms) / 1000
    return max(0.0, before, after)


def evidence_of(parts: Sequence[Part], heading: "Heading | None", rules: DispatchRules) -> dict[str, list[Approach]]:
    """What a device's rounds say of each job that they concern.

    ``parts`` are in order; the place that was left before one is that of the part before it. Of a heading counts what
    follows the last stop, once that is left.
    """
    found: dict[str, list[Approach]] = {}
    left_ms: int | None = None
    for part in parts:
        is_first = part.from_ms == part.stop.arrived_ms
        if part.job_id is not None:
            is_leg = is_first and left_ms is not None and 0 <= part.from_ms - left_ms <= 1000 * rules.longest_leg_s
            approach = Approach(
                Instant(left_ms) if is_leg and left_ms is not None else None,
                part.stop.visit_id,
                Instant(part.from_ms),
                None if part.to_ms is None else Instant(part.to_ms),
                _stayed_s(part),
            )
            found.setdefault(part.job_id, []).append(approach)
        if part.to_ms is not None and (left_ms is None or part.to_ms > left_ms):
            left_ms = part.to_ms
    last = parts[-1] if parts else None
    if heading is not None and last is not None and last.stop.visit_id == heading.after and last.to_ms is not None:
        found.setdefault(heading.job_id, []).append(Approach(Instant(last.to_ms)))
    return found


def _stayed_s(part: Part) -> float:
    if part.to_ms is not None:
        return float(part.to_ms - part.from_ms) / 1000
    began_s = (part.from_ms - part.stop.arrived_ms) / 1000
    return max(0.0, part.stop.on_site_s - began_s)


class Heading(msgspec.Struct, frozen=True, array_like=True):
    """Under way to a job ``after`` a visit."""

    job_id: str
    after: str


class DeviceRounds(msgspec.Struct, omit_defaults=True):
    """What is remembered of a device's rounds: its stops of the last days, where it is going, what was told of it.

    ``place`` (lat, lon) is where it was met first at the visit that it is, or last was, on.
    """

    device_id: str
    stops: dict[str, Stop] = {}
    place: tuple[float, float] | None = None
    heading: Heading | None = None
    told: dict[str, Evidence] = {}

    def hear(self, stop: Stop) -> bool:
        """A revision of a visit; whether it is news."""
        known = self.stops.get(stop.visit_id)
        if known is not None and known.revision >= stop.revision:
            return False
        self.stops[stop.visit_id] = stop
        return True

    @property
    def last(self) -> Stop | None:
        """The stop that it is, or last was, on."""
        believed = (stop for stop in self.stops.values() if stop.is_believed)
        return max(believed, key=lambda stop: (stop.arrived_ms, stop.visit_id), default=None)

    def forget_before(self, oldest_ms: int) -> None:
        """Let go of stops that ended before, and of what was told of them: it stays as it is."""
        gone = {key for key, stop in self.stops.items() if (stop.departed_ms or stop.arrived_ms) < oldest_ms}
        if gone:
            self.stops = {key: stop for key, stop in self.stops.items() if key not in gone}
            self.told = {
                job_id: evidence
                for job_id, evidence in self.told.items()
                if not any(approach.visit_id in gone for approach in evidence.approaches)
            }

    def news(
        self,
        technician_id: str,
        candidates: Iterable[Candidate],
        rules: DispatchRules,
        *,
        moves: bool,
        now_ms: Instant,
    ) -> list[tuple[str, Evidence]]:
        """What has to be told of jobs (job_id, evidence), and counts as told from here on."""
        believed = [stop for stop in self.stops.values() if stop.is_believed]
        found = evidence_of(parts_of(believed, technician_id, candidates, rules), self.heading, rules)
        news = []
        for job_id in sorted(found.keys() | self.told.keys()):
            evidence = Evidence(self.device_id, technician_id, found.get(job_id, []), now_ms, moves)
            if not evidence.says_the_same_as(self.told.get(job_id)):
                news.append((job_id, evidence))
        told = self.told | dict(news)
        self.told = {job_id: evidence for job_id, evidence in told.items() if evidence.approaches}
        return news

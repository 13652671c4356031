"""Which of a device's visits is for which job, and where it is heading: the evidence that moves jobs on. Pure.

Of the visits and the jobs at a fence those belong together that fit best: a visit within the promised window, of a
technician who has the job at that time. What later visits or a person's word change is found by doing it all again.
"""

import bisect
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from dispatch.erased import ErasedSpans
from dispatch.lifecycle import Lifecycle
from dispatch.rules import DispatchRules
from schemas.job import Approach, Assignment, Evidence, JobRecord
from schemas.times import Instant
from schemas.visit import Visit, VisitState

OVERLAP_MS: Final = 120_000
"""A place is left before the next is reached; by the estimates so much later, at most."""

BRIEF: Final = 0.25
"""Of the estimate of a job: a stop shorter than that part is for it only where there is no other."""

USUAL_S: Final = 1_200.0
"""The estimate of a job that has none."""

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
    duration_s: float | None = None
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
        record.duration_s,
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
    stops: Sequence[Stop],
    technician_id: str,
    candidates: Iterable[Candidate],
    rules: DispatchRules,
    areas: Collection[str] = (),
) -> list[Part]:
    """All stops of one device, in the order of arrival, each with the job that it, or a part of it, is for.

    At each fence the stops and jobs that fit best are put together first. ``areas`` are fences that other places lie
    in: to be there is not to be elsewhere.
    """
    at_fence: dict[str, list[Candidate]] = {}
    for each in candidates:
        if each.fence_id is not None:
            at_fence.setdefault(each.fence_id, []).append(each)
    in_order = sorted(stops, key=lambda stop: (stop.arrived_ms, stop.visit_id))
    parts: list[Part] = []
    for fence_id in {stop.fence_id for stop in in_order}:
        matching = _Matching(fence_id, in_order, at_fence.get(fence_id, []), technician_id, rules, areas)
        parts += matching.parts()
    return sorted(parts, key=lambda part: (part.from_ms, part.stop.visit_id))


class _Matching:
    """Of the stops at one fence with the jobs there. ``stops`` are all of the device, in order."""

    def __init__(
        self,
        fence_id: str,
        stops: Sequence[Stop],
        jobs: Sequence[Candidate],
        technician_id: str,
        rules: DispatchRules,
        areas: Collection[str],
    ) -> None:
        self._jobs = jobs
        self._technician_id = technician_id
        self._known = frozenset(stop.visit_id for stop in stops)
        self._rules = rules
        self._elsewhere_ms = [
            stop.arrived_ms for stop in stops if stop.fence_id != fence_id and stop.fence_id not in areas
        ]
        self._parts = [
            Part(stop, stop.arrived_ms, stop.departed_ms, None) for stop in stops if stop.fence_id == fence_id
        ]

    def parts(self) -> list[Part]:
        """The stops, each with its job; where a person ended that and another follows, in two."""
        while True:
            matched = self._matched()
            cut = next((number for number, part in enumerate(matched) if self._goes_on(matched, part)), None)
            if cut is None:
                return matched
            part, over_ms = self._parts[cut], self._job(matched[cut]).over_ms
            assert over_ms is not None
            self._parts[cut : cut + 1] = [replace(part, to_ms=over_ms), replace(part, from_ms=over_ms)]

    def _job(self, part: Part) -> Candidate:
        return next(job for job in self._jobs if job.job_id == part.job_id)

    def _goes_on(self, matched: Sequence[Part], part: Part) -> bool:
        """Whether the job of a part was ended during it, and there is another that the rest may be for."""
        if part.job_id is None:
            return False
        over_ms = self._job(part).over_ms
        if over_ms is None or (part.to_ms is not None and over_ms >= part.to_ms):
            return False
        taken = {each.job_id for each in matched}
        rest = replace(part, from_ms=over_ms)
        return any(job.job_id not in taken and self._away_s(job, rest) is not None for job in self._jobs)

    def _matched(self) -> list[Part]:
        """Those that fit best first; then who comes back, and at last who comes again."""
        pairs = [
            (
                away_s,
                _is_brief(part, job),
                part.from_ms,
                _RANKS[job.priority],
                _due_ms(job),
                job.created_ms,
                job.job_id,
                number,
            )
            for number, part in enumerate(self._parts)
            for job in self._jobs
            if (away_s := self._away_s(job, part)) is not None
        ]
        back = self._back()
        job_of: dict[int, str] = {}
        for *_, job_id, number in sorted(pairs):
            first = back.get(number, number)
            if first not in job_of and job_id not in job_of.values():
                job_of[first] = job_id
        job_of |= {number: job_of[first] for number, first in back.items() if first in job_of}
        if self._rules.on_leaving != "completed":
            for *_, job_id, number in sorted(pairs):
                job_of.setdefault(number, job_id)
        return [replace(part, job_id=job_of.get(number)) for number, part in enumerate(self._parts)]

    def _back(self) -> dict[int, int]:
        """Of each stop that came soon after another, with nothing between, the first of these that are one."""
        back: dict[int, int] = {}
        for number, (before, part) in enumerate(itertools.pairwise(self._parts), 1):
            if before.to_ms is None or before.stop.visit_id == part.stop.visit_id:
                continue
            is_soon = part.from_ms - before.to_ms <= 1000 * self._rules.return_within_s
            if is_soon and not self._was_elsewhere(before.to_ms, part.from_ms):
                back[number] = back.get(number - 1, number - 1)
        return back

    def _was_elsewhere(self, from_ms: int, to_ms: int) -> bool:
        return bisect.bisect_right(self._elsewhere_ms, from_ms) < bisect.bisect_left(self._elsewhere_ms, to_ms)

    def _away_s(self, job: Candidate, part: Part) -> float | None:
        """How far a part lies from the window of a job that it may be for, seconds; None where it cannot be."""
        from_ms, stop = part.from_ms, part.stop
        if not job.is_of(self._technician_id, from_ms) or (job.over_ms is not None and from_ms >= job.over_ms):
            return None
        ended_ms = job.ended_ms
        is_past = ended_ms is not None and from_ms > ended_ms + 1000 * self._rules.return_within_s
        if is_past and not job.visit_ids & self._known:
            return None  # ended by visits that are not remembered any more
        to_ms = part.to_ms or max(from_ms, stop.arrived_ms + round(1000 * stop.on_site_s))
        late_s = 0.0 if job.window_to_ms is None else (from_ms - job.window_to_ms) / 1000
        early_s = 0.0 if job.window_from_ms is None else (job.window_from_ms - to_ms) / 1000
        if late_s > self._rules.late_s or early_s > self._rules.early_s:
            return None
        return max(0.0, late_s, early_s)


def _is_brief(part: Part, job: Candidate) -> bool:
    """Whether nobody would have done the job in that time; nobody knows of a stop that lasts."""
    usual_s = USUAL_S if job.duration_s is None else job.duration_s
    return part.to_ms is not None and part.to_ms - part.from_ms < 1000 * BRIEF * usual_s


def _due_ms(job: Candidate) -> int:
    return job.created_ms if job.window_from_ms is None else job.window_from_ms


def evidence_of(
    parts: Sequence[Part], heading: "Heading | None", rules: DispatchRules, areas: Collection[str] = ()
) -> dict[str, list[Approach]]:
    """What a device's rounds say of each job that they concern.

    ``parts`` are in order. The place that was left before one is the last that was by its arrival, of those that are no
    ``areas``, which one does not leave for the next place. Of a heading counts what follows the last stop, once that is
    left.
    """
    found: dict[str, list[Approach]] = {}
    places = [part for part in parts if part.stop.fence_id not in areas]
    left = sorted(each.to_ms for each in places if each.to_ms is not None)
    for part in parts:
        if part.job_id is not None:
            left_ms = _left_before(part, left, rules)
            approach = Approach(
                None if left_ms is None else Instant(left_ms),
                part.stop.visit_id,
                Instant(part.from_ms),
                None if part.to_ms is None else Instant(part.to_ms),
                _stayed_s(part),
            )
            found.setdefault(part.job_id, []).append(approach)
    if heading is not None and (left_last_ms := _left_after(heading, places)) is not None:
        found.setdefault(heading.job_id, []).append(Approach(Instant(left_last_ms)))
    return found


def _left_after(heading: "Heading", places: Sequence[Part]) -> int | None:
    """When the visit was left after which it is heading for a job; None where it has been elsewhere since."""
    last = places[-1] if places else None
    return last.to_ms if last is not None and last.stop.visit_id == heading.after else None


def _left_before(part: Part, left: Sequence[int], rules: DispatchRules) -> int | None:
    """When the place before was left, of the departures in order; estimates may overlap by a little."""
    if part.from_ms != part.stop.arrived_ms:
        return None
    by = bisect.bisect_right(left, part.from_ms + OVERLAP_MS)
    while by and part.to_ms is not None and left[by - 1] >= part.to_ms:
        by -= 1
    if not by:
        return None
    left_ms = min(left[by - 1], part.from_ms)
    return left_ms if part.from_ms - left_ms <= 1000 * rules.longest_leg_s else None


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

    def last(self, areas: Collection[str] = ()) -> Stop | None:
        """The stop that it is, or last was, on, ``areas`` left aside."""
        believed = (stop for stop in self.stops.values() if stop.is_believed and stop.fence_id not in areas)
        return max(believed, key=lambda stop: (stop.arrived_ms, stop.visit_id), default=None)

    def under_way(self, areas: Collection[str] = ()) -> str | None:
        """The job that it is heading for, since it has left the stop that it was last on."""
        last = self.last(areas)
        if last is None or self.heading is None or last.departed_ms is None or last.visit_id != self.heading.after:
            return None
        return self.heading.job_id

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

    def forget_erased(self, spans: ErasedSpans) -> bool:
        """Let go of stops that were erased, and of what was told of that time; whether there was anything."""
        gone = {key for key, stop in self.stops.items() if spans.covers(self.device_id, stop.arrived_ms)}
        told = {
            job_id: evidence
            for job_id, evidence in self.told.items()
            if not any(spans.covers(self.device_id, _moment_of(each)) for each in evidence.approaches)
        }
        if not gone and len(told) == len(self.told):
            return False
        last = self.last()
        if last is None or last.visit_id in gone:
            self.place = self.heading = None
        self.stops = {key: stop for key, stop in self.stops.items() if key not in gone}
        self.told = told
        return True

    def news(
        self,
        technician_id: str,
        candidates: Iterable[Candidate],
        rules: DispatchRules,
        *,
        moves: bool,
        now_ms: Instant,
        areas: Collection[str] = (),
    ) -> list[tuple[str, Evidence]]:
        """What has to be told of jobs (job_id, evidence), and counts as told from here on.

        What was told while another held the device stays as it is: their visits say nothing of this one's jobs.
        """
        believed = [stop for stop in self.stops.values() if stop.is_believed]
        parts = parts_of(believed, technician_id, candidates, rules, areas)
        places = [part for part in parts if part.stop.fence_id not in areas]
        heading = self.heading if self.heading is not None and _left_after(self.heading, places) is not None else None
        found = evidence_of(parts, heading, rules, areas)
        news = []
        of_others = {job_id for job_id, told in self.told.items() if told.technician_id != technician_id}
        for job_id in sorted(found.keys() | (self.told.keys() - of_others)):
            evidence = Evidence(self.device_id, technician_id, found.get(job_id, []), now_ms, moves)
            if not evidence.says_the_same_as(self.told.get(job_id)):
                news.append((job_id, evidence))
        told = self.told | dict(news)
        self.told = {job_id: evidence for job_id, evidence in told.items() if evidence.approaches}
        return news


def _moment_of(approach: Approach) -> int:
    """When somebody arrived, or left for the place."""
    moment = approach.left_ms if approach.arrived_ms is None else approach.arrived_ms
    return 0 if moment is None else int(moment)

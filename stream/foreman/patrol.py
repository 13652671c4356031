"""The rounds of the devices of a partition: visits and live states in, news for jobs out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from dispatch.erased import ErasedSpans
from dispatch.heading import headed_for, planned_at
from dispatch.rounds import DeviceRounds, Heading, stop_of
from dispatch.rules import DispatchRules
from schemas.job import Evidence
from schemas.times import Instant
from schemas.visit import Visit
from stream.foreman.crew import Crew

REMEMBERED_MS: Final = 10 * 86_400_000
"""Longer than the tracker keeps its log, so that what late fixes change there still finds its job."""


class Sighting(msgspec.Struct, rename={"ts_ms": "ts"}):
    """Of a live state what matters here."""

    device_id: str
    ts_ms: Instant
    lat: float
    lon: float
    open_visits: list[str]


class Patrol:
    """``rounds`` by device. What it gives as news counts as told; ``changed`` are the devices to be written anew."""

    def __init__(self, crew: Crew, rules: DispatchRules, rounds: Mapping[str, DeviceRounds] | None = None) -> None:
        self.rounds = dict(rounds or {})
        self.changed: set[str] = set()
        self._crew = crew
        self._rules = rules
        self._there: dict[str, bool] = {}

    def hear(self, visits: Iterable[Visit]) -> set[str]:
        """Revisions of visits; the devices of which they say something new."""
        news: set[str] = set()
        for visit in visits:
            rounds = self.rounds.get(visit.device_id)
            if rounds is None:
                rounds = self.rounds[visit.device_id] = DeviceRounds(visit.device_id)
            if rounds.hear(stop_of(visit)):
                news.add(visit.device_id)
        self.changed |= news
        return news

    def see(self, sightings: Sequence[Sighting]) -> set[str]:
        """Live states; the devices that turn out to be heading elsewhere than was known."""
        newest = {sighting.device_id: sighting for sighting in sightings}
        return {device_id for device_id, sighting in newest.items() if self._see(sighting)}

    def _see(self, sighting: Sighting) -> bool:
        rounds = self.rounds.get(sighting.device_id)
        if rounds is None:
            return False
        is_there, was_there = bool(sighting.open_visits), self._there.get(sighting.device_id, False)
        self._there[sighting.device_id] = is_there
        if is_there:
            if not was_there:
                rounds.place = sighting.lat, sighting.lon
                self.changed.add(sighting.device_id)
            return False
        technician_id = self._crew.technician_of(sighting.device_id)
        jobs = self._crew.jobs_of(technician_id)
        if not jobs:
            return False
        last = rounds.last(self._crew.areas)
        if last is None or last.departed_ms is None or rounds.place is None:
            return False
        if not 0 < sighting.ts_ms - last.departed_ms <= 1000 * self._rules.longest_leg_s:
            return False
        planned = planned_at(jobs, technician_id, sighting.ts_ms, self._rules)
        job = headed_for(rounds.place, (sighting.lat, sighting.lon), planned)
        if job is None:
            return False
        heading = Heading(job.job_id, last.visit_id)
        if heading == rounds.heading:
            return False
        rounds.heading = heading
        self.changed.add(sighting.device_id)
        return True

    def forget_erased(self, spans: ErasedSpans) -> list[str]:
        """Let go of what was erased; the devices of which nothing is left."""
        touched = {device_id for device_id, rounds in self.rounds.items() if rounds.forget_erased(spans)}
        gone = sorted(device_id for device_id in touched if not self.rounds[device_id].stops)
        for device_id in gone:
            del self.rounds[device_id]
        self.changed = (self.changed | touched) - set(gone)
        return gone

    def news_of(self, device_id: str, now_ms: Instant) -> list[tuple[str, Evidence]]:
        """What is to be told of jobs (job_id, evidence) because of a device; empty where it is another's."""
        rounds = self.rounds.get(device_id)
        if rounds is None:
            return []
        rounds.forget_before(now_ms - REMEMBERED_MS)
        technician_id = self._crew.technician_of(device_id)
        news = rounds.news(
            technician_id,
            self._crew.jobs_of(technician_id),
            self._rules,
            moves=self._crew.moves_jobs(technician_id),
            now_ms=now_ms,
            areas=self._crew.areas,
        )
        if news:
            self.changed.add(device_id)
        return news

    def under_way(self, device_id: str) -> str | None:
        """The job that a device is heading for."""
        rounds = self.rounds.get(device_id)
        return None if rounds is None else rounds.under_way(self._crew.areas)

    def take_changed(self) -> list[DeviceRounds]:
        """The rounds to be written, once."""
        changed, self.changed = self.changed, set()
        return [self.rounds[device_id] for device_id in sorted(changed)]

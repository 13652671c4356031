"""Days of a whole company: branches, technicians, their jobs, what people say of them in between, and the truth.

On the ground are the rounds of ``simulator.day``; here is what an office makes of them. Each true stop is a job that
somebody planned, more or less well: some are planned in another order than they are done, some were first given to
another technician, some come in during the day, two technicians ride together, some jobs nobody ever gets to. People
say things of some jobs, at once or, where a phone was offline, later. ``Truth`` is what is to be in the log.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from schemas.ping import Ping
from simulator.day import DAY_STARTS_MS, Day, DaySpec, Job, Rounds, build_rounds, drive_bys
from simulator.phones import Noise, PingColumns, record
from simulator.plane import Plane
from simulator.town import Town, TownSpec, build_town
from simulator.truth import Fences, Span

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000

CLEAR_NOISE: Final = Noise(far_indoor_bias_m=6.0, leaps=0.0, coarse=0.0, cached=0.0, stale_rate=0.0, sleeps=0.1)
"""Phones that err, go silent and upload late, but tell nothing that cannot be told from the truth."""

Speaker = Literal["technician", "dispatcher"]


@dataclass(frozen=True)
class Word:
    """Somebody says that the job ``to`` a state ``at_ms``; it is sent at ``sent_ms``."""

    job_id: str
    to: str
    at_ms: int
    sent_ms: int
    by: Speaker


@dataclass(frozen=True)
class Change:
    """The office gives a job to other technicians."""

    job_id: str
    sent_ms: int
    technician_ids: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """A job as it is handed in at ``sent_ms``, by the contract's names."""

    job_id: str
    sent_ms: int
    fields: dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """What happened: everyone's stay there, if there was any, and whether it moves the job on by itself."""

    job_id: str
    technician_ids: tuple[str, ...]
    fence_id: str
    set_off_ms: int | None = None
    left_before_ms: int | None = None
    """When the visit before ended, at whatever fence; None: there was none that day."""
    arrived_ms: int | None = None
    departed_ms: int | None = None
    logs_itself: bool = True


@dataclass(frozen=True)
class CompanySpec:
    """The same spec gives the same days."""

    branches: tuple[str, ...] = ("north", "south", "west")
    technicians: int = 40
    days: int = 3
    hours: float = 8.0
    seed: int = 1
    start_ms: int = DAY_STARTS_MS
    noise: Noise = CLEAR_NOISE
    errands: float = 0.4
    """Share of the stops for which there is no job."""


@dataclass(frozen=True, eq=False)
class Company:
    """Everything about it; ``events`` and ``deliveries`` are in the order of time."""

    spec: CompanySpec
    fences: dict[str, Any]
    technicians: list[dict[str, Any]]
    orders: list[Order]
    words: list[Word]
    changes: list[Change]
    truths: dict[str, Truth]
    days: list[Day] = field(default_factory=list)

    @property
    def end_ms(self) -> int:
        """The moment after the last delivery."""
        return max(day.end_ms for day in self.days)

    def deliveries(self) -> Iterator[tuple[int, list[Ping]]]:
        """(delivered_ms, pings of one device) of all days."""
        return heapq.merge(*(day.deliveries() for day in self.days), key=lambda delivery: delivery[0])

    def events(self) -> list[Order | Word | Change]:
        """What people do, in the order in which it is sent."""
        return sorted([*self.orders, *self.changes, *self.words], key=lambda event: event.sent_ms)


def build_company(spec: CompanySpec) -> Company:
    """Simulate the days of ``spec``."""
    company = Company(spec, {"type": "FeatureCollection", "features": []}, [], [], [], [], {})
    for number, branch in enumerate(spec.branches):
        staff = spec.technicians // len(spec.branches) + (number < spec.technicians % len(spec.branches))
        _Branch(company, branch, number, staff).build()
    return company


class _Branch:
    """One branch in its town; adds itself to the company."""

    def __init__(self, company: Company, name: str, number: int, staff: int) -> None:
        self._company = company
        self._name = name
        self._spec = company.spec
        self._rng = np.random.default_rng([company.spec.seed, number])
        self._number = number
        self._staff = staff

    def build(self) -> None:
        town_spec = TownSpec(sites=8 * self._staff, depots=2, zones=2, adjoining=0.0, facing=0.0)
        town = build_town(
            town_spec, np.random.default_rng([self._spec.seed, 1, self._number]), Plane(50.0 + self._number, 9.0)
        )
        for feature in town.feature_collection()["features"]:
            name = self._own(feature["id"])
            properties = {**feature["properties"], "fence_id": name, "branch": self._name}
            self._company.fences["features"].append({**feature, "id": name, "properties": properties})
        for number in range(self._staff):
            auto = {"auto_logging": False} if number == self._staff - 1 else {}
            technician_id = self._technician(number)
            self._company.technicians.append(
                {
                    "technician_id": technician_id,
                    "name": technician_id,
                    "branch": self._name,
                    "device_ids": [self._device(number)],
                    **auto,
                }
            )
        for day in range(self._spec.days):
            self._build_day(town, Fences(town.sites), day)

    def _build_day(self, town: Town, fences: Fences, number: int) -> None:
        start_ms = self._spec.start_ms + number * DAY_MS
        spec = DaySpec(
            technicians=self._staff,
            hours=self._spec.hours,
            seed=10_000 * self._spec.seed + 100 * self._number + number,
            noise=self._spec.noise,
            start_ms=start_ms,
        )
        rides = [build_rounds(spec, town, fences, technician) for technician in range(self._staff)]
        rides[1] = replace(rides[0], jobs=[])  # the second rides along with the first
        columns = [
            record(
                technician,
                ride.track,
                drive_bys(ride),
                town.plane,
                spec.noise,
                np.random.default_rng([spec.seed, 2, technician]),
            )
            for technician, ride in enumerate(rides)
        ]
        pings = PingColumns.concat(columns)
        order = np.lexsort((pings.device, pings.delivered_ms))
        devices = tuple(self._device(technician) for technician in range(self._staff))
        spans = [
            replace(span, device_id=self._device(technician), fence_id=self._own(span.fence_id))
            for technician, ride in enumerate(rides)
            for span in ride.spans
        ]
        self._company.days.append(Day(spec, town, devices, [], spans, pings.take(order)))
        for technician, ride in enumerate(rides):
            self._plan(technician, ride, number, start_ms, {site.fence_id for site in town.of_kind("zone")})
        self._plan_in_vain(town, rides, number, start_ms)

    def _plan(self, technician: int, ride: Rounds, day: int, start_ms: int, zones: set[str]) -> None:
        """The jobs of one technician's day, and what is said of them."""
        stops = [
            (job, set_off_ms, span)
            for job, set_off_ms in zip(ride.jobs, ride.set_off_ms, strict=False)
            if (span := _stay_of(job, set_off_ms, ride.spans))
        ]
        windows = [(job.window_from_ms, job.window_to_ms) for job, _, _ in stops]
        for swapped in range(0, len(windows) - 1, 3):
            if self._rng.random() < 0.3 and stops[swapped][0].fence_id != stops[swapped + 1][0].fence_id:
                windows[swapped], windows[swapped + 1] = windows[swapped + 1], windows[swapped]
        whose = (self._technician(0), self._technician(1)) if technician == 0 else (self._technician(technician),)
        auto = technician != self._staff - 1
        for place, ((job, set_off_ms, span), window) in enumerate(zip(stops, windows, strict=True)):
            # Of two stops at a site with one job nobody could tell which was for it.
            is_only_stop = sum(other.fence_id == span.fence_id for _, _, other in stops) == 1
            if self._rng.random() < self._spec.errands and is_only_stop:
                continue
            job_id = f"{self._name}-{day + 1}-{technician + 1:02d}-{place + 1:02d}"
            end_ms = start_ms + round(self._spec.hours * 3_600_000)
            if span.departed_ms is not None and span.departed_ms > end_ms - 10 * MINUTE_MS:
                span = replace(span, departed_ms=None)  # the phone may be put away before it tells
            left_ms = _left_before(span, [each for each in ride.spans if each.fence_id not in zones])
            self._company.truths[job_id] = Truth(
                job_id, whose, self._own(span.fence_id), set_off_ms, left_ms, span.arrived_ms, span.departed_ms, auto
            )
            self._order(job_id, job, window, whose, start_ms, set_off_ms)
            self._speak(job_id, span, auto)

    def _order(
        self,
        job_id: str,
        job: Job,
        window: tuple[int, int],
        whose: tuple[str, ...],
        start_ms: int,
        set_off_ms: int,
    ) -> None:
        """Hand the job in before the day, or shortly before it is begun; perhaps for another technician at first."""
        sent_ms = start_ms - 300 * MINUTE_MS
        at_first = whose
        chance = self._rng.random()
        if chance < 0.05:
            sent_ms = max(sent_ms, set_off_ms - int(self._rng.integers(20, 60)) * MINUTE_MS)
        elif chance < 0.10:
            at_first = (self._technician(int(self._rng.integers(2, self._staff - 1))),)
            self._company.changes.append(Change(job_id, start_ms - 60 * MINUTE_MS, whose))
        fields = {
            "title": job.title,
            "branch": self._name,
            "fence_id": self._own(job.fence_id),
            "window_from": window[0],
            "window_to": window[1],
            "duration_s": float(job.duration_s),
            "priority": "emergency" if chance < 0.02 else job.priority,
            "technician_ids": list(at_first),
        }
        self._company.orders.append(Order(job_id, sent_ms, fields))

    def _speak(self, job_id: str, span: Span, auto: bool) -> None:
        """What the technician says on site, for one job in four; for all where nothing logs itself."""
        departed_ms = span.departed_ms
        if (
            departed_ms is None
            or (auto and self._rng.random() > 0.25)
            or departed_ms - span.arrived_ms < 10 * MINUTE_MS
        ):
            return
        offline_ms = int(self._rng.integers(30, 240)) * MINUTE_MS if self._rng.random() < 0.3 else 0
        said = [] if auto else [("on_site", span.arrived_ms + MINUTE_MS)]
        said += [("in_progress", span.arrived_ms + 4 * MINUTE_MS), ("completed", departed_ms - 2 * MINUTE_MS)]
        for to, at_ms in said:
            self._company.words.append(Word(job_id, to, at_ms, at_ms + offline_ms, "technician"))

    def _plan_in_vain(self, town: Town, rides: list[Rounds], day: int, start_ms: int) -> None:
        """Jobs nobody gets to: some are cancelled, some rejected, the rest wait."""
        visited = {span.fence_id for ride in rides for span in ride.spans}
        unvisited = [site for site in town.of_kind("site") if site.fence_id not in visited]
        for number, site in enumerate(unvisited[: self._staff // 2]):
            job_id = f"{self._name}-{day + 1}-vain-{number + 1:02d}"
            whose = (self._technician(2 + number % (self._staff - 3)),)
            fence_id = self._own(site.fence_id)
            from_ms = start_ms + int(self._rng.integers(1, 6)) * 60 * MINUTE_MS
            fields = {
                "title": f"Service at {site.name}",
                "branch": self._name,
                "fence_id": fence_id,
                "window_from": from_ms,
                "window_to": from_ms + 120 * MINUTE_MS,
                "duration_s": 1_800.0,
                "technician_ids": list(whose),
            }
            self._company.orders.append(Order(job_id, start_ms - 300 * MINUTE_MS, fields))
            self._company.truths[job_id] = Truth(job_id, whose, fence_id)
            if number % 3:
                to, by = (("cancelled", "dispatcher"), ("rejected", "technician"))[number % 3 - 1]
                at_ms = from_ms - 20 * MINUTE_MS
                self._company.words.append(Word(job_id, to, at_ms, at_ms, by))  # type: ignore[arg-type]

    def _own(self, fence_id: str) -> str:
        return f"{self._name}-{fence_id}"

    def _technician(self, number: int) -> str:
        return f"{self._name}-t{number + 1:02d}"

    def _device(self, number: int) -> str:
        return f"{self._name}-phone{number + 1:02d}"


def _stay_of(job: Job, set_off_ms: int, spans: list[Span]) -> Span | None:
    """The visit to which somebody set off; None where there was none that anyone could tell."""
    after = [
        span
        for span in spans
        if span.kind == "visit" and span.fence_id == job.fence_id and span.arrived_ms >= set_off_ms
    ]
    return min(after, key=lambda span: span.arrived_ms, default=None)


def _left_before(stay: Span, spans: list[Span]) -> int | None:
    """When the visit before was left."""
    left = [
        span.departed_ms
        for span in spans
        if span.kind == "visit" and span.departed_ms is not None and span.departed_ms <= stay.arrived_ms
    ]
    return max(left, default=None)

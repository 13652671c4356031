"""A labelled working day: a town, technicians on their rounds, what their phones deliver, and the truth."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from schemas.ping import Ping
from simulator.movement import Motion, Track
from simulator.phones import Noise, PingColumns, Window, record
from simulator.plane import Plane
from simulator.roads import RoadNetwork
from simulator.town import Site, Town, TownSpec, build_town
from simulator.truth import Fences, Span, spans_of

DAY_STARTS_MS: Final = 1_772_434_800_000
"""2026-03-02 07:00 UTC, a Monday."""

_UTC_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class DaySpec:
    """How many people work how long, where, with which phones. The same spec gives the same day."""

    technicians: int = 20
    hours: float = 8.0
    seed: int = 1
    town: TownSpec | None = None
    """None: as many sites as the technicians need."""
    noise: Noise = field(default_factory=Noise)
    start_ms: int = DAY_STARTS_MS

    def __post_init__(self) -> None:
        if self.technicians < 1 or not 0.1 <= self.hours <= 24.0:
            raise ValueError("a day needs at least one technician and 0.1 to 24 hours")


@dataclass(frozen=True)
class Job:
    """A job as the office planned it: the fields of the contract that are known beforehand."""

    job_id: str
    title: str
    customer_id: str
    fence_id: str
    lat: float
    lon: float
    window_from_ms: int
    window_to_ms: int
    duration_s: int
    priority: str
    technician_ids: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rounds:
    """One technician's day as it truly was. ``set_off_ms`` tells when the way to each of the jobs began."""

    device_id: str
    track: Track
    jobs: list[Job]
    set_off_ms: list[int]
    spans: list[Span]


@dataclass(frozen=True, eq=False)
class Day:
    """All of it. ``pings`` are in the order of delivery, every copy; ``spans`` is the truth."""

    spec: DaySpec
    town: Town
    devices: tuple[str, ...]
    jobs: list[Job]
    spans: list[Span]
    pings: PingColumns

    @property
    def end_ms(self) -> int:
        """The moment after the last delivery."""
        return int(self.pings.delivered_ms[-1]) + 1 if len(self.pings) else self.spec.start_ms

    @property
    def visits(self) -> list[Span]:
        """The true visits."""
        return [span for span in self.spans if span.kind == "visit"]

    @property
    def distinct_pings(self) -> int:
        """Identities among the copies."""
        columns = self.pings
        order = np.lexsort((columns.lon, columns.lat, columns.ts_ms, columns.device))
        keys = np.array([column[order] for column in (columns.device, columns.ts_ms, columns.lat, columns.lon)])
        return int(np.any(np.diff(keys, axis=1) != 0, axis=0).sum()) + 1 if len(columns) else 0

    def shifted(self, by_ms: int) -> "Day":
        """The same day at another time."""
        columns = self.pings
        return replace(
            self,
            spec=replace(self.spec, start_ms=self.spec.start_ms + by_ms),
            jobs=[
                replace(job, window_from_ms=job.window_from_ms + by_ms, window_to_ms=job.window_to_ms + by_ms)
                for job in self.jobs
            ],
            spans=[
                replace(
                    span,
                    arrived_ms=span.arrived_ms + by_ms,
                    departed_ms=None if span.departed_ms is None else span.departed_ms + by_ms,
                )
                for span in self.spans
            ],
            pings=replace(
                columns,
                ts_ms=columns.ts_ms + by_ms,
                sent_ms=columns.sent_ms + by_ms,
                delivered_ms=columns.delivered_ms + by_ms,
            ),
        )

    def fences(self) -> dict[str, Any]:
        """The fences as a GeoJSON FeatureCollection."""
        return self.town.feature_collection()

    def deliveries(self) -> Iterator[tuple[int, list[Ping]]]:
        """(delivered_ms, pings of one device), in order of time: one request of one phone each."""
        columns = self.pings
        cuts = np.flatnonzero((np.diff(columns.delivered_ms) != 0) | (np.diff(columns.device) != 0)) + 1
        edges = [0, *cuts.tolist(), len(columns)] if len(columns) else []
        for start, end in itertools.pairwise(edges):
            yield int(columns.delivered_ms[start]), self._pings(start, end)

    def _pings(self, start: int, end: int) -> list[Ping]:
        columns, rows = self.pings, slice(start, end)
        texts = [self.devices[device] for device in columns.device[rows].tolist()]
        return [
            Ping(device_id, ts_ms, lat, lon, accuracy_m, speed_mps, bearing_deg, None, battery, sent_ms)
            for device_id, ts_ms, lat, lon, accuracy_m, speed_mps, bearing_deg, battery, sent_ms in zip(
                texts,
                columns.ts_ms[rows].tolist(),
                columns.lat[rows].tolist(),
                columns.lon[rows].tolist(),
                _stated(columns.accuracy_m[rows]),
                _stated(columns.speed_mps[rows]),
                _stated(columns.bearing_deg[rows]),
                columns.battery[rows].tolist(),
                columns.sent_ms[rows].tolist(),
                strict=True,
            )
        ]


def _stated(values: np.ndarray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def build_day(
    spec: DaySpec,
    plane: Plane | None = None,
    roads: RoadNetwork | None = None,
    on_technician: Callable[[], object] = lambda: None,
) -> Day:
    """Simulate the day of ``spec``, on the road network given or in a town of its own.

    ``on_technician`` is called after each one, for a progress bar.
    """
    town_spec = spec.town or TownSpec(sites=max(80, 5 * spec.technicians), zones=3 + spec.technicians // 20)
    town = build_town(town_spec, np.random.default_rng([spec.seed, 0]), plane, roads)
    fences = Fences(town.sites)
    days, pings = [], []
    for number in range(spec.technicians):
        rounds = build_rounds(spec, town, fences, number)
        rng = np.random.default_rng([spec.seed, 2, number])
        pings.append(record(number, rounds.track, drive_bys(rounds), town.plane, spec.noise, rng))
        days.append(rounds)
        on_technician()
    columns = PingColumns.concat(pings)
    order = np.lexsort((columns.device, columns.delivered_ms))
    return Day(
        spec,
        town,
        tuple(rounds.device_id for rounds in days),
        [job for rounds in days for job in rounds.jobs],
        [span for rounds in days for span in rounds.spans],
        columns.take(order),
    )


def drive_bys(rounds: Rounds) -> list[Window]:
    """Passes of the fences beside the road, in seconds of the track."""
    start_ms = rounds.track.start_ms
    return [
        ((span.arrived_ms - start_ms) / 1000.0, (span.departed_ms - start_ms) / 1000.0)
        for span in rounds.spans
        if span.kind == "pass" and span.departed_ms is not None
    ]


def build_rounds(spec: DaySpec, town: Town, fences: Fences, number: int) -> Rounds:
    """One technician: the depot, site after site near home with now and then a break or a short errand, the depot."""
    rng = np.random.default_rng([spec.seed, 1, number])
    device_id, length_s = f"tech-{number + 1:04d}", spec.hours * 3600.0
    depots, sites = town.of_kind("depot"), (*town.of_kind("site"), *town.of_kind("corridor"))
    depot = depots[number % len(depots)]
    chance = _nearness(depot, sites) * rng.exponential(1.0, len(sites))
    late_s = rng.uniform(0.0, min(900.0, length_s / 20.0))
    motion = Motion(rng)
    motion.stop_at(depot, rng.uniform(0.3, 1.0) * min(1_500.0, length_s / 8.0))
    start_ms = spec.start_ms + round(late_s) * 1000
    end_s = length_s - late_s
    haste = float(rng.uniform(0.85, 1.1))
    jobs: list[Job] = []
    set_off_ms: list[int] = []
    here = depot
    while motion.now_s < end_s:
        going_home = end_s - motion.now_s < 1_500.0 and here is not depot
        target = depot if going_home else sites[int(rng.choice(len(sites), p=chance / chance.sum()))]
        route = town.roads.route(here.spot, target.spot)
        if route is None or target is here:
            chance = np.where([site is target for site in sites], chance * 0.01, chance)
            continue
        hour = (start_ms % (24 * _UTC_HOUR_MS)) / _UTC_HOUR_MS + motion.now_s / 3600.0
        planned_ms = start_ms + round(motion.now_s) * 1000
        motion.drive(route.from_door_to_door(here.van, target.van), hour, haste)
        if target is depot:
            motion.stop_at(depot, max(end_s - motion.now_s, 300.0) + 60.0)
            break
        errand = rng.random() < 0.06
        stay_s = (
            rng.uniform(20.0, 60.0)
            if errand
            else float(np.clip(rng.lognormal(math.log(1_300.0), 0.8), 200.0, 10_800.0))
        )
        if not errand:
            set_off_ms.append(planned_ms)
            jobs.append(
                _job(f"job-{number + 1:04d}-{len(jobs) + 1:02d}", device_id, target, town, planned_ms, stay_s, rng)
            )
        motion.stop_at(target, stay_s)
        here = target
        chance = np.where([site is target for site in sites], chance * 0.05, chance)
    track = motion.track(start_ms, end_s)
    return Rounds(device_id, track, jobs, set_off_ms, spans_of(device_id, track, fences))


def _nearness(depot: Site, sites: tuple[Site, ...]) -> np.ndarray:
    """How likely a technician from there works at each site: a neighbourhood of a few kilometres."""
    away_m = np.array([math.hypot(*(site.van - depot.van)) for site in sites])
    return np.exp(-away_m / 1_500.0) + 1e-6


def _job(
    job_id: str, device_id: str, site: Site, town: Town, about_ms: int, stay_s: float, rng: np.random.Generator
) -> Job:
    lat, lon = town.plane.to_degrees(site.van[0], site.van[1])
    from_ms = (about_ms - round(rng.uniform(0.0, 1_800_000.0))) // 900_000 * 900_000
    return Job(
        job_id=job_id,
        title=f"Service at {site.name}",
        customer_id=f"customer-{site.fence_id}",
        fence_id=site.fence_id,
        lat=float(lat),
        lon=float(lon),
        window_from_ms=from_ms,
        window_to_ms=from_ms + 7_200_000,
        duration_s=max(300, round(stay_s * rng.uniform(0.7, 1.3) / 300.0) * 300),
        priority=("normal", "normal", "high", "low")[int(rng.integers(4))],
        technician_ids=(device_id,),
    )

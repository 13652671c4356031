"""ETAs and their windows on past trips, in the order of time, by road and without a map; how fast that is.

Two fleets drive on the roads of Liechtenstein (``simulator.trips``): one through steady weeks, and one that from the
middle on is slower by a quarter (``drift_…``). The first third of the days is learnt from only; the other trips are
scored, each asked about every 75 s. ``engine`` is OSRM's own time for the same ways, ``straight_line`` Onsite's time
without a map. ``without_map_…`` is the engine on straight lines. ``p80_coverage_worst_bucket`` is that of the bucket
of time left which is farthest from 80 % in either fleet. ``bus_…`` are the sixteen trips of Liverpool's buses, all of
them scored, the first ones too. ``benchmarks/out/eta.png`` shows how often windows of every level held.

``fresh_50k_jobs_cpu_s_per_s`` is what the foreman needs to keep the ETAs of 50,000 technicians with a job each fresh,
who send a fix each 10 s; ``fresh_50k_chained_jobs_cpu_s_per_s`` the same of technicians with eight jobs each.
"""

import csv
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import matplotlib as mpl
import numpy as np

from benchmarks.fresh import cpu_s_per_s
from dispatch.eta.engine import Answers, EtaEngine
from dispatch.eta.queries import Queries
from dispatch.eta.replay import places_of, questions_of, replay
from dispatch.eta.scores import by_horizon, score
from routing.provider import Provider, Ways
from routing.roads.build import build_roads
from routing.roads.network import RoadNetwork
from routing.roads.providers import RoadsInProcess
from routing.straight_line import StraightLine
from schemas import wire
from schemas.times import Instant
from schemas.trip import Destination, Trip, TripPoint
from simulator.roads import read_osm
from simulator.trips import Drift, Fleet

DATA: Final = Path(__file__).resolve().parents[2] / "shared/data"
MAP: Final = DATA / "osm/liechtenstein-latest.osm.pbf"
BUSES: Final = DATA / "bus-liverpool/route14_outbound.csv"
PLOT: Final = Path(__file__).parent / "out/eta.png"
ZONE: Final = ZoneInfo("Europe/Vaduz")
LEVELS: Final = (0.5, 0.65, 0.8, 0.95)
SLOWER: Final = 0.75
BUCKET_TRIPS: Final = 100
"""A bucket with fewer trips says nothing about a coverage."""


class Recorded:
    """Trips with the questions about them, and what two providers take the ways for."""

    def __init__(self, trips: Sequence[Trip], road: Provider) -> None:
        self.trips = trips
        self.arrived_s = np.array([trip.arrived_ms for trip in trips]) / 1000
        self.places = places_of(trips)
        self.straight = StraightLine().ways(*self.places)
        self.road = road.ways(*self.places)
        self.begin_s = float(min(trip.departed_ms for trip in trips)) / 1000

    def told(self, ways: Ways, level: float = 0.8) -> tuple[Queries, Answers]:
        """What is asked, and what the engine says."""
        queries = questions_of(self.trips, self.places, ways.travel_s, ZONE)
        return queries, replay(queries, self.arrived_s, EtaEngine(level))


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` takes fewer days."""
    days = 9 if quick else 30
    with tempfile.TemporaryDirectory() as folder:
        build_roads(MAP, Path(folder), lambda *_: None)
        road = RoadsInProcess(Path(folder))
        plane, network = read_osm(MAP)
        steady = Recorded(list(Fleet(plane, network, seed=11).trips(days)), road)
        drifting = Recorded(list(Fleet(plane, network, seed=12).trips(days, Drift(days * 2 // 3, SLOWER))), road)
        routes = _routes(RoadNetwork(Path(folder)), steady)
    figures, ratios = _scored(steady, days)
    drift_figures, _ = _scored(drifting, days)
    worst = max(
        (figures.pop("worst_bucket"), drift_figures.pop("worst_bucket")), key=lambda coverage: abs(coverage - 0.8)
    )
    _plot(steady, drifting, days)
    buses = Recorded(bus_trips(), StraightLine())
    queries, said = buses.told(buses.straight)
    bus = score(said, buses.straight.travel_s, buses.arrived_s[queries.trip] - queries.ts_s)
    return {
        "figures": figures
        | {"p80_coverage_worst_bucket": worst}
        | {f"drift_{name}": value for name, value in drift_figures.items()}
        | {"bus_mae_min": bus.mae_min, "bus_coverage": bus.coverage}
        | routes
        | {"replayed_trips_per_cpu_s": _replay_rate(steady)}
        | _fresh(quick),
        "anchors": {
            "straight_line_mae_min": figures["mae_min"] / ratios["mae_onsite_vs_straight_line"],
            "engine_mae_min": figures["mae_min"] / ratios["mae_onsite_vs_engine"],
            "bus_straight_line_mae_min": bus.engine_mae_min,
        },
        "ratios": ratios,
    }


def _scored(fleet: Recorded, days: int) -> tuple[dict[str, float], dict[str, float]]:
    """Figures and ratios of the trips after the first third of the days."""
    from_s = fleet.begin_s + days // 3 * 86_400
    queries, said = fleet.told(fleet.road)
    held_out = queries.ts_s >= from_s
    left_s = (fleet.arrived_s[queries.trip] - queries.ts_s)[held_out]
    by_road = score(_of(said, held_out), fleet.road.travel_s[held_out], left_s)
    straight = score(_of(said, held_out), fleet.straight.travel_s[held_out], left_s)
    _, said_straight = fleet.told(fleet.straight)
    without_map = score(_of(said_straight, held_out), fleet.straight.travel_s[held_out], left_s)
    buckets = by_horizon(_of(said, held_out), fleet.road.travel_s[held_out], left_s)
    per_trip = by_road.asked / len(np.unique(queries.trip[held_out]))
    solid = [each for each in buckets.values() if each.asked > BUCKET_TRIPS * per_trip / len(buckets)]
    figures = {
        "held_out_trips": float(len(np.unique(queries.trip[held_out]))),
        "p80_coverage": by_road.coverage,
        "worst_bucket": max((each.coverage for each in solid), key=lambda coverage: abs(coverage - 0.8)),
        "width_min": by_road.width_min,
        "mae_min": by_road.mae_min,
        "bias_min": by_road.bias_min,
        "mape": by_road.mape,
        "without_map_mae_min": without_map.mae_min,
        "without_map_coverage": without_map.coverage,
        "buckets_worse_than_engine": float(sum(each.mae_min > each.engine_mae_min for each in solid)),
    }
    ratios = {
        "mae_onsite_vs_straight_line": by_road.mae_min / straight.engine_mae_min,
        "mae_onsite_vs_engine": by_road.mae_min / by_road.engine_mae_min,
        "without_map_mae_onsite_vs_straight_line": without_map.mae_min / straight.engine_mae_min,
    }
    return figures, ratios


def _routes(network: RoadNetwork, fleet: Recorded) -> dict[str, float]:
    """Road ETAs one by one, as a worker does them."""
    ways = fleet.places[:, :6_000].T.tolist()
    took_s = []
    before_s = time.process_time()
    for way in ways:
        began_s = time.perf_counter()
        network.find([tuple(way)])
        took_s.append(time.perf_counter() - began_s)
    return {
        "routes_per_s": len(ways) / (time.process_time() - before_s),
        "route_p99_ms": float(np.quantile(took_s, 0.99)) * 1000,
    }


def _replay_rate(fleet: Recorded) -> float:
    """Trips a CPU-second of ``onsite eta`` without a map: read, ask, learn."""
    lines = [wire.encode(trip) for trip in fleet.trips]
    before_s = time.process_time()
    trips = [wire.decode(Trip, line) for line in lines]
    places = places_of(trips)
    queries = questions_of(trips, places, StraightLine().ways(*places).travel_s, ZONE)
    replay(queries, np.array([trip.arrived_ms for trip in trips]) / 1000, EtaEngine())
    return len(trips) / (time.process_time() - before_s)


def _fresh(quick: bool) -> dict[str, float]:
    """Of 50,000 jobs; ``quick`` measures a fifth of them."""
    jobs, seconds = (10_000, 45) if quick else (50_000, 45)
    return {
        "fresh_50k_jobs_cpu_s_per_s": cpu_s_per_s(jobs, 1, seconds) * 50_000 / jobs,
        "fresh_50k_chained_jobs_cpu_s_per_s": cpu_s_per_s(jobs, 8, seconds) * 50_000 / jobs,
    }


def _plot(steady: Recorded, drifting: Recorded, days: int) -> None:
    """Promised level against the part of windows that held."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 5))
    axes.plot([0.45, 1], [0.45, 1], color="0.7", linewidth=1)
    for name, fleet in (("steady", steady), (f"slower by {1 - SLOWER:.0%} from two thirds on", drifting)):
        held = []
        for level in LEVELS:
            queries, said = fleet.told(fleet.road, level)
            rows = queries.ts_s >= fleet.begin_s + days // 3 * 86_400
            left_s = (fleet.arrived_s[queries.trip] - queries.ts_s)[rows]
            held.append(score(_of(said, rows), left_s, left_s).coverage)
        axes.plot(LEVELS, held, marker="o", label=name)
    axes.set(xlabel="promised", ylabel="held", title="Windows that held", xlim=(0.45, 1), ylim=(0.45, 1))
    axes.legend()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=120, bbox_inches="tight")
    plt.close(figure)


def bus_trips() -> list[Trip]:
    """Liverpool's route 14, a trip from the first to the last fix of each bus's way, asked about each minute."""
    fixes: dict[tuple[str, str], list[tuple[int, float, float]]] = defaultdict(list)
    with BUSES.open(newline="") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
            place = float(row["latitude"]), float(row["longitude"])
            fixes[row["vehicle_id"], row["trip_id"]].append((round(moment.timestamp() * 1000), *place))
    trips = []
    for (bus, number), way in fixes.items():
        way.sort()
        points: list[TripPoint] = []
        for ts_ms, lat, lon in way[:-1]:
            if not points or ts_ms - points[-1].ts_ms >= 60_000:
                points.append(TripPoint(Instant(ts_ms), lat, lon))
        end = Destination(*way[-1][1:])
        trips.append(Trip(f"{bus}-{number}", bus, Instant(way[0][0]), Instant(way[-1][0]), end, points))
    return trips


def _of(said: Answers, rows: np.ndarray) -> Answers:
    return Answers(said.eta_s[rows], said.from_s[rows], said.to_s[rows])

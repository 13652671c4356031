"""Trips of a fleet: labelled right, the same again with the same seed, slower in the rush and after a drift."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from schemas.trip import Trip
from simulator.roads import read_osm
from simulator.trips import Drift, Fleet

LIECHTENSTEIN = Path(__file__).parents[3] / "shared/data/osm/liechtenstein-latest.osm.pbf"


@cache
def trips(days: int = 3, seed: int = 1, drift: Drift | None = None) -> list[Trip]:
    plane, network = read_osm(LIECHTENSTEIN)
    return list(Fleet(plane, network, vans=4, places=30, seed=seed).trips(days, drift))


def test_the_same_seed_makes_the_same_trips() -> None:
    plane, network = read_osm(LIECHTENSTEIN)
    again = list(Fleet(plane, network, vans=4, places=30, seed=1).trips(1))
    assert again == trips()[: len(again)]
    assert list(Fleet(plane, network, vans=4, places=30, seed=2).trips(1)) != again


def test_a_van_is_on_one_trip_at_a_time_and_begins_where_it_has_ended() -> None:
    by_van: dict[str, list[Trip]] = {}
    for trip in trips():
        by_van.setdefault(trip.device_id, []).append(trip)
    assert len(by_van) == 4
    for mine in by_van.values():
        for before, after in pairwise(mine):
            assert after.departed_ms > before.arrived_ms
    assert len({trip.trip_id for trip in trips()}) == len(trips())
    for trip in trips():
        assert trip.points
        assert trip.departed_ms <= trip.points[0].ts_ms
        assert trip.points[-1].ts_ms < trip.arrived_ms


def test_a_drift_makes_the_same_fleet_slower_from_its_day_on() -> None:
    slow = trips(drift=Drift(1, 0.7))
    usual = trips()
    first_day = [trip for trip in usual if trip.departed_ms < usual[0].departed_ms + 43_200_000]
    assert slow[: len(first_day)] == usual[: len(first_day)]

    def pace(some: list[Trip]) -> float:
        return median(
            (trip.arrived_ms - trip.departed_ms)
            / (abs(trip.points[0].lat - trip.to.lat) + abs(trip.points[0].lon - trip.to.lon) + 1e-3)
            for trip in some
        )

    later = slow[len(first_day) :]
    assert pace(later) / pace(usual[len(first_day) :]) == pytest.approx(1 / 0.7, rel=0.25)

"""Labelled trips of a fleet on a road network: rush hours, drivers who differ, days that differ, and a drift.

The truth is each trip's arrival. Nothing of what makes it is told but where the vans were and when.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from schemas.times import Instant
from schemas.trip import Destination, Trip, TripPoint
from simulator.movement import Motion
from simulator.plane import Floats, Plane
from simulator.roads import RoadNetwork, Spot

FIRST_DAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
_DAY_S: Final = 86_400.0
_BEGIN_S: Final = 7.0 * 3600
_END_S: Final = 18.0 * 3600
_SHORTEST_M: Final = 800.0


@dataclass(frozen=True)
class Drift:
    """From the start of ``day`` (from 0) on, everybody drives at ``pace`` of the speed they had."""

    day: int
    pace: float


@dataclass(frozen=True, eq=False)
class _Place:
    spot: Spot
    xy: Floats


class Fleet:
    """Vans between customers. ``haste`` of each driver, of each day and of each trip multiply."""

    def __init__(self, plane: Plane, network: RoadNetwork, *, vans: int = 12, places: int = 90, seed: int = 1) -> None:
        self._plane = plane
        self._network = network
        self._rng = np.random.default_rng(seed)
        self._haste = np.exp(self._rng.normal(0.0, 0.12, vans))
        self._places = [self._place() for _ in range(places)]
        # Some customers are visited again and again, most of them seldom.
        weight = 1.0 / np.arange(1, places + 1) ** 0.6
        self._chance = weight / weight.sum()

    def trips(self, days: int, drift: Drift | None = None) -> Iterator[Trip]:
        """The trips of so many working days, van by van, day after day."""
        for day in range(days):
            day_haste = float(np.exp(self._rng.normal(0.0, 0.06)))
            if drift is not None and day >= drift.day:
                day_haste *= drift.pace
            for van, haste in enumerate(self._haste):
                yield from self._day_of(van, day, float(haste) * day_haste)

    def _day_of(self, van: int, day: int, haste: float) -> Iterator[Trip]:
        now_s = _BEGIN_S + float(self._rng.uniform(0.0, 3600.0))
        here = self._choose()
        while now_s < _END_S:
            there = self._choose()
            if np.hypot(*(there.xy - here.xy)) < _SHORTEST_M:
                continue
            trip_haste = haste * float(np.exp(self._rng.normal(0.0, 0.07)))
            trip = self._trip(f"van-{van}", day, now_s, here, there, trip_haste)
            here = there
            if trip is None:
                continue
            yield trip
            now_s += (trip.arrived_ms - trip.departed_ms) / 1000 + float(np.exp(self._rng.normal(7.3, 0.5)))

    def _trip(self, device_id: str, day: int, start_s: float, here: _Place, there: _Place, haste: float) -> Trip | None:
        route = self._network.route(here.spot, there.spot)
        if route is None:
            return None
        motion = Motion(self._rng)
        motion.drive(route, start_s / 3600, haste)
        if motion.now_s < 60.0:
            return None
        took_s = motion.now_s + float(self._rng.exponential(40.0))  # a place to park
        asked_s = np.arange(float(self._rng.uniform(0.0, 30.0)), motion.now_s, 75.0)
        seconds, xy = np.concatenate(motion.knots_s), np.vstack(motion.knots_xy)
        lat, lon = self._plane.to_degrees(
            np.interp(asked_s, seconds, xy[:, 0]) + self._rng.normal(0.0, 6.0, len(asked_s)),
            np.interp(asked_s, seconds, xy[:, 1]) + self._rng.normal(0.0, 6.0, len(asked_s)),
        )
        to_lat, to_lon = self._plane.to_degrees(*there.xy)
        departed_ms = round(1000 * (FIRST_DAY.timestamp() + day * _DAY_S + start_s))
        return Trip(
            trip_id=f"{device_id}-{departed_ms // 1000}",
            device_id=device_id,
            departed_ms=Instant(departed_ms),
            arrived_ms=Instant(departed_ms + round(1000 * took_s)),
            to=Destination(float(to_lat), float(to_lon)),
            points=[
                TripPoint(Instant(departed_ms + round(1000 * at_s)), float(each_lat), float(each_lon))
                for at_s, each_lat, each_lon in zip(asked_s, lat, lon, strict=True)
            ],
        )

    def _choose(self) -> _Place:
        return self._places[int(self._rng.choice(len(self._places), p=self._chance))]

    def _place(self) -> _Place:
        """Along some street, longer ones before shorter ones."""
        lengths_m = np.array([street.length_m for street in self._network.streets])
        street = int(self._rng.choice(len(lengths_m), p=lengths_m / lengths_m.sum()))
        along_m = float(self._rng.uniform(0.0, lengths_m[street]))
        return _Place(Spot(street, along_m), self._network.streets[street].point_at(along_m))

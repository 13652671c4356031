"""A road network on the plane and the quickest way through it; read from OpenStreetMap or drawn by ``town``."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.plane import Floats, Plane

_DRIVABLE_MPS: Final = {
    "motorway": 30.0,
    "trunk": 25.0,
    "primary": 18.0,
    "secondary": 16.0,
    "tertiary": 13.0,
    "unclassified": 11.0,
    "residential": 8.0,
    "living_street": 3.0,
    "service": 4.0,
}
"""Classes of ``highway`` that a van uses, with what it drives there; ``_link`` roads count as their class."""


class MapError(ValueError):
    """A map that cannot be used; the message says why."""


@dataclass(frozen=True, eq=False)
class Street:
    """A piece of road between two junctions, drivable both ways. ``shape`` float64[k, 2] runs from ``a`` to ``b``."""

    a: int
    b: int
    shape: Floats
    speed_mps: float
    along_m: Floats
    """Distance from ``a`` of each point of ``shape``."""

    @property
    def length_m(self) -> float:
        """From junction to junction."""
        return float(self.along_m[-1])

    def point_at(self, along_m: float) -> Floats:
        """The point at a distance from ``a``."""
        x = np.interp(along_m, self.along_m, self.shape[:, 0])
        y = np.interp(along_m, self.along_m, self.shape[:, 1])
        return np.array([x, y])

    def direction_at(self, along_m: float) -> Floats:
        """The unit vector of travel from ``a`` to ``b``; beyond an end that at the end."""
        here_m = min(max(along_m, 0.0), self.length_m)
        step = self.point_at(here_m + 2.0) - self.point_at(here_m - 2.0)
        return np.asarray(step / math.hypot(step[0], step[1]))

    def between(self, start_m: float, end_m: float) -> Floats:
        """The shape from one distance to another, backwards where ``end_m`` is the smaller."""
        low, high = min(start_m, end_m), max(start_m, end_m)
        within = self.shape[(self.along_m > low) & (self.along_m < high)]
        cut = np.vstack([self.point_at(low), within, self.point_at(high)])
        return cut if start_m <= end_m else cut[::-1]


@dataclass(frozen=True)
class Spot:
    """A place on a street: ``along_m`` from its junction ``a``."""

    street: int
    along_m: float


@dataclass(frozen=True, eq=False)
class Route:
    """A way to drive: ``points`` float64[k, 2], ``speed_mps`` float64[k-1] a piece, ``junction`` bool[k]."""

    points: Floats
    speed_mps: Floats
    junction: npt.NDArray[np.bool_]

    def from_door_to_door(self, door: Floats, other_door: Floats, speed_mps: float = 3.0) -> "Route":
        """The same way with the bits off the street at both ends: out of the yard, up to the kerb."""
        return Route(
            np.vstack([door, self.points, other_door]),
            np.concatenate([[speed_mps], self.speed_mps, [speed_mps]]),
            np.concatenate([[False], self.junction, [False]]),
        )


def street_of(a: int, b: int, shape: Floats, speed_mps: float) -> Street:
    """A street with its distances."""
    pieces_m = np.hypot(np.diff(shape[:, 0]), np.diff(shape[:, 1]))
    return Street(a, b, shape, speed_mps, np.concatenate([[0.0], np.cumsum(pieces_m)]))


class RoadNetwork:
    """Junctions float64[n, 2] joined by streets; finds the quickest way (A*, Hart et al. 1968)."""

    def __init__(self, junctions: Floats, streets: Sequence[Street]) -> None:
        if not streets:
            raise MapError("a road network needs at least one street")
        self.junctions = junctions
        self.streets = tuple(streets)
        self._top_speed_mps = max(street.speed_mps for street in streets)
        self._position = [(float(x), float(y)) for x, y in junctions]
        self._leaving: list[list[tuple[int, int, float]]] = [[] for _ in range(len(junctions))]
        for index, street in enumerate(streets):
            travel_s = street.length_m / street.speed_mps
            self._leaving[street.a].append((street.b, index, travel_s))
            self._leaving[street.b].append((street.a, index, travel_s))

    def route(self, origin: Spot, target: Spot) -> Route | None:
        """The quickest way between two spots, None where there is none."""
        if origin.street == target.street:
            street = self.streets[origin.street]
            points = street.between(origin.along_m, target.along_m)
            return Route(points, np.full(len(points) - 1, street.speed_mps), np.zeros(len(points), np.bool_))
        hops = self._quickest(origin, target)
        return None if hops is None else self._join(origin, target, hops)

    def _quickest(self, origin: Spot, target: Spot) -> list[tuple[int, int]] | None:
        """The streets to drive in full, each as (street, junction it is entered at), and the last junction."""
        first, last = self.streets[origin.street], self.streets[target.street]
        goal_x, goal_y = (float(value) for value in last.point_at(target.along_m))
        finish_s = {
            last.a: target.along_m / last.speed_mps,
            last.b: (last.length_m - target.along_m) / last.speed_mps,
        }
        done, came_from = -1, dict[int, tuple[int, int]]()
        best_s = {
            first.a: origin.along_m / first.speed_mps,
            first.b: (first.length_m - origin.along_m) / first.speed_mps,
        }
        queue: list[tuple[float, float, int]] = []

        def expect(junction: int, cost_s: float) -> None:
            x, y = self._position[junction]
            heapq.heappush(queue, (cost_s + math.hypot(goal_x - x, goal_y - y) / self._top_speed_mps, cost_s, junction))

        for junction, cost_s in best_s.items():
            expect(junction, cost_s)
        while queue:
            _, cost_s, junction = heapq.heappop(queue)
            if junction == done:
                break
            if cost_s > best_s[junction]:
                continue
            ways = [(following, street, travel_s) for following, street, travel_s in self._leaving[junction]]
            if junction in finish_s:
                ways.append((done, target.street, finish_s[junction]))
            for following, street, travel_s in ways:
                total_s = cost_s + travel_s
                if total_s < best_s.get(following, math.inf):
                    best_s[following] = total_s
                    came_from[following] = (junction, street)
                    if following == done:
                        heapq.heappush(queue, (total_s, total_s, done))
                    else:
                        expect(following, total_s)
        if done not in came_from:
            return None
        hops = []
        junction = done
        while junction in came_from:
            junction, street = came_from[junction]
            hops.append((street, junction))
        return hops[::-1]

    def _join(self, origin: Spot, target: Spot, hops: list[tuple[int, int]]) -> Route:
        first, last = self.streets[origin.street], self.streets[target.street]
        entered = hops[0][1]
        parts = [first.between(origin.along_m, 0.0 if entered == first.a else first.length_m)]
        speeds = [first.speed_mps]
        for index, junction in hops[:-1]:
            street = self.streets[index]
            parts.append(street.shape if junction == street.a else street.shape[::-1])
            speeds.append(street.speed_mps)
        entered = hops[-1][1]
        parts.append(last.between(0.0 if entered == last.a else last.length_m, target.along_m))
        speeds.append(last.speed_mps)
        points = np.vstack([parts[0], *(part[1:] for part in parts[1:])])
        pieces = np.array([len(part) - 1 for part in parts])
        junction_at = np.zeros(len(points), np.bool_)
        junction_at[np.cumsum(pieces)[:-1]] = True
        return Route(points, np.repeat(speeds, pieces), junction_at)


def read_osm(path: Path) -> tuple[Plane, RoadNetwork]:
    """The drivable roads of an ``.osm.pbf`` (extra ``road``), the largest connected part of them.

    Raises MapError where the extra is absent, or the file cannot be read or holds no roads.
    """
    try:
        import osmium
    except ImportError as error:
        raise MapError("reading a map needs osmium: install Onsite with its extra `road`") from error
    ways: list[tuple[float, list[int]]] = []
    place_of: dict[int, tuple[float, float]] = {}
    try:
        ways_only = osmium.filter.EntityFilter(osmium.osm.WAY)
        for way in osmium.FileProcessor(str(path)).with_locations().with_filter(ways_only):
            speed_mps = _DRIVABLE_MPS.get((way.tags.get("highway") or "").removesuffix("_link"))
            nodes = [node for node in getattr(way, "nodes", ()) if node.location.valid()]
            if speed_mps is None or len(nodes) < 2 or way.tags.get("access") in ("no", "private"):
                continue
            ways.append((speed_mps, [node.ref for node in nodes]))
            place_of.update({node.ref: (node.location.lat, node.location.lon) for node in nodes})
    except (OSError, RuntimeError) as error:
        raise MapError(f"{path}: {error}") from error
    if not ways:
        raise MapError(f"{path}: holds no drivable roads")
    places = np.array(list(place_of.values()))
    middle = np.median(places, axis=0)
    plane = Plane(round(float(middle[0]), 4), round(float(middle[1]), 4))
    x_m, y_m = plane.to_metres(places[:, 0], places[:, 1])
    point_of = dict(zip(place_of, np.column_stack([x_m, y_m]), strict=True))
    return plane, largest_part(_network(ways, point_of))


def _network(ways: list[tuple[float, list[int]]], point_of: dict[int, Floats]) -> RoadNetwork:
    """Ways cut at every node that two of them share, or that one of them ends at."""
    uses: dict[int, int] = {}
    for _, nodes in ways:
        for node in (*nodes, nodes[0], nodes[-1]):
            uses[node] = uses.get(node, 0) + 1
    number: dict[int, int] = {}
    streets = []
    for speed_mps, nodes in ways:
        start = 0
        for end in range(1, len(nodes)):
            if uses[nodes[end]] < 2:
                continue
            shape = np.array([point_of[node] for node in nodes[start : end + 1]])
            moved = np.concatenate([[True], np.any(np.diff(shape, axis=0) != 0.0, axis=1)])
            if moved.sum() > 1:
                a = number.setdefault(nodes[start], len(number))
                b = number.setdefault(nodes[end], len(number))
                streets.append(street_of(a, b, shape[moved], speed_mps))
            start = end
    return RoadNetwork(np.array([point_of[node] for node in number]), streets)


def largest_part(network: RoadNetwork) -> RoadNetwork:
    """The junctions that most others can be reached from, with the streets between them."""
    part = np.full(len(network.junctions), -1)
    sizes: list[int] = []
    for seed in range(len(network.junctions)):
        if part[seed] >= 0:
            continue
        waiting, size = [seed], 0
        part[seed] = len(sizes)
        while waiting:
            junction = waiting.pop()
            size += 1
            for following, _, _ in network._leaving[junction]:
                if part[following] < 0:
                    part[following] = len(sizes)
                    waiting.append(following)
        sizes.append(size)
    kept = part == int(np.argmax(sizes))
    number = np.cumsum(kept) - 1
    streets = [
        Street(int(number[street.a]), int(number[street.b]), street.shape, street.speed_mps, street.along_m)
        for street in network.streets
        if kept[street.a]
    ]
    return RoadNetwork(network.junctions[kept], streets)

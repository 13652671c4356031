"""Where the day happens: streets, and the fences that stand along them."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import shapely
from shapely.affinity import rotate, translate

from schemas.fence import FenceKind
from simulator.plane import Floats, Plane
from simulator.roads import RoadNetwork, Spot, Street, largest_part, street_of

_BLOCK_M: Final = 180.0
_MAIN_STREET_MPS: Final = 13.9
_SIDE_STREET_MPS: Final = 8.3
_KERB_M: Final = 3.0
"""How far from a street's middle a van stands."""

_ROAD_HALF_WIDTH_M: Final = 4.5
_SHOPS_IN_A_ROW: Final = 3.5
"""On average: three or four."""


@dataclass(frozen=True)
class TownSpec:
    """What kind of town.

    ``adjoining`` and ``facing`` are the shares of sites that share a wall with the next one and that stand across a
    narrow street from another; ``circles`` the share drawn as a point with a radius.
    """

    sites: int = 120
    depots: int = 2
    zones: int = 3
    corridors: int = 2
    adjoining: float = 0.06
    facing: float = 0.06
    circles: float = 0.08

    def __post_init__(self) -> None:
        if self.sites < 1 or self.depots < 1:
            raise ValueError("a town needs at least one site and one depot")


@dataclass(frozen=True, eq=False)
class Site:
    """A fence and how people use the place.

    ``area`` is the fence's shape on the plane in metres. A van drives to ``spot`` on the street and stands at ``van``
    (a point); people are at ``inside`` float64[k, 2] and, when they step out, at ``around`` float64[m, 2].
    """

    fence_id: str
    name: str
    kind: FenceKind
    area: shapely.Polygon
    spot: Spot
    van: Floats
    inside: Floats
    around: Floats
    radius_m: float | None = None
    centre_line: Floats | None = None
    min_on_site_s: float | None = None
    adjoins: bool = False
    """Shares a wall with another site or stands across a narrow street from one."""


@dataclass(frozen=True, eq=False)
class Town:
    """Streets on a plane and the sites along them."""

    plane: Plane
    roads: RoadNetwork
    sites: tuple[Site, ...]

    def of_kind(self, kind: FenceKind) -> tuple[Site, ...]:
        """The sites of one kind."""
        return tuple(site for site in self.sites if site.kind == kind)

    def feature_collection(self) -> dict[str, Any]:
        """The fences as GeoJSON (contract, "Files and records")."""
        return {"type": "FeatureCollection", "features": [self._feature(site) for site in self.sites]}

    def _feature(self, site: Site) -> dict[str, Any]:
        properties: dict[str, Any] = {"fence_id": site.fence_id, "name": site.name, "kind": site.kind}
        if site.min_on_site_s is not None:
            properties["min_on_site_s"] = site.min_on_site_s
        if site.radius_m is not None:
            properties["radius_m"] = site.radius_m
        geometry: dict[str, Any]
        if site.centre_line is None:
            rings = [site.area.exterior, *site.area.interiors]
            geometry = {"type": "Polygon", "coordinates": [self._positions(np.array(ring.coords)) for ring in rings]}
        elif len(site.centre_line) == 1:
            geometry = {"type": "Point", "coordinates": self._positions(site.centre_line)[0]}
        else:
            geometry = {"type": "LineString", "coordinates": self._positions(site.centre_line)}
        return {"type": "Feature", "id": site.fence_id, "geometry": geometry, "properties": properties}

    def _positions(self, points: Floats) -> list[list[float]]:
        lat, lon = self.plane.to_degrees(points[:, 0], points[:, 1])
        return [[float(east), float(north)] for east, north in zip(lon, lat, strict=True)]


def draw_streets(blocks: int, rng: np.random.Generator) -> RoadNetwork:
    """A town of ``blocks`` x ``blocks``: a bent grid with gaps, main streets every fourth and a few diagonals."""
    side = blocks + 1
    phases = rng.uniform(0.0, 2.0 * math.pi, 4)

    def bend(points: Floats) -> Floats:
        x, y = points[:, 0], points[:, 1]
        east = 45.0 * np.sin(y / 520.0 + phases[0]) + 18.0 * np.sin(y / 170.0 + x / 400.0 + phases[1])
        north = 45.0 * np.sin(x / 480.0 + phases[2]) + 18.0 * np.sin(x / 150.0 - y / 390.0 + phases[3])
        return np.asarray(points + np.column_stack([east, north]))

    column, row = np.meshgrid(np.arange(side), np.arange(side))
    grid = np.column_stack([column.ravel(), row.ravel()]) * _BLOCK_M + rng.normal(0.0, 14.0, (side * side, 2))
    streets = []

    def lay(a: int, b: int, speed_mps: float) -> None:
        steps = np.linspace(0.0, 1.0, 9)[:, None]
        streets.append(street_of(a, b, bend(grid[a] * (1.0 - steps) + grid[b] * steps), speed_mps))

    missing = rng.random((side, side, 2)) < 0.12
    diagonal = rng.random((side, side)) < 0.05
    for j in range(side):
        for i in range(side):
            here = j * side + i
            for along, ahead, lane in ((0, here + 1, j), (1, here + side, i)):
                is_main = lane % 4 == 0
                if (i if along == 0 else j) < blocks and (is_main or not missing[j, i, along]):
                    lay(here, ahead, _MAIN_STREET_MPS if is_main else _SIDE_STREET_MPS)
            if i < blocks and j < blocks and diagonal[j, i]:
                lay(here, here + side + 1, _SIDE_STREET_MPS)
    return largest_part(RoadNetwork(bend(grid), streets))


def build_town(
    spec: TownSpec, rng: np.random.Generator, plane: Plane | None = None, roads: RoadNetwork | None = None
) -> Town:
    """Place the sites of ``spec`` along ``roads``, or along a town drawn large enough for them, at ``plane``.

    Raises ValueError when the streets have no room for that many.
    """
    plane = plane or Plane(47.02, 8.30)
    if roads is None:
        roads = draw_streets(max(12, math.ceil(math.sqrt(spec.sites * 0.9))), rng)
    builder = _Builder(roads, rng)
    for _ in range(spec.depots):
        builder.place(builder.depot)
    placed = 0
    for _ in range(round(spec.adjoining * spec.sites / _SHOPS_IN_A_ROW)):
        placed += builder.place(builder.shops)
    for _ in range(round(spec.facing * spec.sites / 2.0)):
        placed += builder.place(builder.facing_houses)
    while placed < spec.sites:
        placed += builder.place(builder.circle if rng.random() < spec.circles else builder.building)
    for _ in range(spec.corridors):
        builder.place(builder.corridor)
    for _ in range(spec.zones):
        builder.zone()
    return Town(plane, roads, tuple(_named(builder.sites)))


class _Builder:
    """Draws groups of sites at random frontages and keeps those that fit between what is there."""

    _CELL_M: Final = 200.0

    def __init__(self, roads: RoadNetwork, rng: np.random.Generator) -> None:
        self.roads = roads
        self.rng = rng
        self.sites: list[Site] = []
        self._areas: dict[tuple[int, int], list[shapely.Polygon]] = {}
        self._surfaces = [shapely.LineString(street.shape).buffer(_ROAD_HALF_WIDTH_M) for street in roads.streets]
        self._surface_tree = shapely.STRtree(self._surfaces)
        lengths_m = np.array([street.length_m for street in roads.streets])
        slow = np.array([street.speed_mps < 16.0 for street in roads.streets])
        chance = np.where(slow, lengths_m, 0.0)
        self._chance = np.cumsum(chance / chance.sum())

    def place(self, draw: "_Draw") -> int:
        """Try frontages until the group that ``draw`` makes there fits; how many sites that were."""
        for _ in range(2_000):
            index = int(np.searchsorted(self._chance, self.rng.random(), side="right"))
            street = self.roads.streets[min(index, len(self.roads.streets) - 1)]
            if street.length_m < 50.0:
                continue
            along_m = float(self.rng.uniform(14.0, street.length_m - 14.0))
            group, clearance_m = draw(index, street, along_m)
            if group and self._fits(group, clearance_m):
                for site in group:
                    self._occupy(site.area)
                    self.sites.append(site)
                return len(group)
        raise ValueError(
            f"no room for another {draw.__name__} along these streets: ask for fewer sites or a larger map"
        )

    def _cells(self, area: shapely.Polygon, margin_m: float) -> Iterator[tuple[int, int]]:
        low_x, low_y, high_x, high_y = area.bounds
        for i in range(int((low_x - margin_m) // self._CELL_M), int((high_x + margin_m) // self._CELL_M) + 1):
            for j in range(int((low_y - margin_m) // self._CELL_M), int((high_y + margin_m) // self._CELL_M) + 1):
                yield i, j

    def _occupy(self, area: shapely.Polygon) -> None:
        for cell in self._cells(area, 0.0):
            self._areas.setdefault(cell, []).append(area)

    def _fits(self, group: list[Site], clearance_m: float) -> bool:
        for site in group:
            on_road = site.kind == "corridor" or site.radius_m is not None
            if not on_road and len(self._surface_tree.query(site.area, predicate="intersects")):
                return False
            for cell in self._cells(site.area, clearance_m):
                if any(other.distance(site.area) < clearance_m for other in self._areas.get(cell, ())):
                    return False
        return True

    def _frame(self, street: Street, along_m: float, side: float) -> tuple[Floats, Floats, Floats]:
        """The street's middle there, its direction and the direction away from it on one side."""
        forward = street.direction_at(along_m)
        return street.point_at(along_m), forward, side * np.array([-forward[1], forward[0]])

    def _side(self) -> float:
        return 1.0 if self.rng.random() < 0.5 else -1.0

    def _site(
        self,
        area: shapely.Polygon,
        index: int,
        street: Street,
        along_m: float,
        side: float,
        *,
        kind: FenceKind = "site",
        adjoins: bool = False,
        yard: bool = False,
        **rest: Any,
    ) -> Site:
        middle, _, away = self._frame(street, along_m, side)
        inside = self._points_in(area, 24)
        van = inside[0] if yard else middle + away * _KERB_M
        ring = area.buffer(float(self.rng.uniform(6.0, 14.0))).exterior
        around = np.array([ring.interpolate(share, normalized=True).coords[0] for share in self.rng.random(10)])
        return Site("", "", kind, area, Spot(index, along_m), van, inside, around, adjoins=adjoins, **rest)

    def _points_in(self, area: shapely.Polygon, count: int) -> Floats:
        """Where people are inside: half of them by the wall (the desk at the window)."""
        core = area.buffer(-1.0)
        wide = core if not core.is_empty else area
        low_x, low_y, high_x, high_y = wide.bounds
        found: list[Floats] = []
        while len(found) < count:
            drawn = self.rng.uniform((low_x, low_y), (high_x, high_y), (4 * count, 2))
            within = drawn[shapely.contains_xy(wide, drawn[:, 0], drawn[:, 1])]
            if len(found) % 2 == 0 and len(within) > 1:
                walls = area.boundary
                within = within[np.argsort(shapely.distance(shapely.points(within), walls))][: len(within) // 2 + 1]
            found.extend(within[: count // 4])
        return np.array(found[:count])

    def building(self, index: int, street: Street, along_m: float) -> tuple[list[Site], float]:
        """One building or parcel standing alone: a house, a block with a courtyard, an L."""
        side = self._side()
        width_m = float(np.clip(self.rng.lognormal(math.log(22.0), 0.5), 9.0, 90.0))
        depth_m = float(np.clip(self.rng.lognormal(math.log(20.0), 0.45), 9.0, 80.0))
        area = self._footprint(street, along_m, side, width_m, depth_m, float(self.rng.uniform(7.0, 13.0)))
        shape = self.rng.random()
        if shape < 0.2 and min(width_m, depth_m) > 16.0:
            corner = self._footprint(street, along_m + width_m * 0.3, side, width_m * 0.5, depth_m * 0.5, 7.0)
            cut = area.difference(corner)
            area = cut if cut.geom_type == "Polygon" else area
        elif shape < 0.3 and min(width_m, depth_m) > 30.0:
            area = area.difference(area.buffer(-min(width_m, depth_m) * 0.36))
        short = self.rng.random() < 0.1
        site = self._site(area, index, street, along_m, side, min_on_site_s=60.0 if short else None)
        return [site], 30.0

    def _footprint(
        self, street: Street, along_m: float, side: float, width_m: float, depth_m: float, front_m: float
    ) -> shapely.Polygon:
        middle, forward, away = self._frame(street, along_m, side)
        half = forward * width_m / 2.0
        near, far = middle + away * front_m, middle + away * (front_m + depth_m)
        return shapely.Polygon([near - half, near + half, far + half, far - half])

    def shops(self, index: int, street: Street, along_m: float) -> tuple[list[Site], float]:
        """Three or four shops in a row, wall to wall."""
        side, count = self._side(), int(self.rng.integers(3, 5))
        middle, forward, away = self._frame(street, along_m, side)
        widths_m = self.rng.uniform(8.0, 16.0, count)
        front_m, depth_m = float(self.rng.uniform(6.0, 9.0)), float(self.rng.uniform(12.0, 22.0))
        walls_m = np.concatenate([[0.0], np.cumsum(widths_m)]) - widths_m.sum() / 2.0
        group = []
        for left_m, right_m in itertools.pairwise(walls_m):
            corners = [(left_m, front_m), (right_m, front_m), (right_m, front_m + depth_m), (left_m, front_m + depth_m)]
            area = shapely.Polygon([middle + forward * a + away * b for a, b in corners])
            door_m = float(np.clip(along_m + (left_m + right_m) / 2.0, 1.0, street.length_m - 1.0))
            group.append(self._site(area, index, street, door_m, side, adjoins=True))
        return group, 30.0

    def facing_houses(self, index: int, street: Street, along_m: float) -> tuple[list[Site], float]:
        """Two houses across a narrow street from each other."""
        group = []
        for side in (1.0, -1.0):
            width_m, depth_m = self.rng.uniform(10.0, 18.0), self.rng.uniform(9.0, 15.0)
            area = self._footprint(street, along_m, side, width_m, depth_m, float(self.rng.uniform(5.5, 8.0)))
            group.append(self._site(area, index, street, along_m, side, adjoins=True))
        return group, 30.0

    def circle(self, index: int, street: Street, along_m: float) -> tuple[list[Site], float]:
        """A point with a radius, drawn around a building; the street runs through its rim."""
        side = self._side()
        middle, _, away = self._frame(street, along_m, side)
        radius_m = float(round(self.rng.uniform(35.0, 90.0)))
        centre = middle + away * self.rng.uniform(20.0, 30.0)
        area = shapely.Point(centre).buffer(radius_m, quad_segs=64)
        site = self._site(area, index, street, along_m, side, radius_m=radius_m, centre_line=centre[None, :])
        within = shapely.Point(centre).buffer(14.0)
        return [replace(site, inside=self._points_in(within, 24))], 35.0

    def depot(self, index: int, street: Street, along_m: float) -> tuple[list[Site], float]:
        """A yard that vans drive into."""
        side = self._side()
        area = self._footprint(street, along_m, side, self.rng.uniform(60.0, 90.0), self.rng.uniform(60.0, 110.0), 8.0)
        turned = rotate(area, float(self.rng.uniform(-3.0, 3.0)))
        return [self._site(turned, index, street, along_m, side, kind="depot", yard=True)], 40.0

    def corridor(self, index: int, street: Street, along_m: float) -> tuple[list[Site], float]:
        """A stretch of street where a crew works: the line and 12 m to each side."""
        if not 60.0 < along_m < street.length_m - 60.0:
            return [], 0.0
        line = street.between(max(along_m - 80.0, 20.0), min(along_m + 80.0, street.length_m - 20.0))
        area = shapely.LineString(line).buffer(12.0, quad_segs=32)
        side = self._side()
        site = self._site(area, index, street, along_m, side, kind="corridor", radius_m=12.0, centre_line=line)
        return [site], 20.0

    def zone(self) -> None:
        """A quarter of town around a site: other fences lie within it."""
        sites = [site for site in self.sites if site.kind == "site"]
        home = sites[int(self.rng.integers(len(sites)))]
        half_m = float(self.rng.uniform(130.0, 200.0))
        square = shapely.box(-half_m, -half_m * 0.8, half_m, half_m * 0.8)
        turned = rotate(square, float(self.rng.uniform(0.0, 90.0)))
        area = translate(turned, home.area.centroid.x, home.area.centroid.y)
        site = Site("", "", "zone", area, home.spot, home.van, home.inside, home.around, min_on_site_s=300.0)
        self.sites.append(site)


_Draw = Callable[[int, Street, float], tuple[list[Site], float]]
"""Draws a group of sites at a place on a street, with the clearance in metres that the group asks for."""


def _named(sites: list[Site]) -> Iterator[Site]:
    for number, site in enumerate(sites, start=1):
        yield replace(site, fence_id=f"{site.kind}-{number:04d}", name=f"{site.kind.capitalize()} {number}")

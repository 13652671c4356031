"""From GeoJSON geometry to the one primitive: closed rings (even-odd), or paths with a radius.

``SHAPES`` is the place where a kind of geometry is added.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geofence.geodesy import metres_per_degree
from geofence.measures import inradius, ring_area, rings_area
from schemas.fence import FenceError

Positions = npt.NDArray[np.float64]
"""float64[m, 2]: longitude and latitude, degrees."""

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees; longitudes may lie beyond ±180."""

MAX_RADIUS_M: Final = 1_000_000.0
WIDTH_PRECISION: Final = 0.02
CIRCLE_SEGMENTS_A_QUARTER: Final = 16

_FURTHEST: Final = np.array((360.0, 90.0))


@dataclass(frozen=True, eq=False)
class Shape:
    """Where a fence is.

    ``positions`` float64[m, 2] (lon, lat) with longitudes that run on across the antimeridian, so they may lie beyond
    ±180; part ``p`` is ``positions[parts[p]:parts[p + 1]]`` (``parts`` int32). With ``radius_m`` 0 the parts are closed
    rings (outer ones counter-clockwise, holes clockwise) and inside is even-odd; otherwise they are paths (a point is
    a path of one position) and inside is within ``radius_m`` of one. ``box`` is the west, south, east and north of the
    positions.
    """

    positions: Positions
    parts: npt.NDArray[np.int32]
    radius_m: float
    box: Box

    @property
    def bounds(self) -> Box:
        """West, south, east, north of what is inside, degrees."""
        if not self.radius_m:
            return self.box
        west, south, east, north = self.box
        lat_margin = self.radius_m / metres_per_degree(0.0)[1]
        # A degree is shortest where the box comes closest to the equator; there its sides are furthest away.
        nearest_equator = max(0.0, south - lat_margin, -(north + lat_margin))
        lat_margin = self.radius_m / metres_per_degree(nearest_equator)[1]
        south, north = south - lat_margin, north + lat_margin
        lon_degree_m = metres_per_degree(min(90.0, max(abs(south), abs(north))))[0]
        lon_margin = min(180.0, self.radius_m / lon_degree_m) if lon_degree_m > 0.0 else 180.0
        return west - lon_margin, max(-90.0, south), east + lon_margin, min(90.0, north)

    def metric(self) -> tuple[float, float]:
        """Metres per degree of longitude and of latitude at the middle latitude."""
        return metres_per_degree((self.box[1] + self.box[3]) / 2.0)

    def area_m2(self) -> float:
        """Square metres inside, in the metric of the middle latitude."""
        x_m, y_m = self.metric()
        if not self.radius_m:
            return rings_area(self.positions, self.parts) * x_m * y_m
        if len(self.positions) == 1:
            return math.pi * self.radius_m**2
        local = (self.positions - self.positions[0]) * (x_m, y_m)
        paths = [
            shapely.Point(local[start]) if end - start == 1 else shapely.LineString(local[start:end])
            for start, end in pairwise(self.parts)
        ]
        buffered = shapely.buffer(shapely.union_all(paths), self.radius_m, quad_segs=CIRCLE_SEGMENTS_A_QUARTER)
        return float(shapely.area(buffered))

    def width_m(self) -> float:
        """Twice the radius of the largest circle inside, metres; for paths twice their radius."""
        if self.radius_m:
            return 2.0 * self.radius_m
        return 2.0 * inradius((self.positions - self.positions[0]) * self.metric(), self.parts, WIDTH_PRECISION)


def shape_of(geometry: object, radius_m: float | None) -> Shape:
    """The shape of a GeoJSON geometry; raises FenceError that says what is wrong and where."""
    if not isinstance(geometry, dict):
        raise FenceError("has no geometry" if geometry is None else "geometry is not an object")
    kind = geometry.get("type")
    read = SHAPES.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise FenceError(f"geometry type {kind!r} is not one of {', '.join(SHAPES)}")
    return read(geometry.get("coordinates"), radius_m)


def _polygon(coordinates: Any, _radius_m: float | None) -> Shape:
    return _of_polygons([_rings(coordinates, "")])


def _multi_polygon(coordinates: Any, _radius_m: float | None) -> Shape:
    return _of_polygons(
        [_rings(polygon, f"polygon {i}: ") for i, polygon in enumerate(_listed(coordinates, "coordinates"))]
    )


def _point(coordinates: Any, radius_m: float | None) -> Shape:
    return _of_paths([_positions([coordinates], "point")], radius_m)


def _multi_point(coordinates: Any, radius_m: float | None) -> Shape:
    return _of_paths(
        [_positions([point], f"point {i}") for i, point in enumerate(_listed(coordinates, "coordinates"))], radius_m
    )


def _line_string(coordinates: Any, radius_m: float | None) -> Shape:
    return _of_paths([_line(coordinates, "line")], radius_m)


def _multi_line_string(coordinates: Any, radius_m: float | None) -> Shape:
    return _of_paths([_line(line, f"line {i}") for i, line in enumerate(_listed(coordinates, "coordinates"))], radius_m)


SHAPES: Final[dict[str, Callable[[Any, float | None], Shape]]] = {
    "Polygon": _polygon,
    "MultiPolygon": _multi_polygon,
    "Point": _point,
    "MultiPoint": _multi_point,
    "LineString": _line_string,
    "MultiLineString": _multi_line_string,
}
"""How each GeoJSON geometry type becomes a Shape: (coordinates, radius_m) -> Shape."""


def _listed(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise FenceError(f"{what} is not a list")
    if not value:
        raise FenceError(f"{what} is empty")
    return value


def _positions(value: object, what: str) -> Positions:
    """Positions with unwrapped longitudes; an altitude is left out."""
    listed = _listed(value, what)
    try:
        positions = np.array([(position[0], position[1]) for position in listed], np.float64)
    except (TypeError, ValueError, IndexError, KeyError):
        raise FenceError(f"{what} has a position that is not [lon, lat]") from None
    if (np.abs(positions) <= _FURTHEST).all():
        return positions
    lons, lats = positions[:, 0], positions[:, 1]
    bad = ~(np.isfinite(lons) & np.isfinite(lats))
    if bad.any():
        raise FenceError(f"{what} has a position that is not a number, at index {int(np.argmax(bad))}")
    bad = np.abs(lats) > 90.0
    if bad.any():
        raise FenceError(f"{what} has latitude {lats[bad][0]:g}, not within -90..90 (GeoJSON says [lon, lat])")
    raise FenceError(f"{what} has longitude {lons[np.abs(lons) > 360.0][0]:g}, not within -180..180")


def _unwrapped(positions: Positions) -> Positions:
    """The same positions with a step of more than 180 degrees of longitude taken the short way round.

    A step of exactly 360 is kept: that is how an area around a pole, or the whole world, is written.
    """
    lons = positions[:, 0]
    if np.ptp(lons) <= 180.0:
        return positions
    steps = np.diff(lons)
    wraps = np.where((np.abs(steps) > 180.0) & (np.abs(steps) < 360.0), -np.sign(steps), 0.0)
    unwrapped = positions.copy()
    unwrapped[1:, 0] += 360.0 * np.cumsum(wraps)
    return unwrapped


def _rings(coordinates: Any, where: str) -> list[Positions]:
    """The rings of one valid polygon in one run of longitudes, the outer one counter-clockwise, holes clockwise."""
    rings = [_ring(ring, f"{where}ring {i}") for i, ring in enumerate(_listed(coordinates, f"{where}coordinates"))]
    turns = _turns_to_first(rings)
    rings = [_turned(ring, turn, outer=i == 0) for i, (ring, turn) in enumerate(zip(rings, turns, strict=True))]
    polygon = shapely.Polygon(rings[0], rings[1:])
    if not shapely.is_valid(polygon):
        raise FenceError(f"{where}{_why_invalid(polygon)}")
    return rings


def _ring(coordinates: Any, what: str) -> Positions:
    ring = _positions(coordinates, what)
    if len(ring) < 4:
        raise FenceError(f"{what} has {len(ring)} positions; a closed ring has at least 4")
    if ring[0].tolist() != ring[-1].tolist():
        first, last = (f"({lon:g} {lat:g})" for lon, lat in (ring[0], ring[-1]))
        raise FenceError(f"{what} is not closed: it starts at {first} and ends at {last}")
    unwrapped = _unwrapped(ring)
    if unwrapped[0, 0] != unwrapped[-1, 0]:
        raise FenceError(f"{what} runs around a pole; cut it at longitude ±180 and close it along the pole")
    return unwrapped


def _line(coordinates: Any, what: str) -> Positions:
    line = _positions(coordinates, what)
    if len(line) < 2:
        raise FenceError(f"{what} has 1 position; a line has at least 2")
    return _unwrapped(line)


def _turns_to_first(parts: list[Positions]) -> list[int]:
    """By how many whole turns each part must move to lie on the side of the globe of the first one."""
    if len(parts) == 1:
        return [0]
    middles = [float(np.min(part[:, 0]) + np.max(part[:, 0])) / 2.0 for part in parts]
    return [round((middles[0] - middle) / 360.0) for middle in middles]


def _turns(parts: list[Positions]) -> list[int]:
    """As ``_turns_to_first``, for the parts of a whole geometry: beyond ±180 it may only go across the antimeridian."""
    if all(np.min(np.abs(part[:, 0])) > 180.0 for part in parts):
        raise FenceError(f"has longitude {parts[0][0, 0]:g}, not within -180..180")
    return _turns_to_first(parts)


def _moved(positions: Positions, turns: int) -> Positions:
    return positions + np.array((360.0 * turns, 0.0)) if turns else positions


def _turned(ring: Positions, turns: int, outer: bool) -> Positions:
    turned = _moved(ring, turns)
    return turned if (ring_area(turned) > 0.0) == outer else turned[::-1]


def _why_invalid(geometry: shapely.Geometry) -> str:
    reason, _, place = str(shapely.is_valid_reason(geometry)).partition("[")
    return f"{reason.lower()} at lon lat ({place.rstrip(']')})" if place else reason.lower()


def _of_polygons(polygons: list[list[Positions]]) -> Shape:
    turns = _turns([rings[0] for rings in polygons])
    moved = [[_moved(ring, turn) for ring in rings] for rings, turn in zip(polygons, turns, strict=True)]
    if len(moved) > 1:
        moved = _dissolved(moved)
    return _shape([ring for rings in moved for ring in rings], 0.0)


def _dissolved(polygons: list[list[Positions]]) -> list[list[Positions]]:
    """The same polygons, those that share an edge made one (RFC 7946 cuts at the antimeridian); refuses overlaps."""
    parts = shapely.MultiPolygon([shapely.Polygon(rings[0], rings[1:]) for rings in polygons])
    if shapely.is_valid(parts):
        return polygons
    union = shapely.union_all(list(parts.geoms))
    if not math.isclose(union.area, parts.area, rel_tol=1e-9):
        raise FenceError(f"polygons overlap: {_why_invalid(parts)}")
    whole = [union] if union.geom_type == "Polygon" else list(union.geoms)
    return [
        [
            _turned(shapely.get_coordinates(ring), 0, outer=ring is polygon.exterior)
            for ring in (polygon.exterior, *polygon.interiors)
        ]
        for polygon in whole
    ]


def _of_paths(paths: list[Positions], radius_m: float | None) -> Shape:
    if radius_m is None:
        raise FenceError("radius_m is missing; a point or a line needs one")
    if not 0.0 < radius_m <= MAX_RADIUS_M:
        raise FenceError(f"radius_m {radius_m:g} is not within 0..{MAX_RADIUS_M:g}, 0 excluded")
    turns = _turns(paths)
    return _shape([_moved(path, turn) for path, turn in zip(paths, turns, strict=True)], float(radius_m))


def _shape(parts: list[Positions], radius_m: float) -> Shape:
    """Put together, and moved by whole turns so that the middle longitude is within -180..180."""
    positions = np.concatenate(parts)
    west, south = np.min(positions, axis=0).tolist()
    east, north = np.max(positions, axis=0).tolist()
    if east - west > 360.0:
        raise FenceError(f"spans {east - west:g} degrees of longitude, more than 360")
    turn = 360.0 * round((west + east) / 720.0)
    positions[:, 0] -= turn
    ends = np.array([0, *accumulate(len(part) for part in parts)], np.int32)
    return Shape(positions, ends, radius_m, (west - turn, south, east - turn, north))

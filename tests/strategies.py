"""Hypothesis strategies that several test modules draw from."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from hypothesis import strategies as st

from geofence.geodesy import metres_per_degree, wrap_degrees


@dataclass(frozen=True)
class DrawnFence:
    """A fence as GeoJSON, and the same as plain parts with longitudes that run on across the antimeridian."""

    geometry: dict[str, Any]
    radius_m: float | None
    polygons: list[list[list[tuple[float, float]]]]
    paths: list[list[tuple[float, float]]]
    center: tuple[float, float]
    """lon, lat"""
    size_m: float

    def distance_m(self, lat: float, lon: float) -> float:
        """The oracle: Shapely's signed distance in the metric of the point."""
        lon = self.center[0] + wrap_degrees(lon - self.center[0])
        metric = metres_per_degree(lat)

        def local(positions: list[tuple[float, float]]) -> np.ndarray:
            return (np.array(positions) - (lon, lat)) * metric

        here = shapely.Point(0.0, 0.0)
        if self.radius_m is not None:
            paths = [shapely.Point(local(p)[0]) if len(p) == 1 else shapely.LineString(local(p)) for p in self.paths]
            return min(here.distance(path) for path in paths) - self.radius_m
        areas = [shapely.Polygon(local(rings[0]), [local(ring) for ring in rings[1:]]) for rings in self.polygons]
        edge_m = min(here.distance(area.boundary) for area in areas)
        return -edge_m if any(area.contains(here) for area in areas) else edge_m


centers = st.tuples(
    st.one_of(st.sampled_from([0.0, 180.0, -180.0, 179.9995, -179.9995, 9.5]), st.floats(-180.0, 180.0)),
    st.one_of(st.sampled_from([0.0, 70.0, -70.0, 47.1]), st.floats(-80.0, 80.0)),
)
"""Longitude and latitude of where a fence lies."""


@st.composite
def _star(draw: st.DrawFn, size_m: float) -> list[tuple[float, float]]:
    """A closed ring around (0, 0), metres; simple because it is star-shaped."""
    corners = draw(st.integers(3, 40))
    radii = draw(st.lists(st.floats(0.3, 1.0), min_size=corners, max_size=corners))
    turn = draw(st.floats(0.0, 2.0 * math.pi))
    angles = [turn + 2.0 * math.pi * i / corners for i in range(corners)]
    ring = [
        (size_m * r * math.cos(angle), size_m * r * math.sin(angle)) for r, angle in zip(radii, angles, strict=True)
    ]
    return [*ring, ring[0]]


@st.composite
def _polygon(draw: st.DrawFn, size_m: float) -> list[list[tuple[float, float]]]:
    outer = draw(_star(size_m))
    rings = [outer]
    if draw(st.booleans()):
        scale = draw(st.floats(0.2, 0.8))
        rings.append([(x * scale, y * scale) for x, y in reversed(outer)])
    return rings


@st.composite
def drawn_fences(draw: st.DrawFn) -> DrawnFence:
    """Polygons with and without holes, multipolygons, circles and corridors of 20 m to 20 km, anywhere."""
    lon, lat = draw(centers)
    size_m = draw(st.sampled_from([20.0, 200.0, 20_000.0]))
    x_m, y_m = metres_per_degree(lat)
    run_on = draw(st.booleans())

    def planar(positions: list[tuple[float, float]], shift_m: float = 0.0) -> list[tuple[float, float]]:
        return [(lon + (x + shift_m) / x_m, lat + y / y_m) for x, y in positions]

    def spelled(parts: list[list[tuple[float, float]]]) -> list[list[list[float]]]:
        beyond = run_on and any(abs(x) <= 180.0 for part in parts for x, _ in part)
        return [[[x if beyond else wrap_degrees(x), y] for x, y in part] for part in parts]

    kind = draw(st.sampled_from(["Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString"]))
    if kind.endswith("Polygon"):
        count = 2 if kind == "MultiPolygon" else 1
        drawn = [draw(_polygon(size_m)) for _ in range(count)]
        polygons = [[planar(ring, i * 2.5 * size_m) for ring in rings] for i, rings in enumerate(drawn)]
        coordinates = [spelled(rings) for rings in polygons]
        geometry = {"type": kind, "coordinates": coordinates if kind == "MultiPolygon" else coordinates[0]}
        return DrawnFence(geometry, None, polygons, [], (lon, lat), size_m)
    # To the millimetre: of a line shorter than all floats Shapely says that it is infinitely far away.
    metres = st.floats(-size_m, size_m).map(lambda offset_m: round(offset_m, 3))
    offsets = st.tuples(metres, metres)
    least = 1 if kind.endswith("Point") else 2
    count = draw(st.integers(2, 3)) if kind.startswith("Multi") else 1
    paths = [planar(draw(st.lists(offsets, min_size=least, max_size=least * 20))) for _ in range(count)]
    if least == 1:
        paths = [path[:1] for path in paths]
    listed = spelled(paths)
    if least == 1:
        listed = [path[0] for path in listed]
    geometry = {"type": kind, "coordinates": listed if kind.startswith("Multi") else listed[0]}
    radius_m = draw(st.floats(1.0, size_m))
    return DrawnFence(geometry, radius_m, [], paths, (lon, lat), size_m)

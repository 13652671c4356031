"""The kernel: which fences are near which points, and how far their boundaries are.

The metric is the ellipsoid's own scale at the point, so distances are right at any latitude; edges are straight in
longitude and latitude (RFC 7946). Vertices are integers of 1e-7 degrees relative to their fence's centre, the
resolution of fixes, so that differences to a point are exact.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.geodesy import metres_per_degree
from geofence.shapes import Shape

_DEGREE_E7: Final = 1e7


class PackedFences(NamedTuple):
    """n rows as flat arrays.

    ``center_lon``, ``center_lat`` float64[n]; ``radius_m`` float64[n], 0 for rings; ``bounds`` float64[n, 4] (west,
    south, east, north; longitudes may lie beyond ±180). Row r owns the parts ``row_parts[r]:row_parts[r + 1]``, part p
    the vertices ``parts[p]:parts[p + 1]`` of ``x`` and ``y`` int32 (1e-7 degrees from the centre).
    """

    center_lon: npt.NDArray[np.float64]
    center_lat: npt.NDArray[np.float64]
    radius_m: npt.NDArray[np.float64]
    bounds: npt.NDArray[np.float64]
    row_parts: npt.NDArray[np.int32]
    parts: npt.NDArray[np.int32]
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]


class Near(NamedTuple):
    """Pairs ordered by point, then row: ``point`` int32[k], ``row`` int32[k], ``distance_m`` float64[k].

    The distance is to the fence's boundary, negative inside.
    """

    point: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    distance_m: npt.NDArray[np.float64]


def pack(shapes: Sequence[Shape]) -> PackedFences:
    """Shapes as the kernel reads them, one row each."""
    n = len(shapes)
    bounds = np.array([shape.bounds for shape in shapes], np.float64).reshape(n, 4)
    middles = np.array([(shape.positions.min(axis=0) + shape.positions.max(axis=0)) / 2.0 for shape in shapes])
    centers = np.rint(middles.reshape(n, 2) * _DEGREE_E7) / _DEGREE_E7
    vertices = np.array([len(shape.positions) for shape in shapes], np.int64)
    positions = np.concatenate([shape.positions for shape in shapes]) if n else np.empty((0, 2))
    offsets = np.rint((positions - np.repeat(centers, vertices, axis=0)) * _DEGREE_E7).astype(np.int32)
    part_counts = [len(shape.parts) - 1 for shape in shapes]
    part_vertices = np.concatenate([np.diff(shape.parts) for shape in shapes]) if n else np.empty(0, np.int32)
    return PackedFences(
        center_lon=centers[:, 0].copy(),
        center_lat=centers[:, 1].copy(),
        radius_m=np.array([shape.radius_m for shape in shapes], np.float64),
        bounds=bounds,
        row_parts=np.concatenate([[0], np.cumsum(part_counts)]).astype(np.int32),
        parts=np.concatenate([[0], np.cumsum(part_vertices)]).astype(np.int32),
        x=offsets[:, 0].copy(),
        y=offsets[:, 1].copy(),
    )


def near(fences: PackedFences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float) -> Near:
    """Every row within ``margin_m`` of each point, with its signed distance.

    ``lat``, ``lon`` float64[n] degrees, finite.
    """
    return Near(*_near(fences, np.ascontiguousarray(lat, np.float64), np.ascontiguousarray(lon, np.float64), margin_m))


@nb.njit(cache=True, nogil=True)
def _signed_distance(fences: PackedFences, row: int, east: float, north: float, x_m: float, y_m: float) -> float:
    """Metres to the boundary of ``row`` from (east, north), 1e-7 degrees from its centre; negative inside."""
    nearest = math.inf
    inside = False
    for part in range(fences.row_parts[row], fences.row_parts[row + 1]):
        first, last = fences.parts[part], fences.parts[part + 1] - 1
        bx = (fences.x[first] - east) * x_m
        by = (fences.y[first] - north) * y_m
        if first == last:
            nearest = min(nearest, bx * bx + by * by)
        for i in range(first + 1, last + 1):
            ax, ay = bx, by
            bx = (fences.x[i] - east) * x_m
            by = (fences.y[i] - north) * y_m
            dx = bx - ax
            dy = by - ay
            length_sq = dx * dx + dy * dy
            along = 0.0
            if length_sq > 0.0:
                along = min(1.0, max(0.0, -(ax * dx + ay * dy) / length_sq))
            px = ax + along * dx
            py = ay + along * dy
            nearest = min(nearest, px * px + py * py)
            if (ay > 0.0) != (by > 0.0) and (ax * by - ay * bx > 0.0) == (dy > 0.0):
                inside = not inside
    distance = math.sqrt(nearest)
    radius_m = float(fences.radius_m[row])
    if radius_m > 0.0:
        return distance - radius_m
    return -distance if inside else distance


@nb.njit(cache=True, nogil=True)
def _near(
    fences: PackedFences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    capacity = max(64, len(lat))
    point = np.empty(capacity, np.int32)
    row_of = np.empty(capacity, np.int32)
    distance_m = np.empty(capacity, np.float64)
    found = 0
    for i in range(len(lat)):
        x_m, y_m = metres_per_degree(lat[i])
        for row in range(len(fences.radius_m)):
            best = math.inf
            for turn in (-360.0, 0.0, 360.0):
                x = lon[i] + turn
                gap_x = max(0.0, max(fences.bounds[row, 0] - x, x - fences.bounds[row, 2])) * x_m
                gap_y = max(0.0, max(fences.bounds[row, 1] - lat[i], lat[i] - fences.bounds[row, 3])) * y_m
                if gap_x * gap_x + gap_y * gap_y > margin_m * margin_m:
                    continue
                east = (x - fences.center_lon[row]) * 1e7
                north = (lat[i] - fences.center_lat[row]) * 1e7
                best = min(best, _signed_distance(fences, row, east, north, x_m / 1e7, y_m / 1e7))
            if best <= margin_m:
                if found == capacity:
                    capacity *= 2
                    point = np.concatenate((point, np.empty(capacity - found, np.int32)))
                    row_of = np.concatenate((row_of, np.empty(capacity - found, np.int32)))
                    distance_m = np.concatenate((distance_m, np.empty(capacity - found, np.float64)))
                point[found] = i
                row_of[found] = row
                distance_m[found] = best
                found += 1
    return point[:found].copy(), row_of[:found].copy(), distance_m[:found].copy()

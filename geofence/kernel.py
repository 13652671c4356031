"""The kernel: which fences are near which points, and how far their boundaries are.

The metric is the ellipsoid's own scale at the point, so distances are right at any latitude; edges are straight in
longitude and latitude (RFC 7946). Candidates come from the grid, for margins up to its reach, or from the packed
R-tree; the rest is the same for both.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.geodesy import metres_per_degree
from geofence.grid import GRID_REACH_M, Grid, list_rows, look_up, pack_grid, room_to_look_up
from geofence.index import PackedTree, pack_tree, room_to_search, search
from geofence.outlines import DEGREE_E7, Outlines, Pairs, pack_outlines, room_for_pairs, signed_distances
from geofence.shapes import Shape

BATCH_POINTS: Final = 1024
"""Points that go through the grid together: enough to wait for much memory at once, few enough for the cache."""

BATCH_PAIRS: Final = 1024
"""Pairs that are measured together."""

TURNS: Final = 3
"""A longitude is looked at as it is, and a turn further to either side."""

_TURN_E7: Final = 360.0 * DEGREE_E7


class PackedFences(NamedTuple):
    """n rows as flat arrays: their outlines, and two indexes of their boxes that tell the place of a row among them."""

    outlines: Outlines
    grid: Grid
    tree: PackedTree


class Near(NamedTuple):
    """Pairs ordered by point, then row: ``point`` int32[k], ``row`` int32[k], ``distance_m`` float64[k].

    The distance is to the fence's boundary, negative inside.
    """

    point: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    distance_m: npt.NDArray[np.float64]


class ShapeArrays(NamedTuple):
    """n shapes end to end.

    ``positions`` float64[v, 2]; ``part_sizes`` int64[p] positions of each part; ``parts_of_row`` int64[n] parts of each
    shape; ``radius_m`` float64[n]; ``boxes`` float64[n, 4], what is within the radius included.
    """

    positions: npt.NDArray[np.float64]
    part_sizes: npt.NDArray[np.int64]
    parts_of_row: npt.NDArray[np.int64]
    radius_m: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64]


def arrays_of(shapes: Sequence[Shape]) -> ShapeArrays:
    """Shapes as arrays."""
    parts = [np.diff(shape.parts) for shape in shapes]
    return ShapeArrays(
        positions=np.concatenate([np.empty((0, 2)), *(shape.positions for shape in shapes)]),
        part_sizes=np.concatenate([np.empty(0, np.int64), *parts]),
        parts_of_row=np.array(list(map(len, parts)), np.int64),
        radius_m=np.array([shape.radius_m for shape in shapes], np.float64),
        boxes=np.array([shape.bounds for shape in shapes], np.float64).reshape(-1, 4),
    )


def pack(shapes: Sequence[Shape]) -> PackedFences:
    """Shapes as the kernel reads them, one row each."""
    return pack_arrays(*arrays_of(shapes))


def pack_arrays(
    positions: npt.NDArray[np.float64],
    part_sizes: npt.NDArray[np.integer],
    parts_of_row: npt.NDArray[np.integer],
    radius_m: npt.NDArray[np.float64],
    boxes: npt.NDArray[np.float64],
) -> PackedFences:
    """As ``pack``, from ``ShapeArrays``."""
    outlines = pack_outlines(positions, part_sizes, parts_of_row, radius_m, boxes)
    return PackedFences(outlines, pack_grid(boxes, outlines.place), pack_tree(boxes, outlines.place))


def pack_boxes(boxes: npt.NDArray[np.float64]) -> PackedFences:
    """Boxes float64[n, 4] as the kernel reads them, a row each."""
    # In one order of memory always: for another the kernel would be compiled once more.
    boxes = np.ascontiguousarray(boxes, np.float64)
    corners = np.ascontiguousarray(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]]).reshape(-1, 2)
    count = len(boxes)
    return pack_arrays(corners, np.full(count, 5), np.ones(count, np.int64), np.zeros(count), boxes)


def near(fences: PackedFences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float) -> Near:
    """Every row within ``margin_m`` (0 or more) of each point, with its signed distance.

    ``lat``, ``lon`` float64[n] degrees, finite, ``lon`` within ±180.
    """
    points = np.ascontiguousarray(lat, np.float64), np.ascontiguousarray(lon, np.float64)
    return Near(*_near(fences, *points, float(margin_m)))


class _Batch(NamedTuple):
    """Points that are dealt with together: degrees, and the metres in 1e-7 degrees there; float64[n] each."""

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    x_m: npt.NDArray[np.float64]
    y_m: npt.NDArray[np.float64]


@nb.njit(cache=True, nogil=True)
def _near(
    fences: PackedFences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Batch by batch: candidates, those of them whose boxes are near, their distances, what is within the margin."""
    rows = fences.outlines.row
    gridded = margin_m <= GRID_REACH_M
    size = BATCH_POINTS if gridded else 1
    looked, searched = room_to_look_up(fences.grid, size), room_to_search(fences.tree, 0 if gridded else size)
    x_m, y_m = np.empty(size), np.empty(size)
    near_point, near_place = np.zeros(size, np.int32), np.zeros(size, np.int32)
    pairs, pair_m = room_for_pairs(TURNS * BATCH_PAIRS), np.empty(TURNS * BATCH_PAIRS)
    point, row, distance_m = np.empty(len(lat), np.int32), np.empty(len(lat), np.int32), np.empty(len(lat))
    found = 0
    for begin in range(0, len(lat), size):
        batch = _Batch(lat[begin : begin + size], lon[begin : begin + size], x_m, y_m)
        _measure_units(batch)
        if gridded:
            count = look_up(fences.grid, batch.lat, batch.lon, looked)
            near_point, near_place = _room(near_point, 0, count), _room(near_place, 0, count)
            list_rows(fences.grid, looked.cells, len(batch.lat), rows, near_point, near_place)
        else:
            degree_m = x_m[0] * DEGREE_E7, y_m[0] * DEGREE_E7
            count = search(fences.tree, batch.lat[0], batch.lon[0], *degree_m, margin_m, searched)
            near_point, near_place = np.zeros(count, np.int32), searched.row
        for first in range(0, count, BATCH_PAIRS):
            end = min(count, first + BATCH_PAIRS)
            boxed = _pair(rows, batch, margin_m, near_point[first:end], near_place[first:end], pairs)
            signed_distances(fences.outlines, pairs, boxed, pair_m)
            point, row = _room(point, found, boxed), _room(row, found, boxed)
            distance_m = _room(distance_m, found, boxed)
            for k in range(boxed):
                point[found], distance_m[found] = begin + pairs.point[k], pair_m[k]
                row[found] = rows[pairs.place[k]].number
                if found and row[found - 1] == row[found] and point[found - 1] == point[found]:
                    distance_m[found - 1] = min(distance_m[found - 1], distance_m[found])
                else:
                    found += distance_m[found] <= margin_m
    return point[:found].copy(), row[:found].copy(), distance_m[:found].copy()


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _measure_units(batch: _Batch) -> None:
    for i in range(len(batch.lat)):
        x_m, y_m = metres_per_degree(batch.lat[i])
        batch.x_m[i], batch.y_m[i] = x_m / DEGREE_E7, y_m / DEGREE_E7


@nb.njit(cache=True, nogil=True)
def _room(array: npt.NDArray[Any], used: int, more: int) -> npt.NDArray[Any]:
    """The array, or a larger one that begins with what is used, with room for more."""
    if used + more <= len(array):
        return array
    larger = np.empty(max(2 * len(array), used + more), array.dtype)
    larger[:used] = array[:used]
    return larger


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"})
def _pair(
    rows: npt.NDArray[np.void],
    batch: _Batch,
    margin_m: float,
    point: npt.NDArray[np.int32],
    place: npt.NDArray[np.int32],
    pairs: Pairs,
) -> int:
    """The candidates whose boxes are within the margin, into ``pairs``; how many they are.

    Where a box is near both ways around the globe its row is paired once a turn: the smaller distance holds.
    """
    limit_sq = margin_m * margin_m
    count = 0
    for k in range(len(point)):
        i, of_row = point[k], rows[place[k]]
        x_m, y_m = batch.x_m[i], batch.y_m[i]
        north = batch.lat[i] * DEGREE_E7 - of_row.lat_e7
        east = batch.lon[i] * DEGREE_E7 - of_row.lon_e7
        if east > _TURN_E7 / 2.0:
            east -= _TURN_E7
        if east < -_TURN_E7 / 2.0:
            east += _TURN_E7
        gap_y = max(0.0, abs(north) - of_row.half_height_e7) * y_m
        turns = TURNS if (_TURN_E7 - abs(east) - of_row.half_width_e7) * x_m <= margin_m else 1
        for turn in range(turns):
            gap_x = max(0.0, abs(east) - of_row.half_width_e7) * x_m
            pairs.point[count], pairs.place[count] = i, place[k]
            pairs.east[count], pairs.north[count] = east, north
            pairs.x_m[count], pairs.y_m[count] = x_m, y_m
            count += gap_x * gap_x + gap_y * gap_y <= limit_sq
            east += _TURN_E7 if turn == 0 else -2.0 * _TURN_E7
    return count

"""The outlines of rows in flat arrays, and how far a point is from one.

Vertices are integers of 1e-7 degrees from their row's centre, the resolution of fixes: half the memory of floats, and
the same 5 mm everywhere.
"""

import math
from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.processor import prefetch, smaller

DEGREE_E7: Final = 1e7

VECTOR_EDGES: Final = 8
"""Paths have a multiple of so many edges, to fill vector registers; the last vertex is repeated."""

BLOCK_EDGES: Final = 32
"""Edges that share a box: a row of more edges is read only where its boundary may be nearest."""

AHEAD: Final = 16
"""So many pairs before its turn the rest of a path is asked for; its row, read already, brought the beginning."""

_FAR_SQ: Final = 1e300
_SHORTEST_SQ: Final = 1e-18

_BOX: Final = ("lon_e7", "lat_e7", "half_width_e7", "half_height_e7")

ROW: Final = np.dtype(
    [*((side, np.int32) for side in _BOX), ("radius_m", np.float64), ("number", np.int32), ("size", np.int32)]
)
"""What is read first of a row, half a cache line; its outline follows at once.

Its centre and the half sides of its box (what is within ``radius_m`` included) in 1e-7 degrees; ``radius_m`` is 0 for
rings. A row of one path has its ``size`` edges behind it; one of several has ``-size`` blocks, from the one whose
number is behind it.
"""

ROW_INTS: Final = ROW.itemsize // 4

LINE_BYTES: Final = 64
"""A cache line. A row begins at its start or its middle, so that one look reads all of it."""

BLOCK: Final = np.dtype([(name, np.int32) for name in ("first", "size", "west", "south", "east", "north")])
"""A path of ``size`` edges from ``first`` on, and its box in 1e-7 degrees from the row's centre."""


class Outlines(NamedTuple):
    """Outlines of n rows: ``place`` int32[n] of each in ``row`` ROW[u], ascending; ``block`` BLOCK[b].

    Between two rows lies the outline of the first, as int32: a path of s edges is s + 1 longitudes, then s + 1
    latitudes. So a candidate is one place in memory, not two.
    """

    place: npt.NDArray[np.int32]
    row: npt.NDArray[np.void]
    block: npt.NDArray[np.void]


def pack_outlines(
    positions: npt.NDArray[np.float64],
    part_sizes: npt.NDArray[np.integer],
    parts_of_row: npt.NDArray[np.integer],
    radius_m: npt.NDArray[np.float64],
    boxes: npt.NDArray[np.float64],
) -> Outlines:
    """From the shapes' arrays end to end (see ``kernel.pack_arrays``)."""
    count = len(parts_of_row)
    part_row = np.repeat(np.arange(count), parts_of_row)
    full_blocks, left_over = np.divmod(np.maximum(1, part_sizes - 1), BLOCK_EDGES)
    blocks_of_part = full_blocks + (left_over > 0)
    edges = full_blocks * BLOCK_EDGES + -(-left_over // VECTOR_EDGES) * VECTOR_EDGES
    blocks_of_row = np.bincount(part_row, blocks_of_part, count).astype(np.int32)
    ints = np.bincount(part_row, 2 * (edges + blocks_of_part), count).astype(np.int64) + (blocks_of_row > 1)
    ends = np.cumsum(1 + -(-ints // ROW_INTS))
    place = np.concatenate([[0], ends])[:count].astype(np.int32)

    row = _zeros_by_line(ends[-1] if count else 0)
    head = np.zeros(count, ROW)
    head["lon_e7"], head["lat_e7"] = np.rint((boxes[:, :2] + boxes[:, 2:]) / 2.0 * DEGREE_E7).T
    half = np.ceil((boxes[:, 2:] - boxes[:, :2]) / 2.0 * DEGREE_E7) + 1.0
    head["half_width_e7"], head["half_height_e7"] = np.minimum(half, np.iinfo(np.int32).max).T
    head["radius_m"] = radius_m
    head["number"] = np.arange(count)
    row[place] = head
    block = np.zeros(blocks_of_row[blocks_of_row > 1].sum(), BLOCK)
    _fill(positions, np.asarray(part_sizes), np.asarray(parts_of_row), blocks_of_row, place, row, block)
    return Outlines(place, row, block)


def _zeros_by_line(rows: int) -> npt.NDArray[np.void]:
    """Empty rows from the start of a cache line on: NumPy's own begin at any 16 bytes."""
    memory = np.zeros(rows * ROW.itemsize + LINE_BYTES, np.uint8)
    return memory[-memory.ctypes.data % LINE_BYTES :][: rows * ROW.itemsize].view(ROW)


@nb.njit(cache=True, nogil=True)
def _fill(
    positions: npt.NDArray[np.float64],
    part_sizes: npt.NDArray[np.integer],
    parts_of_row: npt.NDArray[np.integer],
    blocks_of_row: npt.NDArray[np.int32],
    place: npt.NDArray[np.int32],
    row: npt.NDArray[np.void],
    block: npt.NDArray[np.void],
) -> None:
    """Cut parts into blocks; the vertex between two of them belongs to both."""
    xy = row.view(np.int32)
    part = position = blocks = 0
    for r in range(len(place)):
        here = row[place[r]]
        at = first_int(place[r])
        alone = blocks_of_row[r] == 1
        if not alone:
            here.size = -blocks_of_row[r]
            xy[at] = blocks
            at += 1
        for size_of_part in part_sizes[part : part + parts_of_row[r]]:
            for begin in range(0, max(1, size_of_part - 1), BLOCK_EDGES):
                edges = min(BLOCK_EDGES, size_of_part - 1 - begin)
                size = max(1, -(-edges // VECTOR_EDGES)) * VECTOR_EDGES
                for k in range(size + 1):
                    lon, lat = positions[position + begin + min(k, edges)]
                    xy[at + k] = np.rint((lon - here.lon_e7 / DEGREE_E7) * DEGREE_E7)
                    xy[at + size + 1 + k] = np.rint((lat - here.lat_e7 / DEGREE_E7) * DEGREE_E7)
                if alone:
                    here.size = size
                else:
                    x, y = xy[at : at + size + 1], xy[at + size + 1 : at + 2 * size + 2]
                    of_row = block[blocks]
                    of_row.first, of_row.size = at, size
                    of_row.west, of_row.south, of_row.east, of_row.north = x.min(), y.min(), x.max(), y.max()
                    blocks += 1
                at += 2 * size + 2
            position += size_of_part
        part += parts_of_row[r]


@nb.njit(cache=True, nogil=True)
def first_int(place: int) -> int:
    """Where what is behind a row begins, in int32."""
    return (place + 1) * ROW_INTS


def boxes_of(outlines: Outlines, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """West, south, east, north of n rows in degrees, what is within their radius included: float64[4, n]."""
    here = outlines.row[outlines.place[rows]]
    lon, lat, wide, high = (here[side] / DEGREE_E7 for side in _BOX)
    return np.array([lon - wide, lat - high, lon + wide, lat + high])


class Pairs(NamedTuple):
    """Points and rows that are to be measured, k each.

    ``point``, ``place`` (of the row) int32; ``east``, ``north`` float64: how far from the row's centre the point is, in
    1e-7 degrees; ``x_m``, ``y_m`` float64: metres in such a unit at the point.
    """

    point: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    east: npt.NDArray[np.float64]
    north: npt.NDArray[np.float64]
    x_m: npt.NDArray[np.float64]
    y_m: npt.NDArray[np.float64]


@nb.njit(cache=True, nogil=True)
def room_for_pairs(count: int) -> Pairs:
    """Memory for ``count`` pairs."""
    point, place = np.empty(count, np.int32), np.empty(count, np.int32)
    return Pairs(point, place, np.empty(count), np.empty(count), np.empty(count), np.empty(count))


@nb.njit(cache=True, nogil=True)
def signed_distances(outlines: Outlines, pairs: Pairs, count: int, distance_m: npt.NDArray[np.float64]) -> None:
    """Metres from point to boundary, negative inside, of the first ``count`` pairs."""
    _, rows, blocks = outlines
    xy = rows.view(np.int32)
    for k in range(count):
        ahead = pairs.place[min(k + AHEAD, count - 1)]
        size_ahead = rows[ahead].size
        prefetch(xy, first_int(ahead) + size_ahead)
        prefetch(xy, first_int(ahead) + 2 * size_ahead)
        row = rows[pairs.place[k]]
        first = first_int(pairs.place[k])
        at = pairs.east[k], pairs.north[k], pairs.x_m[k], pairs.y_m[k]
        if row.size > 0:
            nearest_sq, inside = _along_path(xy, first, row.size, *at)
        else:
            nearest_sq, inside = _along_blocks(xy, blocks, xy[first], xy[first] - row.size, *at)
        edge_m = math.sqrt(nearest_sq)
        if row.radius_m > 0.0:
            distance_m[k] = edge_m - row.radius_m
        else:
            distance_m[k] = -edge_m if inside else edge_m


@nb.njit(cache=True, nogil=True)
def _along_blocks(
    xy: npt.NDArray[np.int32],
    blocks: npt.NDArray[np.void],
    begin: int,
    end: int,
    east: float,
    north: float,
    x_m: float,
    y_m: float,
) -> tuple[float, bool]:
    """As ``_along_path``, over many blocks: the one with the nearest box first, then those that can matter.

    A block wholly east of the point is crossed by the ray to the east an odd number of times when its two ends lie on
    different sides of the ray; no edge need be read for that.
    """
    closest = begin
    closest_sq = math.inf
    for b in range(begin, end):
        gap_sq = _box_gap_sq(blocks[b], east, north, x_m, y_m)
        if gap_sq < closest_sq:
            closest, closest_sq = b, gap_sq
    nearest_sq, inside = _along_path(xy, blocks[closest].first, blocks[closest].size, east, north, x_m, y_m)
    for b in range(begin, end):
        if b == closest:
            continue
        block = blocks[b]
        on_ray = block.south <= north <= block.north
        around = on_ray and block.west <= east <= block.east
        if around or _box_gap_sq(block, east, north, x_m, y_m) < nearest_sq:
            block_sq, odd = _along_path(xy, block.first, block.size, east, north, x_m, y_m)
            nearest_sq = min(nearest_sq, block_sq)
            inside ^= odd
        elif on_ray and block.west > east:
            first_y = block.first + block.size + 1
            inside ^= (xy[first_y] > north) != (xy[first_y + block.size] > north)
    return nearest_sq, inside


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"})
def _box_gap_sq(block: Any, east: float, north: float, x_m: float, y_m: float) -> float:
    gap_x: float = max(0.0, max(block.west - east, east - block.east)) * x_m
    gap_y: float = max(0.0, max(block.south - north, north - block.north)) * y_m
    return gap_x * gap_x + gap_y * gap_y


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract", "reassoc"})
def _along_path(
    xy: npt.NDArray[np.int32], first: int, size: int, east: float, north: float, x_m: float, y_m: float
) -> tuple[float, bool]:
    """Squared metres to the nearest edge of a path, and whether a ray to the east crosses an odd number of edges."""
    nearest_sq = _FAR_SQ
    odd = False
    first_y = first + size + 1
    from_x, to_x = xy[first : first + size], xy[first + 1 : first + 1 + size]
    from_y, to_y = xy[first_y : first_y + size], xy[first_y + 1 : first_y + 1 + size]
    for i in range(size & -VECTOR_EDGES):  # tells the compiler that no edges are left over
        ax, ay = (from_x[i] - east) * x_m, (from_y[i] - north) * y_m
        bx, by = (to_x[i] - east) * x_m, (to_y[i] - north) * y_m
        dx, dy = bx - ax, by - ay
        along = -(ax * dx + ay * dy) / max(dx * dx + dy * dy, _SHORTEST_SQ)
        along = min(1.0, max(0.0, along))
        px, py = ax + along * dx, ay + along * dy
        nearest_sq = smaller(nearest_sq, px * px + py * py)
        straddles = (ay > 0.0) != (by > 0.0)
        odd ^= straddles & ((ax * by - ay * bx > 0.0) == (dy > 0.0))
    return nearest_sq, odd

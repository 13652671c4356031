"""The kernel: which fences are near which points, and how far their boundaries are.

The metric is the ellipsoid's own scale at the point, so distances are right at any latitude; edges are straight in
longitude and latitude (RFC 7946). Vertices are integers of 1e-7 degrees from their fence's centre, the resolution of
fixes: half the memory of floats, and the same 5 mm everywhere.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.geodesy import metres_per_degree
from geofence.index import NODE_SIZE, PackedTree, pack_tree
from geofence.shapes import Shape

BLOCK_EDGES: Final = 16
"""Edges that share a box: a fence of more edges is read only where its boundary may be nearest."""

MANY: Final = 32
"""So many rows near a point are sorted before they are measured; fewer are put in their place one by one."""

_DEGREE_E7: Final = 1e7
_FAR_SQ: Final = 1e300
_SHORTEST_SQ: Final = 1e-18


class PackedFences(NamedTuple):
    """n rows as flat arrays.

    ``tree`` holds their boxes. ``center`` float64[n, 2] (lon, lat); ``radius_m`` float64[n], 0 for rings. Row r owns
    the blocks ``row_blocks[r]:row_blocks[r + 1]``; block b is the path along the vertices ``block_ends[b, 0]`` to
    ``block_ends[b, 1]``, both inclusive, within ``block_box[b]`` (west, south, east, north). ``x``, ``y`` int32[v] and
    ``block_box`` int32[b, 4] are 1e-7 degrees from the centre.
    """

    tree: PackedTree
    center: npt.NDArray[np.float64]
    radius_m: npt.NDArray[np.float64]
    row_blocks: npt.NDArray[np.int32]
    block_ends: npt.NDArray[np.int32]
    block_box: npt.NDArray[np.int32]
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
    if not shapes:
        return pack_arrays(
            np.empty((0, 2)), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty((0, 4))
        )
    return pack_arrays(
        positions=np.concatenate([shape.positions for shape in shapes]),
        part_sizes=np.concatenate([np.diff(shape.parts) for shape in shapes]),
        parts_of_row=np.array([len(shape.parts) - 1 for shape in shapes]),
        radius_m=np.array([shape.radius_m for shape in shapes]),
        boxes=np.array([shape.bounds for shape in shapes]),
    )


def pack_arrays(
    positions: npt.NDArray[np.float64],
    part_sizes: npt.NDArray[np.integer],
    parts_of_row: npt.NDArray[np.integer],
    radius_m: npt.NDArray[np.float64],
    boxes: npt.NDArray[np.float64],
) -> PackedFences:
    """As ``pack``, from the shapes' arrays end to end.

    ``positions`` float64[v, 2]; ``part_sizes`` positions of each part; ``parts_of_row`` parts of each row; ``radius_m``
    float64[n]; ``boxes`` float64[n, 4], what is within the radius included.
    """
    center = np.rint((boxes[:, :2] + boxes[:, 2:]) / 2.0 * _DEGREE_E7) / _DEGREE_E7
    part_starts = _starts(part_sizes)
    part_row = np.repeat(np.arange(len(parts_of_row)), parts_of_row)
    offsets = positions - np.repeat(center[part_row], part_sizes, axis=0)
    x, y = np.rint(offsets * _DEGREE_E7).astype(np.int32).T.copy()

    blocks_of_part = np.maximum(1, -(-(part_sizes - 1) // BLOCK_EDGES))
    block_part = np.repeat(np.arange(len(part_sizes)), blocks_of_part)
    block_in_part = np.arange(len(block_part)) - _starts(blocks_of_part)[block_part]
    first = part_starts[block_part] + block_in_part * BLOCK_EDGES
    last = np.minimum(first + BLOCK_EDGES, part_starts[block_part] + part_sizes[block_part] - 1)
    blocks_of_row = np.bincount(part_row[block_part], minlength=len(parts_of_row))
    return PackedFences(
        tree=pack_tree(boxes),
        center=center,
        radius_m=np.asarray(radius_m, np.float64),
        row_blocks=np.append(_starts(blocks_of_row), len(block_part)).astype(np.int32),
        block_ends=np.column_stack([first, last]).astype(np.int32),
        block_box=_block_boxes(x, y, first, last),
        x=x,
        y=y,
    )


def near(fences: PackedFences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float) -> Near:
    """Every row within ``margin_m`` (0 or more) of each point, with its signed distance.

    ``lat``, ``lon`` float64[n] degrees, finite, ``lon`` within ±180.
    """
    points = np.ascontiguousarray(lat, np.float64), np.ascontiguousarray(lon, np.float64)
    return Near(*_near(fences, *points, float(margin_m)))


def _starts(sizes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    return np.cumsum(sizes, dtype=np.int64) - sizes


def _block_boxes(
    x: npt.NDArray[np.int32], y: npt.NDArray[np.int32], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    if not len(first):
        return np.empty((0, 4), np.int32)
    spans = np.column_stack([first, last + 1]).ravel()
    x, y = np.append(x, x[-1]), np.append(y, y[-1])  # reduceat takes no index past the end
    sides = [reduce.reduceat(along, spans)[::2] for reduce in (np.minimum, np.maximum) for along in (x, y)]
    return np.ascontiguousarray(np.column_stack(sides))


@nb.njit(cache=True, nogil=True)
def _near(
    fences: PackedFences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    tree = fences.tree
    entries = np.empty((2, len(tree.west) + NODE_SIZE), np.int32)
    hits = np.empty(NODE_SIZE, np.bool_)
    west, east = _extent(tree)
    capacity = max(64, len(lat))
    point = np.empty(capacity, np.int32)
    row = np.empty(capacity, np.int32)
    distance_m = np.empty(capacity, np.float64)
    found = 0
    for i in range(len(lat)):
        x_m, y_m = metres_per_degree(lat[i])
        begin = found
        for turn in (0.0, 360.0, -360.0):
            x = lon[i] + turn
            if (west - x) * x_m > margin_m or (x - east) * x_m > margin_m:
                continue
            count = _search(tree, x, lat[i], x_m, y_m, margin_m, entries, hits)
            candidates = entries[0, :count]
            for k in range(count):
                candidates[k] = tree.row[candidates[k]]
            if count > MANY:
                candidates.sort()
            for candidate in candidates:
                distance = _signed_distance(fences, candidate, x, lat[i], x_m, y_m)
                if distance > margin_m:
                    continue
                if found == capacity:
                    point = np.concatenate((point, np.empty_like(point)))
                    row = np.concatenate((row, np.empty_like(row)))
                    distance_m = np.concatenate((distance_m, np.empty_like(distance_m)))
                    capacity *= 2
                found = _insert(row, distance_m, begin, found, candidate, distance)
        point[begin:found] = i
    return point[:found].copy(), row[:found].copy(), distance_m[:found].copy()


@nb.njit(cache=True, nogil=True)
def _extent(tree: PackedTree) -> tuple[float, float]:
    """West and east of everything; nothing is found in between when there are no fences."""
    root = tree.level_start[-1]
    if len(tree.row) == 0:
        return math.inf, -math.inf
    return float(np.min(tree.west[root:])), float(np.max(tree.east[root:]))


@nb.njit(cache=True, nogil=True)
def _insert(
    rows: npt.NDArray[np.int32],
    distances_m: npt.NDArray[np.float64],
    begin: int,
    end: int,
    row: int,
    distance_m: float,
) -> int:
    """Put a row in its place between ``begin`` and ``end``, once; the new end.

    A fence around the globe is found from both its sides: the smaller distance holds.
    """
    place = end
    while place > begin and rows[place - 1] >= row:
        place -= 1
    if place < end and rows[place] == row:
        distances_m[place] = min(distances_m[place], distance_m)
        return end
    for k in range(end, place, -1):
        rows[k] = rows[k - 1]
        distances_m[k] = distances_m[k - 1]
    rows[place] = row
    distances_m[place] = distance_m
    return end + 1


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"})
def _search(
    tree: PackedTree,
    lon: float,
    lat: float,
    x_m: float,
    y_m: float,
    margin_m: float,
    entries: npt.NDArray[np.int32],
    hits: npt.NDArray[np.bool_],
) -> int:
    """Leaf entries whose boxes lie within ``margin_m`` of a point into ``entries[0]``; how many there are.

    Level by level: the hits of one level are the nodes of the next. ``entries`` int32[2, all entries] and ``hits``
    bool[NODE_SIZE] are scratch. The test of a node's boxes is a loop of its own so that it becomes vector code.
    """
    x, y = np.float32(lon), np.float32(lat)
    scale_x, scale_y = np.float32(x_m), np.float32(y_m)
    limit_sq = np.float32(margin_m * margin_m)
    zero = np.float32(0.0)
    west, south, east, north = tree.west, tree.south, tree.east, tree.north
    levels = len(tree.level_start)
    here, count = levels % 2, 1
    entries[here, 0] = 0
    for level in range(levels - 1, -1, -1):
        start = tree.level_start[level]
        found = 0
        for k in range(count):
            first = start + entries[here, k] * NODE_SIZE
            node_west, node_south = west[first : first + NODE_SIZE], south[first : first + NODE_SIZE]
            node_east, node_north = east[first : first + NODE_SIZE], north[first : first + NODE_SIZE]
            for j in range(NODE_SIZE):
                gap_x = max(zero, max(node_west[j] - x, x - node_east[j])) * scale_x
                gap_y = max(zero, max(node_south[j] - y, y - node_north[j])) * scale_y
                hits[j] = gap_x * gap_x + gap_y * gap_y <= limit_sq
            for j in range(NODE_SIZE):
                entries[1 - here, found] = first - start + j
                found += hits[j]
        here, count = 1 - here, found
    return count


@nb.njit(cache=True, nogil=True)
def _signed_distance(fences: PackedFences, row: int, lon: float, lat: float, x_m: float, y_m: float) -> float:
    """Metres to the boundary of ``row``, negative inside; ``x_m`` and ``y_m`` are the metres in a degree."""
    east = (lon - fences.center[row, 0]) * _DEGREE_E7
    north = (lat - fences.center[row, 1]) * _DEGREE_E7
    x_m, y_m = x_m / _DEGREE_E7, y_m / _DEGREE_E7
    begin, end = fences.row_blocks[row], fences.row_blocks[row + 1]
    if end - begin == 1:
        first, last = fences.block_ends[begin, 0], fences.block_ends[begin, 1]
        nearest_sq, inside = _along_block(fences.x, fences.y, first, last, east, north, x_m, y_m)
    else:
        nearest_sq, inside = _along_blocks(fences, begin, end, east, north, x_m, y_m)
    distance_m = math.sqrt(nearest_sq)
    radius_m = fences.radius_m[row]
    if radius_m > 0.0:
        distance_m -= radius_m
    elif inside:
        distance_m = -distance_m
    return distance_m


@nb.njit(cache=True, nogil=True)
def _along_blocks(
    fences: PackedFences, begin: int, end: int, east: float, north: float, x_m: float, y_m: float
) -> tuple[float, bool]:
    """As ``_along_block``, over many blocks: the one with the nearest box first, then those that can matter.

    A block wholly east of the point is crossed by the ray to the east an odd number of times when its two ends lie on
    different sides of the ray; no edge need be read for that.
    """
    x, y, ends, boxes = fences.x, fences.y, fences.block_ends, fences.block_box
    closest = begin
    closest_sq = math.inf
    for block in range(begin, end):
        gap_sq = _box_gap_sq(boxes, block, east, north, x_m, y_m)
        if gap_sq < closest_sq:
            closest, closest_sq = block, gap_sq
    nearest_sq, inside = _along_block(x, y, ends[closest, 0], ends[closest, 1], east, north, x_m, y_m)
    for block in range(begin, end):
        if block == closest:
            continue
        first, last = ends[block, 0], ends[block, 1]
        on_ray = boxes[block, 1] <= north <= boxes[block, 3]
        around = on_ray and boxes[block, 0] <= east <= boxes[block, 2]
        if around or _box_gap_sq(boxes, block, east, north, x_m, y_m) < nearest_sq:
            block_sq, odd = _along_block(x, y, first, last, east, north, x_m, y_m)
            nearest_sq = min(nearest_sq, block_sq)
            inside ^= odd
        elif on_ray and boxes[block, 0] > east:
            inside ^= (y[first] > north) != (y[last] > north)
    return nearest_sq, inside


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"})
def _box_gap_sq(boxes: npt.NDArray[np.int32], block: int, east: float, north: float, x_m: float, y_m: float) -> float:
    gap_x: float = max(0.0, max(boxes[block, 0] - east, east - boxes[block, 2])) * x_m
    gap_y: float = max(0.0, max(boxes[block, 1] - north, north - boxes[block, 3])) * y_m
    return gap_x * gap_x + gap_y * gap_y


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract", "reassoc"})
def _along_block(
    x: npt.NDArray[np.int32],
    y: npt.NDArray[np.int32],
    first: int,
    last: int,
    east: float,
    north: float,
    x_m: float,
    y_m: float,
) -> tuple[float, bool]:
    """Squared metres to the nearest edge of a path, and whether a ray to the east crosses an odd number of edges."""
    if first == last:
        alone_x, alone_y = (x[first] - east) * x_m, (y[first] - north) * y_m
        return alone_x * alone_x + alone_y * alone_y, False
    nearest_sq = _FAR_SQ
    crossings = 0
    from_x, from_y = x[first:last], y[first:last]
    to_x, to_y = x[first + 1 : last + 1], y[first + 1 : last + 1]
    for i in range(last - first):
        ax, ay = (from_x[i] - east) * x_m, (from_y[i] - north) * y_m
        bx, by = (to_x[i] - east) * x_m, (to_y[i] - north) * y_m
        dx, dy = bx - ax, by - ay
        along = -(ax * dx + ay * dy) / max(dx * dx + dy * dy, _SHORTEST_SQ)
        along = min(1.0, max(0.0, along))
        px, py = ax + along * dx, ay + along * dy
        here_sq = px * px + py * py
        if here_sq < nearest_sq:
            nearest_sq = here_sq
        straddles = (ay > 0.0) != (by > 0.0)
        crossings += straddles & ((ax * by - ay * bx > 0.0) == (dy > 0.0))
    return nearest_sq, crossings & 1 == 1

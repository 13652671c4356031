"""Where fences are, twice: an ``rtree`` index of record that is edited, and an immutable packed R-tree that is read.

Boxes are (west, south, east, north) in degrees with the middle longitude within -180..180, so one side of a box across
the antimeridian lies beyond ±180.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
from rtree.index import Index

Box = tuple[float, float, float, float]

NODE_SIZE: Final = 16
"""Children of a node of the packed tree: four cache lines of boxes, two AVX registers each."""

BOX_SLACK_DEG: Final = 4e-5
"""Boxes of the packed tree are this much larger (4 m), to hold the rounding of both box and point to float32."""

_NOWHERE: Final = 1e9
_HILBERT_SIDE: Final = 1 << 16


class FenceIndex:
    """The mutable index of record: boxes by row number, for edits and nearest-neighbour look-ups.

    A box across the antimeridian is stored on both sides of it.
    """

    def __init__(self, boxes: Iterable[tuple[int, Box]] = ()) -> None:
        entries = [(row, copy, None) for row, box in boxes for copy in _copies(box)]
        self._index = Index(iter(entries)) if entries else Index()

    def insert(self, row: int, box: Box) -> None:
        """Add a row."""
        for copy in _copies(box):
            self._index.insert(row, copy)

    def delete(self, row: int, box: Box) -> None:
        """Remove a row; ``box`` is what it was inserted with."""
        for copy in _copies(box):
            self._index.delete(row, copy)

    def nearest(self, lat: float, lon: float, limit: int) -> list[int]:
        """Rows with the ``limit`` nearest boxes by distance in degrees, and those as near as the last of them."""
        return list(dict.fromkeys(self._index.nearest((lon, lat, lon, lat), limit)))


def _copies(box: Box) -> Iterator[Box]:
    west, south, east, north = box
    yield box
    if east > 180.0:
        yield west - 360.0, south, east - 360.0, north
    if west < -180.0:
        yield west + 360.0, south, east + 360.0, north


class PackedTree(NamedTuple):
    """An R-tree in flat arrays, in Hilbert order (Kamel & Faloutsos 1993; laid out like Flatbush).

    ``west``, ``south``, ``east``, ``north`` float32[e], slightly enlarged, level after level from the leaves to the
    root: level ``l`` begins at ``level_start[l]``, and its entry ``k`` covers the ``NODE_SIZE`` entries of the level
    below from ``NODE_SIZE * k`` on. Each level is filled up to whole nodes with boxes that are nowhere. ``row``
    int32[n] is what each leaf entry stands for.
    """

    west: npt.NDArray[np.float32]
    south: npt.NDArray[np.float32]
    east: npt.NDArray[np.float32]
    north: npt.NDArray[np.float32]
    row: npt.NDArray[np.int32]
    level_start: npt.NDArray[np.int32]


def pack_tree(boxes: npt.NDArray[np.float64], rows: npt.NDArray[np.int32]) -> PackedTree:
    """The packed tree of ``boxes`` float64[n, 4]; ``rows`` int32[n] is what each is found as."""
    order = np.argsort(_hilbert_keys(boxes), kind="stable")
    level = _whole_nodes(boxes[order] + (-BOX_SLACK_DEG, -BOX_SLACK_DEG, BOX_SLACK_DEG, BOX_SLACK_DEG))
    levels = [level]
    while len(level) > NODE_SIZE:
        nodes = level.reshape(-1, NODE_SIZE, 4)
        level = _whole_nodes(np.hstack([nodes[:, :, :2].min(axis=1), nodes[:, :, 2:].max(axis=1)]))
        levels.append(level)
    west, south, east, north = np.ascontiguousarray(np.concatenate(levels).T, np.float32)
    level_start = np.cumsum([0] + [len(level) for level in levels[:-1]], dtype=np.int32)
    return PackedTree(west, south, east, north, rows[order], level_start)


def _whole_nodes(level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    missing = -len(level) % NODE_SIZE
    return np.vstack([level, np.full((missing, 4), (_NOWHERE, _NOWHERE, -_NOWHERE, -_NOWHERE))])


def _hilbert_keys(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where the middle of each box lies along a Hilbert curve over all of them (Wikipedia's ``xy2d``, on arrays)."""
    middles = boxes[:, :2] + boxes[:, 2:]
    low = np.min(middles, axis=0, initial=np.inf)
    extent = np.maximum(np.max(middles, axis=0, initial=-np.inf) - low, 1e-9)
    x, y = ((middles - low) / extent * (_HILBERT_SIDE - 1)).astype(np.int64).T
    keys = np.zeros(len(boxes), np.int64)
    side = _HILBERT_SIDE // 2
    while side:
        right, upper = x & side > 0, y & side > 0
        keys += side * side * ((3 * right) ^ upper)
        flip = right & ~upper
        x, y = np.where(flip, _HILBERT_SIDE - 1 - x, x), np.where(flip, _HILBERT_SIDE - 1 - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
        side //= 2
    return keys


class Searched(NamedTuple):
    """What ``search`` writes: ``row`` int32. ``entries`` int32[2, all entries] and ``hits`` bool are scratch."""

    row: npt.NDArray[np.int32]
    entries: npt.NDArray[np.int32]
    hits: npt.NDArray[np.bool_]


@nb.njit(cache=True, nogil=True)
def room_to_search(tree: PackedTree, points: int) -> Searched:
    """Memory for searches around ``points`` at a time: 1, or 0 where nothing is searched."""
    entries = np.empty((2, points * (len(tree.west) + NODE_SIZE)), np.int32)
    return Searched(np.empty(points * 3 * len(tree.row), np.int32), entries, np.empty(NODE_SIZE, np.bool_))


@nb.njit(cache=True, nogil=True)
def search(
    tree: PackedTree, lat: float, lon: float, x_m: float, y_m: float, margin_m: float, searched: Searched
) -> int:
    """Rows whose boxes are within ``margin_m`` of a point, ascending, into ``searched``; how many there are.

    ``x_m`` and ``y_m`` are the metres in a degree there.
    """
    rows = searched.row
    west, east = _extent(tree)
    end = 0
    for turn in (0.0, 360.0, -360.0):
        x = lon + turn
        if (west - x) * x_m > margin_m or (x - east) * x_m > margin_m:
            continue
        for k in range(_search_once(tree, x, lat, x_m, y_m, margin_m, searched.entries, searched.hits)):
            rows[end] = tree.row[searched.entries[0, k]]
            end += 1
    rows[:end].sort()
    count = 0
    for k in range(end):  # what goes around the globe was found from both sides
        if k == 0 or rows[k] != rows[count - 1]:
            rows[count] = rows[k]
            count += 1
    return count


@nb.njit(cache=True, nogil=True)
def _extent(tree: PackedTree) -> tuple[float, float]:
    """West and east of everything; nothing is found in between when there are no fences."""
    root = tree.level_start[-1]
    if len(tree.row) == 0:
        return math.inf, -math.inf
    return float(np.min(tree.west[root:])), float(np.max(tree.east[root:]))


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"})
def _search_once(
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

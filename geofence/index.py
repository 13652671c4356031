"""Where fences are, twice: an ``rtree`` index of record that is edited, and an immutable packed R-tree that is read.

Boxes are (west, south, east, north) in degrees with the middle longitude within -180..180, so one side of a box across
the antimeridian lies beyond ±180.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

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
    int32[n] is the row of each leaf entry.
    """

    west: npt.NDArray[np.float32]
    south: npt.NDArray[np.float32]
    east: npt.NDArray[np.float32]
    north: npt.NDArray[np.float32]
    row: npt.NDArray[np.int32]
    level_start: npt.NDArray[np.int32]


def pack_tree(boxes: npt.NDArray[np.float64]) -> PackedTree:
    """The packed tree of ``boxes`` float64[n, 4], row i being the i-th box."""
    row = np.argsort(_hilbert_keys(boxes), kind="stable").astype(np.int32)
    level = _whole_nodes(boxes[row] + (-BOX_SLACK_DEG, -BOX_SLACK_DEG, BOX_SLACK_DEG, BOX_SLACK_DEG))
    levels = [level]
    while len(level) > NODE_SIZE:
        nodes = level.reshape(-1, NODE_SIZE, 4)
        level = _whole_nodes(np.hstack([nodes[:, :, :2].min(axis=1), nodes[:, :, 2:].max(axis=1)]))
        levels.append(level)
    west, south, east, north = np.ascontiguousarray(np.concatenate(levels).T, np.float32)
    level_start = np.cumsum([0] + [len(level) for level in levels[:-1]], dtype=np.int32)
    return PackedTree(west, south, east, north, row, level_start)


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

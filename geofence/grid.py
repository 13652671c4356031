"""Which rows may be within reach of a point: a hashed grid of several cell sizes, looked up in a few reads.

Each level's cells are four times as wide as those of the level below (a hierarchical spatial hash grid: Ericson,
*Real-Time Collision Detection*, 7.1.5). A row is listed at the finest level at which it is in few cells, so that a
country takes no more of them than a house. ``TILE_SIDE`` by ``TILE_SIDE`` cells are a tile; only tiles that list a row
exist, and are found by their key in a hash table.
"""

import math
from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.geodesy import metres_per_degree
from geofence.processor import prefetch

GRID_REACH_M: Final = 250.0
"""The greatest margin that the grid answers."""

LEVELS: Final = 8
FINEST_BITS: Final = 17
"""The finest level has 2 ** 17 cells from pole to pole, 153 m high; each further level has 2 bits fewer."""

COARSEST_CELLS: Final = 2 << 2 * (FINEST_BITS - 2 * (LEVELS - 1))
"""The coarsest level has so many cells at most."""

MOST_CELLS: Final = 64
"""A row is at the finest level at which it is in no more cells than these, or at the coarsest."""

TILE_BITS: Final = 3
TILE_SIDE: Final = 1 << TILE_BITS
TILE_CELLS: Final = TILE_SIDE * TILE_SIDE

BAND_BITS: Final = 8
"""In each of 2 ** 8 bands of latitude there are as many cells around as keep them about square."""

_SLACK_M: Final = 1.0
"""More than all rounding of boxes, vertices and points."""

_HASH_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)  # 2 ** 64 over the golden ratio (Knuth)


class Grid(NamedTuple):
    """Rows by cell.

    ``levels`` int32[l] are in use. ``columns`` int32[LEVELS, bands]: cells around each band. ``tiles`` int32[s, 2] is
    the hash table (s a power of two, linear probing): a tile's key, 0 where free, and where its cells begin in
    ``cells`` int32[c]. A cell holds -1 - row where one row is listed, otherwise where its list begins in ``lists``
    int32: how many rows, then the rows, ascending. The list at 0 and the tile at 0 are empty.
    """

    levels: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]
    tiles: npt.NDArray[np.int32]
    cells: npt.NDArray[np.int32]
    lists: npt.NDArray[np.int32]


class Looked(NamedTuple):
    """What ``look_up`` writes for a batch of n points.

    ``cells`` int32[l, n]: the cell of each point on each level in use. ``key``, ``within`` int32[n] and ``slot``
    int64[n] are scratch.
    """

    cells: npt.NDArray[np.int32]
    key: npt.NDArray[np.int32]
    within: npt.NDArray[np.int32]
    slot: npt.NDArray[np.int64]


def pack_grid(boxes: npt.NDArray[np.float64], rows: npt.NDArray[np.int32]) -> Grid:
    """The grid of ``boxes`` float64[n, 4] (west, south, east, north, degrees).

    ``rows`` int32[n], ascending, is what each is listed as.
    """
    boxes = np.ascontiguousarray(boxes, np.float64)
    columns = _columns()
    levels = _levels(boxes, columns)
    tiles = _tiles(boxes, columns, levels).copy()  # NumPy asks for large pages, Numba does not
    taken = np.flatnonzero(tiles[:, 0])
    by_place = taken[np.argsort(tiles[taken, 0])]  # neighbours share pages of memory
    tiles[by_place, 1] = np.arange(1, len(taken) + 1) * TILE_CELLS
    cells = np.zeros((len(taken) + 1) * TILE_CELLS, np.int32)
    lists = np.zeros(_count_listed(boxes, columns, levels, tiles, cells), np.int32)
    _list(boxes, rows, columns, levels, tiles, cells, lists)
    return Grid(np.unique(levels), columns, tiles, cells, lists)


@nb.njit(cache=True, nogil=True)
def room_to_look_up(grid: Grid, points: int) -> Looked:
    """Memory for batches of ``points`` at most."""
    cells = np.empty((len(grid.levels), points), np.int32)
    return Looked(cells, np.empty(points, np.int32), np.empty(points, np.int32), np.empty(points, np.int64))


@nb.njit(cache=True, nogil=True)
def look_up(grid: Grid, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], looked: Looked) -> int:
    """The cells of a batch of points; how many rows they list together.

    One short loop after the other, so that the processor waits for the memory of many points at once (group
    prefetching: Chen et al. 2007).
    """
    key, within, slot = looked.key, looked.within, looked.slot
    mask = len(grid.tiles) - 1
    total = 0
    for k, level in enumerate(grid.levels):
        cells = looked.cells[k]
        _locate(grid.columns[level], level, lat, lon, key, within)
        for i in range(len(lat)):
            slot[i] = _first_slot(key[i], mask)
        for i in range(len(lat)):
            cells[i] = grid.tiles[slot[i], 0]
        for i in range(len(lat)):
            if cells[i] != key[i]:
                slot[i] = _slot(grid.tiles, key[i])
        for i in range(len(lat)):
            within[i] += grid.tiles[slot[i], 1]
        for i in range(len(lat)):
            cells[i] = grid.cells[within[i]]
        for i in range(len(lat)):
            total += (cells[i] < 0) + grid.lists[max(cells[i], 0)]
    return total


@nb.njit(cache=True, nogil=True)
def list_rows(
    grid: Grid,
    cells: npt.NDArray[np.int32],
    points: int,
    read_next: npt.NDArray[Any],
    point: npt.NDArray[np.int32],
    row: npt.NDArray[np.int32],
) -> int:
    """What the ``cells`` of a batch list, into ``point`` and ``row``, by point and then row; how many there are.

    What is listed is asked for in ``read_next``: it comes while branches here are mispredicted, and all of a batch has
    been asked for before the first is read.
    """
    end = 0
    for i in range(points):
        begin = end
        for level in range(len(grid.levels)):
            cell = cells[level, i]
            if cell < 0:
                prefetch(read_next, -1 - cell)
                end = _insert(row, begin, end, -1 - cell)
            else:
                for k in range(cell + 1, cell + 1 + grid.lists[cell]):
                    prefetch(read_next, grid.lists[k])
                    end = _insert(row, begin, end, grid.lists[k])
        for k in range(begin, end):
            point[k] = i
    return end


@nb.njit(cache=True, nogil=True)
def _insert(rows: npt.NDArray[np.int32], begin: int, end: int, row: int) -> int:
    """Put a row in its place between ``begin`` and ``end``; the new end."""
    place = end
    while place > begin and rows[place - 1] > row:
        rows[place] = rows[place - 1]
        place -= 1
    rows[place] = row
    return end + 1


@nb.njit(cache=True, nogil=True)
def _locate(
    columns: npt.NDArray[np.int32],
    level: int,
    lat: npt.NDArray[np.float64],
    lon: npt.NDArray[np.float64],
    key: npt.NDArray[np.int32],
    within: npt.NDArray[np.int32],
) -> None:
    """Each point's tile, by its key, and cell within the tile."""
    rows, bands = 1 << (FINEST_BITS - 2 * level), 1 << BAND_BITS
    for i in range(len(lat)):
        upward = (lat[i] + 90.0) * (1.0 / 180.0)
        around = columns[max(0, min(int(upward * bands), bands - 1))]
        row = max(0, min(int(upward * rows), rows - 1))
        column = max(0, min(int((lon[i] + 180.0) * (1.0 / 360.0) * around), around - 1))
        key[i] = _key(level, row, column)
        within[i] = _within(row, column)


@nb.njit(cache=True, nogil=True)
def _key(level: int, row: int, column: int) -> int:
    """Of a cell's tile: a 1, the tile's row, its column. The 1 tells levels apart, as in a quadtree's codes."""
    bits = FINEST_BITS - TILE_BITS - 2 * level
    return (((1 << bits) | (row >> TILE_BITS)) << (bits + 1)) | (column >> TILE_BITS)


@nb.njit(cache=True, nogil=True)
def _within(row: int, column: int) -> int:
    return (row & (TILE_SIDE - 1)) * TILE_SIDE + (column & (TILE_SIDE - 1))


@nb.njit(cache=True, nogil=True)
def _first_slot(key: int, mask: int) -> int:
    return int((np.uint64(key) * _HASH_FACTOR) >> np.uint64(34)) & mask


@nb.njit(cache=True, nogil=True)
def _slot(tiles: npt.NDArray[np.int32], key: int) -> int:
    """Where a key is in the hash table, or would be."""
    mask = len(tiles) - 1
    slot = _first_slot(key, mask)
    while tiles[slot, 0] != key and tiles[slot, 0] != 0:
        slot = (slot + 1) & mask
    return slot


def _columns() -> npt.NDArray[np.int32]:
    """Cells around each band at each level: as wide as high on the side of the equator.

    A row of cells that spans several bands has the same number in all of them.
    """
    bands = 1 << BAND_BITS
    width = np.cos(np.radians(np.linspace(-90.0, 90.0, bands + 1)))
    width = np.maximum(width[:-1], width[1:])
    columns = np.empty((LEVELS, bands), np.int32)
    for level in range(LEVELS):
        rows = 1 << (FINEST_BITS - 2 * level)
        shared = width.reshape(min(bands, rows), -1).max(axis=1)
        columns[level] = np.repeat(np.ceil(2 * rows * shared), bands // len(shared))
    return columns


class _Reach(NamedTuple):
    """How far a box reaches: degrees to the sides, degrees up and down, and the least metres in a degree of either."""

    aside: float
    up: float
    lon_m: float
    lat_m: float


@nb.njit(cache=True, nogil=True)
def _reach(box: npt.NDArray[np.float64]) -> _Reach:
    reach_m = GRID_REACH_M + _SLACK_M
    lat_m = metres_per_degree(0.0)[1]
    up = reach_m / lat_m
    lon_m = metres_per_degree(min(90.0, max(abs(box[1] - up), abs(box[3] + up))))[0]
    return _Reach(min(180.0, reach_m / max(lon_m, 1.0)), up, lon_m, lat_m)


@nb.njit(cache=True, nogil=True)
def _rows_of(level: int, box: npt.NDArray[np.float64], reach: _Reach) -> tuple[int, int]:
    """The first and the last row of cells within reach of a box."""
    rows = 1 << (FINEST_BITS - 2 * level)
    first = math.floor((box[1] - reach.up + 90.0) / 180.0 * rows)
    last = math.floor((box[3] + reach.up + 90.0) / 180.0 * rows)
    return max(0, first), min(rows - 1, last)


@nb.njit(cache=True, nogil=True)
def _columns_of(
    columns: npt.NDArray[np.int32], level: int, row: int, box: npt.NDArray[np.float64], reach: _Reach
) -> tuple[int, int, int]:
    """Cells around a row of cells, and the first and the last within reach of a box; these may lie beyond ±180."""
    around = columns[level, (row << BAND_BITS) >> (FINEST_BITS - 2 * level)]
    first = math.floor((box[0] - reach.aside + 180.0) / 360.0 * around)
    last = math.floor((box[2] + reach.aside + 180.0) / 360.0 * around)
    return around, first, min(last, first + around - 1)


@nb.njit(cache=True, nogil=True)
def _levels(boxes: npt.NDArray[np.float64], columns: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The level of each box: the finest at which it is in few cells."""
    levels = np.full(len(boxes), LEVELS - 1, np.int32)
    for i in range(len(boxes)):
        reach = _reach(boxes[i])
        for level in range(LEVELS):
            first_row, last_row = _rows_of(level, boxes[i], reach)
            if last_row - first_row >= MOST_CELLS:
                continue
            cells = 0
            for row in range(first_row, last_row + 1):
                _, first, last = _columns_of(columns, level, row, boxes[i], reach)
                cells += last - first + 1
            if cells <= MOST_CELLS:
                levels[i] = level
                break
    return levels


@nb.njit(cache=True, nogil=True)
def _cells_of(
    columns: npt.NDArray[np.int32],
    level: int,
    box: npt.NDArray[np.float64],
    keys: npt.NDArray[np.int32],
    withins: npt.NDArray[np.int32],
) -> int:
    """The cells within reach of a box, by the keys of their tiles and their places in them; how many there are."""
    reach = _reach(box)
    limit_sq = (GRID_REACH_M + _SLACK_M) ** 2
    height = 180.0 / (1 << (FINEST_BITS - 2 * level))
    first_row, last_row = _rows_of(level, box, reach)
    count = 0
    for row in range(first_row, last_row + 1):
        around, first, last = _columns_of(columns, level, row, box, reach)
        width = 360.0 / around
        south = row * height - 90.0
        gap_y = max(0.0, box[1] - (south + height), south - box[3]) * reach.lat_m
        for column in range(first, last + 1):
            west = column * width - 180.0
            gap_x = max(0.0, box[0] - (west + width), west - box[2]) * reach.lon_m
            if gap_x * gap_x + gap_y * gap_y > limit_sq and last - first + 1 < around:
                continue
            keys[count] = _key(level, row, column % around)
            withins[count] = _within(row, column % around)
            count += 1
    return count


@nb.njit(cache=True, nogil=True)
def _tiles(
    boxes: npt.NDArray[np.float64], columns: npt.NDArray[np.int32], levels: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """The hash table with the keys of all tiles, at most half full."""
    keys, withins = np.empty(COARSEST_CELLS, np.int32), np.empty(COARSEST_CELLS, np.int32)
    tiles = np.zeros((64, 2), np.int32)
    count = 0
    for i in range(len(boxes)):
        last = 0
        for k in range(_cells_of(columns, levels[i], boxes[i], keys, withins)):
            if keys[k] == last:
                continue
            last = keys[k]
            slot = _slot(tiles, last)
            if tiles[slot, 0] == last:
                continue
            tiles[slot, 0] = last
            count += 1
            if 2 * count > len(tiles):
                smaller, tiles = tiles, np.zeros((2 * len(tiles), 2), np.int32)
                for key in smaller[:, 0]:
                    if key != 0:
                        tiles[_slot(tiles, key), 0] = key
    return tiles


@nb.njit(cache=True, nogil=True)
def _count_listed(
    boxes: npt.NDArray[np.float64],
    columns: npt.NDArray[np.int32],
    levels: npt.NDArray[np.int32],
    tiles: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
) -> int:
    """Let each cell hold where its list begins, or -1 for its only row; the size of all lists."""
    keys, withins = np.empty(COARSEST_CELLS, np.int32), np.empty(COARSEST_CELLS, np.int32)
    for i in range(len(boxes)):
        count = _cells_of(columns, levels[i], boxes[i], keys, withins)
        _place(tiles, keys, withins, count)
        for k in range(count):
            cells[withins[k]] += 1
    end = 1
    for cell in range(len(cells)):
        rows = cells[cell]
        if rows > 1:
            cells[cell] = end
            end += 1 + rows
        else:
            cells[cell] = -rows
    return end


@nb.njit(cache=True, nogil=True)
def _list(
    boxes: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int32],
    columns: npt.NDArray[np.int32],
    levels: npt.NDArray[np.int32],
    tiles: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    lists: npt.NDArray[np.int32],
) -> None:
    keys, withins = np.empty(COARSEST_CELLS, np.int32), np.empty(COARSEST_CELLS, np.int32)
    for i in range(len(boxes)):
        count = _cells_of(columns, levels[i], boxes[i], keys, withins)
        _place(tiles, keys, withins, count)
        for k in range(count):
            begin = cells[withins[k]]
            if begin < 0:
                cells[withins[k]] = -1 - rows[i]
            else:
                lists[begin] += 1
                lists[begin + lists[begin]] = rows[i]


@nb.njit(cache=True, nogil=True)
def _place(
    tiles: npt.NDArray[np.int32], keys: npt.NDArray[np.int32], withins: npt.NDArray[np.int32], count: int
) -> None:
    """From places within tiles to places among all cells."""
    tile = 0
    for k in range(count):
        if k == 0 or keys[k] != keys[k - 1]:
            tile = tiles[_slot(tiles, keys[k]), 1]
        withins[k] += tile

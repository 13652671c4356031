import numpy as np
import pytest

from geofence.geodesy import metres_per_degree
from geofence.grid import (
    COARSEST_CELLS,
    GRID_REACH_M,
    LEVELS,
    MOST_CELLS,
    list_rows,
    look_up,
    pack_grid,
    room_to_look_up,
)


def packed(boxes):
    """The grid of boxes that are listed by their numbers."""
    return pack_grid(boxes, np.arange(len(boxes), dtype=np.int32))


def listed(grid, lat, lon):
    """The rows that the grid lists at each point."""
    lat, lon = np.atleast_1d(np.asarray(lat, np.float64)), np.atleast_1d(np.asarray(lon, np.float64))
    looked = room_to_look_up(grid, len(lat))
    count = look_up(grid, lat, lon, looked)
    point, row = np.empty(count, np.int32), np.empty(count, np.int32)
    assert list_rows(grid, looked.cells, len(lat), np.empty(0, np.int32), point, row) == count
    return [row[point == i].tolist() for i in range(len(lat))]


def box(lon: float, lat: float, side_m: float) -> list[float]:
    x_m, y_m = metres_per_degree(lat)
    half = min(180.0, side_m / x_m / 2.0), side_m / y_m / 2.0
    return [lon - half[0], max(-90.0, lat - half[1]), lon + half[0], min(90.0, lat + half[1])]


@pytest.mark.parametrize("lat", [0.0, 47.1, 70.0, -89.9])
@pytest.mark.parametrize("lon", [9.5, 180.0])
def test_lists_all_within_reach_in_order_and_not_much_more(lon, lat):
    rng = np.random.default_rng(6)
    x_m, y_m = metres_per_degree(lat)
    sides_m = rng.choice([1.0, 100.0, 1_000.0, 20_000.0, 2_000_000.0], 200)
    boxes = np.array([box(lon + rng.normal() * 3e3 / x_m, lat + rng.normal() * 3e3 / y_m, side) for side in sides_m])
    grid = packed(boxes)
    at = np.column_stack([lon + rng.normal(size=300) * 3e3 / x_m, lat + rng.normal(size=300) * 3e3 / y_m])
    at[:, 0] = (at[:, 0] + 180.0) % 360.0 - 180.0
    at[:, 1] = np.clip(at[:, 1], -90.0, 90.0)
    surplus = 0
    for (x, y), rows in zip(at, listed(grid, at[:, 1], at[:, 0]), strict=True):
        scale = metres_per_degree(y)
        turns = [x - 360.0, x, x + 360.0]
        aside = np.min([np.maximum(0.0, np.maximum(boxes[:, 0] - turn, turn - boxes[:, 2])) for turn in turns], axis=0)
        ahead = np.maximum(0.0, np.maximum(boxes[:, 1] - y, y - boxes[:, 3]))
        gap_m = np.hypot(aside * scale[0], ahead * scale[1])
        assert rows == sorted(set(rows))
        assert set(np.flatnonzero(gap_m <= GRID_REACH_M)) <= set(rows)
        surplus += len(rows) - np.count_nonzero(gap_m <= GRID_REACH_M)
    assert surplus / len(at) < 20


@pytest.mark.parametrize("side_m", [1.0, 1_000.0, 1e5, 1e6, 1e7, 1e8])
def test_a_fence_of_any_size_is_in_few_cells(side_m):
    grid = packed(np.array([box(9.5, 47.1, side_m)]))
    assert np.count_nonzero(grid.cells) <= (MOST_CELLS if side_m < 1e7 else COARSEST_CELLS)
    assert len(grid.levels) == 1
    assert grid.levels[0] < LEVELS
    assert listed(grid, 47.1, 9.5) == [[0]]


def test_nothing_is_listed_where_there_is_nothing():
    assert listed(packed(np.empty((0, 4))), [0.0, 90.0, -90.0], [0.0, 180.0, -180.0]) == [[], [], []]
    assert listed(packed(np.array([box(9.5, 47.1, 100.0)])), [47.0, -90.0], [9.5, 180.0]) == [[], []]


def test_lone_fences_take_under_a_kilobyte():
    rng = np.random.default_rng(7)
    boxes = np.array([box(lon, lat, 150.0) for lon, lat in rng.uniform((-180.0, -70.0), (180.0, 70.0), (2_000, 2))])
    assert sum(array.nbytes for array in packed(boxes)) / len(boxes) < 900

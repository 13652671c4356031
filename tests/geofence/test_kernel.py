import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet, read_feature
from geofence.geodesy import metres_per_degree, wrap_degrees
from geofence.grid import GRID_REACH_M
from geofence.kernel import Near, near, pack
from geofence.outlines import LINE_BYTES
from geofence.shapes import shape_of
from tests.strategies import DrawnFence, drawn_fences

FENCES = Path("../shared/data/fences")
TOLERANCE_M = 0.03  # vertices are held to 1e-7 degrees


def points_around(drawn: DrawnFence, offsets: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    x_m, y_m = metres_per_degree(drawn.center[1])
    scaled = np.array(offsets) * drawn.size_m / (x_m, y_m) + drawn.center
    return scaled[:, 1], np.array([wrap_degrees(lon) for lon in scaled[:, 0]])


offsets = st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=200)
@given(drawn_fences(), offsets, st.sampled_from([0.0, 30.0, 250.0, 1e6]))
def test_equals_shapely(drawn, offsets, margin_m):
    lat, lon = points_around(drawn, offsets)
    found = near(pack([shape_of(drawn.geometry, drawn.radius_m)]), lat, lon, margin_m)
    distances = dict(zip(found.point.tolist(), found.distance_m.tolist(), strict=True))
    for i in range(len(lat)):
        expected = drawn.distance_m(lat[i], lon[i])
        if abs(expected - margin_m) > TOLERANCE_M:
            assert (i in distances) == (expected <= margin_m)
        if i in distances and abs(expected) > TOLERANCE_M:
            assert distances[i] == pytest.approx(expected, abs=TOLERANCE_M, rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.lists(drawn_fences(), min_size=1, max_size=40), offsets)
def test_many_fences_equal_each_alone(drawn, offsets):
    shapes = [shape_of(fence.geometry, fence.radius_m) for fence in drawn]
    lat, lon = points_around(drawn[0], offsets)
    found = near(pack(shapes), lat, lon, 250.0)
    alone = [
        (int(point), row, distance)
        for row, shape in enumerate(shapes)
        for point, _, distance in zip(*near(pack([shape]), lat, lon, 250.0), strict=True)
    ]
    assert sorted(alone) == list(zip(*(column.tolist() for column in found), strict=True))


def within(found: Near, margin_m: float) -> list[list[float]]:
    return [column[found.distance_m <= margin_m].tolist() for column in found]


@settings(deadline=None, max_examples=100)
@given(st.lists(drawn_fences(), min_size=1, max_size=20), offsets, st.sampled_from([0.0, 1.0, 30.0, GRID_REACH_M]))
def test_grid_and_tree_find_the_same(drawn, offsets, margin_m):
    fences = pack([shape_of(fence.geometry, fence.radius_m) for fence in drawn])
    for fence in drawn:
        lat, lon = points_around(fence, offsets)
        beyond = near(fences, lat, lon, GRID_REACH_M + 100.0)  # the tree's
        assert within(near(fences, lat, lon, margin_m), margin_m) == within(beyond, margin_m)


def mixed_town(rng: np.random.Generator, lon: float, lat: float, count: int) -> list[DrawnFence]:
    """Polygons with and without holes, multipolygons, corridors and circles over each other, 10 m to 300 km large."""
    metric = metres_per_degree(lat)

    def star(middle: np.ndarray, size_m: float, scale: float = 1.0) -> list[list[float]]:
        angles = np.linspace(0.0, 2.0 * np.pi, len(radii), endpoint=False)
        ring = middle + scale * size_m * radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
        return (np.vstack([ring, ring[:1]]) / metric + (lon, lat)).tolist()

    fences = []
    for i in range(count):
        size_m = float(rng.choice([10.0, 40.0, 150.0, 1e3, 3e4, 3e5], p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05]))
        middle = rng.uniform(-1_500.0, 1_500.0, 2) + rng.uniform(-0.9, 0.9, 2) * (size_m if size_m > 1e3 else 0.0)
        radii = rng.uniform(0.3, 1.0, int(rng.integers(3, 120)))
        walk = middle + np.cumsum(rng.normal(0.0, size_m, (int(rng.integers(2, 40)), 2)), axis=0)
        path = (walk / metric + (lon, lat)).tolist()
        ringed = [star(middle, size_m), star(middle, size_m, 0.6)[::-1]]
        beside = [star(middle + np.array((2.5 * size_m, 0.0)), size_m)]
        kind, coordinates, polygons, paths = (
            ("Polygon", ringed, [ringed], []),
            ("MultiPolygon", [ringed, beside], [ringed, beside], []),
            ("LineString", path, [], [path]),
            ("Point", path[0], [], [path[:1]]),
        )[i % 4]
        geometry = {"type": kind, "coordinates": wrapped(coordinates)}
        fences.append(DrawnFence(geometry, size_m / 2.0 if paths else None, polygons, paths, (lon, lat), size_m))
    return fences


def wrapped(coordinates: list) -> list:
    """GeoJSON coordinates with longitudes within ±180."""
    if isinstance(coordinates[0], list):
        return [wrapped(each) for each in coordinates]
    return [wrap_degrees(coordinates[0]), coordinates[1]]


@pytest.mark.parametrize("lat", [0.0, -33.9, 47.1, 70.0])
@pytest.mark.parametrize("lon", [9.5, 179.995, -180.0])
def test_large_and_small_over_each_other_equal_shapely(lon, lat):
    rng = np.random.default_rng(5)
    town = mixed_town(rng, lon, lat, 60)
    fences = pack([shape_of(fence.geometry, fence.radius_m) for fence in town])
    here = rng.uniform(-2_000.0, 2_000.0, (40, 2)) / metres_per_degree(lat) + (lon, lat)
    lats, lons = here[:, 1], np.array([wrap_degrees(x) for x in here[:, 0]])
    expected = {(i, row): fence.distance_m(lats[i], lons[i]) for i in range(40) for row, fence in enumerate(town)}
    for margin_m in (0.0, 20.0, GRID_REACH_M, 5_000.0):
        found = near(fences, lats, lons, margin_m)
        pairs = list(zip(found.point.tolist(), found.row.tolist(), strict=True))
        assert pairs == sorted(pairs)
        certain = {pair for pair, distance in expected.items() if abs(distance - margin_m) > 0.05}
        assert set(pairs) & certain == {pair for pair in certain if expected[pair] <= margin_m}
        assert found.distance_m == pytest.approx([expected[pair] for pair in pairs], abs=TOLERANCE_M, rel=1e-6)


def test_a_large_circle_is_found_from_the_side_of_the_equator():
    circle = {"type": "Point", "coordinates": [9.5, 60.0]}
    fences = pack([shape_of(circle, 1_000_000.0)])
    edge = 60.0 - 1_000_000.0 / metres_per_degree(51.0)[1]
    found = near(fences, np.array([edge + 0.001, edge - 0.001]), np.array([9.5, 9.5]), GRID_REACH_M)
    assert found.distance_m == pytest.approx([-111.0, 111.0], abs=30.0)


def test_around_the_globe_and_over_a_pole():
    belt = {"type": "Polygon", "coordinates": [[[-180, -1], [180, -1], [180, 1], [-180, 1], [-180, -1]]]}
    cap = {"type": "Point", "coordinates": [0.0, 89.999]}
    fences = pack([shape_of(belt, None), shape_of(cap, 200.0)])
    lon = np.array([-180.0, -90.0, 0.0, 179.9999, 180.0])
    assert near(fences, np.zeros(5), lon, GRID_REACH_M).row.tolist() == [0] * 5
    for lat in (89.9985, 89.9999, 90.0):
        gridded, searched = (
            near(fences, np.full(5, lat), lon, margin) for margin in (GRID_REACH_M, GRID_REACH_M + 1.0)
        )
        assert within(gridded, GRID_REACH_M) == within(searched, GRID_REACH_M)


def test_no_fences_and_no_points():
    square = shape_of({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}, None)
    assert [len(column) for column in near(pack([]), np.array([1.0]), np.array([1.0]), 100.0)] == [0, 0, 0]
    assert [len(column) for column in near(pack([square]), np.empty(0), np.empty(0), 100.0)] == [0, 0, 0]


def test_no_row_begins_across_two_cache_lines():
    corners = [[9.5 + 0.001 * np.cos(turn), 47.1 + 0.001 * np.sin(turn)] for turn in np.linspace(0.0, 6.0, 20)]
    ring = shape_of({"type": "Polygon", "coordinates": [[*corners, corners[0]]]}, None)
    circle = shape_of({"type": "Point", "coordinates": [9.5, 47.1]}, 100.0)
    outlines = pack([ring, circle, ring, ring, circle]).outlines
    begins = outlines.row.ctypes.data + outlines.place.astype(np.int64) * outlines.row.itemsize
    assert set(begins % LINE_BYTES) <= {0, LINE_BYTES - outlines.row.itemsize}
    assert outlines.row[outlines.place]["number"].tolist() == [0, 1, 2, 3, 4]


def test_output_outgrows_its_first_size():
    circle = shape_of({"type": "Point", "coordinates": [9.5, 47.1]}, 100.0)
    found = near(pack([circle] * 1_000), np.array([47.1]), np.array([9.5]), 0.0)
    assert found.row.tolist() == list(range(1_000))
    assert found.distance_m == pytest.approx(-100.0, abs=TOLERANCE_M)


def test_an_area_all_around_a_pole():
    cap = {"type": "Polygon", "coordinates": [[[-180, 80], [180, 80], [180, 90], [-180, 90], [-180, 80]]]}
    found = near(pack([shape_of(cap, None)]), np.array([85.0, 85.0, 89.0, 79.0]), np.array([180.0, 0, -90, 10]), 0.0)
    assert found.point.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["nyc-census-tracts.json", "liechtenstein_buildings.geojson", "urban-areas.geojson"])
def test_real_fences_equal_shapely(name):
    path = FENCES / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    features = json.loads(path.read_bytes())["features"]
    fences = FenceSet.of([read_feature({**feature, "id": i}) for i, feature in enumerate(features)])
    areas = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    rng = np.random.default_rng(4)
    bounds = shapely.bounds(areas)[rng.integers(0, len(areas), 400)]
    lon, lat = (bounds[:, :2] + rng.uniform(-0.2, 1.2, (400, 2)) * (bounds[:, 2:] - bounds[:, :2])).T
    margin_m = 500.0

    found = near(fences.packed, lat, lon, margin_m)
    pairs = set(zip(found.point.tolist(), found.row.tolist(), strict=True))
    expected = {}
    tree = shapely.STRtree(areas)
    for i in range(len(lat)):
        x_m, y_m = metres_per_degree(lat[i])
        reach = shapely.box(
            lon[i] - margin_m / x_m, lat[i] - margin_m / y_m, lon[i] + margin_m / x_m, lat[i] + margin_m / y_m
        )
        for row in tree.query(reach):
            local = shapely.transform(
                areas[row], lambda at, i=i, x_m=x_m, y_m=y_m: (at - (lon[i], lat[i])) * (x_m, y_m)
            )
            here = shapely.Point(0, 0)
            edge_m = here.distance(local.boundary)
            expected[i, int(row)] = -edge_m if local.contains(here) else edge_m

    assert pairs == {pair for pair, distance in expected.items() if distance <= margin_m}
    for point, row, distance in zip(*found, strict=True):
        assert distance == pytest.approx(expected[point, row], abs=TOLERANCE_M, rel=1e-6)

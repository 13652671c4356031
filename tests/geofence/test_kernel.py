import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet, read_feature
from geofence.geodesy import metres_per_degree, wrap_degrees
from geofence.kernel import near, pack
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


def test_no_fences_and_no_points():
    square = shape_of({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}, None)
    assert [len(column) for column in near(pack([]), np.array([1.0]), np.array([1.0]), 100.0)] == [0, 0, 0]
    assert [len(column) for column in near(pack([square]), np.empty(0), np.empty(0), 100.0)] == [0, 0, 0]


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

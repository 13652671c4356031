import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from geofence.geodesy import metres_per_degree
from geofence.shapes import SHAPES, shape_of
from schemas.fence import FenceError
from tests.strategies import drawn_fences

SQUARE = [[9.0, 47.0], [9.1, 47.0], [9.1, 47.1], [9.0, 47.1], [9.0, 47.0]]
HOLE = [[9.04, 47.04], [9.04, 47.06], [9.06, 47.06], [9.06, 47.04], [9.04, 47.04]]
BOW_TIE = [[9.0, 47.0], [9.1, 47.1], [9.1, 47.0], [9.0, 47.1], [9.0, 47.0]]
NAN = math.nan

EXAMPLES = {
    "Polygon": [SQUARE, HOLE],
    "MultiPolygon": [[SQUARE], [[[lon + 1, lat] for lon, lat in SQUARE]]],
    "Point": [9.0, 47.0],
    "MultiPoint": [[9.0, 47.0], [9.1, 47.0]],
    "LineString": [[9.0, 47.0], [9.1, 47.0]],
    "MultiLineString": [[[9.0, 47.0], [9.1, 47.0]], [[9.0, 47.1], [9.1, 47.1]]],
}


@pytest.mark.parametrize("kind", SHAPES)
def test_every_kind_of_geometry_is_read(kind):
    shape = shape_of({"type": kind, "coordinates": EXAMPLES[kind]}, 50.0)
    assert shape.parts[0] == 0
    assert shape.parts[-1] == len(shape.positions)
    assert shape.area_m2() > 0.0
    assert shape.width_m() > 0.0
    assert (shape.radius_m == 0.0) == kind.endswith("Polygon")


@pytest.mark.parametrize(
    ("kind", "coordinates", "radius_m", "message"),
    [
        ("Polygon", [SQUARE[:-1]], None, r"ring 0 is not closed: it starts at \(9 47\) and ends at \(9 47.1\)"),
        ("Polygon", [SQUARE, HOLE[:-1]], None, "ring 1 is not closed"),
        ("Polygon", [SQUARE[:2] + SQUARE[:1]], None, "ring 0 has 3 positions; a closed ring has at least 4"),
        ("Polygon", [BOW_TIE], None, r"self-intersection at lon lat \(9.05 47.05\)"),
        ("Polygon", [SQUARE, [[lon + 1, lat] for lon, lat in HOLE]], None, "hole lies outside shell at lon lat"),
        ("Polygon", [[[9, 47], [9.1, 47], [9.2, 47], [9, 47]]], None, "too few points in geometry|self-intersection"),
        ("Polygon", [], None, "coordinates is empty"),
        ("Polygon", [[]], None, "ring 0 is empty"),
        ("Polygon", None, None, "coordinates is not a list"),
        ("Polygon", SQUARE, None, r"ring 0 has a position that is not \[lon, lat\]"),
        ("Polygon", [[*SQUARE[:2], [9.1], *SQUARE[3:]]], None, r"position that is not \[lon, lat\]"),
        ("Polygon", [[*SQUARE[:2], ["x", 1], *SQUARE[3:]]], None, r"position that is not \[lon, lat\]"),
        ("Polygon", [[*SQUARE[:2], [9.1, NAN], *SQUARE[3:]]], None, "position that is not a number, at index 2"),
        ("Polygon", [[*SQUARE[:2], [47.1, 91.0], *SQUARE[3:]]], None, "ring 0 has latitude 91, not within -90..90"),
        ("Polygon", [[*SQUARE[:2], [720.0, 47.0], *SQUARE[3:]]], None, "ring 0 has longitude 720, not within"),
        ("Polygon", [[[lon + 180, lat] for lon, lat in SQUARE]], None, "longitude 189, not within -180..180"),
        ("Polygon", [[[0, 80], [120, 80], [-120, 80], [0, 80]]], None, "ring 0 runs around a pole"),
        ("MultiPolygon", [[SQUARE], [BOW_TIE]], None, "polygon 1: self-intersection at lon lat"),
        ("MultiPolygon", [[SQUARE], [HOLE]], None, "polygons overlap"),
        ("MultiPolygon", [], None, "coordinates is empty"),
        ("Point", [9.0, 47.0], None, "radius_m is missing"),
        ("Point", [9.0, 47.0], 0.0, "radius_m 0 is not within"),
        ("Point", [9.0, 47.0], -5.0, "radius_m -5 is not within"),
        ("Point", [9.0, 47.0], NAN, "radius_m nan is not within"),
        ("Point", [], 5.0, r"point has a position that is not \[lon, lat\]"),
        ("Point", [190.0, 47.0], 5.0, "longitude 190, not within -180..180"),
        ("LineString", [[9.0, 47.0]], 5.0, "line has 1 position; a line has at least 2"),
        ("LineString", [[9.0, 47.0], [9.1, 47.0]], None, "radius_m is missing"),
        ("MultiLineString", [[[9, 47], [9, 48]], [[9, 47]]], 5.0, "line 1 has 1 position"),
        ("GeometryCollection", [], None, "geometry type 'GeometryCollection' is not one of Polygon"),
        (None, [], None, "geometry type None is not one of"),
    ],
)
def test_what_is_wrong_is_said(kind, coordinates, radius_m, message):
    with pytest.raises(FenceError, match=message):
        shape_of({"type": kind, "coordinates": coordinates}, radius_m)


@pytest.mark.parametrize(
    "coordinates",
    [
        [[[179.9, 0], [180.1, 0], [180.1, 0.1], [179.9, 0.1], [179.9, 0]]],
        [[[179.9, 0], [-179.9, 0], [-179.9, 0.1], [179.9, 0.1], [179.9, 0]]],
        [[[-180.1, 0], [-179.9, 0], [-179.9, 0.1], [-180.1, 0.1], [-180.1, 0]]],
    ],
)
def test_both_spellings_across_the_antimeridian(coordinates):
    shape = shape_of({"type": "Polygon", "coordinates": coordinates}, None)
    x_m, y_m = metres_per_degree(0.05)
    assert shape.area_m2() == pytest.approx(0.2 * x_m * 0.1 * y_m, rel=1e-6)
    west, _, east, _ = shape.bounds
    assert east - west == pytest.approx(0.2)
    assert abs(west + east) / 2 == pytest.approx(180.0)


def test_a_polygon_cut_at_the_antimeridian_is_whole_again():
    west = [[[179.9, 0], [180, 0], [180, 0.1], [179.9, 0.1], [179.9, 0]]]
    east = [[[-180, 0], [-179.9, 0], [-179.9, 0.1], [-180, 0.1], [-180, 0]]]
    shape = shape_of({"type": "MultiPolygon", "coordinates": [west, east]}, None)
    assert len(shape.parts) == 2
    assert shape.width_m() == pytest.approx(0.1 * metres_per_degree(0.05)[1], rel=0.02)


@settings(deadline=None, max_examples=50)
@given(drawn_fences())
def test_area_and_width_equal_shapely(drawn):
    shape = shape_of(drawn.geometry, drawn.radius_m)
    metric = shape.metric()

    def local(positions):
        return (np.array(positions) - drawn.center) * metric

    if drawn.radius_m is not None:
        assert shape.width_m() == 2.0 * drawn.radius_m
        paths = [shapely.Point(local(p)[0]) if len(p) == 1 else shapely.LineString(local(p)) for p in drawn.paths]
        exact_m2 = shapely.union_all(paths).buffer(drawn.radius_m, quad_segs=64).area
        assert shape.area_m2() == pytest.approx(exact_m2, rel=0.01)
        return
    areas = [shapely.Polygon(local(rings[0]), [local(ring) for ring in rings[1:]]) for rings in drawn.polygons]
    assert shape.area_m2() == pytest.approx(sum(area.area for area in areas), rel=1e-6)
    widest_m = max(2.0 * shapely.maximum_inscribed_circle(area, tolerance=0.01 * drawn.size_m).length for area in areas)
    assert shape.width_m() == pytest.approx(widest_m, rel=0.05, abs=0.03 * drawn.size_m)

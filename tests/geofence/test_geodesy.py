import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.geodesy import haversine_m, metres_per_degree, wrap_degrees


@pytest.mark.parametrize(
    ("lat", "x_m", "y_m"),
    [  # NGA, length of a degree on WGS 84
        (0.0, 111_319.5, 110_574.3),
        (45.0, 78_846.8, 111_131.8),
        (70.0, 38_187.3, 111_562.0),
        (-70.0, 38_187.3, 111_562.0),
        (90.0, 0.0, 111_694.0),
    ],
)
def test_a_degree_on_the_ellipsoid(lat, x_m, y_m):
    assert metres_per_degree(lat) == pytest.approx((x_m, y_m), abs=2.0)


@given(st.floats(-1e4, 1e4))
def test_wrapping_keeps_the_direction(degrees):
    wrapped = wrap_degrees(degrees)
    assert -180.0 <= wrapped < 180.0
    assert math.cos(math.radians(wrapped)) == pytest.approx(math.cos(math.radians(degrees)), abs=1e-9)
    assert math.sin(math.radians(wrapped)) == pytest.approx(math.sin(math.radians(degrees)), abs=1e-9)


def test_haversine_of_a_known_pair():
    zurich, london = (47.3769, 8.5417), (51.5074, -0.1278)
    assert haversine_m(*zurich, *london) == pytest.approx(776_000, rel=0.006)
    assert haversine_m(70.0, 179.9995, 70.0, -179.9995) == pytest.approx(38.03, abs=0.2)


@given(st.floats(-85, 85), st.floats(-180, 180), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
def test_local_metric_and_haversine_agree_nearby(lat, lon, north, east):
    x_m, y_m = metres_per_degree(lat + north / 2)
    assert math.hypot(east * x_m, north * y_m) == pytest.approx(
        haversine_m(lat, lon, lat + north, lon + east), rel=0.006, abs=0.01
    )

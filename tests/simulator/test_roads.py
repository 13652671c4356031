from pathlib import Path

import numpy as np
import pytest

from simulator.plane import Plane
from simulator.roads import MapError, RoadNetwork, Spot, read_osm, street_of
from simulator.town import draw_streets

LIECHTENSTEIN = Path(__file__).parents[3] / "shared/data/osm/liechtenstein-latest.osm.pbf"


def travel_s(route) -> float:
    return float((np.hypot(*np.diff(route.points, axis=0).T) / route.speed_mps).sum())


def all_pairs_s(network: RoadNetwork) -> np.ndarray:
    """Floyd–Warshall."""
    count = len(network.junctions)
    best = np.full((count, count), np.inf)
    np.fill_diagonal(best, 0.0)
    for street in network.streets:
        took_s = street.length_m / street.speed_mps
        best[street.a, street.b] = best[street.b, street.a] = min(best[street.a, street.b], took_s)
    for through in range(count):
        best = np.minimum(best, best[:, through, None] + best[None, through, :])
    return best


def test_the_route_is_the_quickest():
    network = draw_streets(6, np.random.default_rng(2))
    best_s = all_pairs_s(network)
    rng = np.random.default_rng(3)
    for _ in range(60):
        a, b = rng.integers(len(network.streets), size=2)
        first, last = network.streets[a], network.streets[b]
        origin, target = Spot(a, rng.uniform(0, first.length_m)), Spot(b, rng.uniform(0, last.length_m))
        route = network.route(origin, target)
        assert np.allclose(route.points[0], first.point_at(origin.along_m))
        assert np.allclose(route.points[-1], last.point_at(target.along_m))
        if a == b:
            continue
        expected_s = min(
            leave / first.speed_mps + best_s[start, end] + enter / last.speed_mps
            for start, leave in ((first.a, origin.along_m), (first.b, first.length_m - origin.along_m))
            for end, enter in ((last.a, target.along_m), (last.b, last.length_m - target.along_m))
        )
        assert travel_s(route) == pytest.approx(expected_s, rel=1e-6)


def test_no_way_is_none():
    junctions = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 500.0], [100.0, 500.0]])
    streets = [street_of(0, 1, junctions[:2], 10.0), street_of(2, 3, junctions[2:], 10.0)]
    assert RoadNetwork(junctions, streets).route(Spot(0, 10.0), Spot(1, 10.0)) is None


def test_a_network_needs_a_street():
    with pytest.raises(MapError, match="at least one street"):
        RoadNetwork(np.zeros((1, 2)), [])


@pytest.mark.parametrize("along_m", [-40.0, 0.0, 1.0, 50.0, 99.0, 100.0, 140.0])
def test_a_street_has_a_direction_beyond_its_ends_too(along_m):
    street = street_of(0, 1, np.array([[0.0, 0.0], [60.0, 0.0], [100.0, 0.0]]), 8.0)
    assert street.direction_at(along_m).tolist() == [1.0, 0.0]


def test_the_plane_is_metric():
    """One degree of latitude at 47° N is 111.18 km, one of longitude 76.06 km."""
    x, y = Plane(47.0, 8.0).to_metres([48.0, 47.0], [8.0, 9.0])
    assert y[0] == pytest.approx(111_170.0, abs=30.0)
    assert x[1] == pytest.approx(76_056.0, abs=30.0)


def test_there_and_back_is_within_a_centimetre():
    plane = Plane(70.0, 25.0)
    points = np.random.default_rng(1).uniform(-5_000.0, 5_000.0, (2, 100))
    back = plane.to_metres(*plane.to_degrees(*points))
    assert np.allclose(back, points, atol=0.012)


def test_a_map_that_is_none(tmp_path):
    pytest.importorskip("osmium")
    (tmp_path / "map.osm.pbf").write_text("no map")
    with pytest.raises(MapError, match=r"map\.osm\.pbf"):
        read_osm(tmp_path / "map.osm.pbf")


@pytest.mark.skipif(not LIECHTENSTEIN.exists(), reason="shared/data is absent")
def test_a_country_of_roads():
    pytest.importorskip("osmium")
    plane, network = read_osm(LIECHTENSTEIN)
    assert 47.0 < plane.lat < 47.3
    assert len(network.streets) > 3_500
    vaduz, schaan = plane.to_metres([47.141, 47.165], [9.521, 9.509])

    def nearest(x: float, y: float) -> Spot:
        away = [np.hypot(*(street.shape - (x, y)).T).min() for street in network.streets]
        return Spot(int(np.argmin(away)), 0.0)

    route = network.route(nearest(vaduz[0], schaan[0]), nearest(vaduz[1], schaan[1]))
    length_m = np.hypot(*np.diff(route.points, axis=0).T).sum()
    assert 2_600.0 < length_m < 4_500.0

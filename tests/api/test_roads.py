"""Ways by road for requests: who is there soonest, plans, and what is done without a map or while it fails."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from api.roads import Roads
from routing.matrix import MOST_WAYS, straight_line_matrix, ways_to_ask
from routing.provider import Floats, Provider, Ways
from routing.straight_line import NAME, StraightLine
from tests.api.conftest import Door
from tests.api.test_nearest import names, nearest, put, seen, technician
from tests.api.test_plans import job

DEADLINE_S = 10.0


class River:
    """A provider of a country with a river at a longitude, over which every way takes an hour more."""

    name = "river"

    def __init__(self, lon: float = -2.985) -> None:
        self.lon = lon
        self.asked: list[int] = []
        self.answers = StraightLine().ways

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        self.asked.append(len(lat))
        found = self.answers(lat, lon, to_lat, to_lon)
        over = (lon < self.lon) != (to_lon < self.lon)
        return Ways(found.travel_s + 3_600.0 * over, found.distance_m, ["river"] * len(lat))

    def close(self) -> None:
        pass


@pytest.fixture
def river() -> River:
    return River()


@pytest.fixture
def by_road(river: River, request: pytest.FixtureRequest) -> Iterator[Door]:
    """Amina is near, over the river; Bo, Cem and Dee are farther away, on this side."""
    door = Door(roads=Roads(river, **getattr(request, "param", {})))
    put(door, *(technician(name) for name in ("amina", "bo", "cem", "dee")))
    seen(door, "phone-amina", 53.4, -2.984)
    for name, lat in (("bo", 53.41), ("cem", 53.42), ("dee", 53.43)):
        seen(door, f"phone-{name}", lat)
    yield door
    door.roads.close()


def until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def test_who_is_there_soonest_by_road_comes_first(by_road: Door, river: River) -> None:
    found = nearest(by_road)
    assert names(found) == ["bo", "cem", "dee", "amina"]
    assert {each["provider"] for each in found} == {"river"}
    assert found[0]["travel_s"] == pytest.approx(90 + 1_112 * 1.35 / 9.0, abs=1)
    assert found[3]["travel_s"] > 3_600
    assert found[3]["distance_m"] == pytest.approx(398, abs=3), "by the straight line, as the radius is"
    assert found[3]["eta"] > found[2]["eta"]
    assert names(nearest(by_road, limit=1)) == ["bo"], "who is nearest over the river does not take the place"
    assert names(nearest(by_road, limit=3, radius_m=1_000)) == ["amina"]
    assert nearest(by_road, skills="oil") == []
    assert river.asked == [4, 4, 1], "all at once; nobody where there is nobody"


@pytest.mark.parametrize("error", [RuntimeError("cannot schedule new futures"), ConnectionError("gone")])
def test_a_provider_that_fails_leaves_it_to_the_straight_line_and_is_left_alone(
    by_road: Door, river: River, error: Exception
) -> None:
    def fail(*_: Any) -> Ways:
        raise error

    river.answers = fail
    found = nearest(by_road, limit=3)
    assert names(found) == ["amina", "bo", "cem"]
    assert {each["provider"] for each in found} == {NAME}
    river.answers = StraightLine().ways
    assert names(nearest(by_road, limit=1)) == ["amina"]
    assert river.asked == [4]


@pytest.mark.parametrize("by_road", [{"look_again_s": 0.0}], indirect=True)
def test_a_provider_that_is_there_again_is_asked_again(by_road: Door, river: River) -> None:
    def fail(*_: Any) -> Ways:
        raise ConnectionError("gone")

    river.answers = fail
    assert names(nearest(by_road, limit=1)) == ["amina"]
    river.answers = StraightLine().ways
    assert names(nearest(by_road, limit=1)) == ["bo"]


@pytest.mark.parametrize("by_road", [{"patience_s": 0.05}], indirect=True)
def test_a_provider_that_hangs_is_not_waited_for(by_road: Door, river: River) -> None:
    let_go = threading.Event()

    def hang(*places: Any) -> Ways:
        let_go.wait(DEADLINE_S)
        return StraightLine().ways(*places)

    river.answers = hang
    began_s = time.monotonic()
    try:
        assert names(nearest(by_road, limit=2)) == ["amina", "bo"]
        assert names(nearest(by_road, limit=2)) == ["amina", "bo"]
    finally:
        let_go.set()
    assert time.monotonic() - began_s < DEADLINE_S / 2
    assert river.asked == [4]


def test_a_map_that_comes_later_is_found_in_the_background() -> None:
    class Opening(River):
        """Knows no roads until it has been asked for the first time."""

        name = NAME

        def ways(self, *places: Any) -> Ways:
            found = super().ways(*places)
            self.name = "river"
            return found

    opening = Opening()
    found = Roads(opening, look_again_s=0.1)
    assert not found.are_known()
    until(found.are_known)
    assert opening.asked[0] == 1
    found.close()


def test_without_a_provider_nobody_is_asked() -> None:
    none = Roads()
    assert not none.are_known()
    assert asyncio.run(none.ways(*[np.zeros(2)] * 4)) is None
    assert asyncio.run(none.matrix(np.zeros(2), np.zeros(2))) is None


def strewn(count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(5)
    return 53.4 + rng.random(count) / 10, -2.985 + (rng.random(count) - 0.5) / 10


def matrix_by(provider: Provider, lat: Floats, lon: Floats) -> Floats:
    found = Roads(provider)
    matrix = asyncio.run(found.matrix(lat, lon))
    found.close()
    assert matrix is not None
    return matrix


def test_a_matrix_has_all_ways_each_from_its_row_to_its_column(river: River) -> None:
    lat, lon = strewn(7)
    matrix = matrix_by(river, lat, lon)
    for i in range(7):
        for j in range(7):
            way = river.ways(lat[i : i + 1], lon[i : i + 1], lat[j : j + 1], lon[j : j + 1])
            assert matrix[i, j] == (0.0 if i == j else pytest.approx(way.travel_s[0]))
    same = np.zeros(3)
    assert matrix_by(river, same, same).tolist() == straight_line_matrix(same, same).tolist()
    assert asyncio.run(Roads(river).matrix(np.zeros(1), np.zeros(1))) is None


@pytest.mark.parametrize("count", [2, 55, 56, 300])
def test_of_many_places_near_neighbours_are_asked_about_there_and_back(count: int) -> None:
    lat, lon = strewn(count)
    slow = River(lon=-100.0)
    slow.answers = lambda *places: Ways(2.0 * StraightLine().ways(*places).travel_s, np.zeros(0), [])
    start, end = ways_to_ask(lat, lon)
    asked = set(zip(start.tolist(), end.tolist(), strict=True))
    assert len(asked) == len(start) <= MOST_WAYS
    assert (len(asked) == count * (count - 1)) is (count <= 55)
    assert asked == {(j, i) for i, j in asked}
    straight = straight_line_matrix(lat, lon)
    for i in range(count):
        others = sorted((straight[i, j], j) for j in range(count) if j != i)
        assert {(i, j) for _, j in others[: MOST_WAYS // (2 * count)]} <= asked
    np.testing.assert_allclose(matrix_by(slow, lat, lon), 2.0 * straight, err_msg="the others as much longer")
    assert slow.asked == [len(asked)]


def test_a_plan_sends_nobody_over_the_river(by_road: Door) -> None:
    for name in ("cem", "dee"):
        by_road.registers["technicians"].remove(name)
    job(by_road, "over", 53.401, "bo", lon=-2.984)
    job(by_road, "here", 53.409, "amina")
    found = by_road.post("/v1/plans", json={"iterations": 200}).json()
    tours = {each["technician_id"]: [stop["job_id"] for stop in each["stops"]] for each in found["plan"]["tours"]}
    assert tours == {"amina": ["over"], "bo": ["here"]}
    assert found["saves_travel_s"] > 7_000
    [offer, *_] = by_road.get("/v1/jobs/here/offers").json()["items"]
    assert offer["technician_id"] == "bo"

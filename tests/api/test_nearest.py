from typing import Any

import pytest

from schemas.live import LiveState
from schemas.people import Shift, Technician
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_jobs import created, move
from tests.fakes import make_key

HERE = {"lat": 53.4, "lon": -2.99}


def technician(name: str, branch: str | None = None, **more: Any) -> Technician:
    return Technician(technician_id=name, name=name.title(), device_ids=[f"phone-{name}"], branch=branch, **more)


def put(door: Door, *technicians: Technician) -> None:
    for each in technicians:
        door.registers["technicians"].put(each.technician_id, each)


def seen(door: Door, device_id: str, lat: float, lon: float = -2.99, age_s: int = 5) -> None:
    ts_ms = Instant(NOW_MS - 1000 * age_s)
    door.put_live(LiveState(device_id, ts_ms, lat, lon, 5.0, None, None, None, "moving", [], ts_ms))


def nearest(door: Door, **query: Any) -> list[dict[str, Any]]:
    answer = door.get("/v1/devices/nearest", params=HERE | query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["technician_id"] for each in found]


@pytest.fixture
def staffed(door: Door) -> Door:
    off = [Shift("2026-03-03T08:00:00Z", "2026-03-03T16:00:00Z")]
    put(door, technician("amina", "north", skills=["gas"]), technician("bo", "south"), technician("cem", shifts=off))
    for device_id, lat in (("phone-amina", 53.41), ("phone-bo", 53.405), ("phone-cem", 53.42), ("van-9", 53.43)):
        seen(door, device_id, lat)
    return door


def test_the_nearest_come_first_and_a_device_of_nobody_stands_for_itself(staffed: Door) -> None:
    found = nearest(staffed)
    assert names(found) == ["bo", "amina", "cem", "van-9"]
    assert found[0]["name"] == "Bo"
    assert found[0]["distance_m"] == pytest.approx(556, abs=2)
    assert found[0]["travel_s"] == pytest.approx(90 + 556 * 1.35 / 9.0, abs=1)
    assert found[0]["provider"] == "straight_line"
    assert [each["available"] for each in found] == [True, True, False, True]


def test_it_is_narrowed_down(staffed: Door) -> None:
    assert names(nearest(staffed, limit=2)) == ["bo", "amina"]
    assert names(nearest(staffed, radius_m=1_500)) == ["bo", "amina"]
    assert names(nearest(staffed, skills="gas")) == ["amina"]
    assert names(nearest(staffed, skills="gas,oil")) == []
    assert names(nearest(staffed, available=True)) == ["bo", "amina", "van-9"]
    seen(staffed, "van-10", 53.4001, age_s=4_000)
    assert "van-10" not in names(nearest(staffed))
    assert "van-10" in names(nearest(staffed, max_age_s=5_000))


def test_who_is_at_a_job_is_free_when_it_is_expected_to_end(staffed: Door) -> None:
    created(staffed, technician_ids=["amina"], duration_s=1_800)
    assert names(nearest(staffed, available=True)) == ["bo", "amina", "van-9"]
    move(staffed, "on_site", at="2026-03-02T08:05:10Z")
    assert names(nearest(staffed, available=True)) == ["bo", "van-9"]
    amina = nearest(staffed)[1]
    assert (amina["available"], amina["job_id"], amina["free_at"]) == (False, "j1", "2026-03-02T08:35:10.000Z")
    move(staffed, "completed")
    assert nearest(staffed)[1]["available"]


def test_a_device_that_somebody_takes_stands_for_itself_no_longer(staffed: Door) -> None:
    put(staffed, Technician(technician_id="dee", name="Dee", device_ids=["van-9"]))
    assert names(nearest(staffed))[-1] == "dee"
    put(staffed, Technician(technician_id="dee", name="Dee"))
    assert names(nearest(staffed))[-1] == "van-9"


def test_only_those_of_own_branches_are_told(staffed: Door) -> None:
    key = make_key("dispatcher", branches=["north"])
    staffed.keys.records[key.key_id] = key
    answer = staffed.get("/v1/devices/nearest", role="dispatcher", params=HERE)
    assert names(answer.json()["items"]) == ["amina"]


@pytest.mark.parametrize("query", [{"lat": 91}, {"limit": 0}, {"radius_m": 0}, {"lon": "west"}])
def test_what_cannot_be_is_refused(staffed: Door, query: dict[str, Any]) -> None:
    assert staffed.get("/v1/devices/nearest", params=HERE | query).status_code == 400


def test_a_device_whose_live_state_is_gone_is_nowhere(staffed: Door) -> None:
    before = names(nearest(staffed))
    assert {"amina", "van-9"} <= set(before)
    for device_id in ("van-9", *staffed.registers["technicians"].records["amina"].device_ids):  # type: ignore[union-attr]
        staffed.live.remove(device_id)
    assert names(nearest(staffed)) == [name for name in before if name not in ("amina", "van-9")]
    staffed.live.remove("never-seen")

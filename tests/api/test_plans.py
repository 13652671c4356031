from typing import Any

import pytest

from schemas.people import Technician
from schemas.times import format_instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_jobs import created, move, problem
from tests.api.test_nearest import put, seen, technician
from tests.fakes import make_key

HOUR_MS = 3_600_000


def job(door: Door, job_id: str, lat: float, technician_id: str, hour: float = 1, **more: Any) -> dict[str, Any]:
    window = {
        "window_from": format_instant(NOW_MS + round(hour * HOUR_MS)),
        "window_to": format_instant(NOW_MS + round((hour + 2) * HOUR_MS)),
    }
    stated = {"job_id": job_id, "lat": lat, "duration_s": 1_200, "technician_ids": [technician_id], **window}
    return created(door, **(stated | more))


@pytest.fixture
def crossed(door: Door) -> Door:
    """Two technicians, each with a job beside the other."""
    put(door, technician("amina", "north", skills=["gas"]), technician("bo", "north"))
    seen(door, "phone-amina", 53.4)
    seen(door, "phone-bo", 53.6)
    job(door, "far-north", 53.61, "amina")
    job(door, "near-south", 53.41, "bo")
    return door


def test_a_plan_is_suggested_and_says_what_it_saves(crossed: Door) -> None:
    answer = crossed.post("/v1/plans", json={"iterations": 200})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    tours = {each["technician_id"]: [stop["job_id"] for stop in each["stops"]] for each in found["plan"]["tours"]}
    assert tours == {"amina": ["near-south"], "bo": ["far-north"]}
    assert found["saves_travel_s"] > 3_000
    assert found["plan"]["figures"]["left_over"] == 0
    assert {each["job_id"]: each["technician_ids"] for each in found["changes"]} == {
        "near-south": ["amina"],
        "far-north": ["bo"],
    }
    stop = found["plan"]["tours"][0]["stops"][0]
    assert stop["start_at"] == format_instant(NOW_MS + HOUR_MS)  # not before the window
    assert crossed.get("/v1/jobs/near-south").json()["technician_ids"] == ["bo"]  # nothing has changed


def test_a_person_applies_it_and_hears_what_could_not_be(crossed: Door) -> None:
    changes = crossed.post("/v1/plans", json={"iterations": 200}).json()["changes"]
    sent = [
        {"job_id": each["job_id"], "technician_ids": each["technician_ids"], "revision": each["revision"]}
        for each in changes
    ]
    crossed.patch("/v1/jobs/far-north", json={"notes": "changed meanwhile"})
    unknown = {"job_id": "nowhere", "technician_ids": ["bo"]}
    stranger = {"job_id": "near-south", "technician_ids": ["nobody"]}
    items = crossed.post("/v1/plans/apply", json={"changes": [*sent, unknown, stranger]}).json()["items"]
    by_job = {each["job_id"]: each for each in items[:2]}
    assert by_job["near-south"]["problem"] == ""
    assert "has revision 2, not 1" in by_job["far-north"]["problem"]
    assert [each["problem"] for each in items[2:]] == ["there is no job 'nowhere'", "there is no technician 'nobody'"]
    assert crossed.get("/v1/jobs/near-south").json()["technician_ids"] == ["amina"]
    assert crossed.get("/v1/jobs/far-north").json()["technician_ids"] == ["amina"]


def test_skills_shifts_and_what_is_under_way_are_kept_to(crossed: Door) -> None:
    job(crossed, "gas-north", 53.62, "bo", skills=["gas"])
    job(crossed, "oil", 53.4, "bo", skills=["oil"])
    created(crossed, job_id="under-way", lat=53.405, technician_ids=["amina"], duration_s=7_200)
    assert crossed.post("/v1/jobs/under-way/transitions", json={"to": "on_site"}).status_code == 200
    created(crossed, job_id="somewhere", lat=None, lon=None, technician_ids=["bo"])
    found = crossed.post("/v1/plans", json={"iterations": 200}).json()
    tours = {each["technician_id"]: [stop["job_id"] for stop in each["stops"]] for each in found["plan"]["tours"]}
    assert tours["amina"][0] == "under-way"
    assert "gas-north" in tours["amina"]
    assert found["plan"]["left_over"] == [{"job_id": "oil", "reason": "no_skill"}]
    assert found["unplaced"] == ["somewhere"]


def test_whoever_is_early_is_told_what_to_take(crossed: Door) -> None:
    [moved] = crossed.get("/v1/technicians/amina/suggestions?limit=1").json()["items"]
    assert moved["saves_s"] > 0
    assert (moved["job_id"], moved["from_technician_id"], moved["technician_id"]) in (
        ("near-south", "bo", "amina"),
        ("far-north", "amina", "bo"),
    )
    assert problem(crossed.get("/v1/technicians/nobody/suggestions")) == (404, "unknown_technician")


def test_an_emergency_is_offered_to_who_is_there_soonest(crossed: Door) -> None:
    job(crossed, "burst", 53.59, "amina", hour=-0.5, priority="emergency")
    offers = crossed.get("/v1/jobs/burst/offers").json()["items"]
    assert [each["technician_id"] for each in offers] == ["bo", "amina"]
    assert problem(crossed.get("/v1/jobs/none/offers")) == (404, "unknown_job")


def test_whoever_is_nowhere_starts_from_the_depot_and_others_branches_are_left_out(crossed: Door) -> None:
    depot = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [-2.99, 53.5]},
        "properties": {"radius_m": 50},
    }
    assert crossed.put("/v1/fences/yard", json=depot).status_code in (200, 201)
    put(crossed, Technician(technician_id="cem", name="Cem", branch="south", depot_fence_id="yard"))
    everybody = crossed.post("/v1/plans", json={"iterations": 50}).json()
    assert [each["technician_id"] for each in everybody["plan"]["tours"]] == ["amina", "bo", "cem"]
    key = make_key("dispatcher", branches=["south"])
    crossed.keys.records[key.key_id] = key
    theirs = crossed.request("POST", "/v1/plans", "dispatcher", json={"iterations": 50}).json()
    assert [each["technician_id"] for each in theirs["plan"]["tours"]] == ["cem"]
    assert theirs["plan"]["figures"]["jobs"] == 0


@pytest.mark.parametrize(
    "body", [{"from": "2026-03-03T00:00:00Z", "to": "2026-03-02T00:00:00Z"}, {"iterations": 0}, {"colour": "red"}, [1]]
)
def test_what_cannot_be_planned_is_refused(crossed: Door, body: Any) -> None:
    assert crossed.post("/v1/plans", json=body).status_code == 400
    assert move(crossed, "on_site").status_code == 404

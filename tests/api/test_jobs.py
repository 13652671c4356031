from dataclasses import replace
from typing import Any

import pytest

from api.jobs.desk import ANSWER_WITHIN_S
from dispatch.business_hours import BusinessHours, OpenHours
from dispatch.rules import DispatchRules
from dispatch.sla import SlaRules, Target
from schemas import wire
from schemas.job import Approach, Evidence
from schemas.job_command import Sender, TellEvidence
from schemas.people import Technician
from schemas.places import Site
from schemas.times import Instant
from schemas.topics import FENCES
from tests.api.conftest import NOW_MS, Door

JOB = {
    "job_id": "j1",
    "title": "Boiler",
    "lat": 53.4,
    "lon": -2.99,
    "window_from": "2026-03-02T09:00:00Z",
    "window_to": "2026-03-02T11:00:00Z",
    "technician_ids": ["amina"],
}


@pytest.fixture
def staffed(door: Door) -> Door:
    door.registers["technicians"].records["amina"] = Technician(technician_id="amina", name="Amina")
    door.registers["technicians"].records["bo"] = Technician(technician_id="bo", name="Bo")
    return door


def created(door: Door, **fields: Any) -> dict[str, Any]:
    answer = door.post("/v1/jobs", json=JOB | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_job_is_created_read_and_listed(staffed: Door) -> None:
    job = created(staffed)
    assert (job["job_id"], job["state"], job["revision"], job["visit_ids"]) == ("j1", "scheduled", 1, [])
    assert [entry["state"] for entry in job["log"]] == ["created", "scheduled"]
    assert job["log"][0]["actor"] == "key:keyadmin"
    assert "words" not in job
    read = staffed.get("/v1/jobs/j1")
    assert read.json() == job
    assert staffed.get("/v1/jobs/j1", headers={"If-None-Match": read.headers["ETag"]}).status_code == 304
    assert staffed.get("/v1/jobs").json() == {"items": [job], "next_cursor": None}
    assert problem(staffed.get("/v1/jobs/j2")) == (404, "unknown_job")


def test_a_point_gets_a_circle_that_jobs_there_share(staffed: Door) -> None:
    one, other = created(staffed), created(staffed, job_id="j2", lat=53.400001)
    assert one["fence_id"] == other["fence_id"] == created(staffed, job_id="j3")["fence_id"]
    [circle] = staffed.log.values(FENCES)
    assert circle["versions"][0]["radius_m"] == 75.0  # type: ignore[index]
    assert created(staffed, job_id="j4", lat=53.41)["fence_id"] != one["fence_id"]


def test_a_site_gives_its_fence_customer_and_branch(staffed: Door) -> None:
    square = [[-3.0, 53.0], [-2.99, 53.0], [-2.99, 53.01], [-3.0, 53.01], [-3.0, 53.0]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square]}, "properties": {}}
    assert staffed.put("/v1/fences/yard", json=feature).status_code == 201
    staffed.registers["sites"].records["s"] = Site(site_id="s", customer_id="hill", branch="north", fence_id="yard")
    job = created(staffed, site_id="s", lat=None, lon=None)
    assert (job["fence_id"], job["customer_id"], job["branch"]) == ("yard", "hill", "north")
    assert (job["lat"], job["lon"]) == (pytest.approx(53.005), pytest.approx(-2.995))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "completed"}, "$.state: the server writes it"),
        ({"colour": "red"}, "$.colour: a job has no such field"),
        ({"window_to": "2026-03-02T08:00:00Z"}, "window_from is not before window_to"),
        ({"priority": "urgent"}, "Invalid enum value 'urgent' - at `$.priority`"),
        ({"technician_ids": ["nobody"]}, "there is no technician 'nobody'"),
        ({"site_id": "nowhere"}, "there is no site 'nowhere'"),
        ({"fence_id": "nowhere"}, "there is no fence 'nowhere'"),
        ({"lat": 91.0}, "is no point on the globe"),
        ({"job_id": ""}, "$.job_id"),
        ({"parts": [{"sku": "x", "quantity": 0}]}, "a quantity is more than nothing"),
    ],
)
def test_what_cannot_be_is_refused_and_says_where(staffed: Door, fields: dict[str, Any], words: str) -> None:
    answer = staffed.post("/v1/jobs", json=JOB | fields)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert staffed.jobs.records == {}


def test_creating_is_idempotent(staffed: Door) -> None:
    without_id = {name: value for name, value in JOB.items() if name != "job_id"}
    first = staffed.post("/v1/jobs", json=without_id, headers={"Idempotency-Key": "k"})
    again = staffed.post("/v1/jobs", json=without_id, headers={"Idempotency-Key": "k"})
    assert first.json() == again.json()
    assert staffed.post("/v1/jobs", json=without_id).json()["job_id"] != first.json()["job_id"]
    created(staffed)
    created(staffed)
    assert problem(staffed.post("/v1/jobs", json=JOB | {"title": "another"})) == (409, "job_exists")


def move(door: Door, to: str, key: str | None = None, **fields: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return door.post("/v1/jobs/j1/transitions", json={"to": to, **fields}, headers=headers)


def test_transitions_answer_with_the_job_or_with_what_is_allowed(staffed: Door) -> None:
    created(staffed)
    moved = move(staffed, "on_site", reason="rang", lat=53.4, lon=-2.99)
    assert moved.status_code == 200
    assert moved.json()["state"] == "on_site"
    assert moved.json()["log"][-1] == {
        "state": "on_site",
        "at": "2026-03-02T08:15:10.000Z",
        "recorded_at": "2026-03-02T08:15:10.000Z",
        "source": "dispatcher",
        "actor": "key:keyadmin",
        "reason": "rang",
        "lat": 53.4,
        "lon": -2.99,
    }
    refused = move(staffed, "scheduled")
    assert problem(refused) == (409, "not_allowed")
    assert refused.json()["allowed"] == [
        "in_progress",
        "completed",
        "left_incomplete",
        "en_route",
        "dispatched",
        "cancelled",
    ]
    assert problem(move(staffed, "completed", at="2026-03-02T09:15:10Z")) == (400, "in_the_future")
    assert problem(staffed.post("/v1/jobs/j2/transitions", json={"to": "on_site"})) == (404, "unknown_job")
    assert problem(move(staffed, "completed", why="done")) == (400, "invalid_job")


def test_a_transition_sent_again_is_done_once(staffed: Door) -> None:
    created(staffed)
    first = move(staffed, "on_site", "k")
    assert move(staffed, "on_site", "k").json() == first.json()
    assert problem(move(staffed, "completed", "k")) == (422, "key_reused")


def test_a_patch_changes_what_it_names(staffed: Door) -> None:
    job = created(staffed)
    patched = staffed.patch("/v1/jobs/j1", json={"technician_ids": ["bo"], "title": None, "notes": "Ring twice"})
    assert patched.json() == job | {
        "technician_ids": ["bo"],
        "title": "",
        "notes": "Ring twice",
        "revision": 2,
        "updated_at": job["updated_at"],
    }
    assert problem(staffed.patch("/v1/jobs/j1", json={"state": "completed"})) == (400, "invalid_job")
    assert problem(staffed.patch("/v1/jobs/j1", json={"title": 7})) == (400, "invalid_job")
    assert problem(staffed.patch("/v1/jobs/j1", json={"technician_ids": ["x"]})) == (400, "unknown_reference")
    assert problem(staffed.patch("/v1/jobs/j1", json={}, headers={"If-Match": '"1"'})) == (412, "changed")
    moved = staffed.patch("/v1/jobs/j1", json={"lat": 54.0, "lon": -3.0}, headers={"If-Match": '"2"'})
    assert moved.status_code == 200
    assert moved.json()["fence_id"] != job["fence_id"]


def test_lists_are_narrowed_down_and_paged(staffed: Door) -> None:
    for number in range(5):
        window = {"window_from": f"2026-03-0{9 - number}T09:00:00Z", "window_to": f"2026-03-0{9 - number}T11:00:00Z"}
        created(
            staffed,
            job_id=f"j{number}",
            **window,
            technician_ids=["amina", "bo"][number % 2 :],
            customer_id=f"c{number % 2}",
        )
    move(staffed, "cancelled")

    def ids(query: str) -> list[str]:
        return [job["job_id"] for job in staffed.get(f"/v1/jobs?{query}").json()["items"]]

    assert ids("") == ["j4", "j3", "j2", "j1", "j0"]
    assert ids("technician=amina") == ["j4", "j2", "j0"]
    assert ids("customer=c1&state=cancelled&state=on_site") == ["j1"]
    assert ids("from=2026-03-07T00:00:00Z&to=2026-03-09T00:00:00Z") == ["j2", "j1"]
    assert ids("branch=north") == []
    page = staffed.get("/v1/jobs?limit=2").json()
    following = staffed.get(f"/v1/jobs?limit=4&cursor={page['next_cursor']}").json()
    assert [job["job_id"] for job in (*page["items"], *following["items"])] == ["j4", "j3", "j2", "j1", "j0"]
    assert following["next_cursor"] is None


def test_visits_and_jobs_know_each_other(staffed: Door) -> None:
    created(staffed)
    approach = Approach(None, "v1", Instant(NOW_MS), None, 180.0)
    evidence = Evidence("van-1", "amina", [approach], Instant(NOW_MS))
    command = TellEvidence(
        job_id="j1", sender=Sender("automatic", "foreman"), key="k", issued_at=Instant(NOW_MS), evidence=evidence
    )
    staffed.foreman.read(wire.encode(command))
    assert staffed.get("/v1/jobs/j1").json()["visit_ids"] == ["v1"]
    assert staffed.job_index.visits_of("j1") == ["v1"]


def test_without_an_answer_it_is_not_known(staffed: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ANSWER_WITHIN_S > 1
    monkeypatch.setattr("api.jobs.desk.ANSWER_WITHIN_S", 0.01)
    staffed.foreman.busy = True
    answer = staffed.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "k"})
    assert problem(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    staffed.foreman.busy = False
    assert staffed.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "k"}).status_code == 201
    assert len(staffed.jobs.records) == 1


def test_viewers_read_and_devices_do_not(staffed: Door) -> None:
    created(staffed)
    assert staffed.get("/v1/jobs", role="viewer").status_code == 200
    assert staffed.post("/v1/jobs", json=JOB, role="viewer").status_code == 403
    assert staffed.get("/v1/jobs", role="device").status_code == 403


HOURS = BusinessHours("UTC", [OpenHours(["mon", "tue", "wed", "thu", "fri"], "08:00", "17:00")])
PROMISES = SlaRules(
    priorities={
        "normal": Target(response_s=3_600, resolution_s=36_000),
        "emergency": Target(response_s=60, hours="always"),
    }
)


def test_the_clocks_of_a_job_run_in_business_hours(staffed: Door) -> None:
    rules = DispatchRules(sla=PROMISES, business=HOURS)
    staffed.app.state.services = replace(staffed.app.state.services, dispatch_rules=rules)
    job = created(staffed)
    response = {"promise": "response", "state": "running", "due_at": "2026-03-02T09:15:10.000Z", "remaining_s": 3_600.0}
    resolution = {
        "promise": "resolution",
        "state": "running",
        "due_at": "2026-03-03T09:15:10.000Z",
        "remaining_s": 36_000.0,
    }
    assert job["sla"] == [response, resolution]
    staffed.clock.moment_ms += 1_800_000
    assert move(staffed, "on_site").json()["sla"] == [
        response | {"state": "met", "remaining_s": 1_800.0},
        resolution | {"remaining_s": 34_200.0},
    ]
    staffed.clock.moment_ms += 24 * 3_600_000
    [job] = staffed.get("/v1/jobs").json()["items"]
    assert job["sla"][1] == resolution | {"remaining_s": 36_000.0 - 1_800 - 9 * 3_600}
    staffed.clock.moment_ms += 3_600_000
    assert staffed.get("/v1/jobs/j1").json()["sla"][1] == resolution | {"state": "breached", "remaining_s": -1_800.0}
    [urgent] = created(staffed, job_id="j2", priority="emergency")["sla"]
    assert (urgent["promise"], urgent["remaining_s"]) == ("response", 60.0)
    assert created(staffed, job_id="j3", priority="low")["sla"] == []

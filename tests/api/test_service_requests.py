"""Service requests: posted by a portal, made into a job once, declined with a reason."""

from typing import Any

import pytest

from schemas.topics import CUSTOMERS, REQUESTS, SITES
from tests.api.conftest import NOW_MS, Door
from tests.api.test_pings import is_problem
from tests.fakes import make_key

ASKED: dict[str, Any] = {
    "external_id": "web-1",
    "customer": {"name": "Mersey Dental", "contact": {"phone": "+44 151 496 0001"}},
    "title": "The boiler loses pressure",
    "description": "Since Monday.",
    "address": "1 Strand, Liverpool",
    "lat": 53.4058,
    "lon": -2.9958,
    "wished": [
        {"from": "2026-03-03T09:00:00Z", "to": "2026-03-03T12:00:00Z"},
        {"from": "2026-03-04T09:00:00Z", "to": "2026-03-04T12:00:00Z"},
    ],
    "priority": "high",
    "skills": ["gas"],
    "attachments": [{"kind": "photo", "url": "https://files.example.com/gauge.jpg"}],
}


@pytest.fixture
def door(door: Door) -> Door:
    """A portal and a dispatcher of the branch north."""
    for branch in ("north", "south"):
        assert door.post("/v1/branches", json={"branch": branch, "name": branch}).status_code == 201
    for role in ("portal", "dispatcher"):
        door.keys.records[f"key{role}"] = make_key(role, branches=["north"])  # type: ignore[arg-type]
    return door


def asked(door: Door, role: str = "portal", **changes: Any) -> dict[str, Any]:
    answer = door.post("/v1/requests", json=ASKED | changes, role=role)  # type: ignore[arg-type]
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def accept(door: Door, request: dict[str, Any], **body: Any) -> Any:
    return door.post(f"/v1/requests/{request['request_id']}/accept", json=body, role="dispatcher")


def decline(door: Door, request: dict[str, Any], reason: str = "too far") -> Any:
    path = f"/v1/requests/{request['request_id']}/decline"
    return door.post(path, json={"reason": reason}, role="dispatcher")


def test_a_portal_asks_and_can_do_nothing_else(door: Door) -> None:
    request = asked(door)
    assert (request["state"], request["branch"], request["external_id"]) == ("received", "north", "web-1")
    for method, path in (
        ("GET", "/v1/requests"),
        ("GET", f"/v1/requests/{request['request_id']}"),
        ("POST", f"/v1/requests/{request['request_id']}/accept"),
        ("POST", f"/v1/requests/{request['request_id']}/decline"),
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/customers"),
        ("GET", "/v1/places?q=x"),
        ("GET", "/v1/fences"),
        ("POST", "/v1/pings"),
    ):
        assert is_problem(door.request(method, path, "portal", json={}), 403, "forbidden"), path


def test_the_same_again_is_there_once(door: Door) -> None:
    request = asked(door)
    again = door.post("/v1/requests", json=ASKED, role="portal")
    assert (again.status_code, again.json()) == (200, request)
    other = door.post("/v1/requests", json=ASKED | {"title": "another"}, role="portal")
    assert is_problem(other, 409, "exists")
    assert "boiler" not in other.text.lower()
    without = {name: value for name, value in ASKED.items() if name != "external_id"}
    key = {"headers": {"Idempotency-Key": "k"}, "role": "portal"}
    by_key = door.post("/v1/requests", json=without, **key)
    assert door.post("/v1/requests", json=without, **key).json() == by_key.json()
    assert is_problem(door.post("/v1/requests", json=without | {"title": "y"}, **key), 422, "key_reused")
    assert door.post("/v1/requests", json=without, role="portal").json()["request_id"] != by_key.json()["request_id"]
    assert len(door.log.records[REQUESTS.name]) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": ""}, "$.title"),
        ({"state": "accepted"}, "state"),
        ({"customer_id": "nobody", "customer": None}, "there is no customer 'nobody'"),
        ({"site_id": "nowhere"}, "there is no site 'nowhere'"),
        ({"customer_id": "c"}, "state one of them"),
        ({"branch": "south"}, "there is no branch 'south'"),
        ({"branch": "ghost"}, "there is no branch 'ghost'"),
        ({"lat": 91.0}, "no point on the globe"),
        ({"lon": None}, "stated together"),
        ({"wished": [{"from": "2026-03-03T09:00:00Z", "to": "2026-03-03T08:00:00Z"}]}, "ends before it begins"),
        ({"priority": "urgent"}, "urgent"),
    ],
)
def test_what_cannot_be_is_refused_and_says_where(door: Door, changes: dict[str, Any], words: str) -> None:
    answer = door.post("/v1/requests", json=ASKED | changes, role="portal")
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]
    assert REQUESTS.name not in door.log.records


def test_a_request_becomes_a_job_of_a_new_customer_and_site(door: Door) -> None:
    request = asked(door)
    answer = accept(door, request, job={"duration_s": 3600, "title": "Boiler"}, create_site=True).json()
    job, accepted = answer["job"], answer["request"]
    assert (job["title"], job["duration_s"], job["priority"], job["skills"]) == ("Boiler", 3600, "high", ["gas"])
    assert (job["window_from"], job["window_to"]) == ("2026-03-03T09:00:00.000Z", "2026-03-03T12:00:00.000Z")
    assert (job["notes"], job["external_id"], job["branch"]) == ("Since Monday.", "web-1", "north")
    assert job["attachments"] == ASKED["attachments"]
    assert (job["request_id"], accepted["job_id"]) == (request["request_id"], job["job_id"])
    assert accepted["state"] == "accepted"
    customer = door.get(f"/v1/customers/{job['customer_id']}").json()
    assert (customer["name"], customer["branch"]) == ("Mersey Dental", "north")
    assert customer["contact"] == {"phone": "+44 151 496 0001"}
    site = door.get(f"/v1/sites/{job['site_id']}").json()
    assert (site["customer_id"], site["lat"], site["address"]) == (job["customer_id"], 53.4058, "1 Strand, Liverpool")
    assert (job["lat"], job["fence_id"][:6]) == (53.4058, "point-")
    assert door.get(f"/v1/jobs/{job['job_id']}").json() == job
    actions = [each["action"] for each in door.get("/v1/audit?kind=request").json()["items"]]
    assert sorted(actions) == ["accepted", "received"]


def test_without_a_site_the_job_has_the_place_itself(door: Door) -> None:
    job = accept(door, asked(door)).json()["job"]
    assert (job["site_id"], job["lat"], job["address"]) == (None, 53.4058, "1 Strand, Liverpool")
    assert SITES.name not in door.log.records
    nowhere = asked(door, external_id="web-2", address=None, lat=None, lon=None)
    assert is_problem(accept(door, nowhere, create_site=True), 400, "invalid_request")
    assert len(door.log.records[CUSTOMERS.name]) == 1, "what is refused changes nothing"


def test_accepting_again_gives_the_same_job_whatever_it_says(door: Door) -> None:
    request = asked(door)
    first = accept(door, request).json()
    written = {topic: len(records) for topic, records in door.log.records.items()}
    again = accept(door, request, job={"title": "another"})
    assert (again.status_code, again.json()) == (200, first)
    assert {topic: len(records) for topic, records in door.log.records.items()} == written
    assert len(door.jobs.records) == 1


@pytest.mark.parametrize("lost", ["request", "request and customer"])
def test_after_a_crash_in_between_there_is_one_job_and_it_is_linked(door: Door, lost: str) -> None:
    request = asked(door)
    first = accept(door, request).json()["job"]
    door.requests.records[request["request_id"]] = door.requests.records[request["request_id"]].__class__(
        **ASKED_RECORD, request_id=request["request_id"], branch="north", created_at=NOW_MS, updated_at=NOW_MS
    )
    if lost != "request":
        door.registers["customers"].records.clear()
    seen = door.get(f"/v1/requests/{request['request_id']}").json()
    assert (seen["state"], seen["job_id"]) == ("accepted", first["job_id"])
    assert is_problem(decline(door, request), 409, "request_accepted")
    assert door.requests.records[request["request_id"]].state == "received"
    assert accept(door, request).json()["job"] == first
    assert door.requests.records[request["request_id"]].state == "accepted"
    assert len(door.jobs.records) == 1


ASKED_RECORD: dict[str, Any] = {"title": ASKED["title"], "state": "received"}


def test_one_that_is_declined_says_why_and_is_no_job(door: Door) -> None:
    request = asked(door)
    assert is_problem(decline(door, request, ""), 400, "invalid_request")
    answer = decline(door, request)
    assert (answer.json()["state"], answer.json()["reason"]) == ("declined", "too far")
    assert decline(door, request).json() == answer.json()
    assert is_problem(decline(door, request, "no gas"), 409, "request_declined")
    assert is_problem(accept(door, request), 409, "request_declined")
    assert door.jobs.records == {}
    assert door.post("/v1/requests", json=ASKED, role="portal").json()["state"] == "declined"


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ({"job_id": "x"}, "invalid_job"),
        ({"colour": "red"}, "invalid_job"),
        ({"request_id": "x"}, "invalid_job"),
        ({"technician_ids": ["nobody"]}, "unknown_reference"),
        ({"branch": "south"}, "unknown_reference"),
        ({"fence_id": "nowhere"}, "unknown_reference"),
    ],
)
def test_an_acceptance_that_cannot_be_changes_nothing(door: Door, job: dict[str, Any], code: str) -> None:
    request = asked(door)
    answer = accept(door, request, job=job)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert door.jobs.records == {}
    assert door.get(f"/v1/requests/{request['request_id']}").json()["state"] == "received"


def test_requests_are_listed_the_newest_first_within_branches(door: Door) -> None:
    for number in range(5):
        door.clock.moment_ms = NOW_MS + number
        asked(door, external_id=f"web-{number}")
    asked(door, role="admin", external_id="far", branch="south")
    declined = door.get("/v1/requests?external_id=web-1").json()["items"][0]
    decline(door, declined)
    first = door.get("/v1/requests?limit=3", role="dispatcher").json()
    assert [each["external_id"] for each in first["items"]] == ["web-4", "web-3", "web-2"]
    second = door.get(f"/v1/requests?limit=3&cursor={first['next_cursor']}", role="dispatcher").json()
    assert ([each["external_id"] for each in second["items"]], second["next_cursor"]) == (["web-1", "web-0"], None)
    waiting = door.get("/v1/requests?state=received&branch=north").json()["items"]
    assert [each["external_id"] for each in waiting] == ["web-4", "web-3", "web-2", "web-0"]
    assert [each["external_id"] for each in door.get("/v1/requests?branch=south").json()["items"]] == ["far"]
    assert is_problem(door.get("/v1/requests?cursor=x"), 400, "invalid_request")

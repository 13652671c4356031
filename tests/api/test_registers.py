"""Technicians, customers, sites, branches and depots over HTTP."""

import json
from typing import Any

import pytest

from api.registers.registry import REGISTERS, Register
from tests.api.conftest import NOW_MS, Door
from tests.api.test_fences import circle
from tests.api.test_pings import is_problem

ALL = pytest.mark.parametrize("register", REGISTERS.values(), ids=REGISTERS)


@pytest.fixture
def company(door: Door) -> Door:
    """A door behind which there are the branches north and south, a fence, and the customer c."""
    for branch in ("north", "south"):
        assert door.post("/v1/branches", json={"branch": branch, "name": branch}).status_code == 201
    assert door.post("/v1/customers", json={"customer_id": "c", "name": "Mersey Dental"}).status_code == 201
    assert door.put("/v1/fences/hq", json=circle()).status_code == 201
    return door


def ids(door: Door, path: str) -> list[str]:
    items = door.get(path).json()["items"]
    return [next(iter(each.values())) for each in items]


def technician(technician_id: str, **more: Any) -> dict[str, Any]:
    return {"technician_id": technician_id, "name": technician_id.title(), **more}


@ALL
def test_an_entry_from_its_beginning_to_its_end(door: Door, register: Register) -> None:
    path = f"/v1/{register.name}"
    content = {register.key: "x", "name": "Before"}
    made = door.post(path, json=content)
    assert made.status_code == 201
    assert made.json() == {**content, "updated_at": "2026-03-02T08:15:10.000Z"}
    assert door.get(f"{path}/x").json() == made.json()
    assert door.get(f"{path}/x", headers={"If-None-Match": made.headers["etag"]}).status_code == 304

    again = door.post(path, json=content)
    assert (again.status_code, again.headers["etag"]) == (200, made.headers["etag"])
    other = door.post(path, json={**content, "name": "Other"})
    assert is_problem(other, 409, "exists")
    assert other.headers["etag"] == made.headers["etag"]

    changed = door.patch(f"{path}/x", json={"name": "After"}, headers={"If-Match": made.headers["etag"]})
    assert (changed.status_code, changed.json()["name"]) == (200, "After")
    assert changed.json()["updated_at"] == "2026-03-02T08:15:10.001Z", "each state has a moment of its own"
    assert door.patch(f"{path}/x", json={"name": "After"}).headers["etag"] == changed.headers["etag"]
    stale = door.patch(f"{path}/x", json={"name": "Late"}, headers={"If-Match": made.headers["etag"]})
    assert is_problem(stale, 412, "changed")

    assert is_problem(door.delete(f"{path}/x", headers={"If-Match": '"0"'}), 412, "changed")
    assert door.delete(f"{path}/x").status_code == 204
    for gone in (door.get(f"{path}/x"), door.patch(f"{path}/x", json={}), door.delete(f"{path}/x")):
        assert is_problem(gone, 410, f"{register.kind}_gone")
    assert is_problem(door.post(path, json=content), 409, f"{register.kind}_gone")
    assert door.get(path).json() == {"items": [], "next_cursor": None}
    history = door.log.values(register.topic)
    assert [each["name"] for each in history] == ["Before", "After", "After"]
    assert [each.get("removed_at") for each in history] == [None, None, "2026-03-02T08:15:10.002Z"]


@ALL
def test_an_unknown_one(door: Door, register: Register) -> None:
    path = f"/v1/{register.name}/ghost"
    for answer in (door.get(path), door.patch(path, json={}), door.delete(path)):
        assert is_problem(answer, 404, f"unknown_{register.kind}")


@ALL
def test_an_id_is_made_where_none_is_stated(door: Door, register: Register) -> None:
    one, two = (door.post(f"/v1/{register.name}", json={"name": "Same"}).json()[register.key] for _ in range(2))
    assert one != two
    assert ids(door, f"/v1/{register.name}") == sorted([one, two])


@ALL
@pytest.mark.parametrize("model", ["its own", "fences"])
def test_nothing_before_everything_is_read(door: Door, register: Register, model: str) -> None:
    (door.fences if model == "fences" else door.registers[register.name]).is_caught_up = False
    assert is_problem(door.post(f"/v1/{register.name}", json={"name": "x"}), 503, "unavailable")
    assert not door.log.records
    if model != "fences":
        assert is_problem(door.get(f"/v1/{register.name}"), 503, "unavailable")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ([], "$:"),
        ({}, "name"),
        ({"name": 1}, "$.name"),
        ({"name": ""}, "$.name"),
        ({"name": "x", "technician_id": "a/b"}, "$.technician_id"),
        ({"name": "x", "technician_id": ".."}, "$.technician_id"),
        ({"name": "x", "salary": 1}, "salary"),
        ({"name": "x", "updated_at": "2026-03-02T08:15:10Z"}, "$.updated_at"),
        ({"name": "x", "removed_at": None}, "$.removed_at"),
        ({"name": "x", "contact": {"fax": "1"}}, "$.contact"),
        ({"name": "x", "shifts": [{"from": "08:00", "to": "16:00", "weekly": ["mon"]}]}, "$.shifts[0]"),
        ({"name": "x", "shifts": [{"from": "8", "to": "9", "weekly": ["mon"], "time_zone": "UTC"}]}, "$.shifts[0]"),
        ({"name": "x", "shifts": [{"from": "08:00", "to": "16:00"}]}, "$.shifts[0]"),
        ({"name": "x", "device_ids": ["a", "a"]}, "$.device_ids"),
        ({"name": "x", "device_ids": [""]}, "$.device_ids"),
    ],
    ids=str,
)
def test_what_is_refused_says_where(door: Door, content: Any, where: str) -> None:
    answer = door.post("/v1/technicians", content=json.dumps(content).encode())
    assert is_problem(answer, 400, "invalid_request")
    assert where in answer.json()["detail"]
    assert not door.log.records


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_body"),
        (b"{", "malformed_body"),
        (b"\xff", "malformed_body"),
        (rb'{"name": "\ud800"}', "malformed_body"),
        (b"[" * 100_000, "malformed_body"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "invalid_request"),
    ],
    ids=range(6),
)
def test_what_cannot_be_read(door: Door, body: bytes, code: str) -> None:
    door.post("/v1/technicians", json=technician("amina"))
    assert is_problem(door.post("/v1/technicians", content=body), 400, code)
    assert is_problem(door.patch("/v1/technicians/amina", content=body), 400, code)


def test_a_merge_patch_goes_into_what_is_within(door: Door) -> None:
    contact = {"phone": "1", "email": "a@example.com"}
    door.post("/v1/technicians", json=technician("amina", skills=["gas"], contact=contact))
    patch = {"contact": {"phone": None, "email": "b@example.com"}, "skills": None, "device_ids": ["van-12"]}
    changed = door.patch("/v1/technicians/amina", json=patch)
    assert changed.json() == {
        "technician_id": "amina",
        "name": "Amina",
        "contact": {"email": "b@example.com"},
        "device_ids": ["van-12"],
        "updated_at": "2026-03-02T08:15:10.001Z",
    }
    assert "name" in door.patch("/v1/technicians/amina", json={"name": None}).json()["detail"]
    assert is_problem(door.patch("/v1/technicians/amina", json={"technician_id": "ben"}), 400, "invalid_request")
    assert is_problem(door.patch("/v1/technicians/amina", json=["name"]), 400, "invalid_request")
    assert is_problem(door.patch("/v1/technicians/amina", json={"contact": "none"}), 400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("technicians", {"branch": "ghost"}, "$.branch"),
        ("technicians", {"depot_fence_id": "ghost"}, "$.depot_fence_id"),
        ("customers", {"branch": "ghost"}, "$.branch"),
        ("sites", {"customer_id": "ghost"}, "$.customer_id"),
        ("sites", {"fence_id": "ghost"}, "$.fence_id"),
        ("branches", {"region": "ghost"}, "$.region"),
        ("depots", {"fence_id": "ghost"}, "$.fence_id"),
    ],
)
def test_what_is_referred_to_has_to_stand(company: Door, path: str, content: dict[str, str], field: str) -> None:
    key = REGISTERS[path].key  # type: ignore[index]
    refused = company.post(f"/v1/{path}", json={key: "x", "name": "x", **content})
    assert is_problem(refused, 400, "unknown_reference")
    assert field in refused.json()["detail"]
    assert company.post(f"/v1/{path}", json={key: "x", "name": "x"}).status_code == 201
    assert is_problem(company.patch(f"/v1/{path}/x", json=content), 400, "unknown_reference")


def test_a_reference_that_is_lost_later_does_not_stand_in_the_way_of_other_changes(company: Door) -> None:
    company.post("/v1/sites", json={"site_id": "s", "customer_id": "c", "fence_id": "hq"})
    assert company.delete("/v1/fences/hq").status_code == 204
    assert company.patch("/v1/sites/s", json={"name": "Strand"}).status_code == 200
    assert is_problem(company.post("/v1/depots", json={"name": "d", "fence_id": "hq"}), 400, "unknown_reference")


def test_what_is_referred_to_is_not_removed(company: Door) -> None:
    company.post("/v1/sites", json={"site_id": "s", "customer_id": "c", "branch": "north"})
    for path in ("/v1/customers/c", "/v1/branches/north"):
        refused = company.delete(path)
        assert is_problem(refused, 409, "in_use")
        assert "the site 's'" in refused.json()["detail"]
    assert company.delete("/v1/sites/s").status_code == 204
    assert company.delete("/v1/customers/c").status_code == 204
    assert company.delete("/v1/branches/north").status_code == 204


def test_a_device_is_held_by_one_technician(door: Door) -> None:
    door.post("/v1/technicians", json=technician("amina", device_ids=["van-12", "phone-1"]))
    refused = door.post("/v1/technicians", json=technician("ben", device_ids=["van-13", "van-12"]))
    assert is_problem(refused, 409, "device_held")
    assert "'amina' holds 'van-12'" in refused.json()["detail"]
    door.post("/v1/technicians", json=technician("ben", device_ids=["van-13"]))
    assert is_problem(door.patch("/v1/technicians/ben", json={"device_ids": ["phone-1"]}), 409, "device_held")
    door.delete("/v1/technicians/amina")
    assert door.patch("/v1/technicians/ben", json={"device_ids": ["van-12"]}).status_code == 200


def test_a_branch_is_no_part_of_itself(company: Door) -> None:
    assert is_problem(company.patch("/v1/branches/north", json={"region": "north"}), 409, "circle")
    company.patch("/v1/branches/north", json={"region": "south"})
    assert is_problem(company.patch("/v1/branches/south", json={"region": "north"}), 409, "circle")


def test_lists_are_filtered_and_pages_are_full(company: Door) -> None:
    for number in range(6):
        branch, skills = ("north", "south")[number % 2], ["gas"] if number < 4 else []
        entry = technician(f"t{number}", branch=branch, skills=skills, device_ids=[f"van-{number}"])
        assert company.post("/v1/technicians", json=entry).status_code == 201
    assert ids(company, "/v1/technicians?branch=north") == ["t0", "t2", "t4"]
    assert ids(company, "/v1/technicians?branch=north&skill=gas") == ["t0", "t2"]
    assert ids(company, "/v1/technicians?device=van-5") == ["t5"]
    assert ids(company, "/v1/technicians?device=van-5&skill=gas") == []
    first = company.get("/v1/technicians?branch=south&limit=2").json()
    assert [each["technician_id"] for each in first["items"]] == ["t1", "t3"]
    params = {"branch": "south", "limit": "2", "cursor": first["next_cursor"]}
    second = company.get("/v1/technicians", params=params).json()
    assert ([each["technician_id"] for each in second["items"]], second["next_cursor"]) == (["t5"], None)
    assert is_problem(company.get("/v1/technicians?cursor=x"), 400, "invalid_request")

    company.post("/v1/sites", json={"site_id": "s1", "customer_id": "c"})
    company.post("/v1/sites", json={"site_id": "s2"})
    assert ids(company, "/v1/sites?customer=c") == ["s1"]
    company.post("/v1/branches", json={"branch": "hull", "name": "Hull", "region": "north"})
    assert ids(company, "/v1/branches?region=north") == ["hull"]


def test_the_broker_refuses(door: Door) -> None:
    door.log.down = True
    assert is_problem(door.post("/v1/technicians", json=technician("amina")), 503, "unavailable")
    assert not door.registers["technicians"].records


def test_what_is_too_large_for_the_log(door: Door) -> None:
    skills = ["a skill like many others"] * 50_000
    assert is_problem(door.post("/v1/technicians", json=technician("amina", skills=skills)), 413, "record_too_large")


def test_a_clock_that_goes_back_does_not_undo_the_order_of_changes(door: Door) -> None:
    first = door.post("/v1/technicians", json=technician("amina"))
    door.clock.moment_ms = NOW_MS - 60_000
    second = door.patch("/v1/technicians/amina", json={"name": "Amina Y."})
    assert second.json()["updated_at"] > first.json()["updated_at"]

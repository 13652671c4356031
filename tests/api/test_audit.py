"""Who wrote what is on record."""

from typing import Any

import pytest

from schemas.audit import MAX_SIDE_BYTES, Actor, AuditRecord, Change, audit_record
from schemas.tables.audit import AUDIT
from schemas.times import Instant
from schemas.topics import AUDIT as AUDIT_TOPIC
from schemas.topics import FENCES, TECHNICIANS
from tests.api.conftest import NOW_MS, Door
from tests.api.test_fences import circle, collection
from tests.api.test_pings import is_problem
from tests.api.test_sessions import add_account, cookie_of, sign_in

ADMIN = {"way": "key", "identity": "keyadmin", "name": "the admin"}


def listed(door: Door, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = door.get(f"/v1/audit{query}").json()["items"]
    return items


def in_short(door: Door, query: str = "") -> list[tuple[str, str, str]]:
    """The oldest first."""
    return [(each["action"], each["kind"], each["id"]) for each in reversed(listed(door, query))]


def tick(door: Door) -> None:
    door.clock.moment_ms += 1_000


def test_what_is_done_to_a_technician(door: Door) -> None:
    first = {"technician_id": "amina", "name": "Amina"}
    door.post("/v1/technicians", json=first)
    door.post("/v1/technicians", json=first)
    tick(door)
    door.patch("/v1/technicians/amina", json={"skills": ["gas"]})
    door.patch("/v1/technicians/amina", json={"skills": ["gas"]})
    tick(door)
    door.delete("/v1/technicians/amina")
    removed, edited, created = listed(door)
    second = {**first, "skills": ["gas"]}
    assert [(each["action"], each["before"], each["after"]) for each in (created, edited, removed)] == [
        ("created", None, first),
        ("edited", first, second),
        ("removed", second, None),
    ]
    assert {key: created[key] for key in ("at", "actor", "role", "kind", "id", "branch")} == {
        "at": "2026-03-02T08:15:10.000Z",
        "actor": ADMIN,
        "role": "admin",
        "kind": "technician",
        "id": "amina",
        "branch": None,
    }
    assert [key for key, _ in door.log.records[AUDIT_TOPIC.name]] == ["technician/amina"] * 3


def test_what_is_done_to_fences(door: Door) -> None:
    door.put("/v1/fences/hq", json=circle(branch="north"))
    tick(door)
    door.put("/v1/fences/hq", json=circle(branch="north", radius_m=70))
    door.put("/v1/fences/hq", json=circle(branch="north", radius_m=70))
    tick(door)
    door.delete("/v1/fences/hq")
    tick(door)
    door.put("/v1/fences/hq", json=circle(branch="north"))
    assert [each["action"] for each in reversed(listed(door))] == ["created", "edited", "removed", "created"]
    again, removed, edited, _ = listed(door)
    assert (edited["before"]["version"], edited["after"]["version"], edited["branch"]) == (1, 2, "north")
    assert (removed["after"], again["before"]) == (None, None)
    tick(door)
    door.post("/v1/fences/import", json=collection(circle("a"), circle("b"), circle("hq", branch="north")))
    assert in_short(door)[-2:] in ([("created", "fence", each) for each in order] for order in (("a", "b"), ("b", "a")))


def test_a_phone_that_is_enrolled_and_a_person_who_signs_out(door: Door) -> None:
    made = door.post("/v1/devices/van-12/enrolments", json={"minutes": 5})
    tick(door)
    add_account(door)
    headers = cookie_of(sign_in(door))
    assert door.delete("/v1/sessions/current", role=None, headers=headers).status_code == 204
    tick(door)
    headers = cookie_of(sign_in(door))
    assert door.delete("/v1/sessions", role=None, headers=headers).status_code == 204
    assert in_short(door) == [
        ("enrolled", "device", "van-12"),
        ("signed_out", "session", "amina"),
        ("signed_out_everywhere", "session", "amina"),
    ]
    out, _, enrolled = listed(door)
    assert out["actor"] == {"way": "session", "identity": "amina", "name": "amina"}
    assert enrolled["after"] == {"key_id": made.json()["key_id"], "minutes": 5}


def test_a_write_without_its_record_is_not_made(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    append = door.log.append

    async def refuse(topic: Any, records: Any) -> None:
        door.log.down = topic == AUDIT_TOPIC
        await append(topic, records)

    monkeypatch.setattr(door.log, "append", refuse)
    assert is_problem(door.post("/v1/technicians", json={"name": "Amina"}), 503, "unavailable")
    assert is_problem(door.put("/v1/fences/hq", json=circle()), 503, "unavailable")
    assert not door.log.values(TECHNICIANS)
    assert not door.log.values(FENCES)


def test_what_is_refused_leaves_no_record(door: Door) -> None:
    door.post("/v1/technicians", json={"name": "x", "skills": ["a skill like many others"] * 50_000})
    door.post("/v1/technicians", json={"name": "x", "branch": "ghost"})
    door.post("/v1/customers", role="viewer", json={"name": "x"})
    assert listed(door) == []


def test_filters_and_pages(door: Door) -> None:
    for number in range(5):
        door.post("/v1/customers", json={"customer_id": f"c{number}", "name": "x"})
        tick(door)
    door.post("/v1/technicians", role="operations_manager", json={"technician_id": "c1", "name": "x"})
    assert in_short(door, "?id=c1") == [("created", "customer", "c1"), ("created", "technician", "c1")]
    assert in_short(door, "?id=c1&kind=customer") == [("created", "customer", "c1")]
    assert in_short(door, "?actor=keyoperations-manager") == [("created", "technician", "c1")]
    assert [each["id"] for each in listed(door, "?from=2026-03-02T08:15:12Z&to=2026-03-02T08:15:14Z")] == ["c3", "c2"]
    params = {"kind": "customer", "limit": "2"}
    found: list[str] = []
    while True:
        page = door.get("/v1/audit", params=params).json()
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == ["c4", "c3", "c2", "c1", "c0"]
    assert is_problem(door.get("/v1/audit?cursor=x"), 400, "invalid_request")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert is_problem(door.request(method, "/v1/audit"), 405, "method_not_allowed")
    door.history.down = True
    assert is_problem(door.get("/v1/audit"), 503, "unavailable")


def record(**more: Any) -> AuditRecord:
    change = Change("edited", "fence", "hq", "north", **more)
    return audit_record(change, Actor("cli", "root", "root"), None, Instant(NOW_MS))


def test_the_same_change_is_the_same_record_and_another_is_another() -> None:
    assert record(before={"a": 1}) == record(before={"a": 1})
    assert len({record(before={"a": 1}).audit_id, record(after={"a": 1}).audit_id, record().audit_id}) == 3


def test_what_is_too_large_is_told_by_its_size() -> None:
    large = {"geometry": "x" * MAX_SIDE_BYTES}
    assert record(before=large, after={"a": 1}).before == {"bytes": MAX_SIDE_BYTES + 15}


def test_the_row_of_a_record() -> None:
    (row,) = AUDIT.batch([record(after={"name": "Büro"})]).to_pylist()
    assert (row["actor_way"], row["role"], row["before"], row["after"]) == ("cli", None, None, '{"name":"Büro"}')

"""Visits over HTTP."""

import pytest

from schemas.times import Instant, parse_instant
from schemas.visit import Visit
from tests.api.conftest import Door
from tests.api.test_pings import is_problem

T0 = int(parse_instant("2026-03-02T08:00:00Z"))


def visit(visit_id: str, minute: int, state: str = "closed", revision: int = 1, device_id: str = "van-12") -> Visit:
    at = Instant(T0 + minute * 60_000)
    gone = Instant(at + 600_000) if state == "closed" else None
    return Visit(
        visit_id, device_id, "site-7", 1, None, state, revision, at, at, at, gone, gone, gone,  # type: ignore[arg-type]
        600.0, 590.0, 610.0, 0.9, "departed", 60,
    )  # fmt: skip


def ids(door: Door, query: str = "") -> list[str]:
    return [each["visit_id"] for each in door.get(f"/v1/visits{query}").json()["items"]]


def test_the_newest_revision_of_each(door: Door) -> None:
    door.history.log = [visit("b", 10, "open"), visit("a", 0), visit("b", 11, "closed", 2), visit("c", 5, "retracted")]
    page = door.get("/v1/visits").json()
    assert [(each["visit_id"], each["revision"], each["state"]) for each in page["items"]] == [
        ("a", 1, "closed"),
        ("b", 2, "closed"),
    ]
    assert page["items"][1]["arrived_at"] == "2026-03-02T08:11:00.000Z"
    assert page["next_cursor"] is None
    assert ids(door, "?state=retracted") == ["c"]
    assert ids(door, "?state=open") == []


def test_filters(door: Door) -> None:
    door.history.log = [visit("a", 0), visit("b", 30), visit("c", 60, "confirmed", device_id="van-13")]
    assert ids(door, "?device=van-13") == ["c"]
    assert ids(door, "?fence=site-7") == ["a", "b", "c"]
    assert ids(door, "?fence=elsewhere") == []
    assert ids(door, "?job=j1") == []
    assert ids(door, "?to=2026-03-02T08:30:00Z") == ["a"]
    assert ids(door, "?from=2026-03-02T08:10:00Z") == ["b", "c"]
    assert ids(door, "?from=2026-03-02T08:35:00Z&to=2026-03-02T08:36:00Z") == ["b"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_the_list_pages_through_all(door: Door, limit: int) -> None:
    door.history.log = [visit(f"v{i}", i // 2) for i in range(7)]
    seen: list[str] = []
    params = {"limit": str(limit)}
    while True:
        page = door.get("/v1/visits", params=params).json()
        seen += [each["visit_id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == [f"v{i}" for i in range(7)]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=InZhbi0xMiI", "state=late", "from=now", "limit=-1"])
def test_a_bad_query(door: Door, query: str) -> None:
    assert is_problem(door.get(f"/v1/visits?{query}"), 400, "invalid_request")


def test_one_visit_with_its_revisions(door: Door) -> None:
    door.history.log = [visit("a", 0, "closed", 2), visit("a", 1, "open", 1), visit("b", 2)]
    body = door.get("/v1/visits/a").json()
    assert (body["visit_id"], body["revision"], body["state"]) == ("a", 2, "closed")
    assert [each["revision"] for each in body["revisions"]] == [1, 2]
    assert set(body) == {*Visit.__struct_encode_fields__, "revisions"}


def test_an_unknown_visit(door: Door) -> None:
    assert is_problem(door.get("/v1/visits/ghost"), 404, "unknown_visit")


def test_the_store_is_down(door: Door) -> None:
    door.history.down = True
    assert is_problem(door.get("/v1/visits"), 503, "unavailable")
    assert is_problem(door.get("/v1/visits/a"), 503, "unavailable")

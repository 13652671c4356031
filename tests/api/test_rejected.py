"""What was refused, over HTTP."""

import pytest

from schemas.rejected import RejectedPing
from schemas.times import Instant, parse_instant
from tests.api.conftest import Door
from tests.api.test_pings import is_problem

T0 = int(parse_instant("2026-03-02T08:00:00Z"))


def refused(raw: str, minute: int = 0, code: str = "null_island", device_id: str = "van-12") -> RejectedPing:
    at = Instant(T0 + minute * 60_000)
    return RejectedPing(device_id, code, f"{code}: (0, 0)", at, "json", raw)


def raws(door: Door, query: str = "") -> list[str]:
    return [each["raw"] for each in door.get(f"/v1/rejected{query}").json()["items"]]


def test_the_newest_first_with_all_that_is_known(door: Door) -> None:
    door.history.refused = [refused("old"), refused('{"lat":0}', 2), refused("between", 1)]
    page = door.get("/v1/rejected").json()
    assert page["items"][0] == {
        "device_id": "van-12",
        "code": "null_island",
        "reason": "null_island: (0, 0)",
        "received_at": "2026-03-02T08:02:00.000Z",
        "protocol": "json",
        "raw": '{"lat":0}',
    }
    assert [each["raw"] for each in page["items"][1:]] == ["between", "old"]
    assert page["next_cursor"] is None


def test_filters(door: Door) -> None:
    door.history.refused = [
        refused("a"),
        refused("b", 30, "ts_in_future"),
        refused("c", 60, device_id=""),
    ]
    assert raws(door, "?device_id=van-12") == ["b", "a"]
    assert raws(door, "?code=ts_in_future") == ["b"]
    assert raws(door, "?from=2026-03-02T08:30:00Z") == ["c", "b"]
    assert raws(door, "?to=2026-03-02T08:30:00Z") == ["a"]
    assert raws(door, "?code=other") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_the_list_pages_through_all(door: Door, limit: int) -> None:
    """Several of one moment among them: a body of many items."""
    door.history.refused = [refused(f"{number}", number // 3) for number in range(7)]
    seen: list[str] = []
    params = {"limit": str(limit)}
    while True:
        page = door.get("/v1/rejected", params=params).json()
        seen += [each["raw"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == 7
    assert [int(raw) // 3 for raw in seen] == [2, 1, 1, 1, 0, 0, 0]
    assert set(seen) == {f"{number}" for number in range(7)}


@pytest.mark.parametrize("query", ["cursor=x", "cursor=InZhbi0xMiI", "cursor=Wy0xLCJhIl0", "from=now", "limit=0"])
def test_a_bad_query(door: Door, query: str) -> None:
    assert is_problem(door.get(f"/v1/rejected?{query}"), 400, "invalid_request")


def test_the_store_is_down(door: Door) -> None:
    door.history.down = True
    assert is_problem(door.get("/v1/rejected"), 503, "unavailable")

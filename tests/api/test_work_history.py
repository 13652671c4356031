"""What was done for a customer and at a site: jobs with their visits, visits for no job, newest first, by pages."""

from typing import Any

import msgspec
import pytest

from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_fences import circle
from tests.api.test_pings import is_problem
from tests.api.test_visits import visit
from tests.fakes import make_key

HOUR_MS = 3_600_000


@pytest.fixture
def door(door: Door) -> Door:
    """The customer c with the sites s (fence hq) and t; jobs at nine, ten and eleven, the second one visited."""
    for branch in ("north", "south"):
        assert door.post("/v1/branches", json={"branch": branch, "name": branch}).status_code == 201
    door.post("/v1/customers", json={"customer_id": "c", "name": "Hill", "branch": "north"})
    door.put("/v1/fences/hq", json=circle("hq", branch="north"))
    door.post("/v1/sites", json={"site_id": "s", "name": "s", "customer_id": "c", "branch": "north", "fence_id": "hq"})
    door.post("/v1/sites", json={"site_id": "t", "name": "t", "customer_id": "c", "branch": "north"})
    for hour, site in ((9, "s"), (10, "s"), (11, "t")):
        window = {"window_from": f"2026-03-02T{hour:02}:00:00Z", "window_to": f"2026-03-02T{hour:02}:30:00Z"}
        job = {"job_id": f"j{hour}", "title": "x", "site_id": site, **window}
        assert door.post("/v1/jobs", json=job).status_code == 201
    record = msgspec.structs.replace(door.jobs.records["j10"], visit_ids=["v1"], on_site_s=600.0)
    door.jobs.records["j10"] = record
    door.job_index.changed("j10", record)
    door.history.log += [at_hq("v1", 10), at_hq("v2", 8), at_hq("v3", 12), elsewhere("v4", 12)]
    return door


def at_hq(visit_id: str, hour: float) -> Any:
    arrived = Instant(NOW_MS - NOW_MS % (24 * HOUR_MS) + round(hour * HOUR_MS))
    return msgspec.structs.replace(visit(visit_id, 0), fence_id="hq", arrived_ms=arrived)


def elsewhere(visit_id: str, hour: float) -> Any:
    return msgspec.structs.replace(at_hq(visit_id, hour), fence_id="depot")


def told(items: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    return [((each["job"] or {}).get("job_id", "-"), [one["visit_id"] for one in each["visits"]]) for each in items]


def test_a_customer_has_all_of_it_the_newest_first(door: Door) -> None:
    items = door.get("/v1/customers/c/history").json()["items"]
    assert told(items) == [("-", ["v3"]), ("j11", []), ("j10", ["v1"]), ("j9", []), ("-", ["v2"])]
    job = items[2]["job"]
    assert (job["state"], job["on_site_s"], job["technician_ids"]) == ("created", 600.0, [])
    assert items[2]["visits"][0]["job_id"] == "j10"
    assert [each["at"] for each in items] == sorted((each["at"] for each in items), reverse=True)


def test_a_site_has_its_own(door: Door) -> None:
    assert told(door.get("/v1/sites/s/history").json()["items"]) == [
        ("-", ["v3"]),
        ("j10", ["v1"]),
        ("j9", []),
        ("-", ["v2"]),
    ]
    assert told(door.get("/v1/sites/t/history").json()["items"]) == [("j11", [])]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_come_to_the_whole(door: Door, limit: int) -> None:
    whole = door.get("/v1/customers/c/history").json()["items"]
    pages, cursor = [], ""
    while True:
        page = door.get(f"/v1/customers/c/history?limit={limit}{cursor}").json()
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        assert len(page["items"]) == limit
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == whole


def test_what_is_of_other_branches_is_left_out(door: Door) -> None:
    door.post("/v1/jobs", json={"job_id": "far", "title": "x", "customer_id": "c", "branch": "south"})
    door.keys.records["keydispatcher"] = make_key("dispatcher", branches=["north"])
    assert "far" in [job for job, _ in told(door.get("/v1/customers/c/history").json()["items"])]
    seen = door.get("/v1/customers/c/history", role="dispatcher").json()["items"]
    assert told(seen) == [("-", ["v3"]), ("j11", []), ("j10", ["v1"]), ("j9", []), ("-", ["v2"])]
    door.keys.records["keydispatcher"] = make_key("dispatcher", branches=["south"])
    assert is_problem(door.get("/v1/customers/c/history", role="dispatcher"), 404, "unknown_customer")
    assert is_problem(door.get("/v1/sites/nowhere/history"), 404, "unknown_site")


def test_a_removed_customer_has_a_history_and_a_store_that_is_away_says_so(door: Door) -> None:
    for site_id in ("s", "t"):
        assert door.delete(f"/v1/sites/{site_id}").status_code == 204
    assert door.delete("/v1/customers/c").status_code == 204
    assert len(door.get("/v1/customers/c/history").json()["items"]) == 5
    door.history.down = True
    assert is_problem(door.get("/v1/customers/c/history"), 503, "unavailable")

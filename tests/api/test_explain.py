"""``GET /v1/visits/{id}/explain``: the evidence, and the visit derived again from what the store holds."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from api.history import explanation
from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays, visit_of
from schemas.fence import FenceRecord, FenceVersion
from schemas.ping import Ping
from schemas.times import Instant, parse_instant
from schemas.visit import Visit
from tests.api.conftest import NOW_MS, Door
from tests.api.test_pings import is_problem
from tests.geofence.visits.days import degrees, drive, ordinary_day, square, stay_at

START_MS = NOW_MS - 3 * 3_600_000
SITE = square(0, 0, 40, name="The Bakery", min_on_site_s=180.0)
Rows = list[tuple[float, float, float]]


def pings_of(rows: Rows, device_id: str = "van-12", accuracy_m: float | None = 10.0) -> list[Ping]:
    pings = []
    for second, x_m, y_m in rows:
        lon, lat = degrees(x_m, y_m)
        pings.append(Ping(device_id, START_MS + round(second * 1000), lat, lon, accuracy_m))
    return pings


def fill(door: Door, pings: list[Ping], version: FenceVersion = SITE) -> list[Visit]:
    """Pings and the log they come to are in the store; the fence is known."""
    door.history.pings = pings
    door.fences.records = {"site": FenceRecord("site", [version], Instant(0))}
    fences = FenceSet.of([("site", version)])
    stays = derive_stays("van-12", Fixes.of_pings(pings).in_order(), fences, Rules(), NOW_MS).stays
    door.history.log = [visit_of("van-12", stay) for stay in stays]
    return door.history.log


def explained(door: Door, visit: Visit) -> dict[str, Any]:
    answer = door.get(f"/v1/visits/{visit.visit_id}/explain")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_visit_comes_to_the_same_and_is_explained(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    body = explained(door, visit)
    assert (body["matches"], body["differs"], body["held_by"]) == (True, {}, [])
    assert body["recomputed"] == {name: body[name] for name in Visit.__struct_encode_fields__}
    evidence = body["explain"]
    assert evidence["fence"]["geometry"] == SITE.geometry
    assert evidence["fence"]["properties"]["version"] == visit.fence_version
    assert evidence["thresholds"]["min_on_site_s"] == {"value": 180.0, "from": "the fence"}
    assert evidence["thresholds"]["max_accuracy_m"] == {"value": 250.0, "from": "default"}
    assert sum(fix.get("at_fence", False) for fix in evidence["fixes"]) == visit.fixes
    assert "van-12 arrived at The Bakery" in evidence["words"]
    assert "the visit is the same" in body["finding"]


def test_the_answer_fits_the_document(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    document = door.get("/openapi.json", role=None).json()
    operation = document["paths"]["/v1/visits/{visit_id}/explain"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(explained(door, visit))


def test_a_visit_that_lasts(door: Door) -> None:
    rows = [*drive(0, 200, 10, (-2000, 40), (-12, 0)), *stay_at(220, 10_790, 10, 0, 0)]
    (visit,) = fill(door, pings_of(rows))
    assert visit.state == "confirmed"
    told = msgspec.structs.replace(visit, fixes=7, on_site_s=180.0)  # running figures are not told each time
    door.history.log = [told]
    body = explained(door, told)
    assert body["matches"]
    assert body["recomputed"]["fixes"] == visit.fixes
    assert "was not seen to leave" in body["explain"]["words"]


def test_a_log_that_is_wrong_is_found_out(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    wrong = msgspec.structs.replace(visit, arrived_ms=Instant(visit.arrived_ms - 60_000))
    door.history.log = [wrong]
    body = explained(door, wrong)
    assert not body["matches"]
    assert list(body["differs"]) == ["arrived_at"]
    assert parse_instant(body["differs"]["arrived_at"]["logged"]) == wrong.arrived_ms
    assert parse_instant(body["differs"]["arrived_at"]["recomputed"]) == visit.arrived_ms
    assert "arrived_at" in body["finding"]


def test_the_pings_are_no_longer_kept(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    door.history.pings = []
    body = explained(door, visit)
    assert (body["recomputed"], body["matches"]) == (None, False)
    assert body["explain"]["fixes"] == []
    assert "no longer be kept" in body["finding"]


def test_a_retracted_visit_tells_why_it_went(door: Door) -> None:
    red_light = [*drive(0, 200, 10, (-2000, 40), (-12, 0)), *stay_at(210, 355, 10, 0, 0)]
    (opened,) = fill(door, pings_of([*red_light, *stay_at(365, 600, 10, 0, 0)]))
    assert fill(door, pings_of([*red_light, *drive(365, 565, 10, (12, 0), (2000, 40))])) == []
    retracted = msgspec.structs.replace(opened, state="retracted", revision=2, reason="not_believed")
    door.history.log = [opened, retracted]
    body = explained(door, retracted)
    assert (body["recomputed"], body["matches"], body["held_by"]) == (None, True, [])
    words = body["explain"]["words"]
    assert "That was taken back" in words
    assert "less than the 3 min that make a visit" in words
    assert "right that the visit was taken back" in body["finding"]


def test_a_retracted_visit_that_another_has_taken_over(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    middle = Instant(visit.arrived_ms + 900_000)
    second = msgspec.structs.replace(
        visit, visit_id="second", state="retracted", revision=2, reason="late_data", arrived_ms=middle,
        arrived_earliest_ms=middle, arrived_latest_ms=middle,
    )  # fmt: skip
    door.history.log = [visit, second]
    body = explained(door, second)
    assert (body["matches"], body["held_by"]) == (True, [visit.visit_id])
    door.history.log = [second]
    body = explained(door, second)
    assert (body["matches"], body["held_by"]) == (False, [])
    assert body["differs"]["state"] == {"logged": "retracted", "recomputed": "closed"}


def test_the_version_of_then_is_shown(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    moved_ms = Instant(NOW_MS - 600_000)
    before = msgspec.structs.replace(SITE, valid_to_ms=moved_ms)
    after = square(900, 0, 40, version=2, valid_from_ms=moved_ms)
    door.fences.records["site"] = FenceRecord("site", [before, after], moved_ms)
    body = explained(door, visit)
    assert body["matches"]
    assert body["explain"]["fence"]["geometry"] == SITE.geometry
    assert body["explain"]["fence"]["properties"]["valid_to"] == "2026-03-02T08:05:10.000Z"
    assert "version 1 of the fence site, which holds until 2026-03-02 08:05:10" in body["explain"]["words"]


def test_it_looks_as_far_as_it_must_and_no_farther(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days before and after it cannot matter, so they are not read."""
    far = [*drive(-7200, -10, 30, (-40_000, 40), (-2000, 40)), *ordinary_day()]
    one = [*far, *drive(2240, 9000, 30, (2000, 40), (9e4, 40))]
    rows = [(s - day * 86_400, x, y) for day in range(5) for s, x, y in one]
    log = fill(door, [ping for ping in pings_of(rows) if ping.ts_ms <= NOW_MS])
    assert len(log) == 5
    asked = []
    read = door.history.fixes

    async def fixes(device_id: str, from_ms: int, to_ms: int, limit: int) -> Fixes:
        found = await read(device_id, from_ms, to_ms, limit)
        asked.append(len(found))
        return found

    monkeypatch.setattr(door.history, "fixes", fixes)
    assert explained(door, log[2])["matches"]
    assert asked == [len(one)]


def test_a_device_that_is_never_far_from_a_fence(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "ENOUGH_FIXES", 500)
    town = square(0, 0, 20_000, version=1, kind="zone")
    one = [*ordinary_day(), *stay_at(2400, 9000, 30, 2000, 40)]
    rows = [(s - day * 86_400, x, y) for day in range(6) for s, x, y in one]
    door.history.pings = pings_of(rows)
    door.fences.records = {
        "site": FenceRecord("site", [SITE], Instant(0)),
        "town": FenceRecord("town", [town], Instant(0)),
    }
    fences = FenceSet.of([("site", SITE), ("town", town)])
    stays = derive_stays("van-12", Fixes.of_pings(door.history.pings).in_order(), fences, Rules(), NOW_MS).stays
    door.history.log = [visit_of("van-12", stay) for stay in stays if stay.fence_id == "site"]
    assert len(door.history.log) == 6
    assert all(explained(door, visit)["matches"] for visit in door.history.log)
    monkeypatch.setattr(explanation, "MOST_FIXES", 100)
    assert is_problem(door.get(f"/v1/visits/{door.history.log[0].visit_id}/explain"), 409, "too_many_fixes")


def test_a_fence_that_changes_is_measured_anew(door: Door) -> None:
    """What was put together for one answer is not what the next one is judged by."""
    (visit,) = fill(door, pings_of(ordinary_day()))
    assert explained(door, visit)["matches"]
    door.fences.records["site"] = FenceRecord("site", [square(5000, 0, 40)], Instant(1))
    assert explained(door, visit)["recomputed"] is None
    door.fences.records["site"] = FenceRecord("site", [SITE], Instant(2))
    door.fences.records["wrong"] = FenceRecord("wrong", [msgspec.structs.replace(SITE, geometry={})], Instant(2))
    assert explained(door, visit)["matches"]


def test_what_is_unknown(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    assert is_problem(door.get("/v1/visits/ghost/explain"), 404, "unknown_visit")
    door.history.log = [msgspec.structs.replace(visit, fence_version=7)]
    assert is_problem(door.get(f"/v1/visits/{visit.visit_id}/explain"), 404, "unknown_fence")
    door.fences.records = {}
    assert is_problem(door.get(f"/v1/visits/{visit.visit_id}/explain"), 404, "unknown_fence")


def test_what_is_not_there_yet(door: Door) -> None:
    (visit,) = fill(door, pings_of(ordinary_day()))
    path = f"/v1/visits/{visit.visit_id}/explain"
    door.fences.is_caught_up = False
    assert is_problem(door.get(path), 503, "unavailable")
    door.fences.is_caught_up = True
    door.history.down = True
    assert is_problem(door.get(path), 503, "unavailable")
    assert door.get(path, role="device").status_code == 403

"""A visit that the whole system logged, explained from the real store."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.geofence.visits.days import degrees, drive, ordinary_day, stay_at
from tests.integration.conftest import System

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DEADLINE_S = 120.0
DEVICE = "explained-van"
FENCE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": degrees(0, 0)},
    "properties": {"name": "The Bakery", "radius_m": 30, "min_on_site_s": 180},
}


def wait_for(condition: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.2)
    return found


def pings(rows: list[tuple[float, float, float]], start_ms: int) -> list[dict[str, Any]]:
    places = [(s, *degrees(x_m, y_m)) for s, x_m, y_m in rows]
    return [
        {"device_id": DEVICE, "ts": start_ms + round(s * 1000), "lat": lat, "lon": lon, "accuracy_m": 9}
        for s, lon, lat in places
    ]


def test_what_the_system_logged_comes_to_the_same(system: System) -> None:
    start_ms = int(time.time() * 1000) - 6 * 3_600_000
    here, late = ordinary_day(), [*stay_at(900, 1100, 5, 0, 0, seed=3)]
    after = drive(2300, 5000, 10, (2000, 40), (20_000, 40))
    with system.client() as client:
        assert client.put("/v1/fences/explained-bakery", json=FENCE).status_code in (200, 201)
        assert client.post("/v1/pings", json=pings([*here, *after], start_ms)).json()["rejected"] == []

        def explained(state: str, *, fixes: int = 0) -> dict[str, Any] | None:
            items = client.get("/v1/visits", params={"device": DEVICE, "state": state}).json()["items"]
            for visit in items:
                answer = client.get(f"/v1/visits/{visit['visit_id']}/explain")
                assert answer.status_code == 200, answer.text
                body: dict[str, Any] = answer.json()
                if body["matches"] and body["fixes"] > fixes:
                    return body
            return None

        # The recorder may write the visit before the last of its pings: then it comes to the same a moment later.
        first = wait_for(lambda: explained("closed"))
        assert first["differs"] == {}
        assert first["recomputed"] == {name: first[name] for name in first["recomputed"]}
        evidence = first["explain"]
        assert sum(fix.get("at_fence", False) for fix in evidence["fixes"]) == first["fixes"]
        assert evidence["fence"]["geometry"] == FENCE["geometry"]
        assert evidence["thresholds"]["min_on_site_s"] == {"value": 180.0, "from": "the fence"}
        assert f"{DEVICE} arrived at The Bakery" in evidence["words"]

        # Late pings revise it; the recomputation knows them, too.
        assert client.post("/v1/pings", json=pings(late, start_ms)).json()["rejected"] == []
        revised = wait_for(lambda: explained("closed", fixes=first["fixes"]))
        assert revised["visit_id"] == first["visit_id"]
        assert revised["revision"] > first["revision"]
        assert revised["recomputed"]["fixes"] == revised["fixes"]

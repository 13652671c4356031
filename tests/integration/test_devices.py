"""From an app to a visit: each app's messages, with a device's own token, through the whole running system."""

import asyncio
import gzip
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from infra.grants import Grant
from infra.keys import open_key_ring
from schemas.times import format_instant
from tests.geofence.visits.days import degrees
from tests.integration.conftest import System, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STEP_S = 15
KNOTS_PER_MPS = 3600 / 1852


class Fix(NamedTuple):
    ts_ms: int
    lat: float
    lon: float
    speed_mps: float


def drive_and_stay(begins_ms: int, east_m: float) -> list[Fix]:
    """From 1,500 m south to a site, a quarter of an hour there, and 1,500 m on."""
    north_m = [*range(-1_500, 0, 150), *[0] * 60, *range(150, 1_650, 150)]
    fixes = []
    for turn, north in enumerate(north_m):
        # No two fixes of a real receiver are the same to the last digit.
        lon, lat = degrees(east_m + turn * 37 % 11 - 5, north + turn * 23 % 7 - 3)
        fixes.append(Fix(begins_ms + turn * STEP_S * 1000, lat, lon, 0.0 if north == 0 else 10.0))
    return fixes


def traccar_query(fix: Fix, device_id: str) -> dict[str, Any]:
    words = {"id": device_id, "timestamp": fix.ts_ms // 1000, "lat": fix.lat, "lon": fix.lon, "accuracy": 8, "batt": 83}
    return {"method": "GET", "params": words | {"speed": fix.speed_mps * KNOTS_PER_MPS}}


def traccar_form(fix: Fix, device_id: str) -> dict[str, Any]:
    return {"method": "POST", "data": traccar_query(fix, device_id)["params"]}


def traccar_json(fix: Fix, device_id: str) -> dict[str, Any]:
    coords = {"latitude": fix.lat, "longitude": fix.lon, "accuracy": 8, "speed": fix.speed_mps, "heading": -1}
    location = {"timestamp": format_instant(fix.ts_ms), "coords": coords, "battery": {"level": 0.8}, "extras": {}}
    return {"method": "POST", "json": {"location": location, "device_id": device_id}}


def owntracks(fix: Fix, _device_id: str) -> dict[str, Any]:
    """The token says whose it is; the app knows itself by two letters."""
    said = {"_type": "location", "tst": fix.ts_ms // 1000, "lat": fix.lat, "lon": fix.lon, "acc": 8, "tid": "JD"}
    return {"method": "POST", "json": said | {"vel": round(fix.speed_mps * 3.6), "batt": 83, "topic": "owntracks/j/p"}}


def overland(fix: Fix, device_id: str) -> dict[str, Any]:
    said = {"timestamp": format_instant(fix.ts_ms), "horizontal_accuracy": 8, "speed": fix.speed_mps}
    point = {"type": "Point", "coordinates": [fix.lon, fix.lat]}
    feature = {"type": "Feature", "geometry": point, "properties": said | {"device_id": device_id, "motion": []}}
    return {"method": "POST", "json": {"locations": [feature]}}


def gpslogger(fix: Fix, device_id: str) -> dict[str, Any]:
    words = {"device_id": device_id, "lat": fix.lat, "lon": fix.lon, "time": format_instant(fix.ts_ms), "acc": 8}
    return {"method": "GET", "params": words | {"spd": fix.speed_mps, "batt": 83}}


def own_json(fix: Fix, device_id: str) -> dict[str, Any]:
    said = {"device_id": device_id, "ts": format_instant(fix.ts_ms), "lat": fix.lat, "lon": fix.lon, "accuracy_m": 8}
    return {"method": "POST", "json": [said | {"speed_mps": fix.speed_mps}]}


def own_ndjson(fix: Fix, device_id: str) -> dict[str, Any]:
    line = msgspec.json.encode(own_json(fix, device_id)["json"][0])
    return {"method": "POST", "content": gzip.compress(line + b"\n")}


def own_csv(fix: Fix, device_id: str) -> dict[str, Any]:
    values = [device_id, fix.ts_ms, fix.lat, fix.lon, 8, fix.speed_mps]
    lines = "device_id,ts,lat,lon,accuracy_m,speed_mps\n" + ",".join(map(str, values))
    return {"method": "POST", "content": lines.encode()}


def in_header(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def as_password(token: str) -> dict[str, Any]:
    return {"auth": ("anybody", token)}


def in_address(token: str) -> dict[str, Any]:
    return {"params": {"token": token}}


def with_type(media_type: str, **headers: str) -> Callable[[str], dict[str, Any]]:
    """The token in a header, beside what the body is."""
    return lambda token: {"headers": {**in_header(token)["headers"], "Content-Type": media_type, **headers}}


NDJSON = with_type("application/x-ndjson", **{"Content-Encoding": "gzip"})
TAKEN = b'{"accepted":1,"rejected":[]}'
APPS: list[tuple[str, Callable[[Fix, str], dict[str, Any]], Callable[[str], dict[str, Any]], int, bytes]] = [
    ("ingest/osmand", traccar_query, in_address, 200, b""),
    ("ingest/osmand", traccar_form, in_address, 200, b""),
    ("ingest/osmand", traccar_json, in_address, 200, b""),
    ("ingest/owntracks", owntracks, as_password, 200, b"[]"),
    ("ingest/overland", overland, in_header, 200, b'{"result":"ok"}'),
    ("ingest/gpslogger", gpslogger, as_password, 200, b""),
    ("pings", own_json, in_header, 202, TAKEN),
    ("pings", own_ndjson, NDJSON, 202, TAKEN),
    ("pings", own_csv, with_type("text/csv"), 202, TAKEN),
]


def test_a_phone_whose_clock_is_behind_is_seen_to_be(system: System) -> None:
    behind_ms = 300_000
    with system.client() as admin:

        def shown() -> dict[str, Any]:
            answer = admin.get("/v1/devices/late-clock")
            return answer.json() if answer.status_code == 200 else {}

        for turn in range(4):
            now_ms = time.time_ns() // 1_000_000 - behind_ms
            fix = {"device_id": "late-clock", "ts": now_ms, "lat": 61 + turn / 1e4, "lon": 24, "sent_at": now_ms}
            admin.post("/v1/pings", json=fix).raise_for_status()
            # One after the other: fixes of one frame are one request to the tracker.
            until(lambda now_ms=now_ms: shown().get("ts") == format_instant(now_ms), shown)  # type: ignore[misc]
        device = shown()
        assert device["clock_skew_s"] == pytest.approx(-behind_ms / 1000, abs=device["clock_skew_error_s"])
        assert device["clock_skew_error_s"] < 10


async def token_for(system: System, device_id: str) -> str:
    async with open_key_ring(system.settings) as ring:
        return (await ring.create(device_id, Grant("device"), device_id)).token


@pytest.mark.parametrize(("door", "message", "credentials", "status", "answered"), APPS)
def test_an_app_is_seen_to_arrive_and_to_leave(
    system: System,
    door: str,
    message: Callable[[Fix, str], dict[str, Any]],
    credentials: Callable[[str], dict[str, Any]],
    status: int,
    answered: bytes,
) -> None:
    name = message.__name__.replace("_", "-")
    device_id, number = f"phone-{name}", [each[1] for each in APPS].index(message)
    east_m = 30_000.0 + 5_000.0 * number
    fence = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": degrees(east_m, 0)},
        "properties": {"name": name, "radius_m": 40},
    }
    begins_ms = (time.time_ns() // 1_000_000 - 3_600_000) // 1000 * 1000
    with system.client() as admin, httpx.Client(base_url=system.facts["api"], timeout=60) as phone:
        admin.put(f"/v1/fences/site-{name}", json=fence).raise_for_status()
        token = asyncio.run(token_for(system, device_id))
        known = credentials(token)
        until(lambda: phone.get("/v1/devices", **in_header(token)).status_code == 403, lambda: "the key is not known")
        for fix in drive_and_stay(begins_ms, east_m):
            request = message(fix, device_id)
            request["params"] = {**request.get("params", {}), **known.get("params", {})}
            answer = phone.request(url=f"/v1/{door}", **{**known, **request})
            assert (answer.status_code, answer.content) == (status, answered), answer.text

        def visits() -> list[dict[str, Any]]:
            listed: list[dict[str, Any]] = admin.get("/v1/visits", params={"device": device_id}).json()["items"]
            return listed

        until(lambda: [visit["state"] for visit in visits()] == ["closed"], visits)
        (visit,) = visits()
        assert visit["fence_id"] == f"site-{name}"
        assert visit["on_site_s"] == pytest.approx(60 * STEP_S, abs=60)

        def speed_mps() -> float | None:
            answer = admin.get(f"/v1/devices/{device_id}")
            return answer.json()["speed_mps"] if answer.status_code == 200 else None

        # The newest fix is told within a second.
        until(lambda: speed_mps() == pytest.approx(10.0, abs=0.01), speed_mps)

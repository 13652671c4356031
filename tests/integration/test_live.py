"""The live feed of a whole running system, and of an API that is told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from infra.embedded.ports import reserve_free
from infra.system import environment_of
from tests.geofence.visits.days import degrees, ordinary_day
from tests.integration.conftest import System

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DEADLINE_S = 60.0
STOP_DEADLINE_S = 8.0
"""Less than uvicorn waits for open connections."""
DEVICE = "live-van"
FENCE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": degrees(0, 0)},
    "properties": {"name": "The Bakery", "radius_m": 30, "min_on_site_s": 180},
}


def listen(system: System, api: str, query: str = "") -> ClientConnection:
    token = Path(system.facts["admin_key_file"]).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    return connect(f"{api.replace('http', 'ws', 1)}/v1/live{query}", additional_headers=headers, max_size=None)


def messages(socket: ClientConnection) -> Iterator[dict[str, Any]]:
    give_up = time.monotonic() + DEADLINE_S
    while True:
        yield json.loads(socket.recv(timeout=give_up - time.monotonic()))


@contextmanager
def second_api(system: System) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Another API process on the same broker and store."""
    settings = system.settings.model_copy(update={"port": reserve_free()})
    url = f"http://127.0.0.1:{settings.port}"
    environment = {**os.environ, **environment_of(settings)}
    with subprocess.Popen([sys.executable, "-m", "infra.cli", "api"], env=environment) as process:
        try:
            give_up = time.monotonic() + DEADLINE_S
            while not is_ready(url):
                assert process.poll() is None, "the API ended"
                assert time.monotonic() < give_up, "the API is not ready"
                time.sleep(0.1)
            yield process, url
        finally:
            process.kill()


def read_on(socket: ClientConnection) -> None:
    for _ in messages(socket):
        pass


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_visit_is_told_and_an_api_that_stops_says_so(system: System) -> None:
    start_ms = int(time.time() * 1000) - 3_600_000
    day = ordinary_day()
    places = [(start_ms + round(s * 1000), *degrees(x_m, y_m)) for s, x_m, y_m in day]
    pings = [{"device_id": DEVICE, "ts": ts, "lat": lat, "lon": lon, "accuracy_m": 9} for ts, lon, lat in places]
    while_there = sum(s <= 600 for s, _, _ in day)
    with listen(system, system.facts["api"]) as socket, system.client() as client:
        heard = messages(socket)
        assert next(heard)["type"] == "snapshot"
        # Others' fences may lie in the same place.
        told = (
            visit
            for changes in heard
            for visit in changes["visits"]
            if (visit["device_id"], visit["fence_id"]) == (DEVICE, "live-bakery")
        )
        assert client.put("/v1/fences/live-bakery", json=FENCE).status_code in (200, 201)
        assert client.post("/v1/pings", json=pings[:while_there]).json()["rejected"] == []
        visit = next(told)

        with second_api(system) as (process, url), listen(system, url) as other:
            snapshot = next(messages(other))
            assert visit["visit_id"] in {each["visit_id"] for each in snapshot["visits"]}
            assert DEVICE in {device["device_id"] for device in snapshot["devices"]}
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                read_on(other)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            assert process.wait(STOP_DEADLINE_S) == 0

        assert client.post("/v1/pings", json=pings[while_there:]).json()["rejected"] == []
        assert next(each for each in told if each["state"] == "closed")["visit_id"] == visit["visit_id"]

"""Addresses and service requests on the whole system: a map is loaded while it runs, a visit moves an address on."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from infra.cli import build
from infra.grants import Grant
from infra.keys import open_key_ring
from schemas.settings import Settings
from tests.integration.conftest import System, until

osmium = pytest.importorskip("osmium")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

LAT, LON = 46.9481, 8.4474
ADDRESS = "Oberdorfstrasse 5, 6300 Seedorf"


def draw_map(path: Path) -> None:
    """A village with a street and a house."""
    mutable, writer = osmium.osm.mutable, osmium.SimpleWriter(str(path))
    writer.add_node(mutable.Node(id=1, location=(LON, LAT + 0.002), tags={"place": "village", "name": "Seedorf"}))
    house = {"addr:street": "Oberdorfstraße", "addr:housenumber": "5", "addr:postcode": "6300", "addr:city": "Seedorf"}
    writer.add_node(mutable.Node(id=2, location=(LON, LAT), tags=house))
    for number, east in ((3, 0.0), (4, 0.004)):
        writer.add_node(mutable.Node(id=number, location=(LON + east, LAT - 0.0002), tags={}))
    writer.add_way(mutable.Way(id=1, nodes=[3, 4], tags={"highway": "residential", "name": "Oberdorfstraße"}))
    writer.close()


async def make_key(settings: Settings, name: str, grant: Grant) -> str:
    async with open_key_ring(settings) as ring:
        return (await ring.create(name, grant)).token


def fixes(device_id: str, minutes: range) -> list[dict[str, Any]]:
    """One there each minute, until now; no two at exactly the same point, as of a phone."""
    now_ms = time.time_ns() // 1_000_000
    return [
        {"device_id": device_id, "ts": now_ms - 60_000 * each, "lat": LAT + each * 1e-6, "lon": LON, "accuracy_m": 5.0}
        for each in reversed(minutes)
    ]


def job_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
    return found


def eventually(client: httpx.Client, job_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    until(lambda: holds(job_of(client, job_id)), lambda: job_of(client, job_id))
    return job_of(client, job_id)


@pytest.fixture(scope="module")
def loaded(system: System, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The running system, given a map; a job was waiting for it."""
    with system.client() as client:
        waiting = client.post("/v1/jobs", json={"job_id": "early", "title": "x", "address": ADDRESS}).json()
        assert (waiting["geocoded"]["status"], waiting["lat"]) == ("no_geocoder", None)
    drawn = tmp_path_factory.mktemp("map") / "seedorf.osm.pbf"
    draw_map(drawn)
    result = CliRunner().invoke(build(("map",)), ["map", "build", str(drawn), "--state", str(system.state_dir)])
    assert result.exit_code == 0, result.output
    return system


def test_an_address_has_a_place_and_a_visit_there_moves_the_job_on(loaded: System) -> None:
    with loaded.client() as client:
        client.post("/v1/technicians", json={"technician_id": "uri", "name": "Uri", "device_ids": ["van-uri"]})
        window = {"window_from": "2020-01-01T00:00:00Z", "window_to": "2099-01-01T00:00:00Z"}
        content = {"job_id": "by-address", "title": "Boiler", "address": "seedorf oberdorfstr. 5", **window}
        job = client.post("/v1/jobs", json={**content, "technician_ids": ["uri"]}).json()
        assert (job["lat"], job["lon"]) == (pytest.approx(LAT), pytest.approx(LON))
        assert (job["geocoded"]["source"], job["geocoded"]["kind"]) == ("offline", "house")
        candidates = client.get("/v1/places", params={"q": "oberdorf"}).json()["items"]
        assert [each["label"] for each in candidates] == ["Oberdorfstraße, 6300 Seedorf"]
        client.post("/v1/pings", json=fixes("van-uri", range(12))).raise_for_status()
        job = eventually(client, "by-address", lambda job: job["state"] == "on_site")
        assert job["log"][-1]["source"] == "automatic"
        early = eventually(client, "early", lambda job: job["lat"] is not None)
        assert early["geocoded"]["status"] == "found", "it was found when there was a map"


def test_what_a_portal_asks_becomes_a_job_and_its_history(loaded: System) -> None:
    with loaded.client() as client:
        client.post("/v1/branches", json={"branch": "uri", "name": "Uri"})
        token = asyncio.run(make_key(loaded.settings, "form", Grant("portal", ["uri"])))
        portal = {"Authorization": f"Bearer {token}"}
        asked = {"external_id": "web-7", "title": "No heating", "address": ADDRESS, "customer": {"name": "Hill"}}

        def is_known() -> bool:
            return client.get("/v1/requests", headers=portal).status_code != 401

        until(is_known, lambda: "the portal's key is not known")
        posted = client.post("/v1/requests", json=asked, headers=portal)
        assert (posted.status_code, posted.json()["branch"]) == (201, "uri"), posted.text
        assert client.post("/v1/requests", json=asked, headers=portal).status_code == 200
        request_id = posted.json()["request_id"]
        accept = f"/v1/requests/{request_id}/accept"
        for method, path in (("GET", "/v1/requests"), ("POST", accept), ("GET", "/v1/jobs"), ("GET", "/v1/devices")):
            assert client.request(method, path, json={}, headers=portal).status_code == 403, path

        accepted = client.post(accept, json={"create_site": True}).raise_for_status().json()
        job = accepted["job"]
        assert (job["request_id"], accepted["request"]["job_id"]) == (request_id, job["job_id"])
        assert client.post(accept, json={"job": {"title": "another"}}).json()["job"]["title"] == "No heating"
        assert (job["lat"], job["branch"]) == (pytest.approx(LAT), "uri")
        corrected = client.patch(f"/v1/jobs/{job['job_id']}", json={"lat": LAT + 0.0005, "lon": LON}).json()
        site = client.get(f"/v1/sites/{job['site_id']}").json()
        assert (site["lat"], "geocoded" in site) == (corrected["lat"], False)
        history = client.get(f"/v1/customers/{job['customer_id']}/history").json()["items"]
        assert [each["job"]["job_id"] for each in history if each["job"]] == [job["job_id"]]

    row = "SELECT state, job_id, customer_name FROM requests FINAL WHERE external_id = 'web-7' FORMAT TSV"
    until(lambda: loaded.sql(row) == f"accepted\t{job['job_id']}\tHill", lambda: loaded.sql(row))
    told = f"SELECT type FROM events FINAL WHERE subject = '{request_id}' ORDER BY recorded_at, type DESC FORMAT TSV"
    until(lambda: loaded.sql(told).split() == ["request.received", "request.accepted"], lambda: loaded.sql(told))


def test_a_visit_for_no_job_is_in_the_history_of_its_site(loaded: System) -> None:
    with loaded.client() as client:
        client.post("/v1/sites", json={"site_id": "seedorf-gate", "name": "gate", "address": ADDRESS})
        by_site = client.post("/v1/jobs", json={"job_id": "at-gate", "title": "x", "site_id": "seedorf-gate"}).json()
        assert by_site["lat"] == pytest.approx(LAT)
        client.post("/v1/pings", json=fixes("passer-by", range(10))).raise_for_status()

        def told() -> list[dict[str, Any]]:
            items = client.get("/v1/sites/seedorf-gate/history").raise_for_status().json()["items"]
            return [visit for each in items if each["job"] is None for visit in each["visits"]]

        until(lambda: "passer-by" in {visit["device_id"] for visit in told()}, told)

"""People and places on the real parts: posted, read back, stored, and seen by those whose branch it is."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dispatch.local_time import WEEKDAYS
from infra.grants import Grant, grant
from infra.keys import open_key_ring
from schemas import wire
from schemas.audit import AuditRecord
from schemas.ping import Ping
from schemas.topics import AUDIT
from stream.kafka import Follower, KafkaLog
from tests.integration.parts import DEADLINE_S, Parts, post, until
from tests.integration.test_rejected import sql

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

BRANCHES = (
    {"branch": "north-west", "name": "North West"},
    {"branch": "liverpool", "name": "Liverpool", "region": "north-west"},
    {"branch": "hull", "name": "Hull"},
)
PLACE = {"liverpool": (53.4084, -2.9916), "hull": (53.7443, -0.3325)}


@asynccontextmanager
async def client_for(parts: Parts, granted: Grant) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of its own, once the API knows it."""
    async with open_key_ring(parts.settings) as ring:
        token = (await ring.create(granted.role, granted)).token
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=parts.api, headers=headers, timeout=30.0) as client:

        async def is_known() -> bool:
            return (await client.get("/v1/devices")).status_code != HTTPStatus.UNAUTHORIZED

        await until(is_known, "the key is known")
        yield client


async def made(client: httpx.AsyncClient, path: str, content: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=content)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    entry: dict[str, Any] = answer.json()
    return entry


async def add_company(admin: httpx.AsyncClient) -> None:
    """Two branches, a technician, a customer, a site, a depot and a fence in each."""
    for content in BRANCHES:
        await made(admin, "/v1/branches", content)
    for branch, (lat, lon) in PLACE.items():
        fence = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "properties": {"radius_m": 60, "branch": branch, "min_on_site_s": 30},
        }
        assert (await admin.put(f"/v1/fences/f-{branch}", json=fence)).status_code == HTTPStatus.CREATED
        await made(admin, "/v1/customers", {"customer_id": branch, "name": "Dental", "branch": branch})
        site = {"site_id": branch, "customer_id": branch, "branch": branch, "fence_id": f"f-{branch}"}
        await made(admin, "/v1/sites", site)
        await made(admin, "/v1/depots", {"depot_id": branch, "name": "Dock", "branch": branch, "lat": lat, "lon": lon})
        shift = {"from": "00:00", "to": "23:59", "weekly": list(WEEKDAYS), "time_zone": "Europe/London"}
        technician = {
            "technician_id": branch,
            "name": "Amina",
            "branch": branch,
            "skills": ["gas"],
            "device_ids": [f"van-{branch}"],
            "shifts": [shift],
            "contact": {"phone": "1", "email": "a@example.com"},
            "auto_logging": True,
        }
        assert (await made(admin, "/v1/technicians", technician)).items() >= technician.items()


def stay(branch: str, now_ms: int) -> list[Ping]:
    """Twenty minutes at a branch's fence, up to five minutes ago."""
    lat, lon = PLACE[branch]
    times = range(now_ms - 25 * 60_000, now_ms - 5 * 60_000, 15_000)
    return [Ping(f"van-{branch}", ts_ms, lat + index % 2 * 1e-5, lon, 8.0) for index, ts_ms in enumerate(times)]


async def listed(client: httpx.AsyncClient, path: str, called: str) -> list[str]:
    return sorted(each[called] for each in (await client.get(path)).raise_for_status().json()["items"])


async def scenario(folder: Path) -> None:
    parts = Parts(folder)
    try:
        await parts.start_all()
        async with parts.client() as admin:
            await add_company(admin)
            changed = await admin.patch("/v1/technicians/hull", json={"name": "Ben", "contact": None})
            assert (changed.status_code, changed.json()["name"]) == (HTTPStatus.OK, "Ben")
            await made(admin, "/v1/depots", {"depot_id": "old", "name": "Old", "branch": "hull"})
            assert (await admin.delete("/v1/depots/old")).status_code == HTTPStatus.NO_CONTENT

            async def stored() -> list[list[str]]:
                columns = "technician_id, name, branch, skills, device_ids, phone, auto_logging"
                return await sql(parts, f"SELECT {columns} FROM technicians FINAL ORDER BY technician_id")

            people = [
                ["hull", "Ben", "hull", "['gas']", "['van-hull']", "\\N", "true"],
                ["liverpool", "Amina", "liverpool", "['gas']", "['van-liverpool']", "1", "true"],
            ]
            await until(stored, "the technicians are stored", people)
            for name, count in (("customers", "2"), ("sites", "2"), ("branches", "3"), ("depots", "2")):
                statement = f"SELECT count() FROM {name} FINAL WHERE removed_at IS NULL"
                await until(lambda s=statement: sql(parts, s), f"the {name} are stored", [[count]])  # type: ignore[misc]
            assert await sql(parts, "SELECT removed_at IS NOT NULL FROM depots FINAL WHERE depot_id = 'old'") == [["1"]]
            await see_jobs(parts, admin)
            await see_branches(parts, admin)
            await see_audit(parts, admin)
    finally:
        await asyncio.to_thread(parts.close)


async def see_jobs(parts: Parts, admin: httpx.AsyncClient) -> None:
    """The export has the jobs that its reader sees."""
    for branch in PLACE:
        await made(admin, "/v1/jobs", {"job_id": branch, "branch": branch, "technician_ids": [branch]})
    await made(admin, "/v1/jobs", {"job_id": "loose", "technician_ids": ["hull"]})

    async def exported(client: httpx.AsyncClient) -> list[str]:
        lines = (await client.get("/v1/jobs.csv")).raise_for_status().text.splitlines()[1:]
        return sorted(line.partition(",")[0].strip('"') for line in lines)

    await until(lambda: exported(admin), "the jobs are stored", ["hull", "liverpool", "loose"])
    for granted, jobs in (
        (grant("accountant", ["north-west"]), ["liverpool"]),
        (grant("viewer", ["elsewhere"]), []),
        (grant("technician", technician_id="hull"), ["hull", "loose"]),
    ):
        async with client_for(parts, granted) as client:
            assert await exported(client) == jobs


async def see_branches(parts: Parts, admin: httpx.AsyncClient) -> None:
    """Visits and refused pings of each branch are shown to those who see it."""
    now_ms = time.time_ns() // 1_000_000
    for branch in PLACE:
        assert (await post(admin, stay(branch, now_ms))).status_code == HTTPStatus.ACCEPTED
        bad = msgspec.structs.replace(stay(branch, now_ms)[0], lat=0.0, lon=0.0)
        assert (await post(admin, [bad])).json()["accepted"] == 0
    await until(lambda: listed(admin, "/v1/visits", "fence_id"), "both visits are logged", ["f-hull", "f-liverpool"])
    vans = ["van-hull", "van-liverpool"]
    await until(lambda: listed(admin, "/v1/rejected", "device_id"), "both refused pings are kept", vans)
    (visit_of_hull,) = (await admin.get("/v1/visits?fence=f-hull")).json()["items"]

    async with client_for(parts, grant("branch_manager", ["north-west"])) as manager:
        assert await listed(manager, "/v1/technicians", "technician_id") == ["liverpool"]
        await until(lambda: listed(manager, "/v1/devices", "device_id"), "its device is shown", ["van-liverpool"])
        assert await listed(manager, "/v1/visits", "fence_id") == ["f-liverpool"]
        assert await listed(manager, "/v1/rejected", "device_id") == ["van-liverpool"]
        hidden = f"/v1/visits/{visit_of_hull['visit_id']}"
        assert (await manager.get(hidden)).status_code == HTTPStatus.NOT_FOUND

        # Hull's van comes to Liverpool, and with it what it did.
        assert (await admin.patch("/v1/technicians/hull", json={"device_ids": []})).status_code == HTTPStatus.OK
        both = {"device_ids": ["van-liverpool", "van-hull"]}
        assert (await admin.patch("/v1/technicians/liverpool", json=both)).status_code == HTTPStatus.OK
        await until(lambda: listed(manager, "/v1/visits", "device_id"), "the van's visit is shown", vans)
        assert (await manager.get(hidden)).status_code == HTTPStatus.OK

        # A fence that leaves every branch takes its visits along, but for those of one's own devices.
        assert (await admin.patch("/v1/technicians/liverpool", json={"device_ids": []})).status_code == HTTPStatus.OK
        await until(lambda: listed(manager, "/v1/visits", "fence_id"), "those of the fence are left", ["f-liverpool"])
        fence = (await admin.get("/v1/fences/f-liverpool")).json()
        del fence["properties"]["branch"]
        assert (await admin.put("/v1/fences/f-liverpool", json=fence)).status_code == HTTPStatus.OK
        await until(lambda: listed(manager, "/v1/visits", "fence_id"), "none is left", [])

    async with client_for(parts, grant("viewer", ["elsewhere"])) as stranger:
        assert await listed(stranger, "/v1/visits", "fence_id") == []
        assert await listed(stranger, "/v1/devices", "device_id") == []


async def see_audit(parts: Parts, admin: httpx.AsyncClient) -> None:
    """What was written is listed, page after page, and stored once though it is told again."""
    key_id = parts.token.split("_")[1]

    async def actions(query: str) -> list[str]:
        return [each["action"] for each in (await admin.get(f"/v1/audit?{query}")).raise_for_status().json()["items"]]

    await until(lambda: actions("kind=depot&id=old"), "the depot's end is on record", ["removed", "created"])
    wanted = ["edited", "edited", "created"]
    await until(lambda: actions("kind=technician&id=liverpool"), "the changes are on record", wanted)
    assert await actions(f"kind=key&id={key_id}") == ["created"]
    (edited,) = (await admin.get("/v1/audit?kind=fence&id=f-liverpool&limit=1")).json()["items"]
    assert (edited["actor"]["identity"], edited["role"], edited["branch"]) == (key_id, "admin", None)
    assert (edited["before"]["branch"], edited["after"]["version"]) == ("liverpool", 2)

    count = "SELECT count(), uniqExact(audit_id), countIf(position(after, 'secret_hash') > 0) FROM audit FINAL"

    async def as_stored() -> bool:
        found = await everything(admin)
        assert len(found) == len(set(found))
        return await sql(parts, count) == [[str(len(found)), str(len(found)), "0"]]

    await until(as_stored, "each record is listed once")

    async with client_for(parts, grant("branch_manager", ["hull"])) as manager:
        items = (await manager.get("/v1/audit?limit=1000")).raise_for_status().json()["items"]
        assert {each["branch"] for each in items} == {"hull"}

    told = await newest_on_topic(parts)
    rows = await parts.counted("recorder", "onsite_recorder_rows_total", table="audit")
    log = KafkaLog(parts.settings.kafka)
    await log.start()
    try:
        await log.append(AUDIT, [(key, wire.encode(record)) for key, record in told.items()])
    finally:
        await log.stop()

    async def inserted() -> bool:
        return await parts.counted("recorder", "onsite_recorder_rows_total", table="audit") >= rows + len(told)

    await until(inserted, "what is told again is inserted again")
    (again,) = await sql(parts, count)
    assert again[0] == again[1]


async def everything(admin: httpx.AsyncClient) -> list[str]:
    """The ids of all that is on record, page after page."""
    found: list[str] = []
    query = {"limit": "4"}
    while True:
        page = (await admin.get("/v1/audit", params=query)).raise_for_status().json()
        found += [each["audit_id"] for each in page["items"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def newest_on_topic(parts: Parts) -> dict[str, AuditRecord]:
    """The newest record of each thing that was written."""
    follower = Follower(parts.settings.kafka, AUDIT, partial(wire.decode, AuditRecord))
    await follower.start()
    try:
        assert await follower.until(lambda: follower.is_caught_up, DEADLINE_S)
        return dict(follower.records)
    finally:
        await follower.stop()


def test_people_and_places_are_stored_and_shown_to_those_whose_branch_it_is(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

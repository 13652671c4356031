"""A job ends, time passes, it is archived: gone from Kafka and from memory, still in the store, and still read."""

import asyncio
import time
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from api.history.store import ClickHouseHistory
from api.ports import StoredJobQuery
from infra.migrations import migrate
from infra.private_files import read_private
from infra.system import ensure_admin_key
from schemas import wire
from schemas.job import JobRecord
from schemas.topics import JOBS
from stream.kafka import Follower
from stream.store import open_store
from tests.integration.parts import Parts, is_ready, until
from tests.integration.test_people import made
from tests.integration.test_rejected import sql
from tests.integration.test_shift_privacy import everything_in_the_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

DAY_MS: Final = 86_400_000
KEPT_DAYS: Final = 40
ROLES: Final = ("recorder", "foreman", "notifier", "api")
WEBER: Final = "Ottilie Weber-Lindqvist"
STORED: Final = "SELECT state, customer_id, length(log_state) FROM jobs FINAL WHERE job_id = 'over'"


def on_day(day: int) -> dict[str, str]:
    """Settings of a process that runs so many days from now."""
    now_ms = time.time_ns() // 1_000_000
    return {
        "ONSITE_CLOCK_START_MS": str(now_ms + day * DAY_MS),
        "ONSITE_CLOCK_ORIGIN_MS": str(now_ms),
        "ONSITE_JOBS_KEPT_DAYS": str(KEPT_DAYS),
    }


async def start(parts: Parts, day: int) -> None:
    for role in ROLES:
        parts.start(role, **on_day(day))
    async with parts.client() as client:
        await until(lambda: is_ready(client), "the API is ready")


async def in_kafka(parts: Parts) -> set[str]:
    """The jobs that whoever reads the topic from its beginning would have."""
    jobs = Follower(parts.settings.kafka, JOBS, lambda value: wire.decode(JobRecord, value))
    await jobs.start()
    try:
        await asyncio.wait_for(jobs.caught_up(), 60)
        return set(jobs.records)
    finally:
        await jobs.stop()


async def scenario(folder: Path) -> None:
    parts = Parts(folder)
    try:
        for role in ("broker", "store"):
            await parts.start_server(role)
        await migrate(parts.settings)
        await ensure_admin_key(parts.settings, folder / "admin.key")
        parts.token = read_private(folder / "admin.key")
        await start(parts, 0)
        async with parts.client() as client:
            before = await work(parts, client)
        assert parts.terminate(*ROLES) == [0] * len(ROLES)
        await start(parts, KEPT_DAYS + 1)
        async with parts.client() as client:
            await see_it_is_archived(parts, client, before)
            await see_how_it_is_found(parts)
            parts.kill("foreman")
            parts.start("foreman", **on_day(KEPT_DAYS + 1))
            await until(lambda: moved(client), "the next foreman has read what there is", HTTPStatus.OK)
            await see_it_is_archived(parts, client, before)
            await erase_the_customer(parts, client)
            assert all(parts.is_running(role) for role in ROLES)
    finally:
        await asyncio.to_thread(parts.close)


async def work(parts: Parts, client: httpx.AsyncClient) -> dict[str, Any]:
    """A job is done, one goes on, one comes again each month; the first one, as it is told."""
    await made(client, "/v1/technicians", {"technician_id": "ben", "name": "Ben"})
    await made(client, "/v1/customers", {"customer_id": "weber", "name": WEBER})
    plan = {"title": "Boiler", "technician_ids": ["ben"], "lat": 53.4, "lon": -2.99}
    window = {"window_from": "2026-03-02T09:00:00Z", "window_to": "2026-03-02T11:00:00Z"}
    parts_used = [{"sku": "valve", "quantity": 2.0, "unit_cost": 14.5}]
    done = {"job_id": "over", "customer_id": "weber", "notes": f"call {WEBER}", "parts": parts_used}
    await made(client, "/v1/jobs", {**done, **plan, **window})
    await made(client, "/v1/jobs", {"job_id": "going", **plan, **window})
    await made(client, "/v1/jobs", {"job_id": "series", "recurrence": "FREQ=YEARLY", **plan, **window})
    for job_id in ("over", "series"):
        for to in ("on_site", "completed"):
            move = {"to": to, "reason": f"for {WEBER}"}
            answer = await client.post(f"/v1/jobs/{job_id}/transitions", json=move)
            assert answer.status_code == HTTPStatus.OK, answer.text
    await until(lambda: sql(parts, STORED), "the job is stored", [["completed", "weber", "4"]])
    job: dict[str, Any] = (await client.get("/v1/jobs/over")).json()
    assert job["archived"] is False
    return job


async def moved(client: httpx.AsyncClient) -> int:
    key = {"Idempotency-Key": "a"}
    return (await client.post("/v1/jobs/going/transitions", json={"to": "en_route"}, headers=key)).status_code


async def see_it_is_archived(parts: Parts, client: httpx.AsyncClient, before: dict[str, Any]) -> None:
    async def at_hand() -> list[str]:
        return sorted(each["job_id"] for each in (await client.get("/v1/jobs")).json()["items"])

    await until(at_hand, "the job is let go", ["going", "series"])
    assert await in_kafka(parts) == {"going", "series"}
    assert await sql(parts, STORED) == [["completed", "weber", "4"]]
    job = (await client.get("/v1/jobs/over")).json()
    told = {name: job[name] for name in before if name not in ("archived", "sla")}
    assert told == {name: before[name] for name in told}
    assert job["archived"] is True
    assert "over" in (await client.get("/v1/jobs.csv")).text
    for answer in (
        await client.patch("/v1/jobs/over", json={"title": "changed"}),
        await client.post("/v1/jobs/over/transitions", json={"to": "invoiced"}),
        await client.post("/v1/jobs", json={"job_id": "over", "title": "another"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (HTTPStatus.CONFLICT, "archived")


async def see_how_it_is_found(parts: Parts) -> None:
    """By each thing that the store can be asked for, alone and together, and in pages."""
    history = ClickHouseHistory(partial(open_store, parts.settings))

    async def found(limit: int = 9, **asked: Any) -> list[str]:
        return [job.job_id for job in await history.jobs(StoredJobQuery(limit, **asked))]

    try:
        [[actor]] = await sql(parts, "SELECT DISTINCT actor FROM job_log WHERE job_id = 'over'")
        assert await found(job_ids=("over", "nowhere")) == ["over"]
        assert await found(customer_ids=("weber",), site_ids=("nowhere",)) == ["over"]
        assert await found(words=("CALL OTTILIE",)) == ["over"]
        for asked in ({"actors": (actor,)}, {"technician_ids": ("ben",)}, {"words": ("boiler",)}):
            assert [job_id for job_id in await found(**asked) if "@" not in job_id] == ["going", "over", "series"]
        assert await found(1, technician_ids=("ben",), after="going") == ["over"]
        assert await found(site_ids=("nowhere",)) == await found() == []
    finally:
        await history.close()


async def erase_the_customer(parts: Parts, client: httpx.AsyncClient) -> None:
    """Nothing of them is left in the store, and the job says what was done."""
    ordered = await client.delete("/v1/customers/weber/data")
    assert ordered.status_code == HTTPStatus.ACCEPTED, ordered.text
    erasure_id = ordered.json()["erasure_id"]

    async def out_of_reach() -> bool:
        return bool((await client.get(f"/v1/erasures/{erasure_id}")).json()["out_of_reach"])

    await until(out_of_reach, "the customer is erased")
    assert await sql(parts, STORED) == [["completed", erasure_id, "4"]]
    assert await sql(parts, "SELECT count() FROM jobs WHERE job_id = 'over'") == [["1"]], "older revisions are gone"
    for name, rows in (await everything_in_the_store(parts)).items():
        assert b"Lindqvist" not in rows, name
    job = (await client.get("/v1/jobs/over")).json()
    assert (job["state"], job["archived"], job["notes"], job["lat"]) == ("completed", True, "", None)
    assert job["parts"] == [{"sku": "valve", "quantity": 2.0, "unit_cost": 14.5}]
    assert "over" not in await in_kafka(parts)


def test_a_job_is_archived(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

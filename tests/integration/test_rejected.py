"""What was refused while the server's clock was behind: seen by the administrator alone, posted again, stored once."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from infra.grants import Grant
from infra.keys import open_key_ring
from schemas.key import Role
from schemas.times import format_instant
from tests.integration.parts import DEADLINE_S, Parts, is_ready, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

BEHIND_MS = 3_600_000
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Parts]:
    """Broker, store, recorder, and an API whose clock is an hour behind."""
    parts = Parts(folder)
    now_ms = time.time_ns() // 1_000_000
    try:
        await parts.start_all(
            api={"ONSITE_CLOCK_START_MS": str(now_ms - BEHIND_MS), "ONSITE_CLOCK_ORIGIN_MS": str(now_ms)}
        )
        yield parts
    finally:
        await asyncio.to_thread(parts.close)


def messages(ts_ms: int) -> list[tuple[str, str, dict[str, Any]]]:
    """(device, path, request): one fix through each door that there is, of a device of its own."""
    ts, seconds = format_instant(ts_ms), ts_ms // 1000
    lat, lon = 53.4084, -2.9916
    point = {"type": "Point", "coordinates": [lon, lat]}
    words = {"lat": lat, "lon": lon}

    def own(device: str) -> dict[str, Any]:
        return {"device_id": device, "ts": ts, **words}

    lines = json.dumps(own("ndjson")) + "\n" + json.dumps({**own("ndjson-good"), "ts": "2026-03-02T08:15:00Z"})
    table = f"lon,lat,ts,device_id\n{lon},{lat},2026-03-02T08:15:00Z,csv-good\n{lon},{lat},{ts},csv"
    located = {"timestamp": ts, "coords": {"latitude": lat, "longitude": lon}}
    feature = {"type": "Feature", "geometry": point, "properties": {"timestamp": ts}}
    query, form = {"id": "query", "timestamp": seconds, **words}, {"id": "form", "timestamp": seconds, **words}
    logger = {"device_id": "logger", "time": ts, **words}
    said = {"_type": "location", "tst": seconds, **words}
    return [
        ("json", "/v1/pings", {"json": [own("json")]}),
        ("ndjson", "/v1/pings", {"content": lines, "headers": {"Content-Type": "application/x-ndjson"}}),
        ("csv", "/v1/pings", {"content": table, "headers": {"Content-Type": "text/csv"}}),
        ("query", "/v1/ingest/osmand", {"params": query}),
        ("form", "/v1/ingest/osmand", {"content": urlencode(form), "headers": FORM}),
        ("traccar", "/v1/ingest/osmand", {"json": {"location": located}, "params": {"id": "traccar"}}),
        ("jane-phone", "/v1/ingest/owntracks", {"json": said, "headers": {"X-Limit-U": "jane", "X-Limit-D": "phone"}}),
        ("overland", "/v1/ingest/overland", {"json": {"locations": [feature]}, "params": {"device_id": "overland"}}),
        ("logger", "/v1/ingest/gpslogger", {"params": logger}),
    ]


async def token_for(parts: Parts, role: Role) -> str:
    async with open_key_ring(parts.settings) as ring:
        return (await ring.create(role, Grant(role))).token


async def replay_rejected(parts: Parts) -> dict[str, Any]:
    argv = [sys.executable, "-m", "infra.cli", "replay", "--rejected", "--url", parts.api, "--token", parts.token]
    process = await asyncio.create_subprocess_exec(
        *argv, "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    summary: dict[str, Any] = json.loads(out)
    return summary


async def listed(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    """Everything there is, page after page."""
    found: list[dict[str, Any]] = []
    query = {"limit": "4", **query}
    while True:
        page = (await client.get("/v1/rejected", params=query)).raise_for_status().json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def sql(parts: Parts, statement: str) -> list[list[str]]:
    async with httpx.AsyncClient(timeout=30.0) as client:
        answer = await client.post(parts.settings.clickhouse, content=statement)
    return [line.split("\t") for line in answer.raise_for_status().text.splitlines()]


async def forbidden(parts: Parts, role: Role) -> int:
    token = await token_for(parts, role)
    async with httpx.AsyncClient(base_url=parts.api, headers={"Authorization": f"Bearer {token}"}) as client:

        async def status() -> int:
            return (await client.get("/v1/rejected")).status_code

        async def known() -> bool:
            return await status() != HTTPStatus.UNAUTHORIZED

        await until(known, f"the key of a {role} is known")
        return await status()


async def scenario(folder: Path) -> None:
    async with running(folder) as parts, parts.client() as client:
        ts_ms = time.time_ns() // 1_000_000 // 1000 * 1000 - 60_000
        sent = messages(ts_ms)
        devices = {device for device, _, _ in sent}
        for _, path, request in sent:
            assert (await client.post(path, **request)).status_code in (HTTPStatus.OK, HTTPStatus.ACCEPTED)
        bad = {"device_id": "lost", "ts": ts_ms - 2 * BEHIND_MS, "lat": 0, "lon": 0}
        answer = await client.post("/v1/pings", json=bad)
        assert answer.json()["rejected"] == [
            {"index": 0, "reason": "null_island: (0, 0) is what a receiver without a fix says"}
        ]

        async def refused() -> set[tuple[str, str]]:
            return {(each["device_id"], each["code"]) for each in await listed(client)}

        wanted = {(device, "ts_in_future") for device in devices} | {("lost", "null_island")}
        await until(refused, "everything that was refused is listed", wanted)
        first = await listed(client)
        assert len(first) == len(wanted)
        assert [each["received_at"] for each in first] == sorted((each["received_at"] for each in first), reverse=True)
        (only,) = await listed(client, code="null_island")
        assert json.loads(only["raw"]) == bad
        assert await listed(client, device_id="csv", code="null_island") == []
        assert await forbidden(parts, "viewer") == await forbidden(parts, "device") == HTTPStatus.FORBIDDEN

        # The cause goes away: the API comes back with the right time.
        assert parts.terminate("api") == [0]
        parts.start("api")
        await until(lambda: is_ready(client), "the API is back")
        summary = await replay_rejected(parts)
        assert (summary["sent"], summary["accepted"], summary["undelivered"]) == (len(wanted), len(devices), 0)
        assert summary["rejected"] == {"null_island": 1}
        again = await replay_rejected(parts)
        assert (again["sent"], again["accepted"], again["rejected"]) == (len(wanted), len(devices), {"null_island": 1})

        names = ", ".join(f"'{device}'" for device in sorted(devices))
        columns = "device_id, toUnixTimestamp64Milli(ts), count()"
        stored = f"SELECT {columns} FROM fixes WHERE device_id IN ({names}) GROUP BY ALL"

        async def once() -> set[tuple[str, ...]]:
            return {tuple(row) for row in await sql(parts, stored)}

        await until(once, "each is stored once", {(device, str(ts_ms), "1") for device in devices})

        async def attempts() -> list[list[str]]:
            return await sql(
                parts, "SELECT count(), uniqExact(content_id) FROM rejected FINAL WHERE device_id = 'lost'"
            )

        await until(attempts, "what was refused again is kept again", [["3", "1"]])


def test_what_was_refused_is_shown_to_the_administrator_and_posted_again(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

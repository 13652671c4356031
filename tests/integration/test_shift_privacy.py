"""Privacy by shift on the real parts: what was taken off shift is nowhere, neither in Kafka's log nor in ClickHouse."""

import asyncio
import json
import struct
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from api.history.store import ClickHouseHistory
from api.ports import PingQuery
from dispatch.local_time import WEEKDAYS
from schemas.topics import PINGS, PINGS_REJECTED
from stream.store import open_store
from tests.integration.parts import DEADLINE_S, Parts, until
from tests.integration.test_people import made
from tests.integration.test_rejected import FORM, sql

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SHIFT = {"from": "09:00", "to": "12:00", "weekly": list(WEEKDAYS), "time_zone": "Asia/Kolkata"}
"""03:30 to 06:30 UTC, the whole year, and half an hour before and after."""

INSIDE = ("03:01", "03:30", "06:29", "06:59")
OUTSIDE = ("02:59", "07:01", "09:30", "23:00")

REFUSED = 4
"""Items that are refused for another reason, and of which that is kept."""

CHANGELOG = "onsite-tracker-segments-changelog"


def yesterday(clock: str) -> datetime:
    day = datetime.now(UTC).date() - timedelta(days=1)
    return datetime.fromisoformat(f"{day}T{clock}:00+00:00")


class Places:
    """A place for each fix, no two alike, that can be told from anything else to its last digit."""

    def __init__(self, lat_e7: int, lon_e7: int) -> None:
        self._next = (lat_e7, lon_e7)
        self.taken: list[tuple[int, int]] = []

    def take(self) -> tuple[float, float]:
        lat_e7, lon_e7 = self._next
        self.taken.append(self._next)
        self._next = (lat_e7 + 21_113, lon_e7 + 31_337)
        return lat_e7 / 1e7, lon_e7 / 1e7

    def found_in(self, content: bytes) -> set[tuple[int, int]]:
        """Those of which a coordinate is in it as text, or both are packed, as scaled integers or as floats."""
        plain = content.replace(b".", b"")
        return {
            place
            for place in self.taken
            if any(str(abs(e7)).encode() in plain for e7 in place) or all(_is_packed_in(content, e7) for e7 in place)
        }


def _is_packed_in(content: bytes, e7: int) -> bool:
    forms = (("<i", e7), (">i", e7), ("<d", e7 / 1e7), (">d", e7 / 1e7))
    return any(struct.pack(form, value) in content for form, value in forms)


def through_each_door(device_id: str, at: datetime, places: Places) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """(method, path, request): one fix through each door that there is."""
    ts, seconds = at.isoformat(), round(at.timestamp())

    def own() -> dict[str, Any]:
        lat, lon = places.take()
        return {"device_id": device_id, "ts": ts, "lat": lat, "lon": lon}

    def app(**more: Any) -> dict[str, Any]:
        lat, lon = places.take()
        return {"lat": lat, "lon": lon, **more}

    yield "POST", "/v1/pings", {"json": [own()]}
    lines = json.dumps(own()) + "\n" + json.dumps(own())
    yield "POST", "/v1/pings", {"content": lines, "headers": {"Content-Type": "application/x-ndjson"}}
    lat, lon = places.take()
    table = f"lon,lat,ts,device_id\n{lon},{lat},{ts},{device_id}"
    yield "POST", "/v1/pings", {"content": table, "headers": {"Content-Type": "text/csv"}}
    for method in ("GET", "POST"):
        yield method, "/v1/ingest/osmand", {"params": app(id=device_id, timestamp=seconds)}
        yield method, "/v1/ingest/gpslogger", {"params": app(device_id=device_id, time=ts)}
    form = urlencode(app(id=device_id, timestamp=seconds))
    yield "POST", "/v1/ingest/osmand", {"content": form, "headers": FORM}
    lat, lon = places.take()
    located = {"timestamp": ts, "coords": {"latitude": lat, "longitude": lon}}
    yield "POST", "/v1/ingest/osmand", {"json": {"location": located}, "params": {"id": device_id}}
    said = app(_type="location", tst=seconds)
    yield "POST", "/v1/ingest/owntracks", {"json": said, "params": {"device_id": device_id}}
    lat, lon = places.take()
    feature = {"geometry": {"type": "Point", "coordinates": [lon, lat]}, "properties": {"timestamp": ts}}
    yield "POST", "/v1/ingest/overland", {"json": {"locations": [feature]}, "params": {"device_id": device_id}}


async def everything_in_kafka(parts: Parts) -> dict[str, list[bytes]]:
    """Keys and values of all that the broker still has, by topic, its own topics too."""
    admin = AIOKafkaAdminClient(bootstrap_servers=parts.settings.kafka)
    await admin.start()
    try:
        described = await admin.describe_topics()
    finally:
        await admin.close()
    partitions = [
        TopicPartition(topic["topic"], each["partition"]) for topic in described for each in topic["partitions"]
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=parts.settings.kafka, exclude_internal_topics=False)
    await consumer.start()
    found: dict[str, list[bytes]] = {}
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        give_up_s = time.monotonic() + DEADLINE_S
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            assert time.monotonic() < give_up_s
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                contents = [part for record in records for part in (record.key, record.value) if part is not None]
                found.setdefault(partition.topic, []).extend(contents)
    finally:
        await consumer.stop()
    return found


async def everything_in_the_store(parts: Parts) -> dict[str, bytes]:
    """The rows of all tables as text, all their columns."""
    tables = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    found = {}
    for (name,) in await sql(parts, tables):
        rows = await sql(parts, f"SELECT * FROM {name}")
        found[name] = json.dumps(rows).encode()
    return found


async def scenario(folder: Path) -> None:
    parts = Parts(folder)
    inside, outside = Places(534_712_347, -121_876_543), Places(613_579_113, 217_654_321)
    try:
        await parts.start_all()
        async with parts.client() as client:
            began, ended = yesterday("04:00"), yesterday("06:00")
            once = {"from": began.isoformat(), "to": ended.isoformat()}
            for technician_id, shifts in (("amina", [SHIFT]), ("ben", [once]), ("carl", [])):
                content = {"technician_id": technician_id, "name": "T", "device_ids": [f"van-{technician_id}"]}
                await made(client, "/v1/technicians", content | {"shifts": shifts})

            async def post_through_each_door(device_id: str, at: datetime, places: Places) -> list[str]:
                told = []
                for method, path, request in through_each_door(device_id, at, places):
                    answer = await client.request(method, path, **request)
                    assert answer.status_code in (HTTPStatus.OK, HTTPStatus.ACCEPTED), answer.text
                    told.append(answer.headers.get("onsite-rejected", ""))
                return told

            for clock in INSIDE:
                assert not any(await post_through_each_door("van-amina", yesterday(clock), inside))
            for clock in OUTSIDE:
                told = await post_through_each_door("van-amina", yesterday(clock), outside)
                assert set(told) == {"", "off_shift"}
            assert not any(await post_through_each_door("van-carl", yesterday("23:00"), inside))
            assert not any(await post_through_each_door("van-ben", began, inside))
            await post_a_backlog(client, inside, outside)
            await post_what_is_refused(client, outside)

            async def stored() -> tuple[str, str]:
                [[pings]] = await sql(parts, "SELECT count() FROM pings FINAL")
                [[refused]] = await sql(parts, "SELECT count() FROM rejected FINAL")
                return pings, refused

            # All of it: what is still on its way would be missing from the export, and then be counted in the store.
            await until(stored, "what was taken in a shift is stored", (str(len(inside.taken)), str(REFUSED)))

            async def states() -> dict[str, str]:
                items = (await client.get("/v1/devices")).raise_for_status().json()["items"]
                return {each["device_id"]: each["state"] for each in items if each["device_id"] != "van-amina"}

            await until(states, "who is off shift is shown", {"van-ben": "off_shift", "van-carl": "unknown"})

            async def checkpointed() -> bool:
                said = (await everything_in_kafka(parts)).get(CHANGELOG, [])
                return bool(inside.found_in(b"\0".join(said)))

            await until(checkpointed, "the tracker has written down what it holds")
            await look_everywhere(parts, inside, outside)
            await export(parts, client, inside, outside)
            metrics = (await client.get("/metrics")).raise_for_status()
            assert not outside.found_in(metrics.content)
            assert f'onsite_pings_rejected_total{{code="off_shift"}} {len(outside.taken) - 3:.1f}' in metrics.text
    finally:
        await asyncio.to_thread(parts.close)
    for path in (folder / "logs").iterdir():
        assert not outside.found_in(path.read_bytes()), path.name


async def post_a_backlog(client: Any, inside: Places, outside: Places) -> None:
    """A day of fixes in one body, as a phone sends that was out of reach: one each ten minutes."""
    body, wanted = [], []
    for minute in range(0, 24 * 60, 10):
        at = yesterday("00:00") - timedelta(days=1) + timedelta(minutes=minute)
        is_inside = 180 <= minute < 420
        lat, lon = (inside if is_inside else outside).take()
        body.append({"device_id": "van-amina", "ts": at.isoformat(), "lat": lat, "lon": lon})
        wanted += [] if is_inside else [minute // 10]
    answer = (await client.post("/v1/pings", json=body)).raise_for_status().json()
    assert answer["accepted"] == len(body) - len(wanted)
    assert [each["index"] for each in answer["rejected"]] == wanted
    assert not outside.found_in(json.dumps(answer).encode())


async def post_what_is_refused(client: Any, outside: Places) -> None:
    """Fixes that cannot be, or not be read, of somebody who is off shift now or was then."""
    for ts in ("yesterday", (datetime.now(UTC) + timedelta(hours=1)).isoformat()):
        lat, lon = outside.take()
        bad = {"device_id": "van-amina", "ts": ts, "lat": lat, "lon": lon}
        assert (await client.post("/v1/pings", json=bad)).json()["accepted"] == 0
    lat, lon = outside.take()
    swapped = {"device_id": "van-amina", "ts": yesterday("09:00").isoformat(), "lat": lat + 100, "lon": lon}
    torn = json.dumps({"ts": "x", "lat": lat, "lon": lon, "device_id": "van-amina"})[:-12]
    lines = {"content": json.dumps(swapped) + "\n" + torn, "headers": {"Content-Type": "application/x-ndjson"}}
    assert (await client.post("/v1/pings", **lines)).json()["accepted"] == 0


async def look_everywhere(parts: Parts, inside: Places, outside: Places) -> None:
    """What was taken in a shift is found, so that the search is known to find; of the rest there is nothing."""
    in_kafka = {topic: b"\0".join(contents) for topic, contents in (await everything_in_kafka(parts)).items()}
    assert {PINGS.name, PINGS_REJECTED.name, CHANGELOG, "__consumer_offsets"} <= in_kafka.keys()
    in_the_store = await everything_in_the_store(parts)
    assert {"pings", "rejected", "visits", "audit", "jobs"} <= in_the_store.keys()
    assert inside.found_in(in_kafka[CHANGELOG])
    for content in (in_kafka[PINGS.name], in_the_store["pings"]):
        assert len(inside.found_in(content)) == len(inside.taken)
    for name, content in (in_kafka | in_the_store).items():
        assert outside.found_in(content) == set(), name


async def export(parts: Parts, client: Any, inside: Places, outside: Places) -> None:
    """What is held of somebody is what the store has of them."""
    answer = (await client.get("/v1/technicians/amina/data")).raise_for_status()
    lines = [json.loads(line) for line in answer.text.splitlines()]
    counted = Counter(line["kind"] for line in lines)
    for kind, table in (("ping", "pings"), ("rejected", "rejected"), ("visit", "visits")):
        wanted = await sql(parts, f"SELECT count() FROM {table} FINAL WHERE device_id = 'van-amina'")
        assert wanted == [[str(counted[kind])]], table
    assert counted["ping"] > 50
    assert counted["technician"] == counted["device"] == counted["end"] == 1
    positions = [
        (line["data"]["ts"], line["data"]["lat"], line["data"]["lon"]) for line in lines if "lat" in line["data"]
    ]
    assert positions[1:] == sorted(set(positions[1:])), "each fix once, in order of time, after the live state"
    assert len(inside.found_in(answer.content)) == counted["ping"]
    assert not outside.found_in(answer.content)
    history = ClickHouseHistory(partial(open_store, parts.settings))
    try:
        paged, after = [], None
        while page := await history.every_ping(PingQuery(7, "van-amina", after)):
            paged += [ping.identity() for ping in page]
            after = paged[-1][1:]
    finally:
        await history.close()
    assert len(paged) == len(set(paged)) == counted["ping"]
    assert paged == sorted(paged)


def test_what_was_taken_off_shift_is_nowhere(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

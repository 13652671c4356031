"""A technician is erased on the real parts, through crashes: nothing of them is left, and of others all is there."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from infra.grants import Grant
from infra.keys import open_key_ring
from schemas.ping import Ping
from schemas.times import Instant
from schemas.topics import ETAS, JOBS, PINGS, TOPICS
from schemas.wire import encode
from stream.kafka import KafkaLog
from tests.api.test_etas import eta
from tests.integration.parts import Parts, is_ready, until
from tests.integration.test_people import made
from tests.integration.test_rejected import sql
from tests.integration.test_shift_privacy import Places, everything_in_kafka, everything_in_the_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

LAG_S: Final = 4.0
COMPACTED_WITHIN_S: Final = 240.0
"""One cleaner goes through some two hundred partitions, in turn, beside all else."""
WORDS: Final = ("Okafor-Lindqvist", "+44 7700 900461", "okafor@example.org")
IDS: Final = ("tech-7f3a", "handset-7f3a")
"""Of the technician who is erased, and of a phone that nobody else ever holds."""

HER_VISITS: Final = (
    "SELECT (SELECT count() > 0 FROM visits WHERE device_id = 'van-1'), "
    "(SELECT count() > 0 FROM visit_revisions WHERE device_id = 'van-1')"
)

SITE: Final = (53.4712, -2.1876)
MINUTE_MS: Final = 60_000


class Marks:
    """What is hers, and can be told from anything else."""

    def __init__(self) -> None:
        self.places = Places(534_712_347, -21_876_543)

    def found_in(self, content: bytes) -> set[str]:
        """Which of it there is in some bytes."""
        found = {each for each in (*WORDS, *IDS) if each.encode() in content}
        return found | {str(place) for place in self.places.found_in(content)}


async def scenario(folder: Path) -> None:
    parts = Parts(folder)
    parts.settings = parts.settings.model_copy(update={"compaction_lag_s": LAG_S})
    hers = Marks()
    others = Places(512_345_671, 13_579_113)
    try:
        await parts.start_all()
        async with parts.client() as client:
            began_ms = await work(parts, client, hers, others)
            kept = await what_others_have(parts)
            found = {name: hers.found_in(b"\0".join(all_)) for name, all_ in (await everything_in_kafka(parts)).items()}
            stored = {name: hers.found_in(rows) for name, rows in (await everything_in_the_store(parts)).items()}
            known = set().union(*found.values(), *stored.values())
            assert set(WORDS) | set(IDS) <= known, "the search is known to find"
            assert len(stored["pings"]) >= len(hers.places.taken)
            tables = ("pings", "rejected", "jobs", "etas", "audit", "events", "technicians", "holdings", "ratings")
            assert all(stored[each] for each in tables)
            assert await sql(parts, HER_VISITS) == [["1", "1"]]
            erasure_id = await erase_through_crashes(parts, client)
            await see_nothing_left_in_the_store(parts, client, hers, erasure_id)
            await post_late(parts, client, hers, began_ms)
            assert await what_others_have(parts) == kept
            await see_the_job(client, erasure_id)
            await see_nothing_left_in_kafka(parts, client, hers, erasure_id)
            await see_nothing_left_in_the_store(parts, client, hers, erasure_id)
    finally:
        await asyncio.to_thread(parts.close)
    for path in (folder / "logs").iterdir():
        assert not hers.found_in(path.read_bytes()), path.name


async def work(parts: Parts, client: httpx.AsyncClient, hers: Marks, others: Places) -> int:
    """She works with a van, which is another's afterwards, and a phone of her own; epoch ms of when she began."""
    now_ms = time.time_ns() // 1_000_000
    began_ms = now_ms - 90 * MINUTE_MS
    fence = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [SITE[1], SITE[0]]},
        "properties": {"radius_m": 200, "min_on_site_s": 60},
    }
    assert (await client.put("/v1/fences/yard", json=fence)).status_code == HTTPStatus.CREATED
    contact = {"phone": WORDS[1], "email": WORDS[2]}
    her = {"technician_id": IDS[0], "name": WORDS[0], "device_ids": ["van-1", IDS[1]], "contact": contact}
    await made(client, "/v1/technicians", her)
    await made(client, "/v1/technicians", {"technician_id": "ben", "name": "Ben", "device_ids": ["van-2"]})
    async with open_key_ring(parts.settings) as ring:
        await ring.create(f"phone of {WORDS[0]}", Grant("device"), device_id=IDS[1])
    window = {"window_from": stamp(began_ms), "window_to": stamp(now_ms + 60 * MINUTE_MS)}
    job = {"fence_id": "yard", "duration_s": 600, **window}
    await made(client, "/v1/jobs", {"job_id": "hers", "technician_ids": [IDS[0]], "notes": f"call {WORDS[0]}", **job})
    await made(client, "/v1/jobs", {"job_id": "open", "technician_ids": [IDS[0], "ben"]})
    await made(client, "/v1/jobs", {"job_id": "bens", "technician_ids": ["ben"], **job})
    # On the way for twenty minutes, half an hour at the yard, twenty minutes on the way: no two fixes alike.
    fixes = [
        ping(device, began_ms + step * 20_000, places, near=60 <= step < 150)
        for device, places in (("van-1", hers.places), ("van-2", others))
        for step in range(210)
    ]
    fixes += [ping(IDS[1], began_ms + step * 30_000, hers.places, near=False) for step in range(10)]
    (await client.post("/v1/pings", json=fixes)).raise_for_status()
    bad = {"device_id": "van-1", "ts": "yesterday", "lat": SITE[0], "lon": SITE[1], "ping_id": WORDS[2]}
    assert (await client.post("/v1/pings", json=bad)).json()["accepted"] == 0

    async def states() -> list[str]:
        return [(await client.get(f"/v1/jobs/{each}")).json()["state"] for each in ("hers", "bens")]

    await until(states, "the jobs move on by themselves", ["completed", "completed"])
    told = {"to": "invoiced", "reason": f"{WORDS[0]} says so"}
    moved = await client.post("/v1/jobs/hers/transitions", json=told, headers={"Idempotency-Key": "a"})
    assert moved.status_code == HTTPStatus.OK, moved.text
    link = (await client.post("/v1/jobs/hers/tracking-link")).json()["token"]
    said = {"rating": 4, "comment": f"{WORDS[0]} was kind"}
    assert (await client.post(f"/v1/track/{link}/rating", json=said)).is_success
    assert (await client.patch(f"/v1/technicians/{IDS[0]}", json={"device_ids": [IDS[1]]})).is_success
    assert (await client.patch("/v1/technicians/ben", json={"device_ids": ["van-1", "van-2"]})).is_success
    later_ms = time.time_ns() // 1_000_000
    bens = [ping("van-1", later_ms + step, others, near=False) for step in range(10)]
    (await client.post("/v1/pings", json=bens)).raise_for_status()

    async def stored() -> list[list[str]]:
        return await sql(parts, "SELECT count() FROM pings FINAL")

    await until(stored, "all is stored", [[str(len(fixes) + len(bens))]])
    await until(lambda: sql(parts, "SELECT count() > 0 FROM rejected"), "what is refused is stored", [["1"]])
    statement = "SELECT count() FROM events FINAL WHERE type = 'visit.closed'"
    await until(lambda: sql(parts, statement), "the visits were told", [["2"]])
    statement = "SELECT count() FROM jobs FINAL WHERE state = 'invoiced'"
    await until(lambda: sql(parts, statement), "the job is stored", [["1"]])
    await until(lambda: sql(parts, "SELECT count() FROM ratings FINAL"), "the rating is stored", [["1"]])
    await say_arrivals(parts, now_ms)
    return began_ms


async def say_arrivals(parts: Parts, now_ms: int) -> None:
    """ETAs of her, and of Ben."""
    at = Instant(now_ms)
    said = [
        eta("hers", device_id=IDS[1], technician_id=IDS[0], computed_at=at, seen_ms=at),
        eta("bens", device_id="van-2", technician_id="ben", computed_at=at, seen_ms=at),
    ]
    log = KafkaLog(parts.settings.kafka)
    await log.start()
    try:
        await log.append(ETAS, [(each.job_id, encode(each)) for each in said])
    finally:
        await log.stop()
    statement = f"SELECT uniqExact(technician_id) FROM etas WHERE technician_id IN ('{IDS[0]}', 'ben')"
    await until(lambda: sql(parts, statement), "ETAs are stored", [["2"]])


def stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def ping(device_id: str, ts_ms: int, places: Places, *, near: bool) -> dict[str, Any]:
    """At the yard or kilometres from it, at a place of its own to the last digit."""
    lat, lon = places.take()
    if near:
        shift = 3_001 if device_id == "van-2" else 0
        number = len(places.taken)
        e7 = round(SITE[0] * 1e7) + number * 7 + shift, round(SITE[1] * 1e7) - number * 11 - shift
        places.taken[-1] = e7
        lat, lon = e7[0] / 1e7, e7[1] / 1e7
    return {"device_id": device_id, "ts": stamp(ts_ms), "lat": lat, "lon": lon, "accuracy_m": 5.0}


async def what_others_have(parts: Parts) -> dict[str, list[list[str]]]:
    """Ben's fixes and visits, with both vans, to the last digit."""
    handed_over = "SELECT max(at) FROM holdings WHERE technician_id = 'ben'"
    return {
        "pings": await sql(
            parts,
            "SELECT device_id, ts, lat_e7, lon_e7 FROM pings FINAL "
            f"WHERE device_id = 'van-2' OR (device_id = 'van-1' AND ts >= ({handed_over})) ORDER BY ALL",
        ),
        "visits": await sql(parts, "SELECT * FROM visits FINAL WHERE device_id = 'van-2' ORDER BY ALL"),
        "jobs": await sql(parts, "SELECT * FROM jobs FINAL WHERE job_id = 'bens'"),
        "etas": await sql(parts, "SELECT * FROM etas FINAL WHERE job_id = 'bens' ORDER BY ALL"),
    }


async def erase_through_crashes(parts: Parts, client: httpx.AsyncClient) -> str:
    """Ordered while no tracker is there; then the API dies; asked for again once both are back, it goes on."""
    parts.kill("tracker")
    path = f"/v1/technicians/{IDS[0]}/data"
    ordered = await client.delete(path)
    assert ordered.status_code == HTTPStatus.ACCEPTED, ordered.text
    erasure_id: str = ordered.json()["erasure_id"]
    where = f"/v1/erasures/{erasure_id}"
    assert ordered.headers["location"] == where

    async def trouble() -> str:
        return str((await client.get(where)).json()["trouble"]).partition(":")[0]

    await until(trouble, "it waits for the tracker", "waiting for tracker")
    parts.kill("api")
    parts.start("tracker")
    parts.start("api")
    await until(lambda: is_ready(client), "the API is ready")
    command = ("people", "erase", IDS[0], "--yes", "--json", "--url", parts.api, "--token", parts.token)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode == 0, (err.decode(), (await client.get(where)).text)
    erasure = json.loads(out)
    assert (erasure["erasure_id"], erasure["out_of_reach"]) == (erasure_id, True)
    again = await client.delete(path)
    assert (again.status_code, again.json()["erasure_id"]) == (HTTPStatus.ACCEPTED, erasure_id)
    return erasure_id


async def see_nothing_left_in_the_store(parts: Parts, client: httpx.AsyncClient, hers: Marks, erasure_id: str) -> None:
    """No column of no row of no table; that something was written of her, by whom and when, is on record."""
    for name, rows in (await everything_in_the_store(parts)).items():
        assert hers.found_in(rows) == set(), name
    assert await sql(parts, HER_VISITS) == [["0", "0"]]
    assert await sql(parts, "SELECT rating, comment FROM ratings FINAL") == [["4", "\\N"]], "the stars stay"
    said = json.dumps(await sql(parts, "SELECT command FROM system.mutations")).encode()
    assert b"erased-" in said
    assert hers.found_in(said) == set(), "the store keeps the text of mutations"
    written = (await client.get("/v1/audit", params={"id": erasure_id})).json()["items"]
    assert [each["action"] for each in written] == ["erased", "edited", "created"]
    assert written[-1]["after"] == {"erased": erasure_id}
    assert written[-1]["actor"]["name"] == "local admin"
    for path in (f"/v1/technicians/{IDS[0]}", f"/v1/technicians/{IDS[0]}/data", f"/v1/devices/{IDS[1]}"):
        assert (await client.get(path)).status_code == HTTPStatus.NOT_FOUND, path
    devices = {each["device_id"] for each in (await client.get("/v1/devices")).json()["items"]}
    assert {"van-1", "van-2"} <= devices, "van-1 is another's now"
    assert IDS[1] not in devices


async def post_late(parts: Parts, client: httpx.AsyncClient, hers: Marks, began_ms: int) -> None:
    """What her phone and the van still have of that time is not taken in, whichever way it comes."""
    late = [ping(device, began_ms + 7, hers.places, near=True) for device in ("van-1", IDS[1])]
    answer = (await client.post("/v1/pings", json=late)).json()
    assert answer["accepted"] == 0
    assert {each["reason"].partition(":")[0] for each in answer["rejected"]} == {"erased"}
    log = KafkaLog(parts.settings.kafka)
    await log.start()
    try:
        lat, lon = hers.places.take()
        others_lat, others_lon = 51.1, 1.1
        behind = Ping("van-1", began_ms + 8, lat, lon, 5.0)
        following = Ping("van-3", began_ms + 9, others_lat, others_lon, 5.0)
        await log.append(PINGS, [(each.device_id, encode(each)) for each in (behind, following)])
    finally:
        await log.stop()
    await until(
        lambda: sql(parts, "SELECT count() FROM pings WHERE device_id = 'van-3'"), "what follows is stored", [["1"]]
    )


async def see_the_job(client: httpx.AsyncClient, erasure_id: str) -> None:
    """It says when somebody came and left, and that it is invoiced; not who."""
    job = (await client.get("/v1/jobs/hers")).json()
    assert (job["state"], job["technician_ids"]) == ("invoiced", [erasure_id])
    assert job["notes"] == "call [erased]"
    assert [each["state"] for each in job["log"] if each["source"] == "automatic"] == ["on_site", "completed"]
    assert {each["actor"] for each in job["log"] if each["source"] == "automatic"} == {erasure_id}
    assert job["on_site_s"] > 1_500
    assert (await client.get("/v1/jobs/open")).json()["technician_ids"] == ["ben"]


async def see_nothing_left_in_kafka(parts: Parts, client: httpx.AsyncClient, hers: Marks, erasure_id: str) -> None:
    """Once it is finished, and the broker has compacted: only where records go by their age, as it says."""
    where = f"/v1/erasures/{erasure_id}"

    async def finished() -> bool:
        return bool((await client.get(where)).json().get("finished_at"))

    await until(finished, "it is finished")
    remains = {each["topic"] for each in (await client.get(where)).json()["remains"]}
    ageing = {topic.name for topic in TOPICS if not topic.compacted and topic.retention_days is not None}
    assert ageing <= remains

    log = KafkaLog(parts.settings.kafka)
    await log.start()

    async def left() -> dict[str, set[str]]:
        found = {name: hers.found_in(b"\0".join(all_)) for name, all_ in (await everything_in_kafka(parts)).items()}
        found = {name: marks for name, marks in found.items() if marks and name not in ageing}
        # A cleaner that is late, on a machine with much to do, comes by again when something is written.
        for topic in (topic for topic in TOPICS if topic.compacted and topic is not JOBS and topic.name in found):
            await log.append(topic, [(f".nudge-{number}", None) for number in range(128)])
        return found

    try:
        await until(left, "the broker has compacted the rest", {}, COMPACTED_WITHIN_S)
    finally:
        await log.stop()


def test_a_technician_is_erased(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

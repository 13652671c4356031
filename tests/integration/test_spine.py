"""A ping becomes a visit: recorded days in over HTTP, visits out of the API, the same that the batch derives."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.ping import Ping
from schemas.protocols import read_file
from schemas.settings import Settings
from schemas.topics import PINGS, RECORDER_GROUP, TRACKER_GROUP, VISITS, Topic
from tests.integration.conftest import System

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here: the recorded days are read from there"),
]

DEADLINE_S = 180.0
QUIET_S = 20.0
"""A device that was not heard of for 15 s is looked at once more; late fixes are settled within two."""

RUNNING = ("visit_id", "revision")
RUNNING_WHILE_THERE = (*RUNNING, "on_site_s", "on_site_min_s", "on_site_max_s", "confidence", "fixes")

DAYS = {
    "phones-los-altos": ("pings.ndjson", "fences.geojson", 36_804, 36_793),
    "bus-limerick": ("bus-304.gpx", "stops.geojson", 2_144, 2_144),
}


def until(condition: Callable[[], bool], what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def onsite(*arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def replay(system: System, pings: Path, *arguments: str) -> dict[str, Any]:
    facts = system.facts
    token = Path(facts["admin_key_file"]).read_text().strip()
    said = onsite("replay", str(pings), "--url", facts["api"], "--token", token, "--speed", "0", "--json", *arguments)
    summary: dict[str, Any] = json.loads(said.splitlines()[-1])
    return summary


def facts_of(visit: dict[str, Any]) -> str:
    """What live and batch agree on: everything but ids and revision numbers."""
    left_out = RUNNING if visit["departed_at"] else RUNNING_WHILE_THERE
    return json.dumps({name: value for name, value in visit.items() if name not in left_out}, sort_keys=True)


def live_log(system: System, devices: set[str]) -> list[str]:
    visits, cursor = [], None
    with system.client() as client:
        while True:
            query = {"limit": 500} | ({"cursor": cursor} if cursor else {})
            page = client.get("/v1/visits", params=query).raise_for_status().json()
            visits += page["items"]
            cursor = page.get("next_cursor") or page.get("cursor")
            if not cursor:
                break
    logged = [visit for visit in visits if visit["device_id"] in devices and visit["state"] in ("confirmed", "closed")]
    return sorted(map(facts_of, logged))


def batch_log(pings: Path, fences: Path) -> list[str]:
    printed = onsite("visits", "--fences", str(fences), "--as-of", "now", str(pings))
    return sorted(facts_of(json.loads(line)) for line in printed.splitlines())


async def _ends_and_committed(settings: Settings, topic: Topic, groups: tuple[str, ...]) -> tuple[int, list[int]]:
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=settings.kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await consumer.start()
    await admin.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        committed = [await admin.list_consumer_group_offsets(group) for group in groups]
        return sum(ends.values()), [sum(group[each].offset for each in ends if each in group) for group in committed]
    finally:
        await admin.close()
        await consumer.stop()


def ends_and_committed(system: System, topic: Topic, *groups: str) -> tuple[int, list[int]]:
    return asyncio.run(_ends_and_committed(system.settings, topic, groups))


def wait_until_settled(system: System) -> None:
    """Everything posted is folded and stored, and no revision has been published for a while."""

    def behind() -> bool:
        end, committed = ends_and_committed(system, PINGS, TRACKER_GROUP, RECORDER_GROUP)
        return committed != [end, end]

    until(lambda: not behind(), lambda: f"behind: {ends_and_committed(system, PINGS, TRACKER_GROUP, RECORDER_GROUP)}")
    published, quiet_since = -1, time.monotonic()

    def quiet() -> bool:
        nonlocal published, quiet_since
        end, [recorded] = ends_and_committed(system, VISITS, RECORDER_GROUP)
        if end != published:
            published, quiet_since = end, time.monotonic()
        return recorded == end and time.monotonic() - quiet_since > QUIET_S

    until(quiet, lambda: f"visits are still being revised: {published}")


def import_fences(system: System, fences: Path) -> None:
    with system.client() as client:
        headers = {"Content-Type": "application/geo+json"}
        answer = client.post("/v1/fences/import", content=fences.read_bytes(), headers=headers).raise_for_status()
        assert answer.json()["rejected"] == []


def stored(system: System, devices: set[str]) -> tuple[int, int]:
    """Pings of some devices as a query with FINAL counts them, and distinct identities among all rows."""
    named = ", ".join(f"'{device}'" for device in sorted(devices))
    counted = f"SELECT count() FROM pings FINAL WHERE device_id IN ({named})"
    identities = f"SELECT uniqExact(device_id, ts, lat_e7, lon_e7) FROM pings WHERE device_id IN ({named})"
    return int(system.sql(counted)), int(system.sql(identities))


@dataclass(frozen=True)
class RecordedDay:
    pings: Path
    fences: Path
    lines: int
    distinct: int

    @cached_property
    def devices(self) -> set[str]:
        read = read_file(self.pings.name, self.pings.read_bytes())
        return {ping.device_id for ping in read if isinstance(ping, Ping)}


def devices_at_the_library() -> set[str]:
    truth = (DATA / "phones-los-altos" / "truth.csv").read_text().splitlines()[1:]
    stays = [line.split(",") for line in truth]
    return {device for device, fence, *_ in stays if fence == "los-altos-library"}


def test_recorded_days_become_the_same_visits_live_and_in_batch_in_any_order(system: System) -> None:
    days = {
        name: RecordedDay(DATA / name / pings, DATA / name / fences, lines, distinct)
        for name, (pings, fences, lines, distinct) in DAYS.items()
    }
    expected = {name: batch_log(day.pings, day.fences) for name, day in days.items()}
    assert all(expected.values())
    for day in days.values():
        import_fences(system, day.fences)

    for day in days.values():
        assert replay(system, day.pings)["accepted"] == day.lines
    wait_until_settled(system)
    for name, day in days.items():
        assert stored(system, day.devices) == (day.distinct, day.distinct)
        assert live_log(system, day.devices) == expected[name]

    for day in days.values():
        assert replay(system, day.pings, "--shuffle", "7", "--duplicate", "0.1")["accepted"] >= day.lines
    wait_until_settled(system)
    for name, day in days.items():
        assert stored(system, day.devices) == (day.distinct, day.distinct)
        assert live_log(system, day.devices) == expected[name]

    with system.client() as client:
        visits = client.get("/v1/visits", params={"fence": "los-altos-library", "limit": 500}).json()["items"]
    assert devices_at_the_library() <= {visit["device_id"] for visit in visits if visit["state"] == "closed"}

"""The tracker as a process, killed in the middle: the visit log is what all pings say, told at least once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rule_book import RuleBook
from geofence.visits import derive_stays
from infra.embedded.broker import Broker
from infra.embedded.store import Store
from infra.migrations import create_topics
from infra.system import environment_of
from schemas import wire
from schemas.fence import FenceRecord, FenceVersion
from schemas.live import LiveState
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import FENCES, LIVE, PINGS, TRACKER_GROUP, VISITS, Topic
from schemas.visit import Visit
from stream.kafka import KafkaLog

pytestmark = pytest.mark.integration

DEADLINE_S = 240.0
CHECKPOINTS = f"{TRACKER_GROUP}-segments-changelog"
START_MS = 1_772_434_800_000
METRES = 1 / 111_195
DEVICES = [f"killed-{number}" for number in range(20)]
SITES = {
    f"site-{number}": FenceVersion(
        1, {"type": "Point", "coordinates": [20.0, 60.0 + 1_000 * number * METRES]}, radius_m=40.0
    )
    for number in range(3)
}
LONG_ENOUGH_S = {"site-1": 500.0}


@pytest.fixture(scope="module")
def settings(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of its own: what other tests leave in the topics would be tracked too. And rules of its own."""
    rules = tmp_path_factory.mktemp("rules") / "rules.toml"
    rules.write_text("".join(f"[fence.{fence_id}]\nmin_on_site_s = {s}\n" for fence_id, s in LONG_ENOUGH_S.items()))
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        settings = Settings(kafka=broker.address, clickhouse=store.url, rules=rules)
        asyncio.run(create_topics(settings))
        yield settings


PROGRESS = {"open": 0, "confirmed": 1, "closed": 2, "retracted": 3}


def working_day(device_id: str) -> list[Ping]:
    """A drive past three sites with a stay at each, a fix each 20 s."""
    random = np.random.default_rng(DEVICES.index(device_id))
    pings, north_m, ts_ms = [], -1_000.0, START_MS
    for site in range(3):
        stay = int(random.integers(15, 40))
        way = [min(north_m + 200 * step, 1_000.0 * site) for step in range(1, 11)]
        for north_m in way + [1_000.0 * site] * stay:
            ts_ms += 20_000
            noisy_m = north_m + float(random.normal(0, 5))
            speed_mps = 0.0 if north_m == 1_000.0 * site else 10.0
            lon = 20.0 + float(random.normal(0, 5)) * 2 * METRES
            pings.append(Ping(device_id, ts_ms, 60.0 + noisy_m * METRES, lon, 8.0, speed_mps))
    return pings


def facts(visit: Visit) -> tuple:
    return visit.fence_id, visit.state, visit.arrived_ms, visit.arrived_earliest_ms, visit.departed_ms


def expected_log(settings: Settings) -> set[tuple]:
    rules = RuleBook(by_fence={fence_id: {"min_on_site_s": s} for fence_id, s in LONG_ENOUGH_S.items()})
    fences = rules.applied_to(FenceSet.of(list(SITES.items())))
    expected = set()
    for device_id in DEVICES:
        fixes = Fixes.of_pings(working_day(device_id)).in_order()
        for stay in derive_stays(device_id, fixes, fences, rules.rules, settings.clock().now_ms()).stays:
            expected.add((device_id, *facts(stay)))
    return expected


@contextmanager
def tracker(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | environment_of(settings) | {"ONSITE_DATA_DIR": str(folder), "ONSITE_CHECKPOINT_S": "0.5"}
    with (folder / "tracker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "tracker"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()


async def append(settings: Settings, topic, records) -> None:
    log = KafkaLog(settings.kafka)
    await log.start()
    await log.append(topic, records)
    await log.stop()


async def values_of(settings: Settings, topic: Topic) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        values = []
        while not all([await consumer.position(each) >= ends[each] for each in ends]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values += [record.value for record in records]
    finally:
        await consumer.stop()
    return values


async def published(settings: Settings) -> list[Visit]:
    told = [value for value in await values_of(settings, VISITS) if b"killed-" in value]
    return [wire.decode(Visit, value) for value in told]


async def garble(settings: Settings) -> None:
    """Somebody else writes what no tracker would."""
    for topic in (PINGS, VISITS, FENCES):
        await append(settings, topic, [(device_id, b"?") for device_id in DEVICES])
    bow = {"type": "Polygon", "coordinates": [[[20, 60], [20.1, 60.1], [20.1, 60], [20, 60.1], [20, 60]]]}
    twisted = FenceRecord("twisted", [FenceVersion(1, bow)], Instant(START_MS))
    await append(settings, FENCES, [(twisted.fence_id, wire.encode(twisted))])


async def live_of(settings: Settings, device_id: str) -> list[LiveState]:
    states = [wire.decode(LiveState, value) for value in await values_of(settings, LIVE)]
    return [state for state in states if state.device_id == device_id]


async def behind(settings: Settings) -> int:
    """How many pings the tracker has not acknowledged yet."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    consumer = AIOKafkaConsumer(PINGS.name, bootstrap_servers=settings.kafka)
    await admin.start()
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        try:
            committed = await admin.list_consumer_group_offsets(TRACKER_GROUP)
        except GroupCoordinatorNotAvailableError:  # no group has asked for it yet
            committed = {}
        return sum(end - (committed[each].offset if each in committed else 0) for each, end in ends.items())
    finally:
        await consumer.stop()
        await admin.close()


def until(condition, what: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, f"the tracker ended:\n{(folder / 'tracker.log').read_text()[-4000:]}"
        assert time.monotonic() < deadline, f"{what}:\n{(folder / 'tracker.log').read_text()[-4000:]}"
        time.sleep(0.2)


def newest(visits: list[Visit]) -> dict[str, Visit]:
    log: dict[str, Visit] = {}
    for visit in visits:
        if visit.visit_id not in log or visit.revision > log[visit.visit_id].revision:
            log[visit.visit_id] = visit
    return log


def test_a_tracker_killed_in_the_middle_leaves_the_log_that_all_pings_say(settings, tmp_path):
    fences = [
        (fence_id, wire.encode(FenceRecord(fence_id, [version], Instant(START_MS))))
        for fence_id, version in SITES.items()
    ]
    asyncio.run(append(settings, FENCES, fences))
    days = [working_day(device_id) for device_id in DEVICES]
    moments = sorted((ping for day in days for ping in day), key=lambda ping: ping.ts_ms)
    records = [(ping.device_id, msgspec.json.encode(ping)) for ping in moments]
    half = len(records) // 2

    asyncio.run(append(settings, PINGS, records[:half]))
    with tracker(settings, tmp_path) as first:
        until(lambda: len(asyncio.run(published(settings))) >= len(DEVICES), "first visits", first, tmp_path)
        asyncio.run(append(settings, PINGS, records[half : half + half // 2]))
        first.kill()
        first.wait()
    asyncio.run(garble(settings))
    asyncio.run(append(settings, PINGS, records[half + half // 2 :]))
    with tracker(settings, tmp_path) as second:
        until(lambda: asyncio.run(behind(settings)) == 0, "all pings acknowledged", second, tmp_path)

        def log() -> set[tuple]:
            visits = newest(asyncio.run(published(settings))).values()
            return {(visit.device_id, *facts(visit)) for visit in visits if visit.state != "retracted"}

        until(lambda: log() == expected_log(settings), "the log of all pings", second, tmp_path)
        told_at = Counter(fence_id for _, fence_id, *_ in log())
        assert told_at["site-0"] == told_at["site-2"] == len(DEVICES)
        assert 0 < told_at["site-1"] < len(DEVICES), "stays too short by the rules of their fence"
    assert second.returncode == 0
    told = asyncio.run(published(settings))
    contents: dict[tuple[str, int], set[Visit]] = {}
    for visit in told:
        contents.setdefault((visit.visit_id, visit.revision), set()).add(visit)
    assert all(len(same) == 1 for same in contents.values()), "two different visits under one revision"
    for earlier, later in pairwise(sorted(told, key=lambda visit: (visit.visit_id, visit.revision))):
        if earlier.visit_id == later.visit_id:
            assert PROGRESS[earlier.state] <= PROGRESS[later.state], "a visit went back in time"


def test_a_clean_stop_leaves_nothing_to_repeat(settings, tmp_path):
    with tracker(settings, tmp_path) as process:
        until(lambda: asyncio.run(behind(settings)) == 0, "all pings acknowledged", process, tmp_path)
        ping = Ping("stopped-1", START_MS, 10.0, 10.0)
        asyncio.run(append(settings, PINGS, [(ping.device_id, msgspec.json.encode(ping))]))
        until(lambda: asyncio.run(live_of(settings, "stopped-1")), "the ping folded", process, tmp_path)
    assert process.returncode == 0
    assert asyncio.run(behind(settings)) == 0


async def append_checkpoint(settings: Settings, key: bytes, value: bytes) -> None:
    """What another build may have left in the checkpoints of every partition."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        for number in range(settings.partitions):
            await producer.send_and_wait(CHECKPOINTS, value, f"{number}:".encode() + key, partition=number)
    finally:
        await producer.stop()


async def newest_checkpoint(settings: Settings) -> dict[bytes, bytes | None]:
    consumer = AIOKafkaConsumer(CHECKPOINTS, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[bytes, bytes | None] = {}
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while not all([await consumer.position(each) >= ends[each] for each in ends]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found |= {record.key: record.value for record in records}
    finally:
        await consumer.stop()
    return found


def test_the_checkpoint_of_another_build_is_set_aside_and_does_not_stop_a_tracker(settings, tmp_path):
    with tracker(settings, tmp_path) as process:
        until(lambda: "state restored" in (tmp_path / "tracker.log").read_text(), "it has begun", process, tmp_path)
    asyncio.run(append_checkpoint(settings, b"17", b"\x91\x98"))
    ping = Ping("older-1", START_MS, 10.0, 10.0)
    asyncio.run(append(settings, PINGS, [(ping.device_id, msgspec.json.encode(ping))]))
    with tracker(settings, tmp_path) as process:
        until(lambda: asyncio.run(behind(settings)) == 0, "all pings acknowledged", process, tmp_path)
    assert process.returncode == 0
    said = (tmp_path / "tracker.log").read_text()
    assert said.count("checkpoint set aside") == settings.partitions
    newest = asyncio.run(newest_checkpoint(settings))
    assert {newest[f"{number}:17".encode()] for number in range(settings.partitions)} == {None}
    assert {newest[f"{number}:forgetful".encode()] for number in range(settings.partitions)} == {b"1"}

    with tracker(settings, tmp_path) as process:
        later = Ping("older-1", START_MS + 60_000, 10.0, 10.0)
        asyncio.run(append(settings, PINGS, [(later.device_id, msgspec.json.encode(later))]))
        until(lambda: asyncio.run(behind(settings)) == 0, "all pings acknowledged", process, tmp_path)
    assert (tmp_path / "tracker.log").read_text().count("checkpoint set aside") == settings.partitions


def test_a_tracker_whose_partitions_another_writes_to_ends_and_acknowledges_nothing_more(settings, tmp_path):
    """As one that hung for longer than its session lasts, while its successor has begun."""
    with tracker(settings, tmp_path) as process:
        until(lambda: "state restored" in (tmp_path / "tracker.log").read_text(), "it has begun", process, tmp_path)
        asyncio.run(append_checkpoint(settings, b"told", b"0"))
        ping = Ping("taken-over-1", START_MS, 10.0, 10.0)
        asyncio.run(append(settings, PINGS, [(ping.device_id, msgspec.json.encode(ping))]))
        assert process.wait(60) != 0
    assert "another tracker has taken over" in (tmp_path / "tracker.log").read_text()
    assert asyncio.run(behind(settings)) == 1
    with tracker(settings, tmp_path) as process:
        until(lambda: asyncio.run(behind(settings)) == 0, "all pings acknowledged", process, tmp_path)

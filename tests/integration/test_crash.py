"""Whatever dies, nothing that was accepted is lost, told twice or told wrong."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from aiokafka.errors import KafkaError

from benchmarks.chaos.faults import VICTIMS
from benchmarks.chaos.run import Spec, run
from benchmarks.offsets import behind, ends_of
from schemas.ping import Ping
from schemas.topics import PINGS, RECORDER_GROUP, TRACKER_GROUP
from stream.store import open_store
from tests.integration.parts import Parts, is_ready, post, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]

SOON_S = 5.0
PATIENCE_S = 15.0
NOBODY_BEHIND = {TRACKER_GROUP: 0, RECORDER_GROUP: 0}
START_MS = 1_772_434_800_000


def test_processes_killed_at_random_moments_lose_nothing_and_tell_nothing_wrong(tmp_path) -> None:
    seed = int(os.environ.get("ONSITE_CRASH_SEED") or int.from_bytes(os.urandom(4)))
    print(f"ONSITE_CRASH_SEED={seed}")
    outcome = asyncio.run(run(tmp_path, Spec(seed, seconds=45.0, rounds=1)))
    print(outcome)
    assert outcome.findings == (), f"ONSITE_CRASH_SEED={seed}"
    assert set(outcome.kills) == set(VICTIMS)
    assert outcome.repeated > 0, "no phone was disturbed: the kills did not reach the API"
    assert outcome.accepted > outcome.distinct > 1_000
    assert outcome.events > outcome.visits > 10


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """A system whose parts a test stops and starts; it leaves them running as it found them."""
    parts = Parts(tmp_path_factory.mktemp("parts"))
    try:
        asyncio.run(parts.start_all())
        yield parts
    finally:
        parts.close()


def drive(name: str, minutes: int, first_minute: int = 0) -> list[Ping]:
    """Devices, two a partition and more, a fix a minute each, in order of time."""
    return [
        Ping(f"{name}-{device}", START_MS + minute * 60_000, 60.0 + minute * 1e-3, 20.0 + device * 1e-2, 8.0, 10.0)
        for minute in range(first_minute, first_minute + minutes)
        for device in range(32)
    ]


async def stored(parts: Parts, name: str, table: str = "pings FINAL") -> list[tuple]:
    store = await open_store(parts.settings)
    try:
        sql = f"SELECT device_id, toUnixTimestamp64Milli(ts) FROM {table}"
        condition = "startsWith(device_id, {name:String})"
        answer = await store.query(f"{sql} WHERE {condition} ORDER BY ts, device_id", parameters={"name": f"{name}-"})
        return list(answer.result_rows)
    finally:
        await store.close()


def rows_of(pings: list[Ping]) -> list[tuple]:
    return sorted(((ping.device_id, ping.ts_ms) for ping in pings), key=lambda row: (row[1], row[0]))


async def behind_by_group(parts: Parts) -> dict[str, int]:
    """How many pings each group has still to acknowledge; of none while the broker is coming back."""
    kafka = parts.settings.kafka
    try:
        ends = await ends_of(kafka, PINGS)
        return {group: await behind(kafka, group, PINGS, ends) for group in (TRACKER_GROUP, RECORDER_GROUP)}
    except KafkaError:
        return {}


def test_after_a_clean_stop_nothing_is_done_again(parts: Parts) -> None:
    """Neither would come to a checkpoint or an insert by itself: only what the stop drains is acknowledged."""
    before, after = drive("drained", 30), drive("drained", 1, first_minute=30)

    async def scenario() -> None:
        parts.terminate("tracker", "recorder")
        parts.start("tracker", ONSITE_CHECKPOINT_S="3600")
        parts.start("recorder", ONSITE_RECORDER_FLUSH_S="3600")

        async def taken() -> bool:
            folded = await parts.counted("tracker", "onsite_tracker_pings_total")
            waiting = await parts.counted("recorder", "onsite_recorder_rows_waiting", table="pings")
            return folded == waiting == len(before)

        async with parts.client() as client:
            assert (await post(client, before)).status_code == 202
            await until(taken, "both have taken all pings")
            assert set((await behind_by_group(parts)).values()) == {len(before)}, "acknowledged before the stop"
            assert await stored(parts, "drained") == []
            assert parts.terminate("tracker", "recorder") == [0, 0]
            assert await behind_by_group(parts) == NOBODY_BEHIND
            assert await stored(parts, "drained") == rows_of(before)

            parts.start("tracker")
            parts.start("recorder")
            assert (await post(client, after)).status_code == 202

        await until(lambda: behind_by_group(parts), "the next ones are as far as the pings", NOBODY_BEHIND)
        assert await parts.counted("tracker", "onsite_tracker_pings_total") == len(after)
        assert await parts.counted("recorder", "onsite_recorder_rows_total", table="pings") == len(after)
        assert await stored(parts, "drained", table="pings") == rows_of([*before, *after]), "every row, copies too"

    asyncio.run(scenario())


async def recovers(parts: Parts, client: httpx.AsyncClient, name: str, before: list, meanwhile: list) -> None:
    """Pings that were refused are accepted at last, all are stored, and nothing is wrong any more."""

    async def accepted() -> bool:
        return (await post(client, meanwhile)).status_code == 202

    await until(accepted, "pings are accepted again")
    await everything_stored(parts, name, [*before, *meanwhile])
    assert await whats_wrong(client) == {}


async def whats_wrong(client: httpx.AsyncClient) -> dict[str, str]:
    """What /readyz says is not well; it answers soon whatever hangs."""
    began_s = time.monotonic()
    answer = await client.get("/readyz")
    assert time.monotonic() - began_s < SOON_S
    checks = {name: state for name, state in answer.json()["checks"].items() if state != "ok"}
    assert (answer.status_code == 503) == bool(checks)
    assert ("Retry-After" in answer.headers) == bool(checks)
    return checks


def refused(answer: httpx.Response) -> bool:
    """503 with how long to wait, as problem details."""
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0 and bool(answer.json()["detail"])


async def everything_stored(parts: Parts, name: str, pings: list[Ping]) -> None:
    """By itself, once each; the tracker has come as far."""

    async def found() -> dict[str, int]:
        rows, wanted = Counter(await stored(parts, name)), Counter(rows_of(pings))
        counts = {"missing": (wanted - rows).total(), "too many": (rows - wanted).total()}
        return counts | await behind_by_group(parts)

    wanted = {"missing": 0, "too many": 0} | NOBODY_BEHIND
    await until(found, f"{name}: all that was accepted is stored, once", wanted)


async def gone(parts: Parts, role: str) -> None:
    async def has_ended() -> bool:
        return not parts.is_running(role)

    await until(has_ended, f"the {role} has ended")


@pytest.mark.parametrize("how", ["killed", "disk full"])
def test_without_a_store_pings_are_accepted_and_stored_when_it_is_back(parts: Parts, how: str) -> None:
    """A store that cannot write must not say that it has: it ends, and is a store that is away."""
    name = f"no-store-{how.replace(' ', '-')}"
    pings = drive(name, 10)

    async def scenario() -> None:
        async with parts.client() as client:
            await until(lambda: is_ready(client), "the API is ready")
            parts.kill("store") if how == "killed" else parts.limit_files("store", 0)
            assert (await post(client, pings)).status_code == 202
            await gone(parts, "store")
            assert set(await whats_wrong(client)) == {"store"}
            assert refused(await client.get("/v1/visits"))
            await parts.start_server("store")
            await everything_stored(parts, name, pings)
            assert await whats_wrong(client) == {}

    asyncio.run(scenario())


def test_without_a_broker_pings_are_refused_and_those_accepted_are_kept(parts: Parts) -> None:
    """Its disk is full, so it ends. A tracker that is started meanwhile waits for it."""
    name = "no-broker"
    before, meanwhile = drive(name, 3), drive(name, 3, first_minute=3)

    async def scenario() -> None:
        async with parts.client() as client:
            await until(lambda: is_ready(client), "the API is ready")
            assert (await post(client, before)).status_code == 202
            parts.limit_files("broker", 0)
            assert refused(await post(client, meanwhile))
            await gone(parts, "broker")
            assert set(await whats_wrong(client)) == {"broker"}
            parts.kill("tracker")
            parts.start("tracker")
            await parts.start_server("broker")
            await recovers(parts, client, name, before, meanwhile)
            assert parts.is_running("tracker")
            assert parts.is_running("recorder")

    asyncio.run(scenario())


def test_a_broker_and_a_store_that_hang_are_told_soon_and_go_on_where_they_were(parts: Parts) -> None:
    name = "hanging"
    before, meanwhile = drive(name, 3), drive(name, 3, first_minute=3)

    async def scenario() -> None:
        async with parts.client() as client:
            await until(lambda: is_ready(client), "the API is ready")
            assert (await post(client, before[:32])).status_code == 202
            await everything_stored(parts, name, before[:32])
            assert (await post(client, before[32:])).status_code == 202
            parts.hold("broker")
            parts.hold("store")
            try:
                assert set(await whats_wrong(client)) == {"broker", "store"}
                began_s = time.monotonic()
                assert all(map(refused, await asyncio.gather(post(client, meanwhile), client.get("/v1/visits"))))
                assert time.monotonic() - began_s < PATIENCE_S
            finally:
                parts.release("broker")
                parts.release("store")
            await recovers(parts, client, name, before, meanwhile)

    asyncio.run(scenario())

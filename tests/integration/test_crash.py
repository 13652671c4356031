"""Whatever dies, nothing that was accepted is lost, told twice or told wrong."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from benchmarks.chaos.faults import VICTIMS
from benchmarks.chaos.offsets import behind, ends_of
from benchmarks.chaos.run import Spec, run
from schemas.ping import Ping
from schemas.topics import PINGS, RECORDER_GROUP, TRACKER_GROUP
from stream.store import open_store
from tests.integration.parts import Parts, post, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]

START_MS = 1_772_434_800_000


def test_processes_killed_at_random_moments_lose_nothing_and_tell_nothing_wrong(tmp_path) -> None:
    seed = int(os.environ.get("ONSITE_CRASH_SEED") or int.from_bytes(os.urandom(4)))
    print(f"ONSITE_CRASH_SEED={seed}")
    outcome = asyncio.run(run(tmp_path, Spec(seed, seconds=40.0, rounds=1)))
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


async def stored(parts: Parts, name: str) -> list[tuple]:
    store = await open_store(parts.settings)
    try:
        sql = "SELECT device_id, toUnixTimestamp64Milli(ts) FROM pings WHERE startsWith(device_id, {name:String})"
        answer = await store.query(f"{sql} ORDER BY ts, device_id", parameters={"name": f"{name}-"})
        return list(answer.result_rows)
    finally:
        await store.close()


def rows_of(pings: list[Ping]) -> list[tuple]:
    return sorted(((ping.device_id, ping.ts_ms) for ping in pings), key=lambda row: (row[1], row[0]))


async def behind_by_group(parts: Parts) -> dict[str, int]:
    kafka = parts.settings.kafka
    ends = await ends_of(kafka, PINGS)
    return {group: await behind(kafka, group, PINGS, ends) for group in (TRACKER_GROUP, RECORDER_GROUP)}


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
            assert set((await behind_by_group(parts)).values()) == {0}
            assert await stored(parts, "drained") == rows_of(before)

            parts.start("tracker")
            parts.start("recorder")
            assert (await post(client, after)).status_code == 202

        async def settled() -> bool:
            return set((await behind_by_group(parts)).values()) == {0}

        await until(settled, "the next ones are as far as the pings")
        assert await parts.counted("tracker", "onsite_tracker_pings_total") == len(after)
        assert await parts.counted("recorder", "onsite_recorder_rows_total", table="pings") == len(after)
        assert await stored(parts, "drained") == rows_of([*before, *after])

    asyncio.run(scenario())

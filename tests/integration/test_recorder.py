"""The recorder on the real broker and store: everything once, whatever happens to the store."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from infra.embedded.store import Store
from infra.migrations import migrate_store
from schemas.fence import FenceRecord, FenceVersion
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import FENCES, PINGS, PINGS_REJECTED, RECORDER_GROUP, VISITS
from schemas.visit import Visit
from schemas.wire import decode, encode
from stream.recorder import Recorder
from stream.store import open_store

pytestmark = pytest.mark.integration

DEADLINE_S = 60.0
T0_MS = 1_772_439_300_000


@asynccontextmanager
async def recorder(settings: Settings) -> AsyncIterator[None]:
    app = Recorder(settings).app
    await app.start()
    try:
        yield
    finally:
        await app.stop()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.1)


async def produce(settings: Settings, topic: str, records: Sequence[tuple[str, bytes | None]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    for key, value in records:
        await producer.send(topic, value, key.encode())
    await producer.stop()


async def values_of(settings: Settings, sql: str, **parameters: object) -> list[object]:
    store = await open_store(settings)
    try:
        return [row[0] for row in (await store.query(sql, parameters=parameters)).result_rows]
    finally:
        await store.close()


async def stored(settings: Settings, prefix: str) -> int:
    """Distinct pings; asserts that the store shows each once."""
    sql = "SELECT count() FROM pings FINAL WHERE startsWith(device_id, {prefix:String})"
    distinct = "SELECT uniqExact(device_id, ts, lat_e7, lon_e7) FROM pings WHERE startsWith(device_id, {prefix:String})"
    [count], [once] = await values_of(settings, sql, prefix=prefix), await values_of(settings, distinct, prefix=prefix)
    assert count == once
    return int(str(count))


async def lag(settings: Settings) -> int:
    """Records of onsite.pings that the recorder has not committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=RECORDER_GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(PINGS.name, partition) for partition in range(settings.partitions)]
        ends = await consumer.end_offsets(partitions)
        return sum([ends[each] - (await consumer.committed(each) or 0) for each in partitions])
    finally:
        await consumer.stop()


async def caught_up(settings: Settings) -> bool:
    return await lag(settings) == 0


def pings(prefix: str, count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [
        (
            f"{prefix}-{number % 7}",
            msgspec.json.encode(
                Ping(
                    f"{prefix}-{number % 7}",
                    T0_MS + number * 1_000,
                    47.1 + number * 1e-5,
                    9.5,
                    received_ms=T0_MS + 10**8,
                )
            ),
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def own_store(settings: Settings, tmp_path: Path) -> Iterator[tuple[Store, Settings]]:
    """A store of this test alone, to be killed, on the session's broker."""
    store = Store(tmp_path)
    store.start()
    try:
        store.wait_ready()
        own = settings.model_copy(update={"clickhouse": store.url, "data_dir": tmp_path})
        asyncio.run(migrate_store(own))
        yield store, own
    finally:
        store.stop()


def test_all_is_stored_once_and_what_nobody_can_read_is_told(settings: Settings) -> None:
    prefix = uuid4().hex[:8]
    bad = {
        f"{prefix} hello": "not_json",
        f'{{"device_id":"{prefix}-1","lat":1,"lon":2}}': "missing_field",
        f'{{"device_id":"{prefix}-1","ts":"2026-03-02T08:15:00Z","lat":91,"lon":2}}': "lat_out_of_range",
    }
    elsewhere = f'{{"device_id":"{prefix}-x","ts":"2026-03-02T08:15:00Z","lat":1,"lon":2,"speed_mps":-1}}'

    async def scenario() -> None:
        records = pings(prefix, 3_000)
        await produce(settings, PINGS.name, [*records[:1_500], *((f"{prefix}-1", each.encode()) for each in bad)])
        await produce(settings, PINGS.name, [(f"{prefix}-1", None), *records[1_000:], ("x", elsewhere.encode())])
        async with recorder(settings):
            await until(lambda: caught_up(settings), "the recorder has committed everything")
            assert await stored(settings, prefix) == 3_001
            await produce(settings, PINGS.name, list(reversed(records)))
            await until(lambda: caught_up(settings), "the recorder has committed the replay")
        assert await stored(settings, prefix) == 3_001
        sql = "SELECT speed_mps FROM pings WHERE device_id = {device:String}"
        assert await values_of(settings, sql, device=f"{prefix}-x") == [None]

        rejected = AIOKafkaConsumer(
            PINGS_REJECTED.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest", group_id=None
        )
        await rejected.start()
        told: dict[str, str] = {}

        async def all_told() -> bool:
            for batch in (await rejected.getmany(timeout_ms=200)).values():
                for record in (decode(RejectedPing, each.value) for each in batch):
                    told[record.raw] = record.code
            return bad.items() <= told.items()

        await until(all_told, "the rejected pings are told with their reasons")
        await rejected.stop()

        async def shown() -> bool:
            sql = (
                "SELECT (raw, code) FROM rejected FINAL WHERE protocol = 'kafka' AND position(raw, {prefix:String}) > 0"
            )
            return dict(await values_of(settings, sql, prefix=prefix)) == bad  # type: ignore[call-overload]

        async with recorder(settings):
            await until(shown, "the rejected pings are in their table")

    asyncio.run(scenario())


def test_visits_and_fences_are_recorded_past_what_nobody_can_read(settings: Settings) -> None:
    device = uuid4().hex[:8]
    opened = Visit(
        f"v-{device}",
        device,
        "f",
        1,
        None,
        "open",
        1,
        *[Instant(T0_MS)] * 3,
        None,
        None,
        None,
        0,
        0,
        0,
        0.9,
        "arrived",
        1,
    )
    left = Instant(T0_MS + 600_000)
    closed = msgspec.structs.replace(
        opened, state="closed", revision=2, departed_ms=left, departed_earliest_ms=left, departed_latest_ms=left
    )
    fence = FenceRecord(device, [FenceVersion(1, {"type": "Point", "coordinates": [9.5, 47]}, radius_m=5)], left)

    async def scenario() -> None:
        impossible = msgspec.structs.replace(opened, revision=-1)
        values = [encode(closed), b"?", encode(impossible), encode(opened), encode(closed)]
        await produce(settings, VISITS.name, [(device, value) for value in values])
        await produce(settings, FENCES.name, [("gone", None), ("?", b"{}"), (device, encode(fence))])
        async with recorder(settings):

            async def recorded() -> bool:
                visits = "SELECT count() FROM visit_revisions FINAL WHERE device_id = {device:String}"
                fences = "SELECT count() FROM fences FINAL WHERE fence_id = {device:String}"
                counts = [await values_of(settings, sql, device=device) for sql in (visits, fences)]
                return counts == [[2], [1]]

            await until(recorded, "both revisions and the fence are in the store")
        newest = "SELECT (state, revision) FROM visits_now WHERE device_id = {device:String}"
        assert await values_of(settings, newest, device=device) == [("closed", 2)]

    asyncio.run(scenario())


def test_nothing_is_lost_or_committed_while_the_store_is_down(own_store: tuple[Store, Settings]) -> None:
    store, settings = own_store
    prefix = uuid4().hex[:8]

    async def scenario() -> None:
        async with recorder(settings):
            await produce(settings, PINGS.name, pings(prefix, 2_000))
            await until(lambda: caught_up(settings), "the first pings are recorded")
            store.process.kill()
            store.process.wait()
            for first in range(2_000, 6_000, 500):
                await produce(settings, PINGS.name, pings(prefix, 500, first))
            assert await lag(settings) == 4_000
            store.start()
            await asyncio.to_thread(store.wait_ready)
            await until(lambda: caught_up(settings), "what came meanwhile is recorded")
        assert await stored(settings, prefix) == 6_000

    asyncio.run(scenario())


def test_a_recorder_that_stops_without_a_store_leaves_everything_to_the_next(own_store: tuple[Store, Settings]) -> None:
    store, settings = own_store
    prefix = uuid4().hex[:8]

    async def scenario() -> None:
        async with recorder(settings):
            await until(lambda: caught_up(settings), "what others left is recorded")
            store.stop()
            await produce(settings, PINGS.name, pings(prefix, 1_000))
            await asyncio.sleep(2 * settings.recorder_flush_s)  # let it take them
        assert await lag(settings) == 1_000
        store.start()
        await asyncio.to_thread(store.wait_ready)
        async with recorder(settings):
            await until(lambda: caught_up(settings), "the next recorder has them")
        assert await stored(settings, prefix) == 1_000

    asyncio.run(scenario())

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from schemas.ping import Ping
from schemas.settings import Settings
from schemas.tables import TABLES
from schemas.topics import FENCES, PINGS, VISITS
from stream.framed import FramedApp
from stream.frames import Frame
from stream.recorder import Lane, PatientStore, read_frame
from tests.frames import frame_of

NOW_MS = 1_790_000_000_000


def frame(topic: str, values: list[bytes | None]) -> Frame:
    return frame_of(topic, values, NOW_MS, first_offset=10)


def ping_frame(count: int) -> Frame:
    return frame(PINGS.name, [msgspec.json.encode(Ping("d", NOW_MS - second, 1.0, 2.0)) for second in range(count)])


def test_rows_of_pings_leave_out_what_nobody_can_read() -> None:
    rows = read_frame(frame(PINGS.name, [*ping_frame(2).values, b"?", None, *ping_frame(1).values]))
    assert rows.batch.num_rows == 3
    assert [index for index, _ in rows.bad] == [2, 3]
    assert set(rows.batch["received_at"].cast(pa.int64()).to_pylist()) == {NOW_MS}  # the broker's, where unstated


def test_a_deleted_fence_is_no_bad_record() -> None:
    rows = read_frame(frame(FENCES.name, [None, b"{}"]))
    assert rows.batch.num_rows == 0
    assert [index for index, _ in rows.bad] == [1]


def test_a_number_too_large_for_its_column_is_a_bad_record() -> None:
    visit = (
        '{"visit_id":"v","device_id":"d","fence_id":"f","fence_version":1,"job_id":null,"state":"open","revision":%d,'
        '"arrived_at":"2026-03-02T08:15:00Z","arrived_earliest":"2026-03-02T08:15:00Z","arrived_latest":'
        '"2026-03-02T08:15:00Z","departed_at":null,"departed_earliest":null,"departed_latest":null,"on_site_s":0,'
        '"on_site_min_s":0,"on_site_max_s":0,"confidence":1,"reason":"arrived","fixes":1}'
    )
    rows = read_frame(frame(VISITS.name, [(visit % revision).encode() for revision in (1, -1, 2**40, 10**30, 2)]))
    assert rows.batch["revision"].to_pylist() == [1, 2]
    assert [index for index, _ in rows.bad] == [1, 2, 3]


@dataclass(eq=False)
class Event:
    """What a lane needs of Faust's."""

    log: list[str]

    def ack(self) -> None:
        self.log.append("ack")


@dataclass
class HeldStore:
    """Answers an insert only once it is let."""

    log: list[str]
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def insert(self, table: str, rows: pa.Table) -> None:
        self.log.append(f"try {table}")
        self.asked.set()
        await self.open.wait()
        self.log.append(f"insert {rows.num_rows}")


async def lane_with(store: Any, **settings: Any) -> tuple[Lane, FramedApp]:
    lane = Lane(TABLES[PINGS.name], store, Settings(**settings))
    app = FramedApp("test", broker="memory://")
    lane.start(app)
    return lane, app


def test_frames_become_one_insert_and_are_acknowledged_after_it() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        store = HeldStore(log)
        lane, _ = await lane_with(store, recorder_flush_s=30)
        for count in (3, 0, 4):
            await lane.put(Event(log), read_frame(ping_frame(count)).batch)  # type: ignore[arg-type]
        stopping = asyncio.create_task(lane.stop())
        await store.asked.wait()
        assert log == ["try pings"]
        store.open.set()
        await stopping
        return log

    assert asyncio.run(scenario()) == ["try pings", "insert 7", "ack", "ack", "ack"]


def test_an_insert_takes_no_more_frames_once_it_has_its_rows() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        store = HeldStore(log)
        store.open.set()
        lane, _ = await lane_with(store, recorder_flush_s=30, recorder_max_rows=5)
        for _ in range(3):
            await lane.put(Event(log), read_frame(ping_frame(4)).batch)  # type: ignore[arg-type]
        await lane.stop()
        return log

    assert asyncio.run(scenario()) == ["try pings", "insert 8", "ack", "ack", "try pings", "insert 4", "ack"]


def test_a_frame_without_rows_is_acknowledged_without_an_insert() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        lane, _ = await lane_with(HeldStore(log))
        await lane.put(Event(log), read_frame(frame(PINGS.name, [b"?"])).batch)  # type: ignore[arg-type]
        await lane.stop()
        return log

    assert asyncio.run(scenario()) == ["ack"]


def test_a_stop_that_is_given_up_acknowledges_nothing() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        lane, _ = await lane_with(HeldStore(log))
        await lane.put(Event(log), read_frame(ping_frame(2)).batch)  # type: ignore[arg-type]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(lane.stop(), 0.05)
        await asyncio.sleep(0)
        return log

    assert asyncio.run(scenario()) == ["try pings"]


def test_the_store_is_asked_again_until_it_answers(monkeypatch: Any) -> None:
    answers = [OSError("refused"), OSError("refused"), None]
    opened: list[str] = []

    class Client:
        async def insert_arrow(self, table: str, rows: pa.Table, settings: Any) -> None:
            opened.append(f"{table} {rows.num_rows}")

        async def close(self) -> None: ...

    async def open_store(_: Settings) -> Client:
        if answer := answers.pop(0):
            raise answer
        return Client()

    monkeypatch.setattr("stream.recorder.open_store", open_store)
    monkeypatch.setattr("stream.recorder.FIRST_PAUSE_S", 0.001)
    rows = pa.Table.from_batches([read_frame(ping_frame(2)).batch])
    asyncio.run(PatientStore(Settings()).insert("pings", rows))
    assert opened == ["pings 2"]
    assert answers == []

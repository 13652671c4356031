"""What of aiokafka's inside the framed transport leans on, without a broker."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition
from faust.types import TP

from stream.framed import Consumer, _Fetched, _frame

FIRST_OFFSET = 7


def fetched_from(topic: str, values: list[bytes | None], framed_topics: frozenset[str]) -> list[Any]:
    """What aiokafka hands out of one fetched batch, in two helpings."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset, value in enumerate(values):
        builder.append(offset, timestamp=1_000 + offset, key=b"k", value=value, headers=[])
    batch = builder.build()
    batch[:8] = FIRST_OFFSET.to_bytes(8, "big")
    partition = TopicPartition(topic, 0)
    records = PartitionRecords(partition, MemoryRecords(bytes(batch)), [], 0, None, None, True, READ_UNCOMMITTED)
    state = SimpleNamespace(paused=False, position=0, consumed_to=lambda offset: setattr(state, "position", offset))
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    fetched = _Fetched(framed_topics)
    fetched[partition] = FetchResult(partition, assignment=assignment, partition_records=records, backoff=0.1)
    helpings = [*fetched[partition].getall(2), *fetched[partition].getall()]
    assert state.position == FIRST_OFFSET + len(values)
    return helpings


def test_records_of_a_framed_topic_make_a_frame() -> None:
    records = fetched_from("framed", [b"a", None, b"c"], frozenset({"framed"}))
    frame = _frame(TP("framed", 0), records)
    assert (frame.first_offset, frame.last_offset) == (FIRST_OFFSET, FIRST_OFFSET + 2)
    assert frame.values == [b"a", None, b"c"]
    assert frame.timestamps_ms == [1_000, 1_001, 1_002]
    assert not any(isinstance(record, ConsumerRecord) for record in records)


@pytest.mark.parametrize("framed_topics", [frozenset(), frozenset({"another"})])
def test_records_of_any_other_topic_are_what_faust_expects(framed_topics: frozenset[str]) -> None:
    records = fetched_from("plain", [b"a", b"b", b"c"], framed_topics)
    assert all(isinstance(record, ConsumerRecord) for record in records)
    assert [(record.offset, record.key, record.value) for record in records] == [
        (FIRST_OFFSET + number, b"k", value) for number, value in enumerate([b"a", b"b", b"c"])
    ]


def test_room_for_frames_is_noticed_at_once() -> None:
    """Faust looks once a second whether a partition has room again when none has."""
    full = TP("framed", 0)

    async def fetch_when_there_is_room() -> float:
        consumer = Consumer.__new__(Consumer)
        consumer.flow_active, consumer._room = True, asyncio.Event()
        consumer._active_partitions, consumer._buffered_partitions, consumer._paused_partitions = set(), {full}, set()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        waiting = asyncio.create_task(consumer._wait_next_records(60.0))
        await asyncio.sleep(0)
        consumer.on_buffer_drop(full)
        assert await waiting == ({}, set())
        assert consumer._get_active_partitions() == {full}
        return loop.time() - began_s

    assert asyncio.run(fetch_when_there_is_room()) < 10.0

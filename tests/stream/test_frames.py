"""Frames hold what aiokafka would have handed out record by record, and leave the partition where it would have."""

import gc
import itertools
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream.frames import Fetched, FetchedBytes

FRAMED = TopicPartition("framed", 3)
FIRST_OFFSET = 7
ABORT_MARKER, COMMIT_MARKER = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
ATTRIBUTES_AT, CONTROL, CRC_AT = 21, 0x20, 17


class Batch(NamedTuple):
    """``offsets`` count from the batch's own; a control batch holds one marker."""

    offsets: Sequence[int]
    producer: int = -1
    marker: bytes | None = None
    codec: int = 0

    def encoded(self, base_offset: int) -> bytes:
        builder = DefaultRecordBatchBuilder(2, self.codec, self.producer >= 0, self.producer, 0, 0, 1 << 20)
        for offset in self.offsets:
            value = None if offset % 5 == 4 else b"%d at %d" % (offset, base_offset)
            key = b"key %d" % offset if self.marker is None else self.marker
            builder.append(offset, timestamp=1_000 + base_offset + offset, key=key, value=value, headers=[])
        encoded = builder.build()
        encoded[:8] = base_offset.to_bytes(8, "big")
        if self.marker is not None:
            encoded[ATTRIBUTES_AT + 1] |= CONTROL
        return bytes(encoded)


def fetched(
    tp: TopicPartition, batches: Sequence[Batch], from_offset: int, isolation: int, *, crcs: bool = False
) -> Any:
    """What aiokafka has fetched of a partition, to be read from an offset on, with its own position."""
    encoded, base_offset, aborted, begun = [], FIRST_OFFSET, [], {}
    for batch in batches:
        encoded.append(batch.encoded(base_offset))
        if batch.marker is None:
            begun.setdefault(batch.producer, base_offset)
        elif batch.marker == ABORT_MARKER:
            aborted.append((batch.producer, begun.pop(batch.producer, base_offset)))
        else:
            begun.pop(batch.producer, None)
        base_offset += batch.offsets[-1] + 1
    memory = FetchedBytes(b"".join(encoded))
    records = PartitionRecords(tp, memory, aborted, from_offset, None, None, crcs, isolation)
    state = SimpleNamespace(paused=False, position=from_offset)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return FetchResult(tp, assignment=assignment, partition_records=records, backoff=0.1), state


def helpings(tp: TopicPartition, result: Any, state: Any, sizes: Sequence[int]) -> list[Any]:
    """(records or frame, position after them) of each call, until there is no more."""
    store = Fetched(frozenset({FRAMED.topic}))
    store[tp] = result
    taken: list[Any] = []
    while result.has_more():
        taken.append((result.getall(sizes[len(taken) % len(sizes)]), state.position))
    return taken


offsets = st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True).map(sorted)
codecs = st.sampled_from([0, 1, 4])
data = st.builds(Batch, offsets, st.sampled_from([-1, 0, 1]), st.none(), codecs)
markers = st.builds(Batch, st.just([0]), st.integers(0, 1), st.sampled_from([ABORT_MARKER, COMMIT_MARKER]), st.just(0))


@given(
    st.lists(st.one_of(data, markers), min_size=1, max_size=6),
    st.integers(0, 12),
    st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_a_frame_is_what_aiokafka_reads_one_by_one(
    batches: list[Batch], skipped: int, isolation: int, sizes: list[int]
) -> None:
    plain = TopicPartition("plain", FRAMED.partition)
    from_offset = FIRST_OFFSET + min(skipped, batches[0].offsets[-1])  # a broker begins with the batch that has it
    [(one_by_one, end)] = helpings(plain, *fetched(plain, batches, from_offset, isolation), [100]) or [([], None)]
    frames = helpings(FRAMED, *fetched(FRAMED, batches, from_offset, isolation), sizes)
    told = [frame for frame, _ in frames if frame]
    assert [value for frame in told for value in frame.values] == [record.value for record in one_by_one]
    assert [ms for frame in told for ms in frame.timestamps_ms.tolist()] == [record.timestamp for record in one_by_one]
    assert [key for frame in told for key in frame.deleted] == [each.key for each in one_by_one if each.value is None]
    for (frame, position), size in zip(frames, itertools.cycle(sizes)):
        assert len(frame) <= size
        if frame:
            assert (frame.topic, frame.partition) == FRAMED
            assert [frame.first_offset, frame.last_offset] == [
                stamp_ms - 1_000 for stamp_ms in frame.timestamps_ms[[0, -1]]
            ]
            assert position == frame.last_offset + 1 or position == end
    assert frames[-1][1] == end


def test_records_of_any_other_topic_are_what_faust_expects() -> None:
    plain = TopicPartition("plain", 0)
    [(records, _)] = helpings(plain, *fetched(plain, [Batch([0, 1, 2])], 0, READ_UNCOMMITTED), [5])
    assert all(isinstance(record, ConsumerRecord) for record in records)


def test_a_frame_ends_where_it_is_full_and_the_next_goes_on_there() -> None:
    frames = helpings(
        FRAMED, *fetched(FRAMED, [Batch([0, 1, 2]), Batch([0, 2])], FIRST_OFFSET + 1, READ_UNCOMMITTED), [1, 9]
    )
    assert [(frame.first_offset - FIRST_OFFSET, frame.last_offset - FIRST_OFFSET) for frame, _ in frames] == [
        (1, 1),
        (2, 5),
    ]
    assert [position - FIRST_OFFSET for _, position in frames] == [2, 6]
    assert frames[1][0].timestamps_ms.tolist() == [1_000 + FIRST_OFFSET + offset for offset in (2, 3, 5)]


def test_a_batch_that_is_corrupt_takes_nothing_along() -> None:
    """All from the position on is fetched again."""
    result, state = fetched(FRAMED, [Batch([0, 1]), Batch([0, 1])], FIRST_OFFSET, READ_UNCOMMITTED, crcs=True)
    good, bad = Batch([0, 1]).encoded(FIRST_OFFSET), bytearray(Batch([0, 1]).encoded(FIRST_OFFSET + 2))
    bad[CRC_AT] ^= 1
    result._partition_records._records = FetchedBytes(good + bytes(bad))
    store = Fetched(frozenset({FRAMED.topic}))
    store[FRAMED] = result
    with pytest.raises(CorruptRecordException):
        result.getall(9)
    assert state.position == FIRST_OFFSET
    assert not result.getall(9)
    assert not result.has_more()
    assert state.position == FIRST_OFFSET


def test_what_is_used_up_is_let_go_at_once() -> None:
    result, _ = fetched(FRAMED, [Batch([0, 1])], FIRST_OFFSET, READ_UNCOMMITTED)
    store = Fetched(frozenset({FRAMED.topic}))
    store[FRAMED] = result
    assert len(result.getall(9)) == 2
    gone = weakref.ref(result)
    gc.disable()
    try:
        del result, store
        assert gone() is None
    finally:
        gc.enable()


def test_a_partition_that_was_read_elsewhere_meanwhile_gives_nothing() -> None:
    result, state = fetched(FRAMED, [Batch([0, 1])], FIRST_OFFSET, READ_UNCOMMITTED)
    store = Fetched(frozenset({FRAMED.topic}))
    store[FRAMED] = result
    state.position = FIRST_OFFSET + 1
    assert not result.getall(9)
    assert not result.has_more()

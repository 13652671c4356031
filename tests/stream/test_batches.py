"""Records are found in a batch where aiokafka reads them; what is corrupt is refused."""

from typing import Any, Final

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from stream.batches import Records, count_records, read_batches

HEADER_BYTES: Final = 61
VERSION_AT, ATTRIBUTES_AT, COUNT_AT = 16, 22, 57
STAMPED_BY_BROKER, CODECS = 0x08, range(5)

texts = st.binary(max_size=200)
record = st.tuples(
    st.integers(0, 1 << 41),
    st.none() | texts,
    st.none() | texts,
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=2),
)
batch = st.tuples(
    st.dictionaries(st.integers(0, 1 << 20), record, min_size=1, max_size=6),
    st.integers(0, 1 << 50),
    st.sampled_from(CODECS),
    st.booleans(),
)


def encoded(records: dict[int, Any], base_offset: int, codec: int, stamped: bool) -> bytes:
    """A batch as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    for offset, (timestamp_ms, key, value, headers) in sorted(records.items()):
        builder.append(offset, timestamp=timestamp_ms, key=key, value=value, headers=headers)
    built = builder.build()
    built[:8] = base_offset.to_bytes(8, "big")
    if stamped:
        built[ATTRIBUTES_AT] |= STAMPED_BY_BROKER
    return bytes(built)


def read(*batches: bytes) -> Records:
    return read_batches([memoryview(each) for each in batches])


def told(records: Records) -> list[Any]:
    return list(
        zip(records.offsets.tolist(), records.timestamps_ms.tolist(), records.keys, records.values, strict=True)
    )


def one_by_one(batches: list[bytes]) -> list[Any]:
    """As aiokafka reads them."""
    found = (each for batch in batches for each in DefaultRecordBatch(batch))
    return [(each.offset, each.timestamp, each.key, each.value) for each in found]


@given(st.lists(batch, max_size=4))
def test_records_are_those_that_aiokafka_reads(drawn: list[Any]) -> None:
    batches = [encoded(*each) for each in drawn]
    assert told(read(*batches)) == one_by_one(batches)
    assert [count_records(memoryview(each)) for each in batches] == [len(records) for records, *_ in drawn]


@given(batch, st.data())
def test_what_is_corrupt_is_refused_or_stays_within_its_bytes(drawn: Any, data: st.DataObject) -> None:
    """A checksum comes before, but nothing else is to be relied on."""
    records, base_offset, _, stamped = drawn
    broken = bytearray(encoded(records, base_offset, 0, stamped))
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(HEADER_BYTES, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = broken[: data.draw(st.integers(HEADER_BYTES, len(broken)))]
    try:
        found = read(bytes(broken))
    except CorruptRecordException:
        return
    assert len(found.offsets) == len(records)
    for spans in (found.keys.spans, found.values.spans):
        assert (spans[:, 0] <= spans[:, 1]).all()
        assert ((spans >= 0) | (spans == -1)).all()
        assert (spans <= len(found.values.text)).all()


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (VERSION_AT, b"\x01", "of version 1"),
        (ATTRIBUTES_AT, b"\x07", "codec 7"),
        (COUNT_AT, b"\x00\x00\x00\x01", "do not fill it"),
        (COUNT_AT, b"\x00\x00\x00\x03", "do not fill it"),
        (COUNT_AT, b"\xff\xff\xff\xff", "-1 records in"),
        (COUNT_AT, b"\x7f\xff\xff\xff", "2147483647 records in"),
        (HEADER_BYTES, b"\xff" * 12, "do not fill it"),
    ],
)
def test_a_batch_that_cannot_be_read_is_named(at: int, value: bytes, said: str) -> None:
    good = encoded({0: (1, b"key", b"value", []), 1: (2, b"key", b"value", [])}, 700, 0, False)
    with pytest.raises(CorruptRecordException, match=f"batch at offset 900.*{said}"):
        read(good, (900).to_bytes(8, "big") + good[8:at] + value + good[at + len(value) :])

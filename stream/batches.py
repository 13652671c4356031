"""Record batches as a broker sends them: where their records stand, without an object of each.

The format is Kafka's, version 2 (https://kafka.apache.org/documentation/#recordbatch). Whether a batch counts is not
asked here.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Self

import numba as nb
import numpy as np
import numpy.typing as npt
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException

from geofence.compiling import UNCOUNTED
from stream.values import NULL, Values

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_VERSION: Final = 2
_CODEC, _STAMPED_BY_BROKER = 0b111, 0b1000
_DECODERS: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}
_SEVEN_BITS: Final = np.uint8(0x7F)
_MORE: Final = np.uint8(0x80)
_VARINT_BITS: Final = 64


class Records(NamedTuple):
    """Records in the order of their ``offsets`` int64[n], with their ``timestamps_ms`` int64[n]."""

    keys: Values
    values: Values
    offsets: npt.NDArray[np.int64]
    timestamps_ms: npt.NDArray[np.int64]

    def part(self, records: slice) -> Self:
        """Some of them."""
        return type(self)(self.keys[records], self.values[records], self.offsets[records], self.timestamps_ms[records])


def count_records(batch: memoryview) -> int:
    """How many records there are in an encoded batch, by its header."""
    return int(_HEADER.unpack_from(batch)[-1])


def read_batches(batches: Sequence[memoryview]) -> Records:
    """The records of encoded batches that follow one another.

    Raises:
        CorruptRecordException: A batch is of another version or compressed in an unknown way, or its records do not
            fill it.
    """
    texts, heads, end, count = [], [], 0, 0
    for batch in batches:
        base, _, _, version, _, attributes, _, first_ms, latest_ms, _, _, _, records = _HEADER.unpack_from(batch)
        codec = attributes & _CODEC
        if version != _VERSION or codec not in _DECODERS:
            raise CorruptRecordException(f"batch at offset {base} of version {version}, codec {codec}: cannot be read")
        text = _DECODERS[codec](batch[_HEADER.size :].tobytes())
        if not 0 <= records <= len(text):
            raise CorruptRecordException(f"batch at offset {base}: {records} records in {len(text)} bytes")
        texts.append(text)
        end += len(text)
        count += records
        heads.append((records, base, first_ms, latest_ms if attributes & _STAMPED_BY_BROKER else NULL, end))
    text = texts[0] if len(texts) == 1 else b"".join(texts)
    keys, values = np.empty((count, 2), np.int64), np.empty((count, 2), np.int64)
    offsets, timestamps_ms = np.empty(count, np.int64), np.empty(count, np.int64)
    head = np.array(heads, np.int64).reshape(len(heads), 5)
    corrupt = _locate(np.frombuffer(text, np.uint8), head, keys, values, offsets, timestamps_ms)
    if corrupt != NULL:
        raise CorruptRecordException(f"batch at offset {heads[corrupt][1]}: its records do not fill it")
    return Records(Values(text, keys), Values(text, values), offsets, timestamps_ms)


def warm_up() -> None:
    """Read no batch at all: so all is compiled."""
    read_batches([])


@nb.njit(**UNCOUNTED)
def _locate(text, heads, keys, values, offsets, timestamps_ms):  # type: ignore[no-untyped-def]
    """Fill the columns of the records of all batches; the first batch that is corrupt, ``NULL`` if none is.

    ``heads`` int64[batches, 5]: records, first offset, first timestamp, timestamp of all (``NULL``: each its own),
    end in ``text``.
    """
    at = 0
    record = 0
    for batch in range(len(heads)):
        count, base, first_ms, stamp_ms, batch_end = heads[batch]
        for _ in range(count):
            length, at = _varint(text, at, batch_end)
            end = at + length
            if not at <= end <= batch_end:
                return batch
            delta_ms, at = _varint(text, at + 1, end)  # a byte of attributes that nobody uses comes before it
            delta, at = _varint(text, at, end)
            at = _span(text, at, end, keys, record)
            at = _span(text, at, end, values, record)
            if at > end:
                return batch
            offsets[record] = base + delta
            timestamps_ms[record] = first_ms + delta_ms if stamp_ms == NULL else stamp_ms
            at = end  # past the headers
            record += 1
        if at != batch_end:
            return batch
    return NULL


@nb.njit(**UNCOUNTED)
def _span(text, at, end, spans, record):  # type: ignore[no-untyped-def]
    """Where a length and so many bytes stand; the position after them, which is past ``end`` where they do not."""
    length, at = _varint(text, at, end)
    if length > end - at:
        return end + 1
    begin = NULL if length < 0 else at
    at += max(length, 0)
    spans[record, 0], spans[record, 1] = begin, NULL if length < 0 else at
    return at


@nb.njit(**UNCOUNTED)
def _varint(text, at, end):  # type: ignore[no-untyped-def]
    """A zigzag number and the position after it, which is past ``end`` where it is not over by then."""
    number, shift = np.uint64(0), 0
    while at < end and shift < _VARINT_BITS:
        byte = text[np.uint64(at)]
        at += 1
        number |= np.uint64(byte & _SEVEN_BITS) << np.uint64(shift)
        shift += 7
        if byte < _MORE:
            return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), at
    return np.int64(0), end + 1

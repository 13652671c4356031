"""Frames: consecutive records of a partition, taken out of what aiokafka has fetched a batch at a time.

aiokafka makes an object of each record and of each of its parts, which takes longer than all else of fetching it. What
is left to aiokafka: which batches count (checksums, aborted transactions, control batches), and which offset to fetch
next once they are used up.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords

from stream.batches import Records, count_records, read_batches
from stream.values import Values

_BATCH_LENGTH: Final = slice(8, 12)
"""Where a batch says how many bytes of it follow."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Consecutive records of one partition: raw values and broker timestamps (epoch ms), oldest first.

    ``timestamps_ms`` int64[n]; ``deleted`` are the keys of those without a value, in their order.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    values: Values
    timestamps_ms: npt.NDArray[np.int64]
    deleted: Values

    def __len__(self) -> int:
        return len(self.values)


class FetchedBytes(MemoryRecords):  # type: ignore[misc]
    """What a broker sent of a partition; aiokafka does not let its own bytes be seen."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


fetcher.MemoryRecords = FetchedBytes


class Fetched(OrderedDict[Any, Any]):
    """What aiokafka has fetched, by partition: of framed topics its fetcher is given a frame where it asks for records.

    aiokafka compares the type of what it has fetched, so that the answer of the single object changes, not its class.
    """

    def __init__(self, framed_topics: frozenset[str]) -> None:
        super().__init__()
        self._framed_topics = framed_topics

    def __setitem__(self, tp: Any, result: Any) -> None:
        if tp.topic in self._framed_topics and isinstance(result, FetchResult):
            result._partition_records = _FramedRecords(tp, result._partition_records)
            result.getall = partial(_take_frame, result)
        super().__setitem__(tp, result)


def _take_frame(result: Any, max_records: int | None = None) -> Frame | tuple[()]:
    """``FetchResult.getall``: the next records; the partition's position is then the one after them."""
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return ()
    # Records that cannot be read take those before them along: all are fetched again.
    records, result._partition_records = result._partition_records, None
    frame: Frame | tuple[()] = records.take(sys.maxsize if max_records is None else max_records)
    result._partition_records = records
    result._update_position()
    if records.used_up:
        result._partition_records = None
        del result.getall  # it holds the result: what is used up waits for no collector
    return frame


class _FramedRecords:
    """Stands in for the records of a ``FetchResult``. ``next_fetch_offset`` is the one after those that were taken."""

    def __init__(self, tp: Any, records: PartitionRecords) -> None:
        records._records = _WholeBatches(records._records)
        records._consumer_record = _as_it_is
        self._tp = tp
        self._batches = records
        self._begun: list[memoryview] = []
        self._begun_left = 0
        self.next_fetch_offset = records.next_fetch_offset
        self.used_up = False

    def take(self, max_records: int) -> Frame | tuple[()]:
        """At most so many records; nothing where there are no more."""
        taken = self._take(max_records)
        while not len(taken.offsets) and not self.used_up:
            taken = self._take(max_records)
        if self.used_up:
            self.next_fetch_offset = self._batches.next_fetch_offset  # past batches at the end that do not count
        return _frame(self._tp, taken) if len(taken.offsets) else ()

    def _take(self, max_records: int) -> Records:
        batches = self._begun + self._more(max_records - self._begun_left)
        records = read_batches(batches)
        # A batch comes whole, also where its first records have been read before.
        records = records.part(slice(int(np.searchsorted(records.offsets, self.next_fetch_offset)), None))
        taken = records.part(slice(max_records))
        self._begun_left = len(records.offsets) - len(taken.offsets)
        self._begun = batches[-1:] if self._begun_left else []
        if len(taken.offsets):
            self.next_fetch_offset = int(taken.offsets[-1]) + 1
        return taken

    def _more(self, records: int) -> list[memoryview]:
        """Whole batches with so many records; where there are fewer, all is used up."""
        batches: list[memoryview] = []
        while records > 0:
            whole = next(self._batches, None)
            if whole is None:
                self.used_up = True
                break
            batches.append(whole.encoded)
            records -= count_records(whole.encoded)
        return batches


def _frame(tp: Any, records: Records) -> Frame:
    first_offset, last_offset = int(records.offsets[0]), int(records.offsets[-1])
    deleted = records.keys.at(records.values.null)
    return Frame(tp.topic, tp.partition, first_offset, last_offset, records.values, records.timestamps_ms, deleted)


class _WholeBatches:
    """Fetched batches, each as one with a single record."""

    def __init__(self, records: FetchedBytes) -> None:
        self._records = records
        self._unread = memoryview(records.fetched)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> "_WholeBatch":
        size = _BATCH_LENGTH.stop + int.from_bytes(self._unread[_BATCH_LENGTH])
        encoded, self._unread = self._unread[:size], self._unread[size:]
        return _WholeBatch(self._records.next_batch(), encoded)


class _WholeBatch:
    """A batch as aiokafka is to see it: its only record is itself, at its last offset."""

    def __init__(self, batch: Any, encoded: memoryview) -> None:
        self.batch = batch
        self.encoded = encoded
        self.offset = batch.next_offset - 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batch, name)

    def __iter__(self) -> Iterator["_WholeBatch"]:
        return iter((self,))

    def __next__(self) -> Any:
        return next(self.batch)  # the marker in a control batch


def _as_it_is(_tp: Any, record: Any) -> Any:
    return record

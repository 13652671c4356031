"""Frames: consecutive records of a partition, taken out of what aiokafka has fetched a batch at a time.

aiokafka makes an object of eleven fields of each record and hands it through two iterators, which takes longer than all
else of fetching it; a frame wants two of these fields. What is left to aiokafka: which batches count (checksums,
aborted transactions, control batches), and which offset to fetch next once they are used up.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords


@dataclass(frozen=True, slots=True)
class Frame:
    """Consecutive records of one partition: raw values and broker timestamps (epoch ms), oldest first.

    ``deleted`` are the keys of those without a value, in their order.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    values: list[bytes | None]
    timestamps_ms: list[int]
    deleted: list[bytes | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)


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
    frame = records.take(max_records)
    result._partition_records = records
    result._update_position()
    if records.used_up:
        result._partition_records = None
    return frame if len(frame) else ()


class _FramedRecords:
    """Stands in for the records of a ``FetchResult``. ``next_fetch_offset`` is the one after those that were taken."""

    def __init__(self, tp: Any, records: PartitionRecords) -> None:
        records._records = _WholeBatches(records._records)
        records._consumer_record = _as_it_is
        self._tp = tp
        self._batches = records
        self._records = chain.from_iterable(whole.batch for whole in records)
        self.next_fetch_offset = records.next_fetch_offset
        self.used_up = False

    def take(self, max_records: int | None) -> Frame:
        """At most so many records, fewer only where no more have been fetched."""
        values: list[bytes | None] = []
        timestamps_ms: list[int] = []
        deleted: list[bytes | None] = []
        offset = first_offset = from_offset = self.next_fetch_offset
        # aiokafka's records are let go one by one: to have all of them at once takes three times as long.
        for record in self._records:
            offset = record.offset
            if offset < from_offset:
                continue  # a batch comes whole, also where its first records have been read before
            if not values:
                first_offset = offset
            value = record.value
            values.append(value)
            if value is None:
                deleted.append(record.key)
            timestamps_ms.append(record.timestamp)
            if len(values) == max_records:
                self.next_fetch_offset = offset + 1
                break
        else:
            self.next_fetch_offset = self._batches.next_fetch_offset  # past batches at the end that do not count
            self.used_up = True
        return Frame(self._tp.topic, self._tp.partition, first_offset, offset, values, timestamps_ms, deleted)


class _WholeBatches:
    """Fetched batches, each as one with a single record."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> "_WholeBatch":
        return _WholeBatch(self._records.next_batch())


class _WholeBatch:
    """A batch as aiokafka is to see it: its only record is itself, at its last offset."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.offset = batch.next_offset - 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batch, name)

    def __iter__(self) -> Iterator["_WholeBatch"]:
        return iter((self,))

    def __next__(self) -> Any:
        return next(self.batch)  # the marker in a control batch


def _as_it_is(_tp: Any, record: Any) -> Any:
    return record

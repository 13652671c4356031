"""The table of checkpoints as Faust knows it, its keys, and what becomes of a checkpoint that cannot be read."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from faust.stores import STORES, memory
from faust.types import TP, EventT

from geofence.changes import IncompleteError
from stream.tracker.packing import FormatError
from stream.tracker.partition import FORGETFUL, PartitionTracks

TOLD: Final = "told"
"""Names the offset up to which a checkpoint knows ``onsite.visits``."""

STORE_URL: Final = "restored://once"
STORES.aliases["restored"] = "stream.tracker.checkpoints:RestoredOnce"

log = structlog.get_logger()


class RestoredOnce(memory.Store[bytes, bytes]):
    """What Faust reads of the changelog, until it is taken; nothing is kept of what is written.

    So each time partitions are assigned their changelog is read from its beginning. ``ends`` is where it ended, by
    partition.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ends: dict[int, int] = {}

    def persisted_offset(self, _tp: TP) -> int | None:
        """Nothing has been read before: -1."""
        return -1

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]], to_key: Any, to_value: Any) -> None:
        """Take note of records, the newest of each key."""
        events = list(batch)
        super().apply_changelog_batch(events, to_key, to_value)
        self.ends.update((event.message.partition, event.message.offset + 1) for event in events)

    def take(self) -> tuple[dict[int, dict[str, bytes]], dict[int, int]]:
        """The records by partition and name, and where each partition ended."""
        records: dict[int, dict[str, bytes]] = {}
        for key, value in self.data.items():
            number, _, name = key.decode().partition(":")
            records.setdefault(int(number), {})[name] = value
        ends = self.ends
        self.data, self.ends = {}, {}
        self._key_partition.clear()
        return records, ends


def key_of(partition: int, name: str) -> bytes:
    """The table's key of a record of a partition."""
    return f"{partition}:{name}".encode()


def restored(number: int, records: Mapping[str, bytes], since_ms: int, acknowledged: int = 0) -> PartitionTracks:
    """A partition as its checkpoint says; without its devices where no sense can be made of it, or where it is lost.

    So many of its pings were ``acknowledged``: there was a checkpoint, if there were any.
    """
    if acknowledged > 0 and not records:
        log.warning("checkpoint lost, devices begin anew", partition=number)
        return PartitionTracks(since_ms, forgetful=True, discarding=())
    journal = {name: value for name, value in records.items() if name not in (TOLD, FORGETFUL)}
    partition = PartitionTracks(since_ms, forgetful=FORGETFUL in records)
    try:
        partition.restore(journal)
    except (FormatError, IncompleteError) as error:
        log.warning("checkpoint set aside, devices begin anew", partition=number, records=len(journal), why=str(error))
        partition = PartitionTracks(since_ms, forgetful=True, discarding=journal)
    return partition

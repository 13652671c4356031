"""A Faust table's changelog as it is read when partitions are assigned: taken once, kept elsewhere."""

from collections.abc import Iterable
from typing import Any, Final

from faust.stores import STORES, memory
from faust.types import TP, EventT

from schemas.settings import Settings

STORE_URL: Final = "restored://once"
STORES.aliases["restored"] = "stream.restored:RestoredOnce"


def compacted_within(settings: Settings) -> dict[str, str]:
    """Of a changelog: how long the older records of a key stay, as for all compacted topics."""
    lag_ms = str(round(1000 * settings.compaction_lag_s))
    return {"max.compaction.lag.ms": lag_ms, "delete.retention.ms": lag_ms}


class RestoredOnce(memory.Store[bytes, bytes]):
    """What Faust reads of the changelog, until it is taken; nothing is kept of what is written.

    So each time partitions are assigned their changelog is read from its beginning.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._records: dict[int, dict[bytes, bytes]] = {}
        self._ends: dict[int, int] = {}

    def persisted_offset(self, _tp: TP) -> int | None:
        """Nothing has been read before: -1."""
        return -1

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]], to_key: Any, to_value: Any) -> None:  # noqa: ARG002
        """Take note of records, the newest of each key."""
        for event in batch:
            message = event.message
            records = self._records.setdefault(message.partition, {})
            key = message.key or b""
            if message.value is None:
                records.pop(key, None)
            else:
                records[key] = message.value
            self._ends[message.partition] = message.offset + 1

    def take(self) -> tuple[dict[int, dict[bytes, bytes]], dict[int, int]]:
        """The records by partition and key, and where each partition ended."""
        taken = self._records, self._ends
        self._records, self._ends = {}, {}
        return taken

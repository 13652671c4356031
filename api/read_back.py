"""Writing to a compacted topic: the answer waits until this process's own read model has what was written."""

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

from api.ports import EventLog, ReadModel
from schemas import wire
from schemas.times import Instant
from schemas.topics import LogUnavailable, Topic

_APPEND_AT_ONCE: Final = 500
_READ_BACK_S: Final = 10.0


class Stamped(Protocol):
    """A record that says when it was written; each state of it has a moment of its own."""

    @property
    def updated_at(self) -> Instant:
        """Later than that of the state before."""


S = TypeVar("S", bound=Stamped)


async def append_and_read_back(log: EventLog, topic: Topic, model: ReadModel[S], records: Mapping[str, S]) -> None:
    """Append records by key, and wait until the read model has them, or newer ones; raises LogUnavailable."""
    keys = list(records)
    for start in range(0, len(keys), _APPEND_AT_ONCE):
        some = keys[start : start + _APPEND_AT_ONCE]
        await log.append(topic, [(key, wire.encode(records[key])) for key in some])
    unseen = {key: record.updated_at for key, record in records.items()}

    def all_seen() -> bool:
        for key in list(unseen):
            seen = model.records.get(key)
            if seen is None or seen.updated_at < unseen[key]:
                return False
            del unseen[key]
        return True

    if not await model.until(all_seen, _READ_BACK_S):
        raise LogUnavailable("it is written, but was not read back in time")

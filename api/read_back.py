"""Writing to a compacted topic: the answer waits until this process's own read model has what was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from api.audit import put_on_record
from api.auth import Principal
from api.ports import EventLog, ReadModel
from schemas import wire
from schemas.audit import Change
from schemas.times import Instant
from schemas.topics import MAX_RECORD_BYTES, LogUnavailable, RecordTooLarge, Topic

_APPEND_AT_ONCE: Final = 500
_READ_BACK_S: Final = 10.0


class Stamped(Protocol):
    """A record that says when it was written; each state of it has a moment of its own."""

    @property
    def updated_at(self) -> Instant:
        """Later than that of the state before."""


S = TypeVar("S", bound=Stamped)


@dataclass(frozen=True)
class Audit:
    """Who writes, when, and what they change."""

    principal: Principal
    at: Instant
    changes: Sequence[Change]


async def append_and_read_back(
    log: EventLog, topic: Topic, model: ReadModel[S], records: Mapping[str, S], audit: Audit
) -> None:
    """Append records by key, and wait until the read model has them, or newer ones.

    Raises LogUnavailable, and RecordTooLarge before anything is written.
    """
    encoded = [(key, wire.encode(record)) for key, record in records.items()]
    for key, value in encoded:
        if len(value) > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"the record {key!r} has {len(value)} bytes, over {MAX_RECORD_BYTES}")
    await put_on_record(log, audit.principal, audit.at, audit.changes)
    for start in range(0, len(encoded), _APPEND_AT_ONCE):
        await log.append(topic, encoded[start : start + _APPEND_AT_ONCE])
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

"""The table ``events``: what was told to whoever subscribes."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas import wire
from schemas.event import Event
from schemas.tables.table import MOMENT, Table, moments

COLUMNS: Final = pa.schema(
    [
        ("event_id", pa.string()),
        ("type", pa.string()),
        ("subject", pa.string()),
        ("time", MOMENT),
        ("recorded_at", MOMENT),
        ("branch", pa.string()),
        ("branch_of_fence", pa.string()),
        ("data", pa.string()),
        ("event", pa.string()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- events are kept
    """The table. An event that is told again has the same id, and is stored once."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.events
(
    event_id String CODEC(ZSTD(1)) COMMENT 'follows from what happened; receivers know it as webhook-id',
    type LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'job.completed and others: docs/events.md',
    subject String CODEC(ZSTD(1)) COMMENT 'the job or the visit',
    time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it happened',
    recorded_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when that became known',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch it belongs to',
    branch_of_fence Nullable(String) CODEC(ZSTD(1)) COMMENT 'of a visit: that of its fence',
    data String CODEC(ZSTD(3)) COMMENT 'JSON: what was told',
    event String CODEC(ZSTD(3)) COMMENT 'JSON: the rest of it, as it was sent',
    INDEX by_recorded recorded_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(recorded_at)
ORDER BY event_id
COMMENT 'what was told to whoever subscribes; read with FINAL'
""",
    )


def batch(events: Sequence[Event]) -> pa.RecordBatch:
    """The rows of events."""
    return pa.record_batch(
        {
            "event_id": [event.id for event in events],
            "type": [event.type for event in events],
            "subject": [event.subject for event in events],
            "time": moments([event.time for event in events]),
            "recorded_at": moments([event.recorded_at for event in events]),
            "branch": [event.branch for event in events],
            "branch_of_fence": [event.branch_of_fence for event in events],
            "data": [wire.encode(event.data).decode() for event in events],
            "event": [wire.encode(msgspec.structs.replace(event, data={})).decode() for event in events],
        },
        schema=COLUMNS,
    )


SELECTED: Final = "event, data"
"""What to select of an event to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[Event]:
    """Events from rows of ``SELECTED``."""
    return [msgspec.structs.replace(wire.decode(Event, event), data=msgspec.json.decode(data)) for event, data in rows]


EVENTS: Final = Table("events", statements, Event, COLUMNS, batch)

"""The table ``notifications``: who was told what of a job, or why not."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas import wire
from schemas.notice import Notice
from schemas.tables.table import MOMENT, Table, moments

_MOMENTS: Final = {
    "event_at": "event_at",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "due_at": "due_at",
    "sent_at": "sent_at",
    "window_from": "from_ms",
    "window_to": "to_ms",
}
"""Columns of moments, and the fields they are filled from."""

COLUMNS: Final = pa.schema(
    [
        ("notice_id", pa.string()),
        ("job_id", pa.string()),
        ("audience", pa.string()),
        ("kind", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("channel", pa.string()),
        ("recipient_id", pa.string()),
        ("branch", pa.string()),
        ("language", pa.string()),
        ("event_at", MOMENT),
        ("created_at", MOMENT),
        ("updated_at", MOMENT),
        ("due_at", MOMENT),
        ("sent_at", MOMENT),
        ("attempt", pa.uint16()),
        ("window_from", MOMENT),
        ("window_to", MOMENT),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- notices are kept
    """The table: of a notice its newest record."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.notifications
(
    notice_id String CODEC(ZSTD(1)) COMMENT 'the notice',
    job_id String CODEC(ZSTD(1)) COMMENT 'what it is about',
    audience LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'customer, technician or dispatcher',
    kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what they are told',
    status LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'pending, sent, suppressed or failed',
    reason Nullable(String) CODEC(ZSTD(1)) COMMENT 'why it was suppressed or has failed',
    channel Nullable(String) CODEC(ZSTD(1)) COMMENT 'by which channel of the rules',
    recipient_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'the customer or technician; NULL = a dispatcher, or erased',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch of the job',
    language Nullable(String) CODEC(ZSTD(1)) COMMENT 'in which it is written',
    event_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when that happened which is told',
    created_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when there was something to tell',
    updated_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when the record was last written',
    due_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when a pending one goes out',
    sent_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when the channel was given it',
    attempt UInt16 CODEC(ZSTD(1)) COMMENT 'attempts that were made',
    window_from Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'the window that is told begins',
    window_to Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'and ends'
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (job_id, notice_id)
COMMENT 'who was told what of a job, or why not; read with FINAL'
""",
    )


def batch(notices: Sequence[Notice]) -> pa.RecordBatch:
    """The rows of notices."""
    columns: dict[str, object] = {
        name: moments([getattr(each, of) for each in notices]) for name, of in _MOMENTS.items()
    }
    columns |= {name: [getattr(each, name) for each in notices] for name in COLUMNS.names if name not in _MOMENTS}
    return pa.record_batch({name: columns[name] for name in COLUMNS.names}, schema=COLUMNS)


SELECTED: Final = ", ".join(
    f"toUnixTimestamp64Milli(notifications.{name}) AS {name}_ms" if name in _MOMENTS else name for name in COLUMNS.names
)
"""What to select of a notice to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[Notice]:
    """Notices from rows of ``SELECTED``."""
    return [wire.from_builtins(Notice, dict(zip(COLUMNS.names, row, strict=True)), strict=True) for row in rows]


NOTIFICATIONS: Final = Table("notifications", statements, Notice, COLUMNS, batch)

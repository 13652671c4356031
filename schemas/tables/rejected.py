"""The table ``rejected``: what was refused at the door or could not be read, with the reason."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas import wire
from schemas.rejected import RejectedPing
from schemas.tables.table import MOMENT, Table, moments

COLUMNS: Final = pa.schema(
    [
        ("received_at", MOMENT),
        ("content_id", pa.string()),
        ("device_id", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
        ("protocol", pa.string()),
        ("raw", pa.string()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:
    """The table, in the order in which it is read. Its key stands for all of a record: a replayed insert collapses."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.rejected
(
    received_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the server received it',
    content_id String CODEC(ZSTD(1)) COMMENT 'a hash of the rest: the same item, refused again, has the same',
    device_id String CODEC(ZSTD(1)) COMMENT 'the phone or vehicle; empty where it could not be read',
    code LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'why, for counting',
    reason String CODEC(ZSTD(1)) COMMENT 'why, for people',
    protocol LowCardinality(String) CODEC(ZSTD(1))
        COMMENT 'the door it came through; kafka: a record that nobody can read',
    raw String CODEC(ZSTD(3)) COMMENT 'what came, as a body with this item alone',
    INDEX by_device device_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (received_at, content_id)
TTL toDateTime(received_at) + toIntervalDay({retention_days})
COMMENT 'what was refused; read with FINAL'
""",
    )


def batch(records: Sequence[RejectedPing]) -> pa.RecordBatch:
    """The rows of what was refused."""
    return pa.record_batch(
        {
            "received_at": moments([record.received_at for record in records]),
            "content_id": [record.content_id() for record in records],
            "device_id": [record.device_id for record in records],
            "code": [record.code for record in records],
            "reason": [record.reason for record in records],
            "protocol": [record.protocol for record in records],
            "raw": [record.raw for record in records],
        },
        schema=COLUMNS,
    )


SELECTED: Final = "device_id, code, reason, toUnixTimestamp64Milli(received_at), protocol, raw"
"""What to select of a record to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[RejectedPing]:
    """Records from rows of ``SELECTED``."""
    names = RejectedPing.__struct_encode_fields__
    return [wire.from_builtins(RejectedPing, dict(zip(names, row, strict=True))) for row in rows]


REJECTED: Final = Table("rejected", statements, RejectedPing, COLUMNS, batch)

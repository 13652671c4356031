"""The table ``audit``: what was written, by whom."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas import wire
from schemas.audit import Actor, AuditRecord
from schemas.tables.table import MOMENT, Table, moments
from schemas.times import Instant

COLUMNS: Final = pa.schema(
    [
        ("at", MOMENT),
        ("audit_id", pa.string()),
        ("actor_way", pa.string()),
        ("actor_id", pa.string()),
        ("actor_name", pa.string()),
        ("role", pa.string()),
        ("action", pa.string()),
        ("kind", pa.string()),
        ("id", pa.string()),
        ("branch", pa.string()),
        ("before", pa.string()),
        ("after", pa.string()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- what was written is kept
    """The table, in the order in which it is read. Its key stands for all of a record: a replayed insert collapses."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.audit
(
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when it was written',
    audit_id String CODEC(ZSTD(1)) COMMENT 'a hash of the rest',
    actor_way LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'how they showed who they are: key, oidc, session or cli',
    actor_id String CODEC(ZSTD(1))
        COMMENT 'who: the id of a key, the subject of a token, an account, a user of the machine',
    actor_name String CODEC(ZSTD(1)) COMMENT 'the same for people',
    role LowCardinality(Nullable(String)) CODEC(ZSTD(1)) COMMENT 'the role they had; NULL on the command line',
    action LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'created, edited, removed and others',
    kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what was written: fence, technician, key and others',
    id String CODEC(ZSTD(1)) COMMENT 'which one',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch it belongs to',
    before Nullable(String) CODEC(ZSTD(3)) COMMENT 'what there was of it, JSON',
    after Nullable(String) CODEC(ZSTD(3)) COMMENT 'what there is of it since, JSON',
    INDEX by_id id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, audit_id)
COMMENT 'what was written, by whom; read with FINAL'
""",
    )


def batch(records: Sequence[AuditRecord]) -> pa.RecordBatch:
    """The rows of what was written."""
    return pa.record_batch(
        {
            "at": moments([record.at for record in records]),
            "audit_id": [record.audit_id for record in records],
            "actor_way": [record.actor.way for record in records],
            "actor_id": [record.actor.identity for record in records],
            "actor_name": [record.actor.name for record in records],
            "role": [record.role for record in records],
            "action": [record.action for record in records],
            "kind": [record.kind for record in records],
            "id": [record.id for record in records],
            "branch": [record.branch for record in records],
            "before": [_json(record.before) for record in records],
            "after": [_json(record.after) for record in records],
        },
        schema=COLUMNS,
    )


SELECTED: Final = (
    "toUnixTimestamp64Milli(at), audit_id, actor_way, actor_id, actor_name, role, action, kind, id, branch, "
    "before, after"
)
"""What to select of a record to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[AuditRecord]:
    """Records from rows of ``SELECTED``."""
    return [_of_row(*row) for row in rows]


def _of_row(
    at: int, audit_id: str, way: Any, who: str, name: str, role: str | None, action: str, kind: str, thing_id: str,
    branch: str | None, before: str | None, after: str | None,
) -> AuditRecord:  # fmt: skip
    actor = Actor(way, who, name)
    return AuditRecord(audit_id, Instant(at), actor, role, action, kind, thing_id, branch, _read(before), _read(after))


def _json(content: dict[str, Any] | None) -> str | None:
    return None if content is None else wire.encode(content).decode()


def _read(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text)


AUDIT: Final = Table("audit", statements, AuditRecord, COLUMNS, batch)

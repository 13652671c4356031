"""The table ``webhook_deliveries``: how the delivery of each event to each webhook stands."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas.tables.table import MOMENT, Table, moments
from schemas.times import Instant
from schemas.webhook import Delivery

COLUMNS: Final = pa.schema(
    [
        ("webhook_id", pa.string()),
        ("event_id", pa.string()),
        ("event_type", pa.string()),
        ("branch", pa.string()),
        ("at", MOMENT),
        ("outcome", pa.string()),
        ("attempt", pa.uint16()),
        ("status", pa.uint16()),
        ("error", pa.string()),
        ("answer", pa.string()),
        ("duration_s", pa.float64()),
        ("next_at", MOMENT),
    ]
)

_PLAIN: Final = tuple(name for name in COLUMNS.names if name not in ("at", "next_at"))


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- deliveries are kept
    """The table: of a delivery that was tried again the newest attempt."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.webhook_deliveries
(
    webhook_id String CODEC(ZSTD(1)) COMMENT 'who was to be told',
    event_id String CODEC(ZSTD(1)) COMMENT 'of what',
    event_type LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'of what kind',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch of the webhook',
    at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'of the newest attempt',
    outcome LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'delivered, retrying or failed: a dead letter',
    attempt UInt16 CODEC(ZSTD(1)) COMMENT 'its number, from 1; 0 = given up without one',
    status Nullable(UInt16) CODEC(ZSTD(1)) COMMENT 'what the receiver answered',
    error Nullable(String) CODEC(ZSTD(1)) COMMENT 'why there was no answer',
    answer String CODEC(ZSTD(1)) COMMENT 'its first characters',
    duration_s Float64 CODEC(ZSTD(1)) COMMENT 'seconds until it was there',
    next_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when it is tried again; NULL = no more'
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (webhook_id, event_id)
COMMENT 'how the delivery of each event stands; read with FINAL'
""",
    )


def batch(deliveries: Sequence[Delivery]) -> pa.RecordBatch:
    """The rows of deliveries."""
    columns: dict[str, object] = {name: [getattr(each, name) for each in deliveries] for name in _PLAIN}
    columns["at"] = moments([each.at for each in deliveries])
    columns["next_at"] = moments([each.next_at for each in deliveries])
    return pa.record_batch({name: columns[name] for name in COLUMNS.names}, schema=COLUMNS)


SELECTED: Final = (
    "webhook_id, event_id, event_type, branch, toUnixTimestamp64Milli(at) AS at_ms, outcome, attempt, status, error, "
    "answer, duration_s, if(next_at IS NULL, NULL, toUnixTimestamp64Milli(assumeNotNull(next_at)))"
)
"""What to select of a delivery to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[Delivery]:
    """Deliveries from rows of ``SELECTED``."""
    found = []
    for row in rows:
        fields = dict(zip(COLUMNS.names, row, strict=True))
        fields["at"] = Instant(fields["at"])
        fields["next_at"] = None if fields["next_at"] is None else Instant(fields["next_at"])
        found.append(Delivery(**fields))
    return found


WEBHOOK_DELIVERIES: Final = Table("webhook_deliveries", statements, Delivery, COLUMNS, batch)

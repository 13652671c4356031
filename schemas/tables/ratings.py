"""The table ``ratings``: how satisfied customers were, the newest word of each job's."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from schemas.tables.table import MOMENT, Table, moments
from schemas.tracking import TrackingRecord

COLUMNS: Final = pa.schema(
    [("job_id", pa.string()), ("rating", pa.uint8()), ("comment", pa.string()), ("rated_at", MOMENT)]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- ratings are kept
    """The table; a rating that is changed replaces the one before."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.ratings
(
    job_id String CODEC(ZSTD(1)) COMMENT 'the job',
    rating UInt8 CODEC(ZSTD(1)) COMMENT '1 to 5 stars',
    comment Nullable(String) CODEC(ZSTD(3)) COMMENT 'what the customer said with it',
    rated_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when they said it last'
)
ENGINE = ReplacingMergeTree(rated_at)
ORDER BY job_id
COMMENT 'how satisfied customers were; read with FINAL'
""",
    )


def batch(records: Sequence[TrackingRecord]) -> pa.RecordBatch:
    """The rows of those that were rated."""
    rated = [each for each in records if each.rating is not None]
    return pa.record_batch(
        {
            "job_id": [each.job_id for each in rated],
            "rating": [each.rating for each in rated],
            "comment": [each.comment for each in rated],
            "rated_at": moments([each.rated_at for each in rated]),
        },
        schema=COLUMNS,
    )


RATINGS: Final = Table("ratings", statements, TrackingRecord, COLUMNS, batch)

"""The table ``requests``: the newest record of each service request."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from schemas import wire
from schemas.service_request import ServiceRequest
from schemas.tables.table import MOMENT, Table, moments

_TEXTS: Final = pa.list_(pa.string())

COLUMNS: Final = pa.schema(
    [
        ("request_id", pa.string()),
        ("external_id", pa.string()),
        ("branch", pa.string()),
        ("state", pa.string()),
        ("created_at", MOMENT),
        ("updated_at", MOMENT),
        ("customer_id", pa.string()),
        ("customer_name", pa.string()),
        ("site_id", pa.string()),
        ("address", pa.string()),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("wished", pa.string()),
        ("priority", pa.string()),
        ("skills", _TEXTS),
        ("job_id", pa.string()),
        ("reason", pa.string()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- requests are kept
    """The table; a record that is written again replaces the one before."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.requests
(
    request_id String CODEC(ZSTD(1)) COMMENT 'the request',
    external_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'its id where it comes from',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch it belongs to',
    state LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'received, accepted or declined',
    created_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it came',
    updated_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when the record was last written',
    customer_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'who asks, where that is a customer',
    customer_name Nullable(String) CODEC(ZSTD(1)) COMMENT 'who asks, as they called themselves',
    site_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'where, of the known sites',
    address Nullable(String) CODEC(ZSTD(1)) COMMENT 'where, as people write it',
    lat Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'latitude in degrees',
    lon Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'longitude in degrees',
    title String CODEC(ZSTD(1)) COMMENT 'what is asked for',
    description String CODEC(ZSTD(3)) COMMENT 'the same at length',
    wished String CODEC(ZSTD(1)) COMMENT 'JSON: times that would suit, the best first',
    priority LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'emergency, high, normal or low',
    skills Array(String) CODEC(ZSTD(1)) COMMENT 'what it takes',
    job_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'the job that was made of it',
    reason Nullable(String) CODEC(ZSTD(1)) COMMENT 'why it was declined'
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY request_id
COMMENT 'what customers asked for, the newest record of each; read with FINAL'
""",
    )


def batch(requests: Sequence[ServiceRequest]) -> pa.RecordBatch:
    """The rows of requests."""
    made = {
        "created_at": moments([each.created_at for each in requests]),
        "updated_at": moments([each.updated_at for each in requests]),
        "customer_name": [each.customer and each.customer.name for each in requests],
        "wished": [wire.encode(each.wished).decode() for each in requests],
    }
    plain = {name: [getattr(each, name) for each in requests] for name in COLUMNS.names if name not in made}
    return pa.record_batch(plain | made, schema=COLUMNS)


REQUESTS: Final = Table("requests", statements, ServiceRequest, COLUMNS, batch)

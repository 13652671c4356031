"""The table ``etas``: what was said when of arrivals."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas import wire
from schemas.eta import Eta
from schemas.tables.table import MOMENT, Table, moments

COLUMNS: Final = pa.schema(
    [
        ("job_id", pa.string()),
        ("computed_at", MOMENT),
        ("eta", MOMENT),
        ("window_from", MOMENT),
        ("window_to", MOMENT),
        ("level", pa.float64()),
        ("provider", pa.string()),
        ("distance_m", pa.float64()),
        ("device_id", pa.string()),
        ("technician_id", pa.string()),
        ("seen_at", MOMENT),
        ("stops_before", pa.uint16()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:
    """The table. An ETA that is told again is stored once; rows age by when they were said, as pings do."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.etas
(
    job_id String CODEC(ZSTD(1)) COMMENT 'the job that somebody will be at',
    computed_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when it was said',
    eta DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'of the arrival, the best estimate',
    window_from DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'the arrival is in the window, from',
    window_to DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'to',
    level Float64 CODEC(ZSTD(1)) COMMENT 'with this probability, 0 to 1',
    provider LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'who knows the way: osrm, straight_line',
    distance_m Float64 CODEC(ZSTD(1)) COMMENT 'metres of it',
    device_id LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'whose fix it goes by',
    technician_id String CODEC(ZSTD(1)) COMMENT 'who will be there',
    seen_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the fix was taken',
    stops_before UInt16 CODEC(T64, ZSTD(1)) COMMENT 'jobs that are done before; the way is from the last of them',
    INDEX by_device device_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(computed_at)
ORDER BY (job_id, computed_at)
TTL toDateTime(computed_at) + toIntervalDay({retention_days})
COMMENT 'every ETA that was said; read with FINAL'
""",
    )


def batch(etas: Sequence[Eta]) -> pa.RecordBatch:
    """The rows of ETAs."""
    return pa.record_batch(
        {
            "job_id": [each.job_id for each in etas],
            "computed_at": moments([each.computed_at for each in etas]),
            "eta": moments([each.eta for each in etas]),
            "window_from": moments([each.from_ms for each in etas]),
            "window_to": moments([each.to_ms for each in etas]),
            "level": [each.level for each in etas],
            "provider": [each.provider for each in etas],
            "distance_m": [each.distance_m for each in etas],
            "device_id": [each.device_id for each in etas],
            "technician_id": [each.technician_id for each in etas],
            "seen_at": moments([each.seen_ms for each in etas]),
            "stops_before": [each.stops_before for each in etas],
        },
        schema=COLUMNS,
    )


SELECTED: Final = """
    job_id,
    toUnixTimestamp64Milli(eta),
    toUnixTimestamp64Milli(window_from),
    toUnixTimestamp64Milli(window_to),
    level, provider,
    toUnixTimestamp64Milli(computed_at),
    distance_m, device_id, technician_id,
    toUnixTimestamp64Milli(seen_at),
    stops_before
"""
"""What to select of an ETA to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[Eta]:
    """ETAs from rows of ``SELECTED``."""
    names = Eta.__struct_encode_fields__
    return [wire.from_builtins(Eta, dict(zip(names, row, strict=True))) for row in rows]


ETAS: Final = Table("etas", statements, Eta, COLUMNS, batch)

"""The tables ``visit_revisions`` (every revision) and ``visits`` (the newest of each), and the view ``visits_now``."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas import wire
from schemas.tables.table import MOMENT, Table, moments
from schemas.visit import Visit

COLUMNS: Final = pa.schema(
    [
        ("visit_id", pa.string()),
        ("device_id", pa.string()),
        ("fence_id", pa.string()),
        ("fence_version", pa.int32()),
        ("job_id", pa.string()),
        ("state", pa.string()),
        ("revision", pa.uint32()),
        ("arrived_at", MOMENT),
        ("arrived_earliest", MOMENT),
        ("arrived_latest", MOMENT),
        ("departed_at", MOMENT),
        ("departed_earliest", MOMENT),
        ("departed_latest", MOMENT),
        ("on_site_s", pa.float64()),
        ("on_site_min_s", pa.float64()),
        ("on_site_max_s", pa.float64()),
        ("confidence", pa.float64()),
        ("reason", pa.string()),
        ("fixes", pa.uint32()),
    ]
)

_COLUMN_DDL: Final = """
    visit_id String CODEC(ZSTD(1)) COMMENT 'keeps through all revisions',
    device_id LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'who was there',
    fence_id LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'where',
    fence_version Int32 CODEC(T64, ZSTD(1)) COMMENT 'the version of the fence it was judged by',
    job_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'the job it belongs to',
    state LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'open, confirmed, closed or retracted',
    revision UInt32 CODEC(T64, ZSTD(1)) COMMENT '1, 2, ...; the greatest holds',
    arrived_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'of the arrival, the best estimate',
    arrived_earliest DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'not before',
    arrived_latest DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'not after',
    departed_at Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)) COMMENT 'of the departure; NULL while there',
    departed_earliest Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)) COMMENT 'not before',
    departed_latest Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)) COMMENT 'not after',
    on_site_s Float64 CODEC(ZSTD(1)) COMMENT 'seconds on site; while there, to the last fix the revision knew',
    on_site_min_s Float64 CODEC(ZSTD(1)) COMMENT 'at least',
    on_site_max_s Float64 CODEC(ZSTD(1)) COMMENT 'at most',
    confidence Float64 CODEC(ZSTD(1)) COMMENT '0 to 1',
    reason LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what made this revision',
    fixes UInt32 CODEC(T64, ZSTD(1)) COMMENT 'fixes between arrival and departure',
    INDEX by_visit visit_id TYPE bloom_filter GRANULARITY 1,
    INDEX by_fence fence_id TYPE bloom_filter GRANULARITY 1
"""


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- visits are kept
    """Rows go into ``visit_revisions`` and flow on into ``visits``, where the newest revision of each visit wins.

    The keys hold only what never changes in a visit, so that a replayed or revised one meets its earlier row: times
    may be revised, also across a month, and are therefore neither in the key nor in a partition.
    """
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.visits
({_COLUMN_DDL})
ENGINE = ReplacingMergeTree(revision)
ORDER BY (device_id, fence_id, visit_id)
COMMENT 'the newest revision of each visit; read with FINAL, or from the view visits_now'
""",
        f"""
CREATE TABLE IF NOT EXISTS {database}.visit_revisions
({_COLUMN_DDL})
ENGINE = ReplacingMergeTree
ORDER BY (device_id, visit_id, revision)
COMMENT 'every revision of each visit; read with FINAL'
""",
        f"""
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.visits_from_revisions TO {database}.visits AS
SELECT * FROM {database}.visit_revisions
""",
        f"""
CREATE OR REPLACE VIEW {database}.visits_now AS
SELECT * FROM {database}.visits FINAL WHERE state != 'retracted'
""",
    )


def batch(visits: Sequence[Visit]) -> pa.RecordBatch:
    """The rows of visit revisions."""
    return pa.record_batch(
        {
            "visit_id": [visit.visit_id for visit in visits],
            "device_id": [visit.device_id for visit in visits],
            "fence_id": [visit.fence_id for visit in visits],
            "fence_version": [visit.fence_version for visit in visits],
            "job_id": [visit.job_id for visit in visits],
            "state": [visit.state for visit in visits],
            "revision": [visit.revision for visit in visits],
            "arrived_at": moments([visit.arrived_ms for visit in visits]),
            "arrived_earliest": moments([visit.arrived_earliest_ms for visit in visits]),
            "arrived_latest": moments([visit.arrived_latest_ms for visit in visits]),
            "departed_at": moments([visit.departed_ms for visit in visits]),
            "departed_earliest": moments([visit.departed_earliest_ms for visit in visits]),
            "departed_latest": moments([visit.departed_latest_ms for visit in visits]),
            "on_site_s": [visit.on_site_s for visit in visits],
            "on_site_min_s": [visit.on_site_min_s for visit in visits],
            "on_site_max_s": [visit.on_site_max_s for visit in visits],
            "confidence": [visit.confidence for visit in visits],
            "reason": [visit.reason for visit in visits],
            "fixes": [visit.fixes for visit in visits],
        },
        schema=COLUMNS,
    )


SELECTED: Final = """
    visit_id, device_id, fence_id, fence_version, job_id, state, revision,
    toUnixTimestamp64Milli(arrived_at),
    toUnixTimestamp64Milli(arrived_earliest),
    toUnixTimestamp64Milli(arrived_latest),
    toUnixTimestamp64Milli(departed_at),
    toUnixTimestamp64Milli(departed_earliest),
    toUnixTimestamp64Milli(departed_latest),
    on_site_s, on_site_min_s, on_site_max_s, round(toFloat64(confidence), 6), reason, fixes
"""
"""What to select of a visit to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[Visit]:
    """Visits from rows of ``SELECTED``."""
    names = Visit.__struct_encode_fields__
    return [wire.from_builtins(Visit, dict(zip(names, row, strict=True))) for row in rows]


VISITS: Final = Table("visit_revisions", statements, Visit, COLUMNS, batch)

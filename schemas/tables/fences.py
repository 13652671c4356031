"""The table ``fences``: one row a fence version, with the span of event time it holds for."""

from collections.abc import Sequence
from typing import Final

import msgspec
import pyarrow as pa

from schemas.fence import FenceRecord
from schemas.tables.table import MOMENT, Table, moments

COLUMNS: Final = pa.schema(
    [
        ("fence_id", pa.string()),
        ("version", pa.int32()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("geometry", pa.string()),
        ("radius_m", pa.float64()),
        ("min_on_site_s", pa.float64()),
        ("branch", pa.string()),
        ("devices", pa.list_(pa.string())),
        ("valid_from", MOMENT),
        ("valid_to", MOMENT),
        ("updated_at", MOMENT),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- fences are kept
    """The table. A version's end is set when the next one begins: the row that was updated last holds."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.fences
(
    fence_id String CODEC(ZSTD(1)) COMMENT 'the fence',
    version Int32 CODEC(T64, ZSTD(1)) COMMENT '1, 2, ...',
    name String CODEC(ZSTD(1)) COMMENT 'for people',
    kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'site, depot, zone or corridor',
    geometry String CODEC(ZSTD(3)) COMMENT 'GeoJSON geometry',
    radius_m Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of a Point or LineString, metres',
    min_on_site_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'seconds on site that confirm a visit; NULL = the default',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch it belongs to',
    devices Array(String) CODEC(ZSTD(1)) COMMENT 'only these devices; empty = all',
    valid_from Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'holds from this event time on; NULL = always did',
    valid_to Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'and up to this one, exclusive; NULL = still does',
    updated_at DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'when the fence was last written'
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (fence_id, version)
COMMENT 'fence versions; read with FINAL'
""",
    )


def batch(records: Sequence[FenceRecord]) -> pa.RecordBatch:
    """One row for each version of each record."""
    rows = [(record, version) for record in records for version in record.versions]
    return pa.record_batch(
        {
            "fence_id": [record.fence_id for record, _ in rows],
            "version": [version.version for _, version in rows],
            "name": [version.name for _, version in rows],
            "kind": [version.kind for _, version in rows],
            "geometry": [msgspec.json.encode(version.geometry).decode() for _, version in rows],
            "radius_m": [version.radius_m for _, version in rows],
            "min_on_site_s": [version.min_on_site_s for _, version in rows],
            "branch": [version.branch for _, version in rows],
            "devices": [version.devices or [] for _, version in rows],
            "valid_from": moments([version.valid_from_ms for _, version in rows]),
            "valid_to": moments([version.valid_to_ms for _, version in rows]),
            "updated_at": moments([record.updated_at for record, _ in rows]),
        },
        schema=COLUMNS,
    )


FENCES: Final = Table("fences", statements, FenceRecord, COLUMNS, batch)

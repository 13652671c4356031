"""The table ``jobs`` (the newest revision of each job, with its log) and the view ``job_log`` (a row an entry)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas import wire
from schemas.job import JobRecord
from schemas.tables.table import MOMENT, Table, moments

_TEXTS: Final = pa.list_(pa.string())
_MOMENTS: Final = pa.list_(MOMENT)

COLUMNS: Final = pa.schema(
    [
        ("job_id", pa.string()),
        ("revision", pa.uint32()),
        ("created_at", MOMENT),
        ("updated_at", MOMENT),
        ("state", pa.string()),
        ("risk", pa.string()),
        ("external_id", pa.string()),
        ("title", pa.string()),
        ("customer_id", pa.string()),
        ("site_id", pa.string()),
        ("fence_id", pa.string()),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
        ("address", pa.string()),
        ("branch", pa.string()),
        ("window_from", MOMENT),
        ("window_to", MOMENT),
        ("duration_s", pa.float64()),
        ("priority", pa.string()),
        ("job_type", pa.string()),
        ("fault", pa.string()),
        ("skills", _TEXTS),
        ("technician_ids", _TEXTS),
        ("parts", pa.string()),
        ("checklist", pa.string()),
        ("notes", pa.string()),
        ("attachments", pa.string()),
        ("recurrence", pa.string()),
        ("travel_s", pa.float64()),
        ("on_site_s", pa.float64()),
        ("waiting_s", pa.float64()),
        ("visit_ids", _TEXTS),
        ("log_state", _TEXTS),
        ("log_at", _MOMENTS),
        ("log_recorded_at", _MOMENTS),
        ("log_source", _TEXTS),
        ("log_actor", _TEXTS),
        ("log_reason", _TEXTS),
        ("log_visit_id", _TEXTS),
    ]
)

_PLAIN: Final = tuple(
    name
    for name in COLUMNS.names
    if not name.startswith("log_")
    and name not in ("created_at", "updated_at", "window_from", "window_to", "parts", "checklist", "attachments")
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- jobs are kept
    """The table, and the view of the log."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.jobs
(
    job_id String CODEC(ZSTD(1)) COMMENT 'the job',
    revision UInt32 CODEC(T64, ZSTD(1)) COMMENT '1, 2, ...; the greatest holds',
    created_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it was made',
    updated_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'of this revision',
    state LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'of its last log entry',
    risk LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'none, at_risk or late',
    external_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'in another system',
    title String CODEC(ZSTD(1)) COMMENT 'for people',
    customer_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'whose it is',
    site_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'where: the site',
    fence_id Nullable(String) CODEC(ZSTD(1)) COMMENT 'where: the fence whose visits count',
    lat Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'where: latitude in degrees',
    lon Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'where: longitude in degrees',
    address Nullable(String) CODEC(ZSTD(1)) COMMENT 'where: in words',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch it belongs to',
    window_from Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)) COMMENT 'promised, from',
    window_to Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)) COMMENT 'promised, to',
    duration_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'seconds on site, as estimated',
    priority LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'emergency, high, normal or low',
    job_type Nullable(String) CODEC(ZSTD(1)) COMMENT 'the kind of work',
    fault Nullable(String) CODEC(ZSTD(1)) COMMENT 'what is wrong there',
    skills Array(String) CODEC(ZSTD(1)) COMMENT 'needed for it',
    technician_ids Array(String) CODEC(ZSTD(1)) COMMENT 'who does it',
    parts String CODEC(ZSTD(1)) COMMENT 'JSON: materials, each with sku, quantity and unit_cost',
    checklist String CODEC(ZSTD(1)) COMMENT 'JSON: what is not to be forgotten',
    notes String CODEC(ZSTD(1)) COMMENT 'for people',
    attachments String CODEC(ZSTD(1)) COMMENT 'JSON: photos, signatures, documents, by their addresses',
    recurrence Nullable(String) CODEC(ZSTD(1)) COMMENT 'RRULE',
    travel_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'seconds on the way',
    on_site_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'seconds in which somebody was there',
    waiting_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of these, before work began',
    visit_ids Array(String) CODEC(ZSTD(1)) COMMENT 'its visits',
    log_state Array(LowCardinality(String)) CODEC(ZSTD(1)) COMMENT 'the log, entry by entry: see job_log',
    log_at Array(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when each happened',
    log_recorded_at Array(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when that became known',
    log_source Array(LowCardinality(String)) CODEC(ZSTD(1)) COMMENT 'automatic, technician, dispatcher or system',
    log_actor Array(String) CODEC(ZSTD(1)) COMMENT 'who said so, or the device whose visit did',
    log_reason Array(String) CODEC(ZSTD(1)) COMMENT 'why',
    log_visit_id Array(String) CODEC(ZSTD(1)) COMMENT 'the visit it follows from; empty without',
    INDEX by_created created_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY job_id
COMMENT 'the newest revision of each job; read with FINAL'
""",
        f"""
CREATE OR REPLACE VIEW {database}.job_log AS
SELECT
    job_id,
    state,
    at,
    recorded_at,
    source,
    actor,
    reason,
    nullIf(visit_id, '') AS visit_id
FROM
(
    SELECT
        job_id, log_state, log_at, log_recorded_at, log_source, log_actor, log_reason, log_visit_id
    FROM {database}.jobs FINAL
)
ARRAY JOIN
    log_state AS state,
    log_at AS at,
    log_recorded_at AS recorded_at,
    log_source AS source,
    log_actor AS actor,
    log_reason AS reason,
    log_visit_id AS visit_id
""",
    )


def batch(jobs: Sequence[JobRecord]) -> pa.RecordBatch:
    """The rows of revisions of jobs."""
    columns: dict[str, object] = {name: [getattr(job, name) for job in jobs] for name in _PLAIN}
    for name in ("created_at", "updated_at"):
        columns[name] = moments([getattr(job, name) for job in jobs])
    for name in ("window_from", "window_to"):
        columns[name] = moments([getattr(job, f"{name}_ms") for job in jobs])
    for name in ("parts", "checklist", "attachments"):
        columns[name] = [wire.encode(getattr(job, name)).decode() for job in jobs]
    for name in ("state", "source", "actor", "reason"):
        columns[f"log_{name}"] = [[getattr(entry, name) for entry in job.log] for job in jobs]
    for name in ("at", "recorded_at"):
        columns[f"log_{name}"] = pa.array(
            [moments([getattr(entry, name) for entry in job.log]).to_pylist() for job in jobs], _MOMENTS
        )
    columns["log_visit_id"] = [[entry.visit_id or "" for entry in job.log] for job in jobs]
    return pa.record_batch({name: columns[name] for name in COLUMNS.names}, schema=COLUMNS)


_LOG: Final = ("state", "at", "recorded_at", "source", "actor", "reason", "visit_id")
_DETAILS: Final = ("parts", "checklist", "attachments")


def _selected(column: str) -> str:
    kind = COLUMNS.field(column).type
    if kind == MOMENT:
        return f"toUnixTimestamp64Milli({column})"
    return f"arrayMap(moment -> toUnixTimestamp64Milli(moment), {column})" if kind == _MOMENTS else column


SELECTED: Final = ", ".join(map(_selected, COLUMNS.names))
"""What to select of a job to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[JobRecord]:
    """Jobs from rows of ``SELECTED``: what the store has of them, which is not what their logs followed from."""
    return [_of_row(dict(zip(COLUMNS.names, row, strict=True))) for row in rows]


def _of_row(columns: dict[str, Any]) -> JobRecord:
    entries = zip(*(columns.pop(f"log_{name}") for name in _LOG), strict=True)
    log = [dict(zip(_LOG, entry, strict=True)) for entry in entries]
    details = {name: msgspec.json.decode(columns[name]) for name in _DETAILS}
    for entry in log:
        entry["visit_id"] = entry["visit_id"] or None
    return wire.from_builtins(JobRecord, columns | details | {"log": log})


JOBS: Final = Table("jobs", statements, JobRecord, COLUMNS, batch)

"""The table ``holdings``: which devices each technician held from when on; filled by the store from ``technicians``."""


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- kept as long as the people
    """The table, what fills it, and what was there before: from the records as they are, and from what was written."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.holdings
(
    technician_id String CODEC(ZSTD(1)) COMMENT 'the technician',
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'from this moment on',
    device_ids Array(String) CODEC(ZSTD(1)) COMMENT 'the devices they held'
)
ENGINE = ReplacingMergeTree
ORDER BY (technician_id, at)
COMMENT 'which devices each technician held from when on; read with FINAL'
""",
        f"""
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.holdings_feed TO {database}.holdings AS
SELECT t.technician_id AS technician_id, t.updated_at AS at, if(t.removed_at IS NULL, t.device_ids, []) AS device_ids
FROM {database}.technicians AS t
""",
        f"""
INSERT INTO {database}.holdings
SELECT technician_id, updated_at, if(removed_at IS NULL, device_ids, []) FROM {database}.technicians
""",
        f"""
INSERT INTO {database}.holdings
SELECT id, at, JSONExtract(ifNull(after, '{{}}'), 'device_ids', 'Array(String)') FROM {database}.audit
WHERE kind = 'technician' AND action IN ('created', 'edited', 'removed')
""",
    )

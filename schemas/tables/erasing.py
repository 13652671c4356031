"""The table ``erasing``: what an erasure that is under way is about, so that no statement names anybody."""


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- empty but for minutes
    """The store keeps the text of mutations; it tells ``erasure_id`` and reads the rest from here, which then goes."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.erasing
(
    erasure_id String CODEC(ZSTD(1)) COMMENT 'the erasure',
    name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what the value is: an id, a word and others',
    value String CODEC(ZSTD(1)) COMMENT 'the value',
    number UInt32 CODEC(ZSTD(1)) COMMENT 'of a job: its revision without the person'
)
ENGINE = MergeTree
ORDER BY (erasure_id, name)
COMMENT 'what erasures under way are about; empty otherwise'
""",
    )

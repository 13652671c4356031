"""The table ``stock_movements``: the ledger of stock."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from schemas.stock import DECIMAL_PLACES, KINDS, Movement, StockPlace, plain
from schemas.tables.table import MOMENT, Table, moments
from schemas.times import Instant

_QUANTITY: Final = pa.decimal128(18, DECIMAL_PLACES)
_LATEST: Final = 2**63 - 1

COLUMNS: Final = pa.schema(
    [
        ("movement_id", pa.string()),
        ("sku", pa.string()),
        ("kind", pa.string()),
        ("quantity", _QUANTITY),
        ("from_kind", pa.string()),
        ("from_id", pa.string()),
        ("to_kind", pa.string()),
        ("to_id", pa.string()),
        ("at", MOMENT),
        ("recorded_at", MOMENT),
        ("actor", pa.string()),
        ("reason", pa.string()),
        ("precedence", pa.int64()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- a ledger is kept
    """The table. A movement that is told again is stored once, as it was told first."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.stock_movements
(
    movement_id String CODEC(ZSTD(1)) COMMENT 'unique for its sku',
    sku String CODEC(ZSTD(1)) COMMENT 'of what',
    kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'receipt, transfer, used, return or correction',
    quantity Decimal(18, 6) CODEC(ZSTD(1)) COMMENT 'how much',
    from_kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'from where: van, depot, job, supplier or scrap',
    from_id String CODEC(ZSTD(1)) COMMENT 'the technician of a van, the depot, the job; empty where nobody says which',
    to_kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'to where',
    to_id String CODEC(ZSTD(1)) COMMENT 'the same of it',
    at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it was moved',
    recorded_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when that became known',
    actor String CODEC(ZSTD(1)) COMMENT 'who says so',
    reason String CODEC(ZSTD(1)) COMMENT 'why',
    precedence Int64 CODEC(ZSTD(1)) COMMENT 'of copies the greatest holds: the one recorded first',
    INDEX by_at at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (sku, movement_id)
COMMENT 'the ledger of stock; read with FINAL'
""",
    )


def batch(movements: Sequence[Movement]) -> pa.RecordBatch:
    """The rows of movements."""
    return pa.record_batch(
        {
            "movement_id": [each.movement_id for each in movements],
            "sku": [each.sku for each in movements],
            "kind": [KINDS.get((each.from_.kind, each.to.kind), "transfer") for each in movements],
            "quantity": pa.array([each.quantity for each in movements], _QUANTITY),
            "from_kind": [each.from_.kind for each in movements],
            "from_id": [each.from_.place_id or "" for each in movements],
            "to_kind": [each.to.kind for each in movements],
            "to_id": [each.to.place_id or "" for each in movements],
            "at": moments([each.at for each in movements]),
            "recorded_at": moments([each.recorded_at for each in movements]),
            "actor": [each.actor for each in movements],
            "reason": [each.reason for each in movements],
            "precedence": [_LATEST - each.recorded_at for each in movements],
        },
        schema=COLUMNS,
    )


SELECTED: Final = (
    "movement_id, sku, quantity, from_kind, from_id, to_kind, to_id, "
    "toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(recorded_at), actor, reason"
)
"""What to select of a movement to read it with ``of_rows``."""


def of_rows(rows: Iterable[Sequence[Any]]) -> list[Movement]:
    """Movements from rows of ``SELECTED``."""
    return [_of_row(*row) for row in rows]


def _of_row(
    movement_id: str, sku: str, quantity: Decimal, from_kind: Any, from_id: str, to_kind: Any, to_id: str,
    at: int, recorded_at: int, actor: str, reason: str,
) -> Movement:  # fmt: skip
    return Movement(
        movement_id=movement_id,
        sku=sku,
        quantity=plain(quantity),
        from_=StockPlace(from_kind, from_id or None),
        to=StockPlace(to_kind, to_id or None),
        at=Instant(at),
        recorded_at=Instant(recorded_at),
        actor=actor,
        reason=reason,
    )


STOCK_MOVEMENTS: Final = Table("stock_movements", statements, Movement, COLUMNS, batch)

"""The table ``invoices``: how it stands with each job's invoice."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from schemas.invoice import Invoice
from schemas.tables.table import MOMENT, Table, moments

_AMOUNT: Final = pa.decimal128(18, 6)

COLUMNS: Final = pa.schema(
    [
        ("job_id", pa.string()),
        ("state", pa.string()),
        ("invoice_id", pa.string()),
        ("amount", _AMOUNT),
        ("invoiced_at", MOMENT),
        ("paid_at", MOMENT),
        ("branch", pa.string()),
        ("updated_at", MOMENT),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- invoices are kept
    """The table."""
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.invoices
(
    job_id String CODEC(ZSTD(1)) COMMENT 'the job',
    state LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'invoiced or paid',
    invoice_id String CODEC(ZSTD(1)) COMMENT 'as the accounts call it',
    amount Nullable(Decimal(18, 6)) CODEC(ZSTD(1)) COMMENT 'of the invoice, as the accounts state it',
    invoiced_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it was written',
    paid_at Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)) COMMENT 'when it was paid; NULL = it is not',
    branch Nullable(String) CODEC(ZSTD(1)) COMMENT 'the branch of the job',
    updated_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when this was told'
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY job_id
COMMENT 'the newest state of each invoice; read with FINAL'
""",
    )


def batch(invoices: Sequence[Invoice]) -> pa.RecordBatch:
    """The rows of invoices."""
    return pa.record_batch(
        {
            "job_id": [each.job_id for each in invoices],
            "state": [each.state for each in invoices],
            "invoice_id": [each.invoice_id for each in invoices],
            "amount": pa.array([each.amount for each in invoices], _AMOUNT),
            "invoiced_at": moments([each.invoiced_at for each in invoices]),
            "paid_at": moments([each.paid_at for each in invoices]),
            "branch": [each.branch for each in invoices],
            "updated_at": moments([each.updated_at for each in invoices]),
        },
        schema=COLUMNS,
    )


INVOICES: Final = Table("invoices", statements, Invoice, COLUMNS, batch)

"""How it stands with a job's invoice in the accounts, as told back: the compacted topic ``onsite.invoices``."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from schemas.stock import DECIMAL_PLACES, LARGEST
from schemas.times import Instant

InvoiceState = Literal["invoiced", "paid"]


class InvoicePlan(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the accounts state. ``invoice_id`` is theirs; ``amount`` is that of the invoice; ``at`` when it came to this
    state, by default now.
    """

    state: InvoiceState
    invoice_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    amount: Decimal | None = None
    at: Instant | None = None

    def __post_init__(self) -> None:
        if self.amount is None:
            return
        if not (self.amount.is_finite() and abs(self.amount) < LARGEST):
            raise ValueError(f"amount: {self.amount} is not within {LARGEST:,}")
        if self.amount != self.amount.quantize(Decimal(1).scaleb(-DECIMAL_PLACES)):
            raise ValueError(f"amount: {self.amount} has more than {DECIMAL_PLACES} decimals")


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice of a job. ``paid_at`` is null until it is paid."""

    job_id: str
    state: InvoiceState
    invoice_id: str
    amount: Decimal | None
    invoiced_at: Instant
    paid_at: Instant | None
    updated_at: Instant
    branch: str | None = None

"""What a job costs, and the lines of its invoice: time on site, travel, parts."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from schemas.job import Job, UsedPart
from schemas.stock import LARGEST, InvoiceLine

_CENT: Final = Decimal("0.01")
_DONE: Final = frozenset({"completed", "invoiced"})


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices without taxes, or what it costs oneself; what costs nothing is on no invoice.

    ``parts`` are prices by sku; of others the ``unit_cost`` that the job states.
    """

    labour_per_h: Decimal = Decimal(0)
    travel_per_h: Decimal = Decimal(0)
    travel_per_km: Decimal = Decimal(0)
    parts: dict[str, Decimal] = {}

    def __post_init__(self) -> None:
        hourly = {"labour_per_h": self.labour_per_h, "travel_per_h": self.travel_per_h}
        for name, rate in (hourly | {"travel_per_km": self.travel_per_km} | self.parts).items():
            if not rate.is_finite() or not 0 <= rate < LARGEST:
                raise ValueError(f"rate of {name}: {rate} is not between 0 and {LARGEST:,}")


def job_lines(job: Job, rates: Rates, travel_distance_m: float = 0.0) -> list[InvoiceLine]:
    """What a job comes to, line by line: hours and kilometres to two decimals, amounts to cents, halves rounded up.

    Raises ValueError for a part whose price nobody states, and for what is beyond all measure.
    """
    lines = [
        _line("Labour", _rounded(_decimal(job.on_site_s or 0.0) / 3600), "h", rates.labour_per_h),
        _line("Travel time", _rounded(_decimal(job.travel_s or 0.0) / 3600), "h", rates.travel_per_h),
        _line("Travel distance", _rounded(_decimal(travel_distance_m) / 1000), "km", rates.travel_per_km),
        *(_line(part.sku, _decimal(part.quantity), "pcs", _price(job, part, rates)) for part in job.parts),
    ]
    return [line for line in lines if line.amount]


def invoice_lines(job: Job, rates: Rates, travel_distance_m: float = 0.0) -> list[InvoiceLine]:
    """The same of a job that is completed; raises ValueError for one that is not."""
    if job.state not in _DONE:
        raise ValueError(f"job {job.job_id!r} is {job.state}: an invoice is for what is completed")
    return job_lines(job, rates, travel_distance_m)


def total(lines: Iterable[InvoiceLine]) -> Decimal:
    """The sum of the amounts, in cents exactly."""
    return sum((line.amount for line in lines), Decimal(0)).quantize(_CENT)


def _line(description: str, quantity: Decimal, unit: str, unit_price: Decimal) -> InvoiceLine:
    return InvoiceLine(description, quantity, unit, unit_price, _rounded(quantity * unit_price))


def _price(job: Job, part: UsedPart, rates: Rates) -> Decimal:
    price = rates.parts.get(part.sku)
    if price is not None:
        return price
    if part.unit_cost is None:
        raise ValueError(f"job {job.job_id!r}: nobody states what {part.sku!r} costs")
    return _decimal(part.unit_cost)


def _decimal(value: float) -> Decimal:
    """As the float is written, not as it is stored."""
    if not 0.0 <= value < LARGEST:
        raise ValueError(f"{value} is not between 0 and {LARGEST:,}: no quantity that could be paid for")
    return Decimal(str(value))


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_CENT, ROUND_HALF_UP)

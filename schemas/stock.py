"""Stock as a ledger: what was moved from where to where. A movement is never changed; a wrong one is moved back.

Quantities and money are decimals (``"12.5"`` in JSON): cable comes in metres and prices in cents, and sums of floats
would depend on the order in which they are added.
"""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from schemas.times import Instant

PlaceKind = Literal["van", "depot", "job", "supplier", "scrap"]
MovementKind = Literal["receipt", "transfer", "used", "return", "correction"]

KINDS: Final[dict[tuple[PlaceKind, PlaceKind], MovementKind]] = {
    ("supplier", "van"): "receipt",
    ("supplier", "depot"): "receipt",
    ("van", "van"): "transfer",
    ("van", "depot"): "transfer",
    ("depot", "van"): "transfer",
    ("depot", "depot"): "transfer",
    ("van", "job"): "used",
    ("depot", "job"): "used",
    ("job", "van"): "return",
    ("job", "depot"): "return",
    ("van", "supplier"): "return",
    ("depot", "supplier"): "return",
    ("van", "scrap"): "correction",
    ("depot", "scrap"): "correction",
    ("scrap", "van"): "correction",
    ("scrap", "depot"): "correction",
}
"""What a movement from one kind of place to another is; others there are not. ``scrap`` is what a count does not find,
and where what it finds too many comes from."""

HOLDERS: Final[frozenset[PlaceKind]] = frozenset({"van", "depot"})
"""Where stock is held, and counted."""

DECIMAL_PLACES: Final = 6
LARGEST: Final = Decimal(10) ** 12
"""Quantities have at most so many decimals and are below this, so that sums of a ledger are exact."""


class StockPlace(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where things are: ``place_id`` is the technician of a van, the depot, the job they went into, the supplier."""

    kind: PlaceKind
    place_id: str | None = None

    def __post_init__(self) -> None:
        if self.kind in ("van", "depot", "job") and not self.place_id:
            raise ValueError(f"a {self.kind} as a place of stock has a place_id")

    @property
    def name(self) -> str:
        """In one word, ``van:amina``."""
        return f"{self.kind}:{self.place_id or ''}"


class Movement(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """So much of something moved. ``at`` is when, ``recorded_at`` when that became known; ``actor`` is who says so.

    ``movement_id`` is unique for its ``sku``: a second movement of that name is the first one, told again.
    """

    movement_id: str
    sku: str
    quantity: Decimal
    from_: StockPlace
    to: StockPlace
    at: Instant
    recorded_at: Instant
    actor: str
    reason: str = ""

    def __post_init__(self) -> None:
        require_quantity(self.quantity, f"movement {self.movement_id!r} of {self.sku!r}")
        if self.from_ == self.to:
            raise ValueError(f"movement {self.movement_id!r} goes from a place to the same place")


class Threshold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The value on ``onsite.stock.thresholds``: below ``level`` of something at a place, it is told."""

    place: StockPlace
    sku: str
    level: Decimal
    updated_at: Instant
    removed_at: Instant | None = None

    @property
    def key(self) -> str:
        """On the topic."""
        return stock_key(self.place, self.sku)


class LowStock(msgspec.Struct, frozen=True):
    """A balance fell below its level by a movement. ``low_stock_id`` is the same whenever that is found out."""

    low_stock_id: str
    place: StockPlace
    sku: str
    balance: Decimal
    level: Decimal
    movement_id: str
    at: Instant


class InvoiceLine(msgspec.Struct, frozen=True):
    """One line of an invoice, without taxes: ``amount`` is quantity times price, rounded to cents."""

    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    amount: Decimal


def stock_key(place: StockPlace, sku: str) -> str:
    """What is called so at one place; no sku has a line break."""
    return f"{place.name}\n{sku}"


def plain(value: Decimal) -> Decimal:
    """As people write it: no zeros at its end, no exponent."""
    return Decimal(f"{value.normalize():f}")


def require_quantity(quantity: Decimal, what: str) -> None:
    """Raise ValueError unless it is more than nothing, below ``LARGEST`` and of ``DECIMAL_PLACES`` at most."""
    if not quantity.is_finite() or not 0 < quantity < LARGEST:
        raise ValueError(f"{what}: {quantity} is not more than 0 and below {LARGEST:,}")
    if quantity != quantity.quantize(Decimal(1).scaleb(-DECIMAL_PLACES)):
        raise ValueError(f"{what}: {quantity} has more than {DECIMAL_PLACES} decimals")

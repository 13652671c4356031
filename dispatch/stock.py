"""What is where, and what is running out, from the movements of a ledger; in whatever order they come in."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from schemas.stock import HOLDERS, LowStock, Movement, StockPlace

Balances = dict[tuple[StockPlace, str], Decimal]
"""Place and sku -> how much is there; below 0 where more was taken than is known to have come, as from suppliers."""


def balances(movements: Iterable[Movement]) -> Balances:
    """What is where after all movements, in any order; a ``movement_id`` of a sku counts once."""
    found: defaultdict[tuple[StockPlace, str], Decimal] = defaultdict(Decimal)
    for movement in in_order(movements):
        found[movement.from_, movement.sku] -= movement.quantity
        found[movement.to, movement.sku] += movement.quantity
    return dict(found)


class Shelf(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of something is at a place, and whether it is known that this is too little."""

    balance: Decimal = Decimal(0)
    is_low: bool = False


def shelved(
    shelf: Shelf, place: StockPlace, movement: Movement, level: Decimal | None
) -> tuple[Shelf, LowStock | None]:
    """The shelf after a movement from or to it, in the order in which they become known; and that it is low, told once.

    ``level`` is that below which it is (None: there is none). It is told when something was taken; what is low then
    stays silent until it has been filled up.
    """
    is_taken = movement.from_ == place
    balance = shelf.balance - movement.quantity if is_taken else shelf.balance + movement.quantity
    if level is None or balance >= level:
        return Shelf(balance), None
    if shelf.is_low or not is_taken:
        return Shelf(balance, shelf.is_low), None
    low = LowStock(
        low_stock_id=f"{movement.movement_id}:low_stock",
        place=place,
        sku=movement.sku,
        balance=balance,
        level=level,
        movement_id=movement.movement_id,
        at=movement.at,
    )
    return Shelf(balance, is_low=True), low


def holders_of(movement: Movement) -> list[StockPlace]:
    """The places of a movement where stock is held."""
    return [place for place in (movement.from_, movement.to) if place.kind in HOLDERS]


def in_order(movements: Iterable[Movement]) -> list[Movement]:
    """By when they happened; of several with one ``movement_id`` of a sku the one that was recorded first."""
    once: dict[tuple[str, str], Movement] = {}
    for movement in movements:
        identity = movement.sku, movement.movement_id
        known = once.get(identity)
        if known is None or _record(movement) < _record(known):
            once[identity] = movement
    return sorted(once.values(), key=lambda movement: (movement.at, movement.movement_id))


def _record(movement: Movement) -> tuple[int, str]:
    """The order of records; of those recorded at once, any that does not depend on how they come in."""
    return movement.recorded_at, repr(movement)

"""What is where, and what is running out, from the movements of a ledger; in whatever order they come in."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from schemas.stock import LowStock, Movement, ReorderLevel, StockPlace

Balances = dict[tuple[StockPlace, str], Decimal]
"""Place and sku -> how much is there; below 0 where more was taken than is known to have come, as from suppliers."""


def balances(movements: Iterable[Movement]) -> Balances:
    """What is where after all movements, in any order; a ``movement_id`` counts once."""
    found: defaultdict[tuple[StockPlace, str], Decimal] = defaultdict(Decimal)
    for movement in in_order(movements):
        found[movement.from_, movement.sku] -= movement.quantity
        found[movement.to, movement.sku] += movement.quantity
    return dict(found)


def low_stock(movements: Iterable[Movement], levels: Iterable[ReorderLevel]) -> list[LowStock]:
    """Each time a balance has fallen from its level or above to below it, in the order in which that happened.

    What lies below its level stays silent until it has been filled up. A movement that becomes known late may add such
    a fall, or take one back: ``low_stock_id`` tells what is new.
    """
    level_of = {(level.place, level.sku): level.level for level in levels}
    balance: defaultdict[tuple[StockPlace, str], Decimal] = defaultdict(Decimal)
    found = []
    for movement in in_order(movements):
        balance[movement.to, movement.sku] += movement.quantity
        key = movement.from_, movement.sku
        before = balance[key]
        balance[key] -= movement.quantity
        level = level_of.get(key)
        if level is not None and balance[key] < level <= before:
            found.append(
                LowStock(
                    low_stock_id=f"{movement.movement_id}:low_stock",
                    place=movement.from_,
                    sku=movement.sku,
                    balance=balance[key],
                    level=level,
                    movement_id=movement.movement_id,
                    at=movement.at,
                )
            )
    return found


def in_order(movements: Iterable[Movement]) -> list[Movement]:
    """By when they happened; of several with one ``movement_id`` the one that was recorded first."""
    once: dict[str, Movement] = {}
    for movement in movements:
        known = once.get(movement.movement_id)
        if known is None or _record(movement) < _record(known):
            once[movement.movement_id] = movement
    return sorted(once.values(), key=lambda movement: (movement.at, movement.movement_id))


def _record(movement: Movement) -> tuple[int, str]:
    """The order of records; of those recorded at once, any that does not depend on how they come in."""
    return movement.recorded_at, repr(movement)

"""What is where, in lists. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from api.stock.answers import LevelAnswer
from api.stock.ledger import Level, StockLedger
from api.stock.places import StockPlaces
from schemas.stock import Movement, StockPlace, Threshold, plain, stock_key


def levels_of(
    ledger: StockLedger,
    thresholds: Mapping[str, Threshold],
    places: StockPlaces,
    holder: StockPlace | None,
    sku: str | None,
) -> dict[str, tuple[StockPlace, str, Level | None]]:
    """By key, what is seen of what is or was anywhere, or has a threshold there."""
    found: dict[str, tuple[StockPlace, str, Level | None]] = {
        stock_key(place, each): (place, each, None)
        for place, each in _watched(thresholds)
        if holder in (None, place) and sku in (None, each) and places.sees(place)
    }
    for place, levels in ledger.holders():
        if holder in (None, place) and places.sees(place):
            wanted = levels if sku is None else {sku: levels[sku]} if sku in levels else {}
            found |= {stock_key(place, each): (place, each, level) for each, level in wanted.items()}
    return found


def level_answer(
    place: StockPlace, sku: str, level: Level | None, thresholds: Mapping[str, Threshold], branch: str | None
) -> LevelAnswer:
    """As it is shown."""
    threshold = thresholds.get(stock_key(place, sku))
    below = None if threshold is None or threshold.removed_at is not None else threshold.level
    quantity = Decimal(0) if level is None else level.quantity
    return LevelAnswer(
        holder=place.name,
        branch=branch,
        sku=sku,
        quantity=plain(quantity),
        threshold=below,
        is_low=below is not None and quantity < below,
        moved_at=None if level is None else level.moved_at,
    )


def place_of_movement(movement: Movement) -> tuple[int, str]:
    """Where it stands in a list."""
    return int(movement.at), f"{movement.movement_id}\n{movement.sku}"


def _watched(thresholds: Mapping[str, Threshold]) -> Iterator[tuple[StockPlace, str]]:
    return ((each.place, each.sku) for each in thresholds.values() if each.removed_at is None)

"""What is where, in memory: a fold of the ledger, in the order in which its records are read. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

from schemas import wire
from schemas.stock import HOLDERS, Movement, StockPlace
from schemas.times import Instant


class Level(NamedTuple):
    """How much of something is at a place, and when something last moved there; below 0: more went than is known to
    have come.
    """

    quantity: Decimal
    moved_at: Instant


class StockLedger:
    """``moved`` is called with every record of the topic, by sku in their order; what is read again changes nothing.

    Of each movement that was counted a number is kept, which tells whether it is the same when it is sent again.
    """

    def __init__(self) -> None:
        self._content: dict[str, int] = {}
        self._levels: dict[StockPlace, dict[str, Level]] = {}

    def moved(self, _sku: str, movement: Movement | None) -> None:
        """A record of the topic."""
        if movement is None or _identity(movement.sku, movement.movement_id) in self._content:
            return
        self._content[_identity(movement.sku, movement.movement_id)] = content_of(movement)
        for place, quantity in ((movement.from_, -movement.quantity), (movement.to, movement.quantity)):
            if place.kind in HOLDERS or place.kind == "job":
                levels = self._levels.setdefault(place, {})
                before = levels.get(movement.sku)
                levels[movement.sku] = (
                    Level(quantity, movement.at)
                    if before is None
                    else Level(before.quantity + quantity, max(before.moved_at, movement.at))
                )

    def content(self, sku: str, movement_id: str) -> int | None:
        """What a movement that was counted says (``content_of``); None: there is none of that name."""
        return self._content.get(_identity(sku, movement_id))

    def at(self, place: StockPlace) -> Mapping[str, Level]:
        """By sku, what is or was at a place."""
        return self._levels.get(place, {})

    def holders(self) -> Iterator[tuple[StockPlace, Mapping[str, Level]]]:
        """Every van and depot where something is or was."""
        return ((place, levels) for place, levels in self._levels.items() if place.kind in HOLDERS)


def content_of(movement: Movement) -> int:
    """A number for what is moved from where to where and why; when, and who says so, may differ if it is sent again."""
    said = movement.sku, movement.quantity.normalize(), movement.from_, movement.to, movement.reason
    return int.from_bytes(blake2b(wire.encode(said), digest_size=7).digest())


def _identity(sku: str, movement_id: str) -> str:
    return f"{movement_id}\n{sku}"

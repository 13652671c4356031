"""What is where, in memory: a fold of the ledger, in the order in which its records are read. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from sys import intern
from typing import Final, NamedTuple

from schemas.stock import DECIMAL_PLACES, HOLDERS, Movement, StockPlace
from schemas.times import Instant

_UNITS: Final = 10**DECIMAL_PLACES


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
        self._levels: defaultdict[StockPlace, dict[str, Level]] = defaultdict(dict)
        self._on_jobs: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """By job and sku, millionths of what was used: jobs are many, and whole numbers small."""

    def moved(self, _sku: str, movement: Movement | None) -> None:
        """A record of the topic."""
        if movement is None or _identity(movement.sku, movement.movement_id) in self._content:
            return
        self._content[_identity(movement.sku, movement.movement_id)] = content_of(movement)
        self._add(movement.from_, movement, -movement.quantity)
        self._add(movement.to, movement, movement.quantity)

    def _add(self, place: StockPlace, movement: Movement, quantity: Decimal) -> None:
        sku = intern(movement.sku)
        if place.kind == "job":
            used = self._on_jobs[place.place_id or ""]
            used[sku] = used.get(sku, 0) + int(quantity * _UNITS)
        elif place.kind in HOLDERS:
            levels = self._levels[place]
            before = levels.get(sku, Level(Decimal(0), movement.at))
            levels[sku] = Level(before.quantity + quantity, max(before.moved_at, movement.at))

    def content(self, sku: str, movement_id: str) -> int | None:
        """What a movement that was counted says (``content_of``); None: there is none of that name."""
        return self._content.get(_identity(sku, movement_id))

    def at(self, holder: StockPlace) -> Mapping[str, Level]:
        """By sku, what is or was in a van or depot."""
        return self._levels.get(holder, {})

    def used_on(self, job_id: str) -> dict[str, Decimal]:
        """By sku, what was used on a job; 0 where all of it was given back."""
        return {sku: Decimal(units) / _UNITS for sku, units in self._on_jobs.get(job_id, {}).items()}

    def holders(self) -> Iterator[tuple[StockPlace, Mapping[str, Level]]]:
        """Every van and depot where something is or was."""
        return iter(self._levels.items())


def content_of(movement: Movement) -> int:
    """A number for what is moved from where to where and why; when, and who says so, may differ if it is sent again.

    It is good within this process alone.
    """
    return hash((movement.sku, movement.quantity, movement.from_, movement.to, movement.reason))


def _identity(sku: str, movement_id: str) -> str:
    return f"{movement_id}\n{sku}"

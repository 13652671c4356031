"""The stock that a process of the API knows."""

import asyncio
from dataclasses import dataclass, field

from api.http.problems import unavailable
from api.ports import ReadModel
from api.stock.ledger import StockLedger
from schemas.stock import Movement, Threshold


@dataclass(frozen=True)
class Stock:
    """``movements`` feeds the ledger. Movements and thresholds are written one request at a time (``edits``)."""

    movements: ReadModel[Movement]
    ledger: StockLedger
    thresholds: ReadModel[Threshold]
    edits: asyncio.Lock = field(default_factory=asyncio.Lock)

    def require_read(self) -> None:
        """Raise Problem 503 until what is there has been read."""
        if not (self.movements.is_caught_up and self.thresholds.is_caught_up):
            raise unavailable("the stock is still being read")

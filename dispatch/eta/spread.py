"""A quantity that is not known exactly: its middle, and the ends between which it lies as probably as promised."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """``low`` <= ``middle`` <= ``high``, all in one unit. Raises ValueError otherwise."""

    low: float
    middle: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.middle <= self.high:
            raise ValueError(f"{self.low} to {self.high} is not around {self.middle}")

    def plus(self, other: "Spread") -> "Spread":
        """The sum of two that do not depend on each other: what lies beyond the middles adds up by squares."""
        middle = self.middle + other.middle
        return Spread(
            middle - math.hypot(self.middle - self.low, other.middle - other.low),
            middle,
            middle + math.hypot(self.high - self.middle, other.high - other.middle),
        )

    def not_before(self, moment: float) -> "Spread":
        """The same of something that waits until a moment."""
        return Spread(max(self.low, moment), max(self.middle, moment), max(self.high, moment))

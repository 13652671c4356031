"""The one clock: real time, or time that runs faster than life from a chosen start."""

import time
from dataclasses import dataclass

from schemas.times import Instant


@dataclass(frozen=True)
class Clock:
    """Maps the machine's time to Onsite's.

    At the machine's moment ``origin_ms`` Onsite's clock shows ``start_ms``; from there it runs ``rate`` times as fast.
    All processes of one system share the three numbers (settings ``ONSITE_CLOCK_*``), so they agree on "now".
    """

    rate: float = 1.0
    start_ms: int = 0
    origin_ms: int = 0

    def now_ms(self) -> Instant:
        """Onsite's present moment, epoch milliseconds."""
        return self.moment_of(time.time_ns() // 1_000_000)

    def moment_of(self, machine_ms: int) -> Instant:
        """What Onsite's clock shows at a moment of the machine's, epoch milliseconds both."""
        return Instant(self.start_ms + round((machine_ms - self.origin_ms) * self.rate))

    def real_s(self, onsite_s: float) -> float:
        """How long a span of Onsite's time takes on the machine, seconds."""
        return onsite_s / self.rate

"""Quiet hours: the part of a customer's night in which nobody writes to them."""

from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

from dispatch.local_time import WEEKDAYS, weekly_spans
from dispatch.spans import Span, clipped, length_ms, merged


@dataclass(frozen=True)
class QuietHours:
    """From one time of each day to another, by the clock of ``zone``; the same twice: there are none."""

    from_: time
    to: time
    zone: ZoneInfo

    def until_ms(self, at_ms: int) -> int | None:
        """When those end in which a moment (epoch ms) lies; None where it lies in none."""
        return max((span.to_ms for span in self._spans(at_ms, at_ms + 1)), default=None)

    def awake_ms(self, from_ms: int, to_ms: int) -> int:
        """How much of the time between two moments (epoch ms) is not quiet."""
        quiet = clipped(merged(self._spans(from_ms, to_ms)), from_ms, to_ms)
        return max(to_ms - from_ms, 0) - length_ms(quiet)

    def _spans(self, from_ms: int, to_ms: int) -> list[Span]:
        if self.from_ == self.to:
            return []
        return list(weekly_spans(WEEKDAYS, self.from_, self.to, self.zone, from_ms, to_ms))

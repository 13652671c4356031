"""When a technician works: the shifts of a record as spans of time."""

import bisect
from collections.abc import Iterator, Sequence
from typing import Final

from dispatch.local_time import weekly_spans
from dispatch.spans import Span, clipped, merged
from schemas.people import Shift, Technician, read_clock_time, zone_of
from schemas.times import parse_epoch_ms

_LOOK_MS: Final = 86_400_000


def shift_spans(technician: Technician, from_ms: int, to_ms: int) -> list[Span]:
    """When the technician works between two moments (epoch ms): spans in the order of time that do not touch.

    Without shifts the technician always works.
    """
    if not technician.shifts:
        return clipped([Span(from_ms, to_ms)], from_ms, to_ms)
    return clipped(merged(_all_spans(technician.shifts, from_ms, to_ms)), from_ms, to_ms)


def is_on_shift(technician: Technician, at_ms: int) -> bool:
    """Whether the technician works at a moment (epoch ms)."""
    return bool(shift_spans(technician, at_ms, at_ms + 1))


class ShiftHours:
    """Whether shifts, with a margin before and after each (ms), cover a moment: for many moments that lie together.

    It works out once in which stretch of time a moment lies, and answers from it as long as moments lie there too.
    """

    def __init__(self, shifts: Sequence[Shift], margin_ms: int) -> None:
        self.shifts: Final = shifts
        self._margin_ms = margin_ms
        self._from_ms = self._to_ms = 0
        self._covered = False

    def cover(self, at_ms: int) -> bool:
        """Whether a moment (epoch ms) is within a shift or its margin."""
        if not self._from_ms <= at_ms < self._to_ms:
            self._look_around(at_ms)
        return self._covered

    def _look_around(self, at_ms: int) -> None:
        """Find the stretch around a moment, as far as a day to either side."""
        from_ms, to_ms = at_ms - _LOOK_MS, at_ms + _LOOK_MS
        margin_ms = self._margin_ms
        spans = _all_spans(self.shifts, from_ms - margin_ms, to_ms + margin_ms)
        widened = merged(Span(span.from_ms - margin_ms, span.to_ms + margin_ms) for span in spans)
        edges = [from_ms, *(edge for span in clipped(widened, from_ms, to_ms) for edge in span), to_ms]
        place = bisect.bisect_right(edges, at_ms)
        self._from_ms, self._to_ms = edges[place - 1], edges[place]
        self._covered = place % 2 == 0


def _all_spans(shifts: Sequence[Shift], from_ms: int, to_ms: int) -> Iterator[Span]:
    """Those of an hour that the clock leaves out, as in spring, are empty: they have no margin either."""
    return (span for shift in shifts for span in _spans(shift, from_ms, to_ms) if span.from_ms < span.to_ms)


def _spans(shift: Shift, from_ms: int, to_ms: int) -> Iterator[Span]:
    if shift.weekly is None:
        yield Span(parse_epoch_ms(shift.from_), parse_epoch_ms(shift.to))
        return
    assert shift.time_zone is not None
    opens, closes = read_clock_time(shift.from_), read_clock_time(shift.to)
    yield from weekly_spans(shift.weekly, opens, closes, zone_of(shift.time_zone), from_ms, to_ms)

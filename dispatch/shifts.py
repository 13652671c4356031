"""When a technician works: the shifts of a record as spans of time."""

from collections.abc import Iterator

from dispatch.local_time import weekly_spans
from dispatch.spans import Span, clipped, merged
from schemas.people import Shift, Technician, read_clock_time, zone_of
from schemas.times import parse_epoch_ms


def shift_spans(technician: Technician, from_ms: int, to_ms: int) -> list[Span]:
    """When the technician works between two moments (epoch ms): spans in the order of time that do not touch.

    Without shifts the technician always works.
    """
    if not technician.shifts:
        return clipped([Span(from_ms, to_ms)], from_ms, to_ms)
    spans = (span for shift in technician.shifts for span in _spans(shift, from_ms, to_ms))
    return clipped(merged(spans), from_ms, to_ms)


def is_on_shift(technician: Technician, at_ms: int) -> bool:
    """Whether the technician works at a moment (epoch ms)."""
    return bool(shift_spans(technician, at_ms, at_ms + 1))


def _spans(shift: Shift, from_ms: int, to_ms: int) -> Iterator[Span]:
    if shift.weekly is None:
        yield Span(parse_epoch_ms(shift.from_), parse_epoch_ms(shift.to))
        return
    assert shift.time_zone is not None
    opens, closes = read_clock_time(shift.from_), read_clock_time(shift.to)
    yield from weekly_spans(shift.weekly, opens, closes, zone_of(shift.time_zone), from_ms, to_ms)

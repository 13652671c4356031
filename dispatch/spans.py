"""Spans of time: from a moment (inclusive) to another (exclusive), epoch milliseconds."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """``from_ms`` belongs to it, ``to_ms`` no longer does."""

    from_ms: int
    to_ms: int


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same moments in as few spans as possible, in the order of time; those that touch become one."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.from_ms >= span.to_ms:
            continue
        if found and span.from_ms <= found[-1].to_ms:
            found[-1] = Span(found[-1].from_ms, max(found[-1].to_ms, span.to_ms))
        else:
            found.append(span)
    return found


def clipped(spans: Iterable[Span], from_ms: int, to_ms: int) -> list[Span]:
    """What of the spans lies between two moments."""
    cut = (Span(max(span.from_ms, from_ms), min(span.to_ms, to_ms)) for span in spans)
    return [span for span in cut if span.from_ms < span.to_ms]


def length_ms(spans: Iterable[Span]) -> int:
    """How long spans that do not overlap are together."""
    return sum(span.to_ms - span.from_ms for span in spans)

"""From frames to records."""

from collections.abc import Callable, Iterable

import msgspec
from prometheus_client import Counter

from schemas.wire import Record, decode
from stream.frames import Frame


def records_of(kind: type[Record], frame: Frame, unreadable: Counter) -> list[Record]:
    """The records of a frame, in order; deleted keys are left out, and those nobody can read, which are counted."""
    found: list[Record] = []
    for value in frame.values:
        if value is None:
            continue
        try:
            found.append(decode(kind, value))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            unreadable.labels(frame.topic).inc()
    return found


def records_by_partition(
    kind: type[Record], frames: Iterable[Frame], unreadable: Counter, is_wanted: Callable[[Record], bool]
) -> dict[int, list[Record]]:
    """Of several frames, in their order, those records that are wanted."""
    found: dict[int, list[Record]] = {}
    for frame in frames:
        found.setdefault(frame.partition, []).extend(filter(is_wanted, records_of(kind, frame, unreadable)))
    return found

"""Frames as they come from a broker, of records written down here."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.frames import Frame
from stream.values import Values


def frame_of(
    topic: str,
    values: Sequence[bytes | None],
    timestamps_ms: int | Sequence[int] = 0,
    *,
    partition: int = 0,
    first_offset: int = 0,
    deleted: Sequence[bytes | None] = (),
) -> Frame:
    """Records without a gap between them; one timestamp of all or one of each."""
    stamps_ms = moments(timestamps_ms, len(values))
    last_offset = first_offset + len(values) - 1
    return Frame(topic, partition, first_offset, last_offset, Values.of(values), stamps_ms, Values.of(deleted))


def moments(moments_ms: int | Sequence[int], records: int) -> npt.NDArray[np.int64]:
    """One moment of all records or one of each, as a frame has them."""
    return np.broadcast_to(np.asarray(moments_ms, np.int64), records).copy()

"""What a ClickHouse table is: its statements, and how records become rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa


@dataclass(frozen=True)
class Table:
    """A table fed from one topic.

    ``statements(database, retention_days)`` create it and what hangs on it; each can be run twice. ``batch`` turns
    records of type ``record`` into the columns of ``columns``; it is pure, and equal records give equal rows.
    """

    name: str
    statements: Callable[[str, int], tuple[str, ...]]
    record: type[msgspec.Struct]
    columns: pa.Schema
    batch: Callable[[Sequence[Any]], pa.RecordBatch]


MOMENT: Final = pa.timestamp("ms", "UTC")
"""The Arrow type of ``DateTime64(3, 'UTC')``."""

_EARLIEST_MS: Final = -2_208_988_800_000
_LATEST_MS: Final = 10_413_791_999_999
"""1900-01-01 and 2299-12-31: what ``DateTime64`` can hold."""


def moments(values: Sequence[int | None]) -> pa.Array:
    """Epoch milliseconds as a column of moments, the unthinkable ones clipped to what the store can hold."""
    clipped = [None if value is None else min(max(int(value), _EARLIEST_MS), _LATEST_MS) for value in values]
    return pa.array(clipped, pa.int64()).view(MOMENT)

"""Questions for an ETA, by columns."""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHORTEST_S: Final = 5.0
"""Shorter travel times are taken for this long: logarithms want something."""


@dataclass(frozen=True, eq=False)
class Queries:
    """Each asked at ``ts_s`` (epoch s, float64[n]) from ``lat``/``lon`` for ``to_lat``/``to_lon`` (degrees).

    ``trip`` int64[n] is the same for questions of one trip, ``device`` int64[n] of one device; ``engine_s`` float64[n]
    is what a provider takes the way for, ``hour`` float64[n] the local time as ``hours_of`` has it.
    """

    trip: Ints
    device: Ints
    ts_s: Floats
    lat: Floats
    lon: Floats
    to_lat: Floats
    to_lon: Floats
    engine_s: Floats
    hour: Floats

    def __len__(self) -> int:
        return len(self.ts_s)

    def __getitem__(self, rows: slice | Ints | npt.NDArray[np.bool_]) -> "Queries":
        return Queries(*(getattr(self, each.name)[rows] for each in fields(self)))

    @staticmethod
    def joined(parts: "list[Queries]") -> "Queries":
        """One after the other."""
        return Queries(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Queries)))


def hours_of(ts_s: Floats, zone: ZoneInfo) -> Floats:
    """The local hours of moments (epoch s): 0 to 24, and on Saturdays and Sundays 24 to 48."""
    quarters = np.floor(ts_s / 900.0).astype(np.int64)
    distinct, at = np.unique(quarters, return_inverse=True)
    begin = np.array([_hour_of(int(quarter), zone) for quarter in distinct], np.float64)
    return np.asarray(begin[at] + (ts_s - quarters * 900.0) / 3600.0)


@lru_cache(65_536)
def _hour_of(quarter: int, zone: ZoneInfo) -> float:
    """Of the beginning of a quarter of an hour since the epoch; clocks are changed at such moments."""
    local = datetime.fromtimestamp(quarter * 900, zone)
    return local.hour + local.minute / 60 + (24.0 if local.weekday() >= 5 else 0.0)

"""What travel times depend on beyond the route: how long it is, the hour, who drives, and where from and where to.

Each term gives a question a slot, or shares it between two neighbouring slots, and each slot has an effect on the
logarithm of the travel time. Effects are shrunk: ``shrink`` trips that had none are added to those that were seen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dispatch.eta.queries import SHORTEST_S, Floats, Ints, Queries

METRES_PER_DEGREE: Final = 111_320.0

LENGTHS_S: Final = 60.0 * 2.0 ** np.arange(8)
"""Knots of the curve in the engine's time: a minute to two hours."""


@dataclass(frozen=True, eq=False)
class Shares:
    """Of each question ``low`` and ``high`` slots, int64[n], and the part that ``high`` has of it, float64[n]."""

    low: Ints
    high: Ints
    part: Floats


@dataclass(frozen=True)
class Knots:
    """A term over ``slots`` slots between which it is linear."""

    name: str
    slots: int
    shrink: float


CURVE: Final = Knots("curve", len(LENGTHS_S), 3.0)
HOUR: Final = Knots("hour", 24, 1.5)
WEEKEND: Final = Knots("weekend", 24, 3.0)


@dataclass(frozen=True)
class Cells:
    """A term over squares of the map: from one of ``from_m`` to one of ``to_m`` metres (0: wherever).

    The squares are moved by ``shift`` of their size.
    """

    name: str
    from_m: float
    to_m: float
    shrink: float
    shift: float = 0.0


CELLS: Final = (
    Cells("to region", 0, 3_000, 4.0),
    Cells("to place", 0, 400, 4.0),
    Cells("from region", 3_000, 0, 4.0),
    Cells("from quarter", 800, 0, 4.0),
    Cells("region to region", 3_000, 2_000, 2.0),
    Cells("quarter to place", 1_000, 400, 2.0),
    Cells("quarter to place, between", 1_000, 400, 2.0, shift=0.5),
    Cells("street to place", 400, 400, 2.0),
)
"""From wide to narrow: what a narrow square has not seen the wide one has."""

DEVICE_SHRINK: Final = 2.0


def curve_shares(queries: Queries) -> Shares:
    """Of the engine's time."""
    knots = np.log(LENGTHS_S)
    at = np.clip(np.log(np.maximum(queries.engine_s, SHORTEST_S)), knots[0], knots[-1])
    low = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    return Shares(low, low + 1, (at - knots[low]) / (knots[low + 1] - knots[low]))


def hour_shares(queries: Queries) -> Shares:
    """Of the hour of any day."""
    hour = queries.hour % 24.0
    low = np.floor(hour).astype(np.int64)
    return Shares(low, (low + 1) % 24, hour - low)


def weekend_shares(queries: Queries) -> Shares:
    """Of the hour of a Saturday or Sunday; slot 24 has no effect and is that of other days."""
    shares = hour_shares(queries)
    is_weekend = queries.hour >= 24.0
    return Shares(np.where(is_weekend, shares.low, 24), np.where(is_weekend, shares.high, 24), shares.part)


def cell_keys(queries: Queries, cells: Cells) -> npt.NDArray[np.uint64]:
    """uint64[n], the same for questions of the same squares."""
    parts: list[Ints] = []
    if cells.from_m:
        parts += _square(queries.lat, queries.lon, cells.from_m, cells.shift)
    if cells.to_m:
        parts += _square(queries.to_lat, queries.to_lon, cells.to_m, cells.shift)
    key = np.zeros(len(queries), np.uint64)
    for part in parts:
        key = _mixed(key ^ part.astype(np.uint64))
    return key


def _square(lat: Floats, lon: Floats, size_m: float, shift: float) -> list[Ints]:
    """Row and column; the columns of a row are as wide as its southern edge has them."""
    row = np.floor(lat * METRES_PER_DEGREE / size_m + shift)
    along_m = METRES_PER_DEGREE * np.maximum(np.cos(np.radians((row - shift) * size_m / METRES_PER_DEGREE)), 1e-3)
    column = np.floor(lon * along_m / size_m + shift)
    return [row.astype(np.int64), column.astype(np.int64)]


def _mixed(key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Every bit depends on all (the finalizer of splitmix64, Steele et al. 2014); wraps around."""
    key = (key + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(key ^ (key >> np.uint64(31)))

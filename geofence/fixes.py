"""Fixes as columns, at the resolution they are stored in: what is derived live and from the store is the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from schemas.ping import Ping

DEGREE_E7: Final = 1e7
"""Positions are integers of 1e-7 degrees (1.1 cm)."""

UNSTATED: Final = 65_535
"""What ``accuracy_dm`` and ``speed_cm_s`` hold when the device did not say."""


@dataclass(frozen=True, eq=False)
class Fixes:
    """Columns of equal length n, usually of one device.

    ``ts_ms`` int64; ``lat_e7``, ``lon_e7`` int32; ``accuracy_dm`` (decimetres, 68 % radius) and ``speed_cm_s``
    (centimetres a second) uint16, ``UNSTATED`` where the device did not say.
    """

    ts_ms: npt.NDArray[np.int64]
    lat_e7: npt.NDArray[np.int32]
    lon_e7: npt.NDArray[np.int32]
    accuracy_dm: npt.NDArray[np.uint16]
    speed_cm_s: npt.NDArray[np.uint16]

    @classmethod
    def empty(cls) -> Self:
        """No fixes."""
        return cls.of_columns([], [], [], [], [])

    @classmethod
    def of_columns(
        cls,
        ts_ms: npt.ArrayLike,
        lat: npt.ArrayLike,
        lon: npt.ArrayLike,
        accuracy_m: npt.ArrayLike,
        speed_mps: npt.ArrayLike,
    ) -> Self:
        """From degrees, metres and m/s as floats (NaN = unstated)."""
        return cls(
            np.asarray(ts_ms, np.int64),
            np.rint(np.asarray(lat, np.float64) * DEGREE_E7).astype(np.int32),
            np.rint(np.asarray(lon, np.float64) * DEGREE_E7).astype(np.int32),
            _scaled_or_unstated(accuracy_m, 10.0),
            _scaled_or_unstated(speed_mps, 100.0),
        )

    @classmethod
    def of_pings(cls, pings: Sequence[Ping]) -> Self:
        """In the order given."""
        return cls.of_columns(
            np.array([ping.ts_ms for ping in pings], np.int64),
            np.array([ping.lat for ping in pings], np.float64),
            np.array([ping.lon for ping in pings], np.float64),
            np.array([ping.accuracy_m for ping in pings], np.float64),  # None becomes NaN
            np.array([ping.speed_mps for ping in pings], np.float64),
        )

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """One after the other."""
        listed = list(parts)
        if not listed:
            return cls.empty()
        return cls(
            np.concatenate([part.ts_ms for part in listed]),
            np.concatenate([part.lat_e7 for part in listed]),
            np.concatenate([part.lon_e7 for part in listed]),
            np.concatenate([part.accuracy_dm for part in listed]),
            np.concatenate([part.speed_cm_s for part in listed]),
        )

    def __len__(self) -> int:
        return len(self.ts_ms)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Self:
        """The rows of an index array, a mask or a slice."""
        return type(self)(
            self.ts_ms[rows], self.lat_e7[rows], self.lon_e7[rows], self.accuracy_dm[rows], self.speed_cm_s[rows]
        )

    def in_order(self) -> Self:
        """Sorted by (ts, lat, lon), each identity once.

        Of copies that differ the one with the least accuracy radius, then the least speed counts, stated before
        unstated: the choice does not depend on the order of arrival.
        """
        if (np.diff(self.ts_ms) > 0).all():
            return self
        order = np.lexsort((self.speed_cm_s, self.accuracy_dm, self.lon_e7, self.lat_e7, self.ts_ms))
        ordered = self.take(order)
        if len(ordered) < 2:
            return ordered
        fresh = np.ones(len(ordered), np.bool_)
        fresh[1:] = (np.diff(ordered.ts_ms) != 0) | (np.diff(ordered.lat_e7) != 0) | (np.diff(ordered.lon_e7) != 0)
        return ordered if fresh.all() else ordered.take(fresh)

    def order_by(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """The order by slot, one to a fix, and then that of ``in_order``; repeats stay."""
        columns = (self.speed_cm_s, self.accuracy_dm, self.lon_e7, self.lat_e7)
        since_ms = self.ts_ms - (self.ts_ms.min() if len(self) else 0)
        if since_ms.max(initial=0) >= 1 << 40:
            return np.lexsort((*columns, self.ts_ms, slots))
        key = slots << 40 | since_ms
        order = np.argsort(key, kind="stable")
        equal = np.flatnonzero(np.diff(key[order]) == 0)
        if len(equal):
            # Only fixes of the same moment have to be told apart by all columns; they stay among themselves.
            places = np.union1d(equal, equal + 1)
            rows = order[places]
            order[places] = rows[np.lexsort((*(column[rows] for column in columns), key[rows]))]
        return order

    @property
    def lat(self) -> npt.NDArray[np.float64]:
        """Degrees."""
        return self.lat_e7 / DEGREE_E7

    @property
    def lon(self) -> npt.NDArray[np.float64]:
        """Degrees."""
        return self.lon_e7 / DEGREE_E7

    @property
    def accuracy_m(self) -> npt.NDArray[np.float64]:
        """Metres, NaN where unstated."""
        return np.where(self.accuracy_dm == UNSTATED, np.nan, self.accuracy_dm / 10.0)

    @property
    def speed_mps(self) -> npt.NDArray[np.float64]:
        """Metres a second, NaN where unstated."""
        return np.where(self.speed_cm_s == UNSTATED, np.nan, self.speed_cm_s / 100.0)


def _scaled_or_unstated(values: npt.ArrayLike, scale: float) -> npt.NDArray[np.uint16]:
    stated = np.asarray(values, np.float64)
    scaled = np.where(np.isnan(stated), UNSTATED, np.minimum(np.rint(stated * scale), UNSTATED - 1))
    return scaled.astype(np.uint16)

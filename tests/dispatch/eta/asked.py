"""Questions, by the handful."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dispatch.eta.queries import Queries


def queries(count: int, seed: int = 0, **columns: Any) -> Queries:
    """So many, scattered over a town of 6 km and a working day, four to a trip and two trips to a device."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {
        "trip": np.arange(count) // 4,
        "device": np.arange(count) // 8,
        "ts_s": 1_772_438_400.0 + np.arange(count) * 60.0,
        "lat": 47.1 + rng.uniform(0.0, 0.06, count),
        "lon": 9.5 + rng.uniform(0.0, 0.08, count),
        "to_lat": np.round(47.1 + rng.uniform(0.0, 0.06, count), 2),
        "to_lon": np.round(9.5 + rng.uniform(0.0, 0.08, count), 2),
        "engine_s": rng.uniform(30.0, 4_000.0, count),
        "hour": rng.uniform(0.0, 48.0, count),
    }
    return Queries(**{name: np.asarray(columns.get(name, values)) for name, values in drawn.items()})


def same(count: int, value: float) -> Any:
    """A column of one value."""
    return np.full(count, value)


def of_trips(trips: Sequence[int]) -> Any:
    """A column of trips."""
    return np.array(trips, np.int64)

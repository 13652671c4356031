"""A track as GeoJSON, simplified."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.ping import Ping
from schemas.times import Instant

_METRES_PER_DEGREE: Final = math.radians(6_371_008.8)


def feature_of(device_id: str, pings: Sequence[Ping], simplify_m: float) -> dict[str, Any]:
    """A GeoJSON Feature of pings in order of time; ``properties.times`` belong to the coordinates one by one.

    Longitudes run on past ±180 where the track crosses the antimeridian, so that the line is not torn.
    """
    lat = np.array([ping.lat for ping in pings], np.float64)
    lon = np.array([ping.lon for ping in pings], np.float64)
    lon = np.unwrap(lon, period=360.0)
    kept = simplify(lat, lon, simplify_m)
    coordinates = [[round(float(lon[i]), 7), pings[i].lat] for i in kept]
    geometry: dict[str, Any] | None = None
    if len(coordinates) == 1:
        geometry = {"type": "Point", "coordinates": coordinates[0]}
    elif coordinates:
        geometry = {"type": "LineString", "coordinates": coordinates}
    return {
        "type": "Feature",
        "id": device_id,
        "geometry": geometry,
        "properties": {
            "device_id": device_id,
            "times": [Instant(pings[i].ts_ms) for i in kept],
            "accuracy_m": [pings[i].accuracy_m for i in kept],
            "fixes": len(pings),
        },
    }


def simplify(lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], tolerance_m: float) -> npt.NDArray[np.intp]:
    """Indices of the points that keep every other within ``tolerance_m`` of the line (Douglas and Peucker, 1973).

    ``lon`` is continuous. Distances are measured on a plane around the middle of the track's latitudes.
    """
    n = len(lat)
    if n <= 2 or tolerance_m <= 0.0:
        return np.arange(n)
    middle = math.radians(float(lat.min() + lat.max()) / 2)
    at = np.column_stack((lon * math.cos(middle), lat)) * _METRES_PER_DEGREE
    keep = np.zeros(n, np.bool_)
    keep[[0, n - 1]] = True
    spans = [(0, n - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        away_m = _distance_to_segment(at[first + 1 : last], at[first], at[last])
        farthest = int(np.argmax(away_m))
        if away_m[farthest] > tolerance_m:
            middle_index = first + 1 + farthest
            keep[middle_index] = True
            spans += [(first, middle_index), (middle_index, last)]
    return np.flatnonzero(keep)


def _distance_to_segment(
    points: npt.NDArray[np.float64], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    along = end - start
    length_squared = float(along @ along)
    if length_squared == 0.0:
        nearest = start
    else:
        share = np.clip((points - start) @ along / length_squared, 0.0, 1.0)
        nearest = start + share[:, None] * along
    difference = points - nearest
    return np.hypot(difference[:, 0], difference[:, 1])

"""A flat metric map of a few tens of kilometres: metres east and north of an origin."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_EQUATOR_RADIUS_M: Final = 6_378_137.0
_ECCENTRICITY_SQUARED: Final = 6.694_379_990_14e-3


@dataclass(frozen=True)
class Plane:
    """The tangent plane of the WGS 84 ellipsoid at (``lat``, ``lon``), degrees.

    The map is linear in degrees, so an edge that is straight here is straight in longitude and latitude as well.
    """

    lat: float
    lon: float

    @property
    def metres_per_degree(self) -> tuple[float, float]:
        """East and north, from the ellipsoid's two radii of curvature at the origin."""
        sine = math.sin(math.radians(self.lat))
        root = math.sqrt(1.0 - _ECCENTRICITY_SQUARED * sine * sine)
        across_m = _EQUATOR_RADIUS_M / root * math.cos(math.radians(self.lat))
        along_m = _EQUATOR_RADIUS_M * (1.0 - _ECCENTRICITY_SQUARED) / root**3
        return math.radians(across_m), math.radians(along_m)

    def to_degrees(self, x_m: npt.ArrayLike, y_m: npt.ArrayLike) -> tuple[Floats, Floats]:
        """(lat, lon) of points at the stored resolution of 1e-7 degrees."""
        east_m, north_m = self.metres_per_degree
        lat = self.lat + np.asarray(y_m, np.float64) / north_m
        lon = self.lon + np.asarray(x_m, np.float64) / east_m
        return np.round(lat, 7), np.round(lon, 7)

    def to_metres(self, lat: npt.ArrayLike, lon: npt.ArrayLike) -> tuple[Floats, Floats]:
        """(x, y) of points in degrees."""
        east_m, north_m = self.metres_per_degree
        x_m = (np.asarray(lon, np.float64) - self.lon) * east_m
        y_m = (np.asarray(lat, np.float64) - self.lat) * north_m
        return x_m, y_m

"""Metres from degrees, near a point: the WGS 84 ellipsoid's own scale there, no projection."""

import math
from typing import Final

import numba as nb

EQUATOR_RADIUS_M: Final = 6_378_137.0
"""WGS 84 semi-major axis."""

ECCENTRICITY_SQUARED: Final = 6.694_379_990_14e-3
"""WGS 84 first eccentricity, squared."""

MEAN_RADIUS_M: Final = 6_371_008.8
"""Radius of the sphere that haversine distances are taken on (IUGG mean radius)."""

_SINE: Final = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(10, -1, -1))
"""Taylor's series of sin(x) / x in x², highest power first: exact to rounding within a quarter turn."""


@nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def metres_per_degree(lat: float) -> tuple[float, float]:
    """How long a degree of longitude and a degree of latitude are at ``lat`` degrees, metres.

    From the radii of curvature in the prime vertical and in the meridian; a degree of longitude is 0 at the poles.
    Free of calls and branches, so that a loop over it becomes vector code.
    """
    from_pole = math.radians(90.0 - abs(lat))
    square = from_pole * from_pole
    ratio = _SINE[0]
    for coefficient in _SINE[1:]:
        ratio = ratio * square + coefficient
    cos_lat = from_pole * ratio
    squeeze = 1.0 - ECCENTRICITY_SQUARED * (1.0 - cos_lat * cos_lat)
    vertical_m = EQUATOR_RADIUS_M / math.sqrt(squeeze)
    meridian_m = vertical_m * (1.0 - ECCENTRICITY_SQUARED) / squeeze
    return math.radians(vertical_m * cos_lat), math.radians(meridian_m)


@nb.njit(cache=True, nogil=True)
def wrap_degrees(difference: float) -> float:
    """A difference of longitudes brought to -180 (inclusive) .. 180 (exclusive)."""
    return (difference + 180.0) % 360.0 - 180.0


@nb.njit(cache=True, nogil=True)
def haversine_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance on the mean sphere, metres; within 0.6 % of the ellipsoid's at any range."""
    half_lat = math.sin(math.radians(lat_b - lat_a) / 2.0)
    half_lon = math.sin(math.radians(lon_b - lon_a) / 2.0)
    chord = half_lat**2 + math.cos(math.radians(lat_a)) * math.cos(math.radians(lat_b)) * half_lon**2
    return 2.0 * MEAN_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))

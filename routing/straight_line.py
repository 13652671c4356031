"""Travel times without a map: as the crow flies, longer by a factor that roads are known for, at a usual speed."""

from typing import Final

import numpy as np

from geofence.geodesy import MEAN_RADIUS_M
from routing.provider import Floats, Ways

NAME: Final = "straight_line"

ROAD_FACTOR: Final = 1.35
"""Roads are this much longer than the straight line; 1.2 to 1.5 in the cities of Europe and North America."""

USUAL_SPEED_MPS: Final = 9.0
"""32 km/h: a van in and around a town, lights and all."""

GET_GOING_S: Final = 90.0
"""From the door to the wheel, and from the kerb to the door."""


def distances_m(lat_a: Floats, lon_a: Floats, lat_b: Floats, lon_b: Floats) -> Floats:
    """Great-circle distances on the mean sphere in metres; the arguments are broadcast against each other."""
    half_lat = np.sin(np.radians(lat_b - lat_a) / 2.0)
    half_lon = np.sin(np.radians(lon_b - lon_a) / 2.0)
    chord = half_lat**2 + np.cos(np.radians(lat_a)) * np.cos(np.radians(lat_b)) * half_lon**2
    found: Floats = 2.0 * MEAN_RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
    return found


def travel_s(distance_m: Floats) -> Floats:
    """How long it takes by road between places so far apart, seconds."""
    found: Floats = GET_GOING_S + distance_m * ROAD_FACTOR / USUAL_SPEED_MPS
    return found


class StraightLine:
    """The provider that is always there; its distances are of roads that wind as usual."""

    name = NAME

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        """As ``Provider`` has it."""
        distance_m = distances_m(lat, lon, to_lat, to_lon)
        return Ways(travel_s(distance_m), distance_m * ROAD_FACTOR, [NAME] * len(distance_m))

    def close(self) -> None:
        """Nothing is held."""

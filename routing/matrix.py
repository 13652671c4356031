"""Travel times between all of some places."""

from typing import Final

import numpy as np
import numpy.typing as npt

from routing.provider import Floats, Ways
from routing.straight_line import distances_m, travel_s

MOST_PLACES: Final = 80
"""Of which all ways are asked for one by one: 6,320, two seconds of a worker's time."""


def straight_line_matrix(lat: Floats, lon: Floats) -> Floats:
    """Seconds from place i to place j as float64[n, n], without a map; 0 from a place to itself."""
    found = travel_s(distances_m(lat[:, None], lon[:, None], lat, lon))
    np.fill_diagonal(found, 0.0)
    return found


def pairs_of(places: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where each way between two different places starts and ends, intp[n * (n - 1)] each."""
    start, end = np.nonzero(~np.eye(places, dtype=np.bool_))
    return start, end


def matrix_of(ways: Ways, places: int) -> Floats:
    """The same as ``straight_line_matrix`` of the ways of ``pairs_of``."""
    found = np.zeros((places, places))
    found[pairs_of(places)] = ways.travel_s
    return found

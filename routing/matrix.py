"""Travel times between all of some places."""

import numpy as np

from routing.provider import Floats
from routing.straight_line import distances_m, travel_s


def straight_line_matrix(lat: Floats, lon: Floats) -> Floats:
    """Seconds from place i to place j as float64[n, n], without a map; 0 from a place to itself."""
    found = travel_s(distances_m(lat[:, None], lon[:, None], lat, lon))
    np.fill_diagonal(found, 0.0)
    return found

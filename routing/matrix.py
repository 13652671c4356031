"""Travel times between all of some places."""

from typing import Final

import numpy as np
import numpy.typing as npt

from routing.provider import Floats, Ways
from routing.straight_line import distances_m, travel_s

MOST_WAYS: Final = 6_000
"""So many are asked for one by one: two seconds of a worker's time."""

Numbers = npt.NDArray[np.intp]


def straight_line_matrix(lat: Floats, lon: Floats) -> Floats:
    """Seconds from place i to place j as float64[n, n], without a map; 0 from a place to itself."""
    found = travel_s(distances_m(lat[:, None], lon[:, None], lat, lon))
    np.fill_diagonal(found, 0.0)
    return found


def ways_to_ask(lat: Floats, lon: Floats) -> tuple[Numbers, Numbers]:
    """From and to which places to ask for the way: all, or those between near neighbours, there and back."""
    places = len(lat)
    neighbours = min(places - 1, MOST_WAYS // (2 * places))
    apart = straight_line_matrix(lat, lon)
    np.fill_diagonal(apart, np.inf)
    near = np.zeros((places, places), np.bool_)
    np.put_along_axis(near, np.argsort(apart, axis=1, kind="stable")[:, :neighbours], True, axis=1)
    start, end = np.nonzero(near | near.T)
    return start, end


def matrix_of(ways: Ways, start: Numbers, end: Numbers, lat: Floats, lon: Floats) -> Floats:
    """Of the ways that were asked for what they take, of the others the straight line, longer by as much on the whole.

    Seconds as ``straight_line_matrix`` has them.
    """
    found = straight_line_matrix(lat, lon)
    if len(start):
        found *= np.median(ways.travel_s / found[start, end])
        found[start, end] = ways.travel_s
    return found

"""A place that was found for an address, and what came of looking for one."""

from typing import Literal

import msgspec

from schemas.times import Instant

PlaceKind = Literal["house", "street", "place"]
PlaceSource = Literal["remembered", "offline", "nominatim", "photon"]
GeocodeStatus = Literal["found", "not_found", "ambiguous", "too_coarse", "unavailable", "no_geocoder"]


class FoundPlace(msgspec.Struct, frozen=True):
    """A candidate: the address lies within ``precision_m`` of the point.

    ``kind``: the house itself, the middle of its street, or of a town. ``is_exact``: all that was asked for is in it,
    and it is no worse than the best one.
    """

    label: str
    lat: float
    lon: float
    kind: PlaceKind
    precision_m: float
    source: PlaceSource
    is_exact: bool


class Geocoded(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of looking an address up at ``at``: the place that was taken, or why there is none.

    ``unavailable``: the geocoder was away or busy; it is asked again by itself. The others stay until somebody changes
    the address or says where it is.
    """

    status: GeocodeStatus
    at: Instant
    source: PlaceSource | None = None
    kind: PlaceKind | None = None
    precision_m: float | None = None
    label: str | None = None

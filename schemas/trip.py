"""Trips that are over, to learn from and to be tested on, and what an engine said on the way (``onsite eta``)."""

import itertools

import msgspec

from schemas.places import require_point
from schemas.times import Instant


class TripPoint(msgspec.Struct, frozen=True, rename={"ts_ms": "ts"}):
    """Where a device was on its way, and when: an ETA is asked for there."""

    ts_ms: Instant
    lat: float
    lon: float

    def __post_init__(self) -> None:
        require_point(self.lat, self.lon)


class Destination(msgspec.Struct, frozen=True):
    """Where a trip leads."""

    lat: float
    lon: float

    def __post_init__(self) -> None:
        require_point(self.lat, self.lon)


class Trip(msgspec.Struct, frozen=True, rename={"departed_ms": "departed_at", "arrived_ms": "arrived_at"}):
    """A way from one stop to the next; ``points`` are in the order of time, between departure and arrival."""

    trip_id: str
    device_id: str
    departed_ms: Instant
    arrived_ms: Instant
    to: Destination
    points: list[TripPoint]

    def __post_init__(self) -> None:
        if self.arrived_ms <= self.departed_ms:
            raise ValueError("arrived_at is not after departed_at")
        moments = [self.departed_ms, *(point.ts_ms for point in self.points), self.arrived_ms]
        if any(later < earlier for earlier, later in itertools.pairwise(moments)):
            raise ValueError("points are not in the order of time between departed_at and arrived_at")


class Prediction(msgspec.Struct, frozen=True, rename={"ts_ms": "ts", "from_ms": "window_from", "to_ms": "window_to"}):
    """What was said at ``ts``: the arrival, and between which moments it will be with a probability of ``level``."""

    trip_id: str
    ts_ms: Instant
    eta: Instant
    from_ms: Instant
    to_ms: Instant
    level: float
    provider: str

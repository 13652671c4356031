"""A way to a job that is over, with what was said on it: what ETAs are learnt from, on the topic ``onsite.trips``."""

import msgspec

from schemas.people import zone_of
from schemas.times import Instant
from schemas.trip import Destination


class LearntPoint(msgspec.Struct, frozen=True, rename={"ts_ms": "ts"}):
    """What was asked there and answered, in seconds from ``ts``: the route's own time, the ETA, the window's ends.

    ``delay`` is how much slower than thought it had gone up to there, a logarithm; ``provider`` who knew the way.
    """

    ts_ms: Instant
    lat: float
    lon: float
    engine_s: float
    delay: float
    eta_s: float
    from_s: float
    to_s: float
    provider: str


class LearntTrip(msgspec.Struct, frozen=True, kw_only=True, rename={"arrived_ms": "arrived_at"}):
    """``points`` are in the order of time, none after the arrival; windows held with a probability of ``level``.

    ``time_zone`` is by whose clock the roads are busy there.
    """

    trip_id: str
    device_id: str
    technician_id: str
    job_id: str
    arrived_ms: Instant
    to: Destination
    time_zone: str
    level: float
    points: list[LearntPoint]

    def __post_init__(self) -> None:
        zone_of(self.time_zone)
        if not self.points:
            raise ValueError("a trip without points teaches nothing")

"""The ways that devices are on, from the first question about each until it has arrived."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from dispatch.eta.engine import EtaEngine
from dispatch.eta.lessons import trip_of
from schemas.learnt_trip import LearntTrip


class WayBegun(NamedTuple):
    """Whose way to which job it is; ``time_zone`` is by whose clock the roads are busy there."""

    technician_id: str
    job_id: str
    time_zone: str


@dataclass
class _Trip:
    """``number`` is what the engine calls it, ``providers`` are by the moments of asking (epoch ms)."""

    number: int
    way: WayBegun
    begun_ms: int
    providers: dict[int, str] = field(default_factory=dict)


class UnderWay:
    """A device is on one way at a time; the one before is forgotten where nobody has said when it arrived."""

    def __init__(self, engine: EtaEngine) -> None:
        self._engine = engine
        self._trips: dict[str, _Trip] = {}
        self._numbered = 0

    def asked(self, device_id: str, way: WayBegun, ts_ms: int, provider: str) -> int:
        """The number of the way that a device is on, about which ``provider`` was asked at a moment."""
        trip = self._trips.get(device_id)
        if trip is None or trip.way != way:
            self.end(device_id)
            self._numbered += 1
            trip = self._trips[device_id] = _Trip(self._numbered, way, ts_ms)
        trip.providers[ts_ms] = provider
        return trip.number

    def end(self, device_id: str) -> None:
        """Nothing is learnt of the way that a device is on."""
        trip = self._trips.pop(device_id, None)
        if trip is not None:
            self._engine.forget(trip.number)

    def arrived(self, job_id: str, arrivals: Iterable[tuple[str, int]]) -> list[LearntTrip]:
        """Devices have come to a job (device_id, epoch ms): what there is to learn of those ways."""
        learnt: list[LearntTrip] = []
        for device_id, arrived_ms in arrivals:
            trip = self._trips.get(device_id)
            if trip is None or trip.way.job_id != job_id or arrived_ms < trip.begun_ms:
                continue
            del self._trips[device_id]
            lesson = self._engine.finish(trip.number, arrived_ms / 1000)
            if lesson is not None:
                learnt.append(
                    trip_of(
                        lesson,
                        device_id=device_id,
                        technician_id=trip.way.technician_id,
                        job_id=job_id,
                        arrived_ms=arrived_ms,
                        time_zone=trip.way.time_zone,
                        level=self._engine.windows.level,
                        providers=trip.providers,
                    )
                )
        return learnt

"""Lessons as they travel, and what was learnt from them: the same in every process that has read the same trips."""

from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

import numpy as np

from dispatch.eta.engine import REMEMBERED_TRIPS, Answers, EtaEngine, Lesson
from dispatch.eta.queries import Queries, hours_of
from schemas.learnt_trip import LearntPoint, LearntTrip
from schemas.times import Instant
from schemas.trip import Destination


class Learning:
    """Teaches an engine trips, each once, the newest ``most`` of them. ``number_of`` gives a technician's number."""

    def __init__(self, engine: EtaEngine, number_of: Callable[[str], int], most: int = REMEMBERED_TRIPS) -> None:
        self._engine = engine
        self._number_of = number_of
        self._most = most
        self._trips: dict[str, LearntTrip] = {}
        self._numbered = 0

    def __len__(self) -> int:
        return len(self._trips)

    def take(self, trips: Iterable[LearntTrip]) -> int:
        """Learn those that are new, in the order of their arrivals; how many that were."""
        new = {each.trip_id: each for each in trips if each.trip_id not in self._trips}
        for trip in sorted(new.values(), key=lambda each: (each.arrived_ms, each.trip_id)):
            self._trips[trip.trip_id] = trip
            self._engine.learn(self._lesson(trip))
        for trip_id in list(self._trips)[: -self._most]:
            del self._trips[trip_id]
        return len(new)

    def forget(self, is_erased: Callable[[LearntTrip], bool]) -> int:
        """Know nothing any more of trips that were erased; how many that were."""
        left = {trip_id: trip for trip_id, trip in self._trips.items() if not is_erased(trip)}
        forgotten = len(self._trips) - len(left)
        if forgotten:
            self._trips = left
            self._engine.relearn(map(self._lesson, left.values()))
        return forgotten

    def _lesson(self, trip: LearntTrip) -> Lesson:
        self._numbered += 1
        return lesson_of(trip, self._numbered, self._number_of(trip.technician_id))


def trip_of(
    lesson: Lesson,
    *,
    device_id: str,
    technician_id: str,
    job_id: str,
    arrived_ms: int,
    time_zone: str,
    level: float,
    providers: Mapping[int, str],
) -> LearntTrip:
    """The lesson of a way to a job as it travels; ``providers`` by the moment (epoch ms) of each point."""
    queries, answers = lesson.queries, lesson.answers
    told = (queries.lat, queries.lon, queries.engine_s, lesson.delay, answers.eta_s, answers.from_s, answers.to_s)
    moments = [Instant(round(1000 * ts_s)) for ts_s in queries.ts_s.tolist()]
    points = [
        LearntPoint(ts_ms, lat, lon, engine_s, delay, eta_s, from_s, to_s, providers[ts_ms])
        for ts_ms, lat, lon, engine_s, delay, eta_s, from_s, to_s in zip(
            moments, *(column.tolist() for column in told), strict=True
        )
    ]
    return LearntTrip(
        trip_id=f"{device_id}/{job_id}/{moments[0]}",
        device_id=device_id,
        technician_id=technician_id,
        job_id=job_id,
        arrived_ms=Instant(arrived_ms),
        to=Destination(float(queries.to_lat[0]), float(queries.to_lon[0])),
        time_zone=time_zone,
        level=level,
        points=points,
    )


def lesson_of(trip: LearntTrip, number: int, device: int) -> Lesson:
    """What there is to learn of a trip; ``number`` and ``device`` are what the engine calls it and who drove."""
    points, count = trip.points, len(trip.points)
    ts_s, lat, lon, engine_s, delay, eta_s, from_s, to_s = np.array(
        [
            (each.ts_ms / 1000, each.lat, each.lon, each.engine_s, each.delay, each.eta_s, each.from_s, each.to_s)
            for each in points
        ]
    ).T
    queries = Queries(
        trip=np.full(count, number),
        device=np.full(count, device),
        ts_s=ts_s,
        lat=lat,
        lon=lon,
        to_lat=np.full(count, trip.to.lat),
        to_lon=np.full(count, trip.to.lon),
        engine_s=engine_s,
        hour=hours_of(ts_s, ZoneInfo(trip.time_zone)),
    )
    return Lesson(queries, delay, Answers(eta_s, from_s, to_s), trip.arrived_ms / 1000 - ts_s)

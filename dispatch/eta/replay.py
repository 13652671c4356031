"""Past trips asked about again, in the order of time; only trips that had arrived by then are learnt from."""

from collections.abc import Sequence
from itertools import chain
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from dispatch.eta.engine import Answers, EtaEngine
from dispatch.eta.queries import Floats, Queries, hours_of
from schemas.trip import Trip

BEHIND: Final = 0.02
"""Trips are learnt from together, so many of those known: what is asked meanwhile is answered at once."""


def places_of(trips: Sequence[Trip]) -> Floats:
    """float64[4, n], degrees: from where (lat, lon) to where (lat, lon) each point asks about, trip after trip."""
    asked = ((point.lat, point.lon, trip.to.lat, trip.to.lon) for trip in trips for point in trip.points)
    return np.fromiter(chain.from_iterable(asked), np.float64).reshape(-1, 4).T


def questions_of(trips: Sequence[Trip], places: Floats, travel_s: Floats, zone: ZoneInfo) -> Queries:
    """A question for each point, trip after trip.

    ``places`` are the trips', ``travel_s`` float64[n] is what a provider takes the ways for.
    """
    counts = [len(trip.points) for trip in trips]
    devices = {device_id: number for number, device_id in enumerate(dict.fromkeys(trip.device_id for trip in trips))}
    ts_s = np.array([point.ts_ms for trip in trips for point in trip.points], np.float64) / 1000.0
    lat, lon, to_lat, to_lon = places
    return Queries(
        trip=np.repeat(np.arange(len(trips)), counts),
        device=np.repeat(np.array([devices[trip.device_id] for trip in trips], np.int64), counts),
        ts_s=ts_s,
        lat=lat,
        lon=lon,
        to_lat=to_lat,
        to_lon=to_lon,
        engine_s=travel_s,
        hour=hours_of(ts_s, zone),
    )


def replay(queries: Queries, arrived_s: Floats, engine: EtaEngine) -> Answers:
    """The answer to each question, where trip ``i`` arrived at ``arrived_s[i]`` (epoch s)."""
    in_time = np.argsort(queries.ts_s, kind="stable")
    asked_s = queries.ts_s[in_time]
    arriving = np.argsort(arrived_s, kind="stable")
    told = np.zeros((3, len(queries)))
    row = learnt = 0
    while row < len(queries):
        some = arriving[learnt : learnt + max(1, int(BEHIND * learnt))]
        until_s = arrived_s[some[-1]] if len(some) else np.inf
        end = int(np.searchsorted(asked_s, until_s, side="right"))
        rows = in_time[row:end]
        if len(rows):
            answers = engine.answer(queries[rows])
            told[:, rows] = answers.eta_s, answers.from_s, answers.to_s
        for trip in some.tolist():
            engine.arrive(trip, float(arrived_s[trip]))
        row, learnt = max(row, end), learnt + len(some)
    return Answers(*told)

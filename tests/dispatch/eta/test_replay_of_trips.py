"""A replay knows at each moment what was known then, and nothing else."""

from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.eta.engine import Answers, EtaEngine
from dispatch.eta.queries import hours_of
from dispatch.eta.replay import places_of, questions_of, replay
from dispatch.eta.scores import by_horizon, score
from routing.straight_line import StraightLine
from schemas.times import Instant, parse_instant
from schemas.trip import Destination, Trip, TripPoint

MONDAY_MS = parse_instant("2026-03-02T07:00:00Z")
UTC = ZoneInfo("UTC")


def trips_of(count: int, seed: int, pace: float = 1.7) -> list[Trip]:
    """Vans on their ways through a town at ``pace`` times what the straight line takes."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        lat, lon, to_lat, to_lon = rng.uniform((47.0, 9.4, 47.0, 9.4), (47.1, 9.5, 47.1, 9.5)).tolist()
        took_s = float(StraightLine().ways(*(np.array([each]) for each in (lat, lon, to_lat, to_lon))).travel_s[0])
        took_s *= pace * float(np.exp(rng.normal(0.0, 0.1)))
        departed_ms = MONDAY_MS + int(number * 600_000 + rng.integers(0, 300_000))
        points = [
            TripPoint(
                Instant(departed_ms + round(1000 * took_s * part)),
                lat + (to_lat - lat) * part,
                lon + (to_lon - lon) * part,
            )
            for part in np.linspace(0.0, 0.9, int(rng.integers(1, 6))).tolist()
        ]
        arrived_ms = Instant(departed_ms + round(1000 * took_s))
        found.append(
            Trip(
                f"t{number}", f"van-{number % 4}", Instant(departed_ms), arrived_ms, Destination(to_lat, to_lon), points
            )
        )
    return found


def asked(trips: list[Trip]) -> dict[tuple[str, int], tuple[float, float, float]]:
    """By trip and moment, what was said."""
    places = places_of(trips)
    ways = StraightLine().ways(*places)
    queries = questions_of(trips, places, ways.travel_s, UTC)
    answers = replay(queries, np.array([trip.arrived_ms for trip in trips]) / 1000, EtaEngine())
    keys = [(trip.trip_id, int(point.ts_ms)) for trip in trips for point in trip.points]
    told = zip(answers.eta_s.tolist(), answers.from_s.tolist(), answers.to_s.tolist(), strict=True)
    return dict(zip(keys, told, strict=True))


@settings(max_examples=10, deadline=None)
@given(st.integers(5, 60), st.integers(0, 99), st.data())
def test_what_is_said_does_not_depend_on_what_comes_later(count: int, seed: int, data: st.DataObject) -> None:
    trips = trips_of(count, seed)
    cut_ms = trips[data.draw(st.integers(1, count - 1))].departed_ms
    changed = [
        trip
        if trip.arrived_ms <= cut_ms
        else msgspec.structs.replace(trip, arrived_ms=Instant(trip.arrived_ms + 3_600_000))
        for trip in trips
    ]
    before = {key: told for key, told in asked(trips).items() if key[1] <= cut_ms}
    assert before == {key: told for key, told in asked(changed).items() if key[1] <= cut_ms}


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 40), st.integers(0, 99), st.randoms())
def test_the_order_of_the_file_does_not_matter(count: int, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    trips = trips_of(count, seed)
    shuffled = random.sample(trips, len(trips))
    told, again = asked(trips), asked(shuffled)
    assert told.keys() == again.keys()
    for key, each in told.items():
        assert again[key] == pytest.approx(each, rel=1e-6)


def test_a_replay_learns() -> None:
    trips = trips_of(300, 5)
    told = asked(trips)
    late = [trip for trip in trips if trip.departed_ms > trips[100].arrived_ms]
    error_s = [
        abs(told[trip.trip_id, int(point.ts_ms)][0] - (trip.arrived_ms - point.ts_ms) / 1000)
        for trip in late
        for point in trip.points
    ]
    route_s = [abs((trip.arrived_ms - point.ts_ms) / 1000 * (1 - 1 / 1.7)) for trip in late for point in trip.points]
    assert sum(error_s) < 0.5 * sum(route_s)


def test_a_trip_that_goes_slower_than_thought_is_expected_later() -> None:
    """Two questions from the same place: who asks again an hour later has stood in a jam."""
    engine = EtaEngine()
    (trip,) = trips_of(1, 3)
    here = msgspec.structs.replace(
        trip,
        points=[trip.points[0], msgspec.structs.replace(trip.points[0], ts_ms=Instant(trip.points[0].ts_ms + 900_000))],
    )
    queries = questions_of([here], places_of([here]), np.array([600.0, 600.0]), UTC)
    first, again = engine.answer(queries).eta_s
    assert again > 1.2 * first


def test_hours_are_those_of_the_clock_on_the_wall() -> None:
    zone = ZoneInfo("Europe/Zurich")
    moments = ("2026-03-27T07:10:00Z", "2026-03-28T07:10:00Z", "2026-03-30T07:10:00Z", "2026-10-25T00:30:00Z")
    ts_s = np.array([parse_instant(each) / 1000 for each in moments])
    assert hours_of(ts_s, zone) == pytest.approx([8 + 1 / 6, 32 + 1 / 6, 9 + 1 / 6, 24 + 2.5])


def test_scores_are_those_of_plain_sums() -> None:
    answers = Answers(
        np.array([60.0, 600.0, 3_000.0]), np.array([30.0, 500.0, 2_000.0]), np.array([90.0, 700.0, 2_500.0])
    )
    remaining_s, engine_s = np.array([30.0, 720.0, 2_400.0]), np.array([60.0, 600.0, 2_000.0])
    found = score(answers, engine_s, remaining_s)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.mae_min == pytest.approx((30 + 120 + 600) / 3 / 60)
    assert found.bias_min == pytest.approx((30 - 120 + 600) / 3 / 60)
    assert found.mape == pytest.approx((120 / 720 + 600 / 2_400) / 2)
    assert found.width_min == pytest.approx((60 + 200 + 500) / 3 / 60)
    assert found.engine_mae_min == pytest.approx((30 + 120 + 400) / 3 / 60)
    buckets = by_horizon(answers, engine_s, remaining_s)
    assert {name: each.asked for name, each in buckets.items()} == {
        "0-5 min": 1,
        "5-10 min": 0,
        "10-20 min": 1,
        "20-40 min": 0,
        "40+ min": 1,
    }

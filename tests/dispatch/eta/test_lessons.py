"""Lessons travel without loss, and whoever has read the same trips knows the same."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.eta.engine import EtaEngine
from dispatch.eta.lessons import Learning, lesson_of, trip_of
from schemas import wire
from schemas.learnt_trip import LearntTrip
from tests.dispatch.eta.asked import of_trips, queries

ZONE = "Europe/Zurich"


def trips(count: int, seed: int, factor: float = 1.5) -> list[LearntTrip]:
    """Ways that took so much longer than their routes, as an engine that knows nothing has seen them."""
    asked, engine = queries(4 * count, seed, ts_s=np.floor(1_772_438_400.0 + np.arange(4 * count) * 60.0)), EtaEngine()
    engine.answer(asked)
    found = []
    for number in range(count):
        arrived_s = float(round(asked.ts_s[4 * number + 3] + factor * asked.engine_s[4 * number + 3]))
        lesson = engine.finish(number, arrived_s)
        assert lesson is not None
        found.append(
            trip_of(
                lesson,
                device_id=f"van-{number % 5}",
                technician_id=f"t{number % 5}",
                job_id=f"job-{number}",
                arrived_ms=round(1000 * arrived_s),
                time_zone=ZONE,
                level=0.8,
                providers=dict.fromkeys((round(1000 * each) for each in lesson.queries.ts_s.tolist()), "osrm"),
            )
        )
    return found


def said(engine: EtaEngine) -> list[float]:
    answers = engine.foresee(queries(50, 99))
    return [*answers.eta_s, *answers.from_s, *answers.to_s]


def learning(engine: EtaEngine, most: int = 2_000) -> Learning:
    return Learning(engine, lambda technician_id: int(technician_id[1:]), most)


def test_a_lesson_travels_without_loss() -> None:
    asked, engine = queries(6, 3, trip=of_trips([0] * 6), ts_s=1_772_438_400.0 + np.arange(6) * 60.0), EtaEngine()
    engine.answer(asked)
    lesson = engine.finish(0, float(asked.ts_s[-1]) + 300.0)
    assert lesson is not None
    trip = trip_of(
        lesson,
        device_id="van-1",
        technician_id="t1",
        job_id="job-1",
        arrived_ms=round(1000 * (float(asked.ts_s[-1]) + 300.0)),
        time_zone=ZONE,
        level=0.8,
        providers=dict.fromkeys((round(1000 * each) for each in asked.ts_s.tolist()), "osrm"),
    )
    again = lesson_of(wire.decode(LearntTrip, wire.encode(trip)), 7, 3)
    assert set(again.queries.trip.tolist()) == {7}
    assert set(again.queries.device.tolist()) == {3}
    for name in ("ts_s", "lat", "lon", "engine_s"):
        assert np.array_equal(getattr(again.queries, name), getattr(lesson.queries, name)), name
    assert np.array_equal(again.delay, lesson.delay)
    assert np.array_equal(again.remaining_s, lesson.remaining_s)
    for name in ("eta_s", "from_s", "to_s"):
        assert np.array_equal(getattr(again.answers, name), getattr(lesson.answers, name)), name
    assert again.queries.hour[0] == pytest.approx(9.0), "eight in the morning, in Zurich"


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.integers(0, 99), st.randoms())
def test_who_reads_the_same_trips_at_once_knows_the_same(count: int, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    told = trips(count, seed)
    one, other = EtaEngine(), EtaEngine()
    assert learning(one).take(told) == count
    assert learning(other).take(random.sample(told + told[:3], len(told) + len(told[:3]))) == count
    assert said(one) == pytest.approx(said(other))


def test_what_is_learnt_is_used() -> None:
    engine = EtaEngine()
    before = said(engine)
    learning(engine).take(trips(200, 1))
    assert np.mean(np.array(said(engine)[:50]) / np.array(before[:50])) > 1.2


def test_what_was_erased_is_as_if_it_had_never_been() -> None:
    told = trips(60, 1)
    one, other = EtaEngine(), EtaEngine()
    hers = learning(one)
    hers.take(told)
    assert hers.forget(lambda trip: trip.device_id == "van-2") == 12
    assert hers.forget(lambda trip: trip.device_id == "van-2") == 0
    learning(other).take([each for each in told if each.device_id != "van-2"])
    assert said(one) == pytest.approx(said(other))
    assert len(hers) == 48


def test_only_the_newest_are_kept() -> None:
    one = learning(EtaEngine(), most=10)
    told = trips(30, 2)
    one.take(told[:20])
    one.take(told[20:])
    assert len(one) == 10
    assert one.forget(lambda trip: trip.trip_id in {each.trip_id for each in told[:20]}) == 0


@pytest.mark.parametrize("wrong", [{"points": []}, {"time_zone": "Mars"}])
def test_what_is_no_lesson_is_refused(wrong: dict[str, object]) -> None:
    (trip,) = trips(1, 1)
    plain = wire.to_builtins(trip) | wrong
    with pytest.raises((msgspec.ValidationError, ValueError)):
        wire.decode(LearntTrip, msgspec.json.encode(plain))

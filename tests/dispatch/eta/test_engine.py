"""An engine in a running system: what it keeps of ways, and what it learns once they are over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.eta.engine import ASKED_A_TRIP, Answers, EtaEngine
from dispatch.eta.queries import Queries
from tests.dispatch.eta.asked import of_trips, queries, same


def told(engine: EtaEngine, asked: Queries) -> list[float]:
    answers = engine.foresee(asked)
    return [*answers.eta_s, *answers.from_s, *answers.to_s]


def taught(engine: EtaEngine, seed: int, trips: int = 30) -> EtaEngine:
    asked = queries(4 * trips, seed)
    engine.answer(asked)
    for trip in range(trips):
        engine.arrive(trip, float(asked.ts_s[4 * trip + 3] + asked.engine_s[4 * trip + 3] * 1.5))
    return engine


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 99))
def test_finishing_and_learning_is_arriving(trips: int, seed: int) -> None:
    asked = queries(4 * trips, seed)
    one, other, third = EtaEngine(), EtaEngine(), EtaEngine()
    one.answer(asked)
    other.answer(asked)
    lessons = []
    for trip in range(trips):
        arrived_s = float(asked.ts_s[4 * trip + 3] + 600.0)
        one.arrive(trip, arrived_s)
        lesson = other.finish(trip, arrived_s)
        assert lesson is not None
        lessons.append(lesson)
        third.learn(lesson)  # somebody who was told of it
    assert told(other, asked) == told(EtaEngine(), asked), "finishing alone teaches nothing"
    other.relearn(lessons)
    assert told(one, asked) == told(other, asked) == told(third, asked)


def test_what_was_asked_after_the_arrival_is_no_lesson() -> None:
    asked = queries(6, trip=of_trips([0] * 6))
    engine = EtaEngine()
    answers = engine.answer(asked)
    lesson = engine.finish(0, float(asked.ts_s[3]))
    assert lesson is not None
    assert lesson.queries.ts_s.tolist() == asked.ts_s[:4].tolist()
    assert lesson.remaining_s.tolist() == [180.0, 120.0, 60.0, 0.0]
    assert lesson.answers.eta_s.tolist() == answers.eta_s[:4].tolist()
    assert engine.finish(0, float(asked.ts_s[5])) is None, "it is over"
    engine.answer(asked)
    assert engine.finish(0, float(asked.ts_s[0]) - 1.0) is None


def test_a_long_trip_is_learnt_from_at_some_points_the_first_and_the_last_among_them() -> None:
    asked = queries(200, trip=of_trips([7] * 200))
    engine = EtaEngine()
    for row in range(200):
        engine.answer(asked[row : row + 1])
    lesson = engine.finish(7, float(asked.ts_s[-1]))
    assert lesson is not None
    assert len(lesson.queries) == ASKED_A_TRIP
    assert {lesson.queries.ts_s[0], lesson.queries.ts_s[-1]} == {asked.ts_s[0], asked.ts_s[-1]}


def test_a_way_that_nobody_is_on_leaves_nothing_behind() -> None:
    engine = EtaEngine()
    asked = queries(2, 4, trip=of_trips([900, 900]), ts_s=np.array([0.0, 3_000.0]), engine_s=same(2, 600.0))
    first = told(engine, asked)
    assert told(engine, asked) == first
    assert engine.finish(900, 1e9) is None
    kept = engine.answer(asked)
    assert kept.eta_s[0] == pytest.approx(first[0]), "at first nothing is known of how it goes"
    assert kept.eta_s[1] > first[1], "then it has gone slowly"


def test_to_learn_anew_is_to_forget_the_rest_but_not_who_is_under_way() -> None:
    engine, fresh = taught(EtaEngine(), 3), EtaEngine()
    asked = queries(1, 5, trip=of_trips([900]))
    engine.answer(asked)
    engine.relearn([])
    assert told(engine, asked) == told(fresh, asked)
    lesson = engine.finish(900, float(asked.ts_s[0]) + 60.0)
    assert lesson is not None
    assert isinstance(lesson.answers, Answers)

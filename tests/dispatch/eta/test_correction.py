"""The correction: held against the same sums in plain loops, and against what a fitted model has to know."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.eta.correction import AGES_TRIPS, Correction, fit
from dispatch.eta.queries import Queries
from dispatch.eta.terms import CELLS, CURVE, DEVICE_SHRINK, HOUR, LENGTHS_S, METRES_PER_DEGREE, WEEKEND
from tests.dispatch.eta.asked import of_trips, queries, same

Slots = dict[Any, float]
"""The slots of a term that a question has, each with its share."""


def square(lat: float, lon: float, size_m: float, shift: float) -> tuple[int, int]:
    row = math.floor(lat * METRES_PER_DEGREE / size_m + shift)
    along_m = METRES_PER_DEGREE * math.cos(math.radians((row - shift) * size_m / METRES_PER_DEGREE))
    return row, math.floor(lon * along_m / size_m + shift)


def slots_of(q: Queries, row: int) -> list[tuple[float, Slots]]:
    """Of one question the shrinkage and the slots of each term, in the order in which they are fitted."""
    way_s = max(float(q.engine_s[row]), LENGTHS_S[0])
    hour = q.hour[row] % 24
    first, share = int(hour), hour - int(hour)
    by_hour = {first: 1 - share, (first + 1) % 24: share}
    found: list[tuple[float, Slots]] = [
        (CURVE.shrink, between(math.log(way_s), [math.log(each) for each in LENGTHS_S])),
        (HOUR.shrink, by_hour),
        (WEEKEND.shrink, by_hour if q.hour[row] >= 24 else {}),
    ]
    for cells in CELLS:
        places = [(q.lat[row], q.lon[row], cells.from_m), (q.to_lat[row], q.to_lon[row], cells.to_m)]
        found.append(
            (cells.shrink, {tuple(square(lat, lon, size, cells.shift) for lat, lon, size in places if size): 1.0})
        )
    found.append((DEVICE_SHRINK, {int(q.device[row]): 1.0}))
    return found


def between(value: float, knots: list[float]) -> Slots:
    """The knots on both sides of a value, each with its share."""
    value = min(value, knots[-1])
    low = max(number for number in range(len(knots) - 1) if knots[number] <= value)
    part = (value - knots[low]) / (knots[low + 1] - knots[low])
    return {low: 1 - part, low + 1: part}


def means(rest: list[float], weight: list[float], slots: list[Slots], shrink: float) -> Slots:
    """Of each slot what is left on average, shrunk."""
    seen: Slots = defaultdict(float)
    found: Slots = defaultdict(float)
    for left, each_weight, of_row in zip(rest, weight, slots, strict=True):
        for slot, share in of_row.items():
            seen[slot] += each_weight * share
            found[slot] += each_weight * share * left
    return {slot: found[slot] / (seen[slot] + shrink) for slot in seen}


class Naive:
    """Backfitting, an answered question at a time."""

    def __init__(self, q: Queries, remaining_s: list[float], delay: list[float], age: list[float]) -> None:
        count = len(q)
        rest = [max(-2.5, min(2.5, math.log(left / way))) for left, way in zip(remaining_s, q.engine_s, strict=True)]
        part = [math.sqrt(max(way, 60.0)) for way in q.engine_s]
        of_trip = defaultdict(float)
        for row in range(count):
            of_trip[q.trip[row]] += part[row]
        once = [part[row] / of_trip[q.trip[row]] for row in range(count)]
        weight = [once[row] * 0.5 ** (age[row] / 1_000) for row in range(count)]
        ages = [between(age[row], AGES_TRIPS.tolist()) for row in range(count)]
        drift: Slots = defaultdict(float)

        def drifted(row: int) -> float:
            return sum(share * drift.get(slot, 0.0) for slot, share in ages[row].items())

        slots = [slots_of(q, row) for row in range(count)]
        self.effects: list[Slots] = [defaultdict(float) for _ in slots[0]]
        self.mean = 0.0
        for _ in range(2):
            before = self.mean
            self.mean = sum(weight[row] * (rest[row] + before) for row in range(count)) / (sum(weight) + 0.3)
            rest = [rest[row] + before - self.mean + drifted(row) for row in range(count)]
            drift = means(rest, weight, ages, 3.0)
            rest = [rest[row] - drifted(row) for row in range(count)]
            for term in range(len(self.effects)):
                rest = [rest[row] + self.effect(term, slots[row]) for row in range(count)]
                self.effects[term] = means(rest, weight, [each[term][1] for each in slots], slots[0][term][0])
                rest = [rest[row] - self.effect(term, slots[row]) for row in range(count)]
        self.level = self.mean + drift.get(0, 0.0)
        self.pace = (sum(w * d * r for w, d, r in zip(weight, delay, rest, strict=True)) + 5.0 * 0.3) / (
            sum(w * d * d for w, d in zip(weight, delay, strict=True)) + 5.0
        )

    def effect(self, term: int, slots: list[tuple[float, Slots]]) -> float:
        return sum(share * self.effects[term].get(slot, 0.0) for slot, share in slots[term][1].items())

    def route_s(self, q: Queries, row: int) -> float:
        slots = slots_of(q, row)
        return float(
            q.engine_s[row] * math.exp(self.level + sum(self.effect(term, slots) for term in range(len(slots))))
        )


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 48), st.integers(0, 1_000))
def test_the_sums_are_those_of_plain_loops(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = queries(count, seed)
    remaining_s = q.engine_s * np.exp(rng.normal(0.3, 0.4, count))
    delay = rng.normal(0.0, 0.2, count)
    age = np.floor(np.arange(count)[::-1] / 4.0)
    found = fit(q, remaining_s, delay, age)
    naive = Naive(q, remaining_s.tolist(), delay.tolist(), age.tolist())
    assert found.level == pytest.approx(naive.level, abs=1e-9)
    assert found.pace == pytest.approx(naive.pace, abs=1e-9)
    others = queries(12, seed + 1)
    expected = [naive.route_s(others, row) for row in range(12)]
    assert found.route_s(others) == pytest.approx(expected, rel=1e-9)


def test_who_knows_nothing_repeats_the_route() -> None:
    q = queries(20)
    assert fit(q[:0], np.zeros(0), np.zeros(0), np.zeros(0)).route_s(q) == pytest.approx(q.engine_s)
    assert Correction().with_pace(q.engine_s, np.zeros(20)) == pytest.approx(q.engine_s)


def learnt(q: Queries, factor: Any, trips: int) -> Correction:
    """From questions that took ``factor`` times their routes, the first ones longest ago."""
    age = trips - 1.0 - np.unique(q.trip, return_inverse=True)[1]
    return fit(q, q.engine_s * factor, np.zeros(len(q)), age)


def test_what_is_always_slower_is_expected_to_be() -> None:
    q = queries(800)
    others = queries(50, seed=9)
    assert learnt(q, 1.6, 200).route_s(others) == pytest.approx(1.6 * others.engine_s, rel=0.03)


def test_a_rush_hour_is_known_and_no_other_hour_suffers() -> None:
    q = queries(4_000, to_lat=same(4_000, 47.13), to_lon=same(4_000, 9.53))
    rush = (q.hour % 24 >= 7) & (q.hour % 24 < 9)
    model = learnt(q, np.where(rush, 2.0, 1.0), 1_000)

    def ratio(hour: float) -> float:
        asked = queries(60, seed=5, hour=same(60, hour), to_lat=same(60, 47.13), to_lon=same(60, 9.53))
        return float(np.median(model.route_s(asked) / asked.engine_s))

    assert ratio(8.0) / ratio(13.0) == pytest.approx(2.0, rel=0.1)
    assert ratio(32.0) / ratio(37.0) == pytest.approx(2.0, rel=0.1)
    assert ratio(13.0) == pytest.approx(ratio(16.0), rel=0.05)


def test_a_slow_driver_is_slow_and_a_stranger_is_not() -> None:
    q = queries(1_600, device=np.arange(1_600) // 4 % 10)
    model = learnt(q, np.where(q.device == 3, 1.5, 1.0), 400)
    asked = queries(40, seed=6)

    def ratio(device: int) -> float:
        told = model.route_s(queries(40, seed=6, device=np.full(40, device)))
        return float(np.median(told / asked.engine_s))

    assert ratio(3) / ratio(4) == pytest.approx(1.5, rel=0.1)
    assert ratio(99) == pytest.approx(ratio(4), rel=0.1)


def test_what_drifts_is_followed() -> None:
    q = queries(1_600)
    others = queries(50, seed=9)

    def ratio(slow_trips: int) -> float:
        model = learnt(q, np.where(q.trip >= 400 - slow_trips, 1.5, 1.0), 400)
        return float(np.median(model.route_s(others) / others.engine_s))

    assert ratio(0) == pytest.approx(1.0, rel=0.02)
    assert 1.1 < ratio(40) < 1.5
    assert ratio(150) == pytest.approx(1.5, rel=0.1)


def test_a_trip_counts_once_however_often_it_was_asked_about() -> None:
    often = queries(100, trip=of_trips([0] * 60 + list(range(1, 41))), engine_s=same(100, 600.0))
    model = learnt(often, np.where(often.trip == 0, 3.0, 1.0), 41)
    others = queries(50, seed=9, engine_s=same(50, 600.0))
    assert float(np.median(model.route_s(others) / others.engine_s)) < 1.15


def test_a_wild_trip_is_not_believed() -> None:
    q = queries(400)
    factor = np.ones(400)
    factor[-4:] = 1e6
    others = queries(50, seed=9)
    assert float(np.median(learnt(q, factor, 100).route_s(others) / others.engine_s)) < 1.3

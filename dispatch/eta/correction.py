"""How much longer than its route a trip takes: an additive model of the logarithm, fitted to the last trips.

The effects of the terms are found by backfitting (Hastie and Tibshirani 1986) with each mean shrunk towards none, so
that two trips move little and two hundred decide. Geography is remembered for long; the general level drifts: it is a
curve over the trips since, of which the end counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from dispatch.eta.queries import SHORTEST_S, Floats, Ints, Queries
from dispatch.eta.terms import (
    CELLS,
    CURVE,
    DEVICE_SHRINK,
    HOUR,
    WEEKEND,
    Shares,
    cell_keys,
    curve_shares,
    hour_shares,
    weekend_shares,
)

SWEEPS: Final = 2
HALF_LIFE_TRIPS: Final = 1_000.0
MEAN_SHRINK: Final = 0.3
AGES_TRIPS: Final = np.array([0.0, 60.0, 180.0, 420.0, 900.0, 1_860.0])
"""Knots of the curve of the level, in trips that have arrived since."""
LEVEL_SHRINK: Final = 3.0
PACE_SHRINK: Final = 5.0
USUAL_PACE: Final = 0.3
"""Of a delay so far, in logarithms, what is still to come while nothing has been learnt."""
SKEW_SHRINK: Final = 10.0
CLIP: Final = 2.5
"""A trip that took twelve times as long as its route is believed to have taken that at most."""

_KNOTS: Final = ((CURVE, curve_shares), (HOUR, hour_shares), (WEEKEND, weekend_shares))


@dataclass(frozen=True, eq=False)
class Correction:
    """Fitted effects; without any, trips take as long as their routes.

    ``knots`` has the effects of the slots of each term of knots, ``cells`` of each term of squares the sorted keys that
    were seen and their effects. ``pace`` is the part of a delay so far that is still to come, ``skew`` the ratio of
    mean to median.
    """

    level: float = 0.0
    knots: Mapping[str, Floats] = field(default_factory=dict)
    cells: Mapping[str, tuple[npt.NDArray[np.uint64], Floats]] = field(default_factory=dict)
    devices: Floats = field(default_factory=lambda: np.zeros(0))
    pace: float = USUAL_PACE
    skew: float = 1.0

    def route_s(self, queries: Queries) -> Floats:
        """Seconds that the ways take, whatever has been seen of the trips."""
        total = np.full(len(queries), self.level)
        if self.knots:
            for term, shares_of in _KNOTS:
                total += _effect(self.knots[term.name], shares_of(queries))
            for cells in CELLS:
                total += _looked_up(*self.cells[cells.name], cell_keys(queries, cells))
            is_known = queries.device < len(self.devices)
            total[is_known] += self.devices[queries.device[is_known]]
        return np.asarray(np.maximum(queries.engine_s, SHORTEST_S) * np.exp(total))

    def with_pace(self, route_s: Floats, delay: Floats) -> Floats:
        """Seconds, of trips that so far have gone slower than thought by ``delay`` (logarithms)."""
        return np.asarray(route_s * np.exp(self.pace * delay) * self.skew)


def fit(queries: Queries, remaining_s: Floats, delay: Floats, age_trips: Floats) -> Correction:
    """The correction that these answered questions ask for.

    ``remaining_s`` float64[n] is how long it took from there, ``delay`` float64[n] as for ``with_pace``, ``age_trips``
    float64[n] how many trips have arrived since.
    """
    if not len(queries):
        return Correction()
    engine_s = np.maximum(queries.engine_s, SHORTEST_S)
    rest = np.clip(np.log(np.maximum(remaining_s, SHORTEST_S) / engine_s), -CLIP, CLIP)
    weight = _trip_weights(queries) * 0.5 ** (age_trips / HALF_LIFE_TRIPS)
    shared = [(term, shares_of(queries)) for term, shares_of in _KNOTS]
    grouped = [(cells.shrink, *np.unique(cell_keys(queries, cells), return_inverse=True)) for cells in CELLS]
    grouped.append((DEVICE_SHRINK, np.arange(int(queries.device.max()) + 1, dtype=np.uint64), queries.device))
    aged = _age_shares(age_trips)
    mean, drift = 0.0, np.zeros(len(AGES_TRIPS))
    knots = [np.zeros(term.slots) for term, _ in shared]
    groups = [np.zeros(len(keys)) for _, keys, _ in grouped]
    for _ in range(SWEEPS):
        before = mean
        mean = float(np.sum(weight * (rest + before)) / (np.sum(weight) + MEAN_SHRINK))
        rest = rest + (before - mean) + _effect(drift, aged)
        drift = _shared_means(rest, weight, aged, len(AGES_TRIPS), LEVEL_SHRINK)
        rest = rest - _effect(drift, aged)
        for number, (term, shares) in enumerate(shared):
            rest = rest + _effect(knots[number], shares)
            knots[number] = _shared_means(rest, weight, shares, term.slots, term.shrink)
            rest = rest - _effect(knots[number], shares)
        for number, (shrink, keys, slot) in enumerate(grouped):
            rest = rest + groups[number][slot]
            groups[number] = _means(rest, weight, slot, len(keys), shrink)
            rest = rest - groups[number][slot]
    pace = (np.sum(weight * delay * rest) + PACE_SHRINK * USUAL_PACE) / (np.sum(weight * delay**2) + PACE_SHRINK)
    rest = rest - pace * delay
    return Correction(
        level=mean + float(drift[0]),
        knots={term.name: effects for (term, _), effects in zip(shared, knots, strict=True)},
        cells={
            cells.name: (keys, effects)
            for cells, (_, keys, _), effects in zip(CELLS, grouped[:-1], groups[:-1], strict=True)
        },
        devices=groups[-1],
        pace=float(pace),
        skew=_skew(rest, weight, remaining_s),
    )


def _trip_weights(queries: Queries) -> Floats:
    """A trip counts once, its long ways more than its last metres."""
    _, trip = np.unique(queries.trip, return_inverse=True)
    weight = np.sqrt(np.maximum(queries.engine_s, 60.0))
    return np.asarray(weight / np.bincount(trip, weight)[trip])


def _age_shares(age_trips: Floats) -> Shares:
    at = np.clip(age_trips, 0.0, AGES_TRIPS[-1])
    low = np.clip(np.searchsorted(AGES_TRIPS, at, side="right") - 1, 0, len(AGES_TRIPS) - 2)
    return Shares(low, low + 1, (at - AGES_TRIPS[low]) / (AGES_TRIPS[low + 1] - AGES_TRIPS[low]))


def _skew(rest: Floats, weight: Floats, remaining_s: Floats) -> float:
    """Means of travel times lie above their medians: by what factor, of those that do not drift."""
    rest = rest - np.sum(weight * rest) / np.sum(weight)
    found = np.sum(weight * remaining_s) / np.sum(weight * remaining_s * np.exp(-rest))
    trips = float(np.sum(weight))
    return float(1.0 + (np.clip(found, 0.9, 1.2) - 1.0) * trips / (trips + SKEW_SHRINK))


def _effect(effects: Floats, shares: Shares) -> Floats:
    padded = np.append(effects, 0.0)  # a slot past the last has no effect
    return np.asarray(padded[shares.low] * (1.0 - shares.part) + padded[shares.high] * shares.part)


def _shared_means(rest: Floats, weight: Floats, shares: Shares, slots: int, shrink: float) -> Floats:
    low, high = weight * (1.0 - shares.part), weight * shares.part
    found = np.bincount(shares.low, low * rest, slots + 1) + np.bincount(shares.high, high * rest, slots + 1)
    seen = np.bincount(shares.low, low, slots + 1) + np.bincount(shares.high, high, slots + 1)
    return np.asarray((found / (seen + shrink))[:slots])


def _means(rest: Floats, weight: Floats, slot: Ints, slots: int, shrink: float) -> Floats:
    return np.asarray(np.bincount(slot, weight * rest, slots) / (np.bincount(slot, weight, slots) + shrink))


def _looked_up(keys: npt.NDArray[np.uint64], effects: Floats, wanted: npt.NDArray[np.uint64]) -> Floats:
    """The effects of keys, 0 of those that were not seen."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, effects[at], 0.0)

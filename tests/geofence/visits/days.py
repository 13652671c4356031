"""Drawn days of one device among a few fences, on a plane of metres."""

import math
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.geodesy import metres_per_degree
from schemas.fence import FenceVersion

LAT, LON = 47.0, 9.5
START_MS = 1_772_434_800_000
X_M, Y_M = metres_per_degree(LAT)


def degrees(x_m: float, y_m: float) -> list[float]:
    return [LON + x_m / X_M, LAT + y_m / Y_M]


def square(x_m: float, y_m: float, side_m: float, **fields: object) -> FenceVersion:
    h = side_m / 2.0
    corners = [(-h, -h), (h, -h), (h, h), (-h, h), (-h, -h)]
    ring = [degrees(x_m + dx, y_m + dy) for dx, dy in corners]
    return FenceVersion(**{"version": 1, "geometry": {"type": "Polygon", "coordinates": [ring]}, **fields})


def fixes_of(rows: list[tuple[float, float, float]], accuracy_m: float = 10.0, speed_mps: float = math.nan) -> Fixes:
    """From (seconds after the start, x, y)."""
    places = [degrees(x, y) for _, x, y in rows]
    return Fixes.of_columns(
        [START_MS + round(s * 1000) for s, _, _ in rows],
        [lat for _, lat in places],
        [lon for lon, _ in places],
        [accuracy_m] * len(rows),
        [speed_mps] * len(rows),
    ).in_order()


def stay_at(from_s: float, to_s: float, every_s: float, x_m: float, y_m: float, spread_m: float = 4.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    times = np.arange(from_s, to_s + 0.5, every_s)
    return [(float(t), x_m + rng.normal(0, spread_m), y_m + rng.normal(0, spread_m)) for t in times]


def drive(from_s: float, to_s: float, every_s: float, start: tuple[float, float], end: tuple[float, float]):
    times = np.arange(from_s, to_s + 0.5, every_s)
    share = (times - from_s) / (to_s - from_s)
    return [
        (float(t), start[0] + f * (end[0] - start[0]), start[1] + f * (end[1] - start[1]))
        for t, f in zip(times, share, strict=True)
    ]


def ordinary_day() -> list[tuple[float, float, float]]:
    """Drive in, half an hour at (0, 0), drive off."""
    return [
        *drive(0, 200, 10, (-2000, 40), (-12, 0)),
        *stay_at(220, 2020, 20, 0, 0),
        *drive(2030, 2230, 10, (12, 0), (2000, 40)),
    ]


class Day(NamedTuple):
    fences: FenceSet
    fixes: Fixes
    name: str

    def __repr__(self) -> str:
        return self.name


@st.composite
def days(draw: st.DrawFn) -> Day:
    """Rests and drives between a few fences, some of them overlapping, with gaps, jitter and leaps."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    centres = [
        (float(rng.uniform(-1500, 1500)), float(rng.uniform(-1500, 1500))) for _ in range(draw(st.integers(1, 4)))
    ]
    fences = [(f"f{i}", square(x, y, float(rng.uniform(15, 120)))) for i, (x, y) in enumerate(centres)]
    if draw(st.booleans()):
        fences.append(("neighbour", square(centres[0][0] + 40, centres[0][1], 40)))
    if draw(st.booleans()):
        fences.append(("zone", square(*centres[0], 500, kind="zone")))
    rows: list[tuple[float, float, float]] = []
    at, t = (float(rng.uniform(-4000, 4000)), float(rng.uniform(-4000, 4000))), 0.0
    for _ in range(draw(st.integers(1, 6))):
        goal = centres[rng.integers(len(centres))] if rng.random() < 0.7 else tuple(rng.uniform(-5000, 5000, 2))
        goal = (float(goal[0] + rng.normal(0, 15)), float(goal[1] + rng.normal(0, 15)))
        way_s = max(20.0, math.dist(at, goal) / float(rng.uniform(5, 15)))
        rows += drive(t, t + way_s, float(rng.choice([1, 5, 10, 30, 60])), at, goal)
        t += way_s + float(rng.choice([1, 10, 400]))
        rest_s = float(rng.choice([30, 200, 900, 3000]))
        rows += stay_at(t, t + rest_s, float(rng.choice([5, 20, 60, 300])), *goal, seed=int(rng.integers(2**31)))
        t += rest_s + float(rng.choice([1, 30, 1200]))
        at = goal
    kept = [row for row in rows if rng.random() > 0.1]
    return Day(FenceSet.of(fences), fixes_of(kept or rows[:1]), f"<day {seed} of {len(rows)} fixes>")

"""The engine equals the slow derivation of the whole method, over all fixes at once, on drawn days."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet
from geofence.fixes import UNSTATED, Fixes
from geofence.kernel import near
from geofence.rules import Rules
from geofence.visits import derive_stays
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import fences_at
from geofence.visits.path import read_path
from geofence.visits.spells import spells_of
from tests import naive
from tests.geofence.visits.days import START_MS, days, square

RULES = Rules()
A_MOMENT_MS = 1
"""Sums of the same floats in another order may round to the next millisecond."""


class Town:
    """What a fence set says near a fix, as the oracle takes it."""

    def __init__(self, fences: FenceSet) -> None:
        self.fences = fences
        self.arrangement = arrangement_of(fences)
        self._near: dict[tuple[int, int], dict[int, float]] = {}

    def _rows(self, fix: naive.Fix) -> dict[int, float]:
        """Signed distance of each row within reach, whether it holds or not."""
        known = self._near.get((fix.lat_e7, fix.lon_e7))
        if known is None:
            found = near(self.fences.packed, np.array([fix.lat]), np.array([fix.lon]), naive.REACH_M)
            known = dict(zip(found.row.tolist(), found.distance_m.tolist(), strict=True))
            self._near[fix.lat_e7, fix.lon_e7] = known
        return known

    def _held(self, fix: naive.Fix) -> dict[int, float]:
        holds = (self.fences.valid_from_ms <= fix.ts_ms) & (fix.ts_ms < self.fences.valid_to_ms)
        return {row: distance_m for row, distance_m in self._rows(fix).items() if holds[row]}

    def cells_at(self, fix: naive.Fix) -> list[naive.Cell]:
        held = self._held(fix)
        shared = tuple(row for row in held if self.arrangement.shared[row])
        cells = [((row,), ()) for row in held if row not in shared]
        for _, at, cut_at in self.arrangement._cells_of(shared) if shared else []:
            cells.append((tuple(shared[k] for k in at), tuple(shared[k] for k in cut_at)))
        return [
            (
                tuple(sorted(self._fence_id(row) for row in members)),
                max([held[row] for row in members] + [-held[row] for row in cut]),
                min(float(self.fences.width_m[row]) for row in members),
                min(float(self.fences.area_m2[row]) for row in members),
                naive.pace(min(self._min_on_site_s(row) for row in members)),
            )
            for members, cut in cells
        ]

    def away_m(self, fix: naive.Fix, fence_id: str) -> float:
        here = [distance_m for row, distance_m in self._held(fix).items() if self._fence_id(row) == fence_id]
        return here[0] if here else naive.FAR_M

    def drawn_around(self, fix: naive.Fix, fence_id: str) -> bool:
        rows = self._rows(fix).items()
        return any(distance_m <= 0.0 for row, distance_m in rows if self._fence_id(row) == fence_id)

    def listed(self) -> list[naive.Fence]:
        return [
            naive.Fence(
                self._fence_id(row),
                float(self.fences.width_m[row]),
                int(self.fences.valid_from_ms[row]),
                int(self.fences.valid_to_ms[row]),
                self._min_on_site_s(row),
            )
            for row in range(len(self.fences))
        ]

    def _min_on_site_s(self, row: int) -> float:
        stated_s = float(self.fences.min_on_site_s[row])
        return 120.0 if np.isnan(stated_s) else stated_s

    def _fence_id(self, row: int) -> str:
        return self.fences.fence_ids[self.fences.fence_of_row[row]]


def plain(fixes: Fixes) -> list[naive.Fix]:
    return [
        naive.Fix(ts, lat, lon, None if dm == UNSTATED else dm / 10.0, None if cm_s == UNSTATED else cm_s / 100.0)
        for ts, lat, lon, dm, cm_s in zip(*(column.tolist() for column in dataclasses.astuple(fixes)), strict=True)
    ]


class HarderDay(NamedTuple):
    fences: FenceSet
    fixes: Fixes
    as_of_ms: int
    name: str

    def __repr__(self) -> str:
        return self.name


@st.composite
def harder_days(draw: st.DrawFn) -> HarderDay:
    """Drawn days with all that a phone may state, fixes that are cached, doubled or impossible, and brief fences."""
    day = draw(days())
    seed = draw(st.integers(0, 2**32 - 1))
    rng, fixes = np.random.default_rng(seed), day.fixes
    count = len(fixes)
    accuracy_dm = rng.choice(
        [15, 50, 100, 300, 650, 1_650, 2_600, UNSTATED], count, p=[0.1, 0.3, 0.3, 0.1, 0.06, 0.06, 0.02, 0.06]
    )
    if draw(st.booleans()):
        accuracy_dm = np.full(count, UNSTATED)
    speed_cm_s = rng.choice([0, 30, 250, 900, UNSTATED], count)
    ts_ms, lat_e7, lon_e7 = fixes.ts_ms.copy(), fixes.lat_e7.copy(), fixes.lon_e7.copy()
    for i in np.flatnonzero(rng.random(count - 1) < 0.06) + 1:
        lat_e7[i], lon_e7[i] = [(lat_e7[i - 1], lon_e7[i - 1]), (0, 0), (lat_e7[i] + 20_000, lon_e7[i])][
            rng.integers(3)
        ]
    for i in np.flatnonzero(rng.random(count - 1) < 0.04) + 1:
        ts_ms[i] = max(ts_ms[i - 1] + rng.integers(0, 700), START_MS)
    harder = Fixes(
        ts_ms,
        lat_e7.astype(np.int32),
        lon_e7.astype(np.int32),
        accuracy_dm.astype(np.uint16),
        speed_cm_s.astype(np.uint16),
    ).in_order()
    fences = day.fences
    if draw(st.booleans()):
        from_ms, to_ms = sorted(rng.uniform(ts_ms[0] - 1e5, ts_ms[-1] + 1e5, 2).astype(int).tolist())
        validity = {"valid_from_ms": from_ms, "valid_to_ms": to_ms + 1}
        x, y = rng.uniform(-1500, 1500, 2).tolist()
        fences = FenceSet.of([("brief", square(x, y, 80, **validity)), ("lasting", square(x + 30, y, 60))])
    min_on_site_s = np.where(rng.random(len(fences)) < 0.3, rng.choice([5.0, 10.0, 60.0, 300.0]), np.nan)
    fences = dataclasses.replace(fences, min_on_site_s=min_on_site_s)
    silence_ms = draw(st.sampled_from([0, 0, 45_000, 400_000, 90_000_000]))
    return HarderDay(fences, harder, int(harder.ts_ms[-1]) + silence_ms, f"<{day.name}, made harder by {seed}>")


def compare(fences: FenceSet, fixes: Fixes, as_of_ms: int) -> None:
    path = read_path("d", fixes, fences, RULES, as_of_ms)
    town = Town(fences)
    at, told = naive.derive(plain(fixes), town.listed(), town.cells_at, town.away_m, town.drawn_around, as_of_ms)
    ids = fences.fence_ids
    ground, overlaps = town.arrangement.ground, town.arrangement.overlaps

    def place_of(label: int) -> naive.Place:
        begin, end = fences_at(label - 1, overlaps)
        occupied = [label - 1] if begin < 0 else overlaps.place_fence[begin:end].tolist()
        return tuple(sorted(ids[fence] for fence in occupied)) if label else ()

    assert [place_of(label) for label in path.steps["label"].tolist()] == at

    spans = spells_of(path, ground, overlaps, RULES)
    engine_spells = sorted(
        (ids[fence], first, last) for fence, first, last in spans[["fence", "first", "last"]].tolist()
    )
    day = naive.Evidence.of(naive.clean(plain(fixes), as_of_ms), as_of_ms) if at else None
    assert engine_spells == sorted(
        (fence.fence_id, first, last)
        for fence in town.listed()
        for first, last in (
            naive.spells_at(fence, at, day, [town.away_m(fix, fence.fence_id) for fix in day.fixes]) if day else ()
        )
    )

    stays = derive_stays("d", fixes, fences, RULES, as_of_ms).stays
    closed = {(stay.fence_id, stay.first): stay for stay in told if stay.state == "closed"}
    lasting = {stay.fence_id: stay for stay in told if stay.state == "present"}
    assert sorted(stay.fence_id for stay in stays if stay.state == "closed") == sorted(name for name, _ in closed)
    for stay in stays:
        candidates = closed.values() if stay.state == "closed" else lasting.values()
        assert any(alike(stay, other) for other in candidates), (stay, list(candidates))


def alike(stay, told: naive.Told) -> bool:
    names = ("arrived_ms", "arrived_earliest_ms", "arrived_latest_ms", "departed_ms", "departed_earliest_ms")
    pairs = [(getattr(stay, name), getattr(told, name)) for name in (*names, "departed_latest_ms")]
    same = all((a is None) == (b is None) and math.isclose(a or 0, b or 0, abs_tol=A_MOMENT_MS) for a, b in pairs)
    same_fixes = stay.fixes == told.last - told.first + 1
    return same and same_fixes and (stay.fence_id, stay.reason) == (told.fence_id, told.reason)


@settings(deadline=None, max_examples=40)
@given(days(), st.sampled_from([0, 60_000, 600_000]))
def test_plain_days_equal_the_oracle(day, silence_ms):
    compare(day.fences, day.fixes, int(day.fixes.ts_ms[-1]) + silence_ms)


@settings(deadline=None, max_examples=80)
@given(harder_days())
def test_harder_days_equal_the_oracle(day):
    compare(day.fences, day.fixes, day.as_of_ms)

"""What must hold of the visit log on every day, whatever is on it. The checks also serve ``test_mutations``."""

import dataclasses
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence import tracks
from geofence.fences import FenceSet
from geofence.fixes import UNSTATED, Fixes
from geofence.geodesy import metres_per_degree, wrap_degrees
from geofence.visits import Stay, derive_stays
from schemas.fence import FenceVersion
from tests.geofence.one_track import OneTrack, advance, rederive
from tests.geofence.test_tracks import FENCES, day, log_of_everything, told_log
from tests.geofence.visits.days import LAT, LON, X_M, Y_M, Day, days, square
from tests.geofence.visits.scenarios import RULES, Outing, logged
from tests.geofence.visits.test_oracle import harder_days

seeds = st.integers(0, 10_000)
SAME_PLACE_M = 10.0
"""Fixes no further apart than what they claim to be accurate to are at the same place."""


def check_live_equals_batch_after_every_frame(seed: int, frames: Iterable[list[int]]) -> None:
    """``frames`` are rows of the day, in any order, any of them several times. A checkpoint is taken between frames."""
    fixes = day(seed, stops=3)
    track, stored = OneTrack(), Fixes.empty()
    for rows in frames:
        frame = fixes.take(np.array(rows, np.intp) % len(fixes))
        stored = Fixes.concat([stored, frame]).in_order()
        advance(track, frame, FENCES, RULES)
        if track.late is not None:
            assert rederive(track, stored, FENCES, RULES, track.newest_ms, complete=True) is not None
        track = track.checkpointed()
        assert told_log(track) == log_of_everything(stored, int(stored.ts_ms[-1]))


@given(seeds, st.lists(st.lists(st.integers(0, 10_000), min_size=1, max_size=60), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_live_equals_batch_after_every_frame_of_anything(seed, frames):
    check_live_equals_batch_after_every_frame(seed, frames)


def check_live_equals_batch_while_a_backlog_drains(seed: int, cut: float, size: int) -> None:
    """The phone is offline for the first part of the day, and sends it, newest first, after the rest."""
    count = len(day(seed, stops=3))
    cut_at = round(cut * (count - 1))
    rows = [*range(cut_at, count), *reversed(range(cut_at))]
    check_live_equals_batch_after_every_frame(seed, [rows[i : i + size] for i in range(0, count, size)])


@given(seeds, st.floats(0.0, 1.0), st.integers(20, 60))
@settings(max_examples=30, deadline=None)
def test_live_equals_batch_while_a_backlog_drains(seed, cut, size):
    check_live_equals_batch_while_a_backlog_drains(seed, cut, size)


def remember_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tracks keep hardly more than what their restart points ask for."""
    monkeypatch.setattr(tracks, "RECENT_FIXES", 100)
    monkeypatch.setattr(tracks, "RECENT_MS", 0)


@pytest.mark.parametrize("seed", range(8))
def test_live_equals_batch_when_little_is_remembered(seed, monkeypatch):
    remember_little(monkeypatch)
    for cut in (0.0, 0.3, 0.7):
        check_live_equals_batch_while_a_backlog_drains(seed, cut, 20)


def check_copies_that_differ_come_in_any_order(day: Day, seed: int) -> None:
    """Every fix comes twice, the second time with another accuracy and a speed."""
    fences, fixes, _ = day
    rng = np.random.default_rng(seed)
    other = rng.choice(np.array([20, 90, 400, UNSTATED], np.uint16), len(fixes))
    fast = rng.choice(np.array([0, 100, 900, UNSTATED], np.uint16), len(fixes))
    both = Fixes.concat([fixes, dataclasses.replace(fixes, accuracy_dm=other, speed_cm_s=fast)])
    shuffled = both.take(rng.permutation(len(both))).in_order()
    as_of_ms = int(fixes.ts_ms[-1])
    first, second = (derive_stays("d", some, fences, RULES, as_of_ms) for some in (both.in_order(), shuffled))
    assert first == second


@settings(deadline=None, max_examples=60)
@given(days(), seeds)
def test_of_copies_that_differ_the_one_that_counts_is_not_the_first_to_come(day, seed):
    check_copies_that_differ_come_in_any_order(day, seed)


@settings(deadline=None, max_examples=40)
@given(days(), st.lists(days(), min_size=1, max_size=2))
def test_a_devices_log_does_not_depend_on_the_devices_before_it(mine, others):
    """What a fence set remembers of its neighbourhoods was asked for by others, too."""
    fences, fixes = mine.fences, mine.fixes
    alone = derive_stays("mine", fixes, dataclasses.replace(fences), RULES, int(fixes.ts_ms[-1]))
    for other in others:
        derive_stays("other", other.fixes, fences, RULES, int(other.fixes.ts_ms[-1]))
    assert derive_stays("mine", fixes, fences, RULES, int(fixes.ts_ms[-1])) == alone


@settings(deadline=None, max_examples=60)
@given(harder_days())
def test_moments_are_in_order_on_harder_days(day):
    for stay in derive_stays("d", day.fixes, day.fences, RULES, day.as_of_ms).stays:
        moments = [stay.arrived_earliest_ms, stay.arrived_ms, stay.arrived_latest_ms]
        if stay.departed_ms is not None:
            moments += [stay.departed_earliest_ms, stay.departed_ms, stay.departed_latest_ms]
        assert moments == sorted(moments)
        assert stay.on_site_min_s <= stay.on_site_s <= stay.on_site_max_s
        assert 0.0 <= stay.confidence <= 1.0


def with_agreeing_fix(fixes: Fixes, i: int, share: float) -> Fixes:
    """A fix between the fixes ``i`` and ``i + 1``, in time and in place, as accurate as they are."""

    def between(column: np.ndarray) -> int:
        return round(float(column[i]) + share * (float(column[i + 1]) - float(column[i])))

    added = Fixes(
        np.array([between(fixes.ts_ms)], np.int64),
        np.array([between(fixes.lat_e7)], np.int32),
        np.array([between(fixes.lon_e7)], np.int32),
        fixes.accuracy_dm[i : i + 1],
        np.array([UNSTATED], np.uint16),
    )
    return Fixes.concat([fixes, added]).in_order()


def leaves_a_trace(stay: Stay, log: Iterable[Stay]) -> bool:
    """Whether a log has a visit at the same fence at the same time."""
    forever_ms = 2**62
    return any(
        stay.fence_id == other.fence_id
        and max(stay.arrived_ms, other.arrived_ms)
        <= min(stay.departed_ms or forever_ms, other.departed_ms or forever_ms)
        for other in log
    )


@settings(deadline=None, max_examples=100)
@given(days(), st.integers(0, 10**9), st.floats(0.05, 0.95))
def test_a_fix_that_agrees_with_its_neighbours_removes_no_visit(day, where, share):
    """They agree where both are at the same place: what is between them then tells nothing new, however long it was."""
    fences, fixes, _ = day
    step_m = np.hypot(np.diff(fixes.lon) * X_M, np.diff(fixes.lat) * Y_M)
    resting = np.flatnonzero(step_m <= SAME_PLACE_M)
    as_of_ms = int(fixes.ts_ms[-1])
    before = derive_stays("d", fixes, fences, RULES, as_of_ms).stays
    for turn in range(min(5, len(resting))):
        more = with_agreeing_fix(fixes, int(resting[(where + turn) % len(resting)]), share)
        after = derive_stays("d", more, fences, RULES, as_of_ms).stays
        assert [stay for stay in before if stay.state != "open" and not leaves_a_trace(stay, after)] == []


@pytest.mark.parametrize("origin", [(70.0, 25.0), (-70.0, -179.999), (47.0, 180.0), (0.0, 0.003), (-33.0, 179.999)])
@pytest.mark.parametrize("seed", range(3))
def test_a_day_is_told_alike_anywhere_on_the_globe(origin, seed):
    """Up north, across the antimeridian and on the equator."""
    shapes = {"yard": square(0, 0, 40), "next door": square(48, 0, 40), "zone": square(0, 0, 900, kind="zone")}
    van = Outing(seed, noise_m=5.0).drive((3.0, 0.0)).parked(40).drive((46.0, 5.0), 1.2).parked(15)
    fixes = van.drive((2000.0, 40.0)).fixes()
    here = logged(fixes, FenceSet.of(shapes.items()))
    there = logged(moved(fixes, origin), FenceSet.of((name, moved_fence(v, origin)) for name, v in shapes.items()))
    assert sorted({stay.fence_id for stay in here}) == ["next door", "yard", "zone"]
    assert [(stay.fence_id, stay.state, stay.fixes) for stay in there] == [
        (stay.fence_id, stay.state, stay.fixes) for stay in here
    ]
    for mine, other in zip(here, there, strict=True):
        assert abs(mine.arrived_ms - other.arrived_ms) <= 3_000
        assert abs((mine.departed_ms or 0) - (other.departed_ms or 0)) <= 3_000


def relocated(lat: np.ndarray, lon: np.ndarray, origin: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The same metres around another origin."""
    x_m, y_m = metres_per_degree(origin[0])
    return origin[0] + (lat - LAT) * Y_M / y_m, wrap_degrees(origin[1] + (lon - LON) * X_M / x_m)


def moved(fixes: Fixes, origin: tuple[float, float]) -> Fixes:
    lat, lon = relocated(fixes.lat, fixes.lon, origin)
    return Fixes.of_columns(fixes.ts_ms, lat, lon, fixes.accuracy_m, fixes.speed_mps)


def moved_fence(version: FenceVersion, origin: tuple[float, float]) -> FenceVersion:
    lon, lat = np.array(version.geometry["coordinates"][0]).T
    lat, lon = relocated(lat, lon, origin)
    geometry = {"type": "Polygon", "coordinates": [np.stack([lon, lat], axis=1).tolist()]}
    return msgspec.structs.replace(version, geometry=geometry)

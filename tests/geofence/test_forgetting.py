"""What is kept of a device is bounded, and forgetting the rest changes nothing of its log."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from geofence import tracks
from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.folding import LONGEST, SOUGHT_EVERY
from geofence.rules import Rules
from geofence.visits import derive_stays, visit_of
from schemas.visit import Visit
from tests.geofence.one_track import OneTrack, advance, look, look_at_changed, rederive
from tests.geofence.test_tracks import METRES, START_MS, circle, facts

RULES = Rules()
ZONE = FenceSet.of([circle("zone", 0, 20_000.0), circle("bakery", 0), circle("bank", 300), circle("barn", 600)])
STREET = FenceSet.of([circle(f"house-{k:03}", 60.0 * k, 15.0) for k in range(100)])
TOWN = FenceSet.of([circle(name, north_m) for name, north_m in (("a", 0), ("b", 300), ("c", 600), ("d", 900))])
RECENT_FIXES = 60


@pytest.fixture(autouse=True)
def _forget_soon(monkeypatch):
    forget_soon(monkeypatch)


def forget_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hardly more be kept than what a cut asks for."""
    monkeypatch.setattr(tracks, "RECENT_FIXES", RECENT_FIXES)
    monkeypatch.setattr(tracks, "RECENT_MS", 0)


class Phone:
    """A device whose fixes come in frames, with a store that settles what memory cannot, and checkpoints between."""

    def __init__(self, fences: FenceSet) -> None:
        self.track, self.fences, self.stored = OneTrack(), fences, Fixes.empty()
        self.logged: dict[str, Visit] = {}
        self.most_kept = self.settled = 0

    def send(self, fixes: Fixes, size: int) -> None:
        for first in range(0, len(fixes), size):
            frame = fixes.take(slice(first, first + size))
            self.stored = Fixes.concat([self.stored, frame])
            self.note(advance(self.track, frame, self.fences, RULES))
            self.most_kept = max(self.most_kept, len(self.track.fixes))
            self._settle()
            if first // size % 7 == 3:
                self.track = self.track.checkpointed()

    def look_at(self, changed: Collection[str]) -> None:
        """Some of the fences have changed."""
        self.note(look_at_changed(self.track, self.fences, RULES, changed))
        self._settle()

    def log(self, silent_ms: int = 0) -> list[tuple]:
        """Its log when somebody looks after a silence."""
        now_ms = self.track.newest_ms + silent_ms
        self.note(look(self.track, self.fences, RULES, now_ms))
        self._settle(now_ms)
        return sorted((facts(visit) for visit in self.logged.values() if visit.state != "retracted"), key=repr)

    def true_log(self, silent_ms: int = 0) -> list[tuple]:
        fixes = self.stored.in_order()
        stays = derive_stays("van", fixes, self.fences, RULES, int(fixes.ts_ms[-1]) + silent_ms).stays
        return sorted((facts(visit_of("van", stay)) for stay in stays), key=repr)

    def _settle(self, now_ms: int = 0) -> None:
        if self.track.late is not None:
            self.settled += 1
            for visit in self.logged.values():
                self.track.tracks.learn(visit)
            revisions = rederive(self.track, self.stored.in_order(), self.fences, RULES, now_ms, complete=True)
            assert revisions is not None
            self.note(revisions)

    def note(self, revisions: list[Visit]) -> None:
        for visit in revisions:
            known = self.logged.get(visit.visit_id)
            assert visit.revision == (known.revision + 1 if known else 1)
            self.logged[visit.visit_id] = visit


def moves(seed: int, legs: list[tuple[float, float, float]], step_s: float, noise_m: float = 6.0) -> Fixes:
    """Fixes along a meridian: legs of (metres north to go to, m/s, seconds to stay there)."""
    random = np.random.default_rng(seed)
    at_m, north_m, speed_mps = legs[0][0], [], []
    for goal_m, mps, stay_s in legs:
        way = np.arange(at_m, goal_m, np.copysign(mps * step_s, goal_m - at_m)) if goal_m != at_m else np.zeros(0)
        north_m += [*way, *np.full(int(stay_s / step_s), goal_m)]
        speed_mps += [*np.full(len(way), mps), *np.zeros(int(stay_s / step_s))]
        at_m = goal_m
    drift_m = np.zeros((2, len(north_m)))
    for i in range(1, len(north_m)):
        drift_m[:, i] = 0.9 * drift_m[:, i - 1] + random.normal(0, 0.4 * noise_m, 2)
    lat = 47.0 + (np.array(north_m) + drift_m[0]) * METRES
    lon = 9.0 + drift_m[1] * METRES / np.cos(np.radians(47))
    ts_ms = START_MS + (1000 * step_s * np.arange(len(lat))).astype(np.int64)
    return Fixes.of_columns(ts_ms, lat, lon, np.full(len(lat), 8.0), np.array(speed_mps)).in_order()


def kept_at_most(step_s: float, frame: int) -> int:
    """Twice what is recent, what a cut must have behind it, and what comes between two looks for one."""
    return 2 * RECENT_FIXES + int(2 * 600 / step_s) + SOUGHT_EVERY + 2 * frame + 100


def test_a_stay_of_a_day_is_kept_in_a_few_hundred_fixes_and_told_from_the_store_once_it_is_over():
    phone = Phone(ZONE)
    phone.send(moves(1, [(-30_000, 12, 0), (0, 12, 86_400), (-40_000, 12, 60)], 10.0), 5)
    assert phone.most_kept <= kept_at_most(10.0, 5)
    assert 1 <= phone.settled <= 4
    assert [visit[0] for visit in phone.log()] == ["bakery", "zone"]
    assert phone.log() == phone.true_log()


def test_a_drive_that_never_leaves_the_reach_of_fences_is_bounded_and_needs_no_store():
    legs = [
        (float(goal), 9.0, float(stay)) for goal, stay in zip([0, *[5_800, 100] * 12], [0, *[30] * 24], strict=True)
    ]
    phone = Phone(STREET)
    phone.send(moves(2, legs, 5.0), 5)
    assert len(phone.stored) > 2_000
    assert phone.most_kept <= kept_at_most(5.0, 5)
    assert phone.settled == 0
    assert phone.log() == phone.true_log()


@given(
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.integers(60, 900),
    st.sampled_from([18.0, 22.0, 26.0]),
    st.sampled_from([6.0, 16.0]),
)
@settings(max_examples=25, deadline=None)
def test_a_long_stay_beside_the_house_is_told_whole_before_the_next_day(seed, size, away_s, off_m, noise_m):
    fixes = moves(seed, [(-600.0, 12.0, 0.0), (180.0 + off_m, 12.0, 1_500.0), (-5_000.0, 1.5, 0.0)], 5.0, noise_m)
    until_ms = int(fixes.ts_ms[fixes.speed_cm_s == 0][-1]) + 1000 * away_s
    phone = Phone(STREET)
    phone.send(fixes.take(fixes.ts_ms <= until_ms), size)
    for silent_ms in (3_600_000, 7_200_000):
        assert phone.log(silent_ms) == phone.true_log(silent_ms)
    assert phone.track.late is None


def check_shops_within_a_zone(seed: int, stops: list[tuple[float, float]]) -> None:
    legs = [(-25_000.0, 12.0, 60.0), *((goal, 12.0, stay) for goal, stay in stops)]
    phone = Phone(ZONE)
    phone.send(moves(seed, legs, 15.0), 4)
    assert phone.most_kept <= kept_at_most(15.0, 4) + 200
    assert phone.log() == phone.true_log()


def test_a_log_of_weeks_is_left_to_the_store_and_a_backlog_of_the_first_day_still_meets_its_visits():
    phone = Phone(ZONE)
    for day in range(20):
        fixes = moves(day, [(-25_000, 12, 60), (0, 12, 1_200), (600, 1.5, 1_200), (-25_000, 12, 600)], 20.0)
        fixes = replace(fixes, ts_ms=fixes.ts_ms + day * 86_400_000)
        late = np.zeros(len(fixes), np.bool_)
        if day == 0:
            late[np.flatnonzero(fixes.speed_cm_s == 0)[30:90]] = True
            backlog = fixes.take(late)
        phone.send(fixes.take(~late), 5)
    assert len(phone.logged) >= 60
    assert len(phone.track.published) <= 30
    assert len(phone.log()) == len(phone.true_log())
    phone.send(backlog, 5)
    assert phone.log() == phone.true_log()


@given(
    st.integers(0, 10_000),
    st.lists(
        st.tuples(st.sampled_from([0.0, 300.0, 600.0, 900.0]), st.sampled_from([200.0, 700.0])), min_size=6, max_size=20
    ),
)
@settings(max_examples=12, deadline=None)
def test_stay_after_stay_with_little_between_them_is_bounded(seed, stops):
    times = 3_600 // int(sum(stay for _, stay in stops) / 15)
    rounds = times * [(goal, 9.0, stay) for goal, stay in stops]
    phone = Phone(TOWN)
    phone.send(moves(seed, [(0.0, 9.0, 700.0), *rounds, (-9_000.0, 9.0, 900.0)], 15.0), 4)
    assert len(phone.stored) > 1.5 * LONGEST * RECENT_FIXES
    assert phone.most_kept <= LONGEST * RECENT_FIXES + SOUGHT_EVERY + 2 * 4
    assert phone.log() == phone.true_log()


goals = st.sampled_from([-25_000.0, -300.0, 0.0, 300.0, 600.0])


@given(
    st.integers(0, 10_000), st.lists(st.tuples(goals, st.sampled_from([0.0, 300.0, 5_000.0])), min_size=3, max_size=7)
)
@settings(max_examples=25, deadline=None)
def test_shops_within_a_zone_are_told_while_the_zone_is_carried(seed, stops):
    check_shops_within_a_zone(seed, stops)


AN_OUTING = [(-25_000.0, 12.0, 60.0), (0.0, 12.0, 9_000.0), (300.0, 1.5, 4_000.0), (-22_000.0, 12.0, 100.0)]


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_fixes_that_come_after_all_has_been_forgotten_are_told_as_if_they_had_come_in_time(seed, size):
    phone = Phone(ZONE)
    fixes = moves(seed, AN_OUTING, 15.0)
    late = np.zeros(len(fixes), np.bool_)
    late[np.random.default_rng(seed).integers(0, len(fixes), 20)] = True
    phone.send(fixes.take(~late), size)
    phone.send(fixes.take(late), size)
    assert phone.log() == phone.true_log()


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(200, 1_000))
@settings(max_examples=15, deadline=None)
def test_fences_that_change_after_a_cut_are_told_as_if_nothing_had_been_forgotten(seed, size, when):
    phone = Phone(ZONE)
    fixes = moves(seed, AN_OUTING, 15.0)
    changed_ms = int(fixes.ts_ms[when])
    phone.send(fixes.take(slice(0, when)), size)
    places = {"zone": circle("zone", 0, 20_000.0), "bakery": circle("bakery", 0), "bank": circle("bank", 300)}
    zone, bakery, bank = (version for _, version in places.values())
    moved = structs.replace(circle("bank", 320)[1], version=2, valid_from_ms=changed_ms)
    annex = structs.replace(circle("annex", 10)[1], valid_from_ms=changed_ms)
    phone.fences = FenceSet.of(
        [
            ("annex", annex),
            ("bakery", bakery),
            ("bank", structs.replace(bank, valid_to_ms=changed_ms)),
            ("bank", moved),
            circle("barn", 600),
            ("zone", zone),
        ]
    )
    phone.look_at({"bank", "annex"})
    phone.send(fixes.take(slice(when, None)), size)
    assert phone.log() == phone.true_log()

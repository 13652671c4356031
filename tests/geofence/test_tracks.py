"""Tracks: whatever the cut into frames, the order and the repeats, the published log is what all fixes say."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.folding import _start_before
from geofence.rules import Rules
from geofence.stretches import rows_of
from geofence.tracks import RECENT_FIXES, Tracks
from geofence.visits import derive_stays, visit_of
from geofence.visits.chain import FORGETTING
from geofence.visits.log import MINOR_MS
from geofence.visits.tables import PathTables, append, nowhere
from schemas.fence import FenceVersion
from schemas.visit import Visit
from tests.geofence.one_track import OneTrack, advance, look, look_at_changed, rederive

START_MS = 1_772_434_800_000
METRES = 1 / 111_195
RULES = Rules()


def circle(fence_id: str, north_m: float, radius_m: float = 40.0) -> tuple[str, FenceVersion]:
    point = {"type": "Point", "coordinates": [9.0, 47.0 + north_m * METRES]}
    return fence_id, FenceVersion(1, point, radius_m=radius_m)


FENCES = FenceSet.of([circle("bakery", 0), circle("bank", 1_500), circle("barn", 1_580), circle("bridge", 4_000)])


def day(seed: int, stops: int = 5) -> Fixes:
    """A drive north and back past the fences, with stays of all lengths, sparse and dense reporting, silences."""
    random = np.random.default_rng(seed)
    north_m, ts_s, rows = -1_500.0, 0.0, []
    for _ in range(stops):
        goal_m = float(random.choice([-1_500, 0, 700, 1_500, 1_580, 4_000, 6_000]))
        step_s = float(random.choice([2, 15, 60]))
        while abs(goal_m - north_m) > 1:
            north_m += np.clip(goal_m - north_m, -12 * step_s, 12 * step_s)
            ts_s += step_s
            rows.append((ts_s, north_m, 12.0))
        for _ in range(int(random.integers(0, 40))):
            ts_s += step_s + float(random.choice([0, 0, 0, 400]))
            rows.append((ts_s, north_m, 0.0))
    ts_s, north_m, speed_mps = np.array(rows).T
    noise_m = random.normal(0, 6, (2, len(ts_s)))
    return Fixes.of_columns(
        START_MS + (ts_s * 1000).astype(np.int64),
        47.0 + (north_m + noise_m[0]) * METRES,
        9.0 + noise_m[1] * METRES / np.cos(np.radians(47)),
        np.full(len(ts_s), 8.0),
        speed_mps,
    ).in_order()


def facts(visit: Visit) -> tuple:
    """What live and batch must agree on; ids and revision numbers aside, and running figures while it lasts."""
    running = (visit.on_site_s, visit.on_site_min_s, visit.on_site_max_s, visit.confidence, visit.fixes)
    return (
        visit.fence_id,
        visit.fence_version,
        visit.state,
        (visit.arrived_earliest_ms, visit.arrived_ms, visit.arrived_latest_ms),
        (visit.departed_earliest_ms, visit.departed_ms, visit.departed_latest_ms),
        running if visit.state == "closed" else None,
    )


def log_of(track: OneTrack) -> list[tuple]:
    return sorted(map(facts, (visit for visit in track.published.values() if visit.state != "retracted")), key=repr)


def told_log(track: OneTrack) -> list[tuple]:
    """The log of a track that was asked for it, so that no minor correction is waiting."""
    look(track, FENCES, RULES, track.newest_ms)
    return log_of(track)


def log_of_everything(fixes: Fixes, as_of_ms: int, fences: FenceSet = FENCES) -> list[tuple]:
    stays = derive_stays("van", fixes, fences, RULES, as_of_ms).stays
    return sorted((facts(visit_of("van", stay)) for stay in stays), key=repr)


@given(st.integers(0, 10_000), st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_corrections_wait_until_they_matter_or_a_stay_has_settled(seed, size):
    """A state is told with the frame that brings it. Edges are those of a look in the last quarter of the time since
    the arrival, or the departure, and minor corrections of them wait until the stay has settled. Nor is a stay that was
    confirmed in that time called open again because its arrival turns out to have been some seconds later."""
    fixes = day(seed)
    track, looks = OneTrack(), []
    for first in range(0, len(fixes), size):
        advance(track, fixes.take(slice(first, first + size)), FENCES, RULES)
        newest_ms = track.newest_ms
        exact = log_of_everything(fixes.take(slice(0, first + size)), newest_ms)
        looks.append((newest_ms, exact))
        told = log_of(track)
        assert [each[:2] for each in told] == [each[:2] for each in exact]
        for (*_, state, arrived, departed, _), (fence_id, _, state_exact, arrived_exact, departed_exact, _) in zip(
            told, exact, strict=True
        ):
            since_ms = departed_exact[1] or arrived_exact[1]
            recent = [log for look_ms, log in looks if 4 * (newest_ms - look_ms) <= look_ms - since_ms + 8 * 60_000]
            if state != state_exact:
                assert (state, state_exact) == ("confirmed", "open")
                assert (fence_id, "confirmed") in [(fence, was) for log in recent for fence, _, was, *_ in log]
            if arrived + departed == arrived_exact + departed_exact:
                continue
            assert newest_ms - since_ms < 15 * 60_000
            edges = [at + left for log in recent for fence, *_, at, left, _ in log if fence == fence_id]
            assert any(
                all(
                    one == other or abs(one - other) < MINOR_MS
                    for one, other in zip(arrived + departed, each, strict=True)
                )
                for each in edges
                if (each[4] is None) == (departed[1] is None)
            )


@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_frames_of_any_size_end_in_the_same_log(seed, sizes):
    fixes = day(seed)
    track, first = OneTrack(), 0
    for turn in range(len(fixes)):
        frame = fixes.take(slice(first, first + sizes[turn % len(sizes)]))
        first += sizes[turn % len(sizes)]
        advance(track, frame, FENCES, RULES)
        if first >= len(fixes):
            break
    assert told_log(track) == log_of_everything(fixes, int(fixes.ts_ms[-1]))


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_looking_while_nothing_arrives_changes_nothing_that_comes_later(seed, size):
    fixes = day(seed)
    next_year_ms = START_MS + 365 * 86_400_000
    track = OneTrack()
    for first in range(0, len(fixes), size):
        advance(track, fixes.take(slice(first, first + size)), FENCES, RULES)
        look(track, FENCES, RULES, next_year_ms)
    assert track.late is None
    assert log_of(track) == log_of_everything(fixes, next_year_ms)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False), st.integers(1, 50))
@settings(max_examples=15, deadline=None)
def test_any_order_and_repeats_end_in_the_same_log(seed, random, size):
    fixes = day(seed)
    rows = list(range(len(fixes))) * 2
    random.shuffle(rows)
    track, seen = OneTrack(), []
    for first in range(0, len(rows), size):
        frame = fixes.take(np.array(rows[first : first + size]))
        seen.append(frame)
        advance(track, frame, FENCES, RULES)
        if track.late is not None:
            stored = Fixes.concat(seen).in_order()
            assert rederive(track, stored, FENCES, RULES, track.newest_ms, complete=True) is not None
    assert told_log(track) == log_of_everything(fixes, int(fixes.ts_ms[-1]))


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_a_days_old_backlog_settles_from_the_part_of_the_store_around_it(seed, cut_seed):
    yesterday, today = day(seed), day(seed + 1)
    today = Fixes(today.ts_ms + 86_400_000, today.lat_e7, today.lon_e7, today.accuracy_dm, today.speed_cm_s)
    missing = np.random.default_rng(cut_seed).random(len(yesterday)) < 0.3
    track = OneTrack()
    advance(track, yesterday.take(~missing), FENCES, RULES)
    for first in range(0, len(today), 20):
        advance(track, today.take(slice(first, first + 20)), FENCES, RULES)
    advance(track, yesterday.take(missing), FENCES, RULES)
    everything = Fixes.concat([yesterday, today]).in_order()
    if track.late is not None:
        assert rederive(track, everything, FENCES, RULES, track.newest_ms, complete=True) is not None
    assert told_log(track) == log_of_everything(everything, int(everything.ts_ms[-1]))


@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), min_size=1, max_size=12), st.booleans())
@settings(max_examples=15, deadline=None)
def test_what_is_near_is_looked_up_again_when_fences_change(seed, sizes, shuffled):
    fixes, random = day(seed), np.random.default_rng(seed)
    others = [circle("bridge", 4_000), circle("bar", 700), circle("barn", 1_580), circle("bank", 1_500)]
    another = FenceSet.of([*others, circle("bakery", 0)])
    track, first, turn, fences = OneTrack(), 0, 0, FENCES
    while first < len(fixes):
        rows = np.arange(first, min(first + sizes[turn % len(sizes)], len(fixes)))
        fences = (another if fences is FENCES else FENCES) if random.random() < 0.1 else fences
        advance(track, fixes.take(random.permutation(rows) if shuffled else rows), fences, RULES)
        first, turn = first + len(rows), turn + 1
    look_at_changed(track, FENCES, RULES, FENCES.fence_ids)
    told = [visit for visit in told_log(track) if visit[0] != "bar"]
    assert told == log_of_everything(fixes, int(fixes.ts_ms[-1]))


def test_a_late_fix_that_leaves_no_visit_takes_back_the_one_that_was_told():
    """A fix before a silence, seen to drive on, leaves no room for the stay in it."""
    fixes = day(8454, stops=3)
    track = OneTrack()
    assert [visit.state for visit in advance(track, fixes.take(np.array([134, 150])), FENCES, RULES)] == ["closed"]
    assert [visit.state for visit in advance(track, fixes.take(np.array([136])), FENCES, RULES)] == ["retracted"]


@given(st.integers(0, 10_000), st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_devices_in_the_same_frames_are_told_as_each_alone(seed, size):
    """Some of them send what they have in disorder, twice, or hours late but within memory."""
    random = np.random.default_rng(seed)
    days = [day(seed + k, stops=4) for k in range(6)]
    tracks = Tracks()
    slots = np.repeat([tracks.slot_of(f"van-{k}") for k in range(6)], [len(each) for each in days])
    everything = Fixes.concat(days)
    when = everything.ts_ms + random.integers(0, 240_000, len(slots)) * (slots % 2)
    order = np.argsort(when, kind="stable")
    order = np.sort(np.concatenate([np.arange(len(order)), random.integers(0, len(order), len(order) // 20)])).astype(
        int
    )
    order = np.argsort(when, kind="stable")[order]
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        tracks.fold(slots[rows], everything.take(rows), FENCES, RULES)
    for slot, fixes in enumerate(days):
        newest_ms = int(fixes.ts_ms[-1])
        if slot in tracks.late:  # of a stay that was cut in two
            assert tracks.rederive(slot, fixes, FENCES, RULES, newest_ms, complete=True) is not None
        tracks.look(np.array([slot]), FENCES, RULES, newest_ms)
        logged = [visit for visit in tracks.log.newest[slot].values() if visit.state != "retracted"]
        assert sorted(map(facts, logged), key=repr) == log_of_everything(fixes, newest_ms)


def test_memory_is_bounded_for_a_device_that_drives_on_and_on():
    track = OneTrack()
    ts_ms = START_MS + 1000 * np.arange(20_000)
    north_m = 8_000 + 3_000 * np.sin(np.arange(20_000) / 200)
    fixes = Fixes.of_columns(
        ts_ms, 47 + north_m * METRES, np.full(20_000, 9.0), np.full(20_000, 5.0), np.full(20_000, 9.0)
    )
    for first in range(0, 20_000, 50):
        frame = fixes.take(slice(first, first + 50))
        advance(track, frame, FENCES, RULES)
    assert len(track.fixes) <= 2 * RECENT_FIXES + 50


def test_every_revision_is_one_higher_and_keeps_its_visit():
    fixes = day(7)
    track, newest = OneTrack(), {}
    for first in range(0, len(fixes), 3):
        for visit in advance(track, fixes.take(slice(first, first + 3)), FENCES, RULES):
            assert visit.revision == newest.get(visit.visit_id, 0) + 1
            newest[visit.visit_id] = visit.revision
    assert newest


def test_a_device_that_stays_far_publishes_nothing_and_has_no_path():
    track = OneTrack()
    fixes = Fixes.of_columns([START_MS, START_MS + 1], [10.0, 10.0], [10.0, 10.1], [5.0, 5.0], [1.0, 1.0])
    assert advance(track, fixes, FENCES, RULES) == []
    assert track.tracks.watched().tolist() == []


def test_a_device_that_has_left_for_good_is_not_watched_any_more():
    track = OneTrack()
    north_m = np.concatenate([np.linspace(-3_000, 0, 30), np.zeros(60), np.linspace(0, 9_000, 90), np.full(10, 9_000)])
    ts_ms = START_MS + 10_000 * np.arange(len(north_m))
    random = np.random.default_rng(5)
    lat = 47.0 + (north_m + random.normal(0, 3, len(north_m))) * METRES
    fixes = Fixes.of_columns(ts_ms, lat, np.full(len(lat), 9.0), np.full(len(lat), 6.0), np.full(len(lat), np.nan))
    watched = []
    for row in range(len(fixes)):
        advance(track, fixes.take(slice(row, row + 1)), FENCES, RULES)
        watched.append(track.slot in track.tracks.watched())
    assert [watched[10], watched[60], watched[-1]] == [False, True, False]
    assert [visit.state for visit in track.published.values()] == ["closed"]


def test_a_device_that_is_silent_since_before_a_restart_is_watched_until_it_is_known_what_is_near():
    track = OneTrack()
    fixes = day(7)
    advance(track, fixes.take(slice(0, 1)), FENCES, RULES)
    assert track.tracks.watched().tolist() == []
    restored = track.checkpointed()
    assert restored.tracks.watched().tolist() == [restored.slot]
    look(restored, FENCES, RULES, restored.newest_ms)
    assert restored.tracks.watched().tolist() == []


def test_a_fence_drawn_around_a_parked_device_opens_a_visit_at_once():
    random = np.random.default_rng(3)
    parked = Fixes.of_columns(
        START_MS + 30_000 * np.arange(40),
        47.0 + (8_000 + random.normal(0, 3, 40)) * METRES,
        9.0 + random.normal(0, 3, 40) * METRES,
        np.full(40, 6.0),
        np.zeros(40),
    )
    track = OneTrack()
    assert advance(track, parked, FENCES, RULES) == []
    more = FenceSet.of([circle("bakery", 0), circle("yard", 8_000)])
    opened = look_at_changed(track, more, RULES, {"yard"})
    assert [visit.fence_id for visit in opened] == ["yard"]
    assert look_at_changed(track, more, RULES, {"bakery"}) == []


@pytest.mark.parametrize("correlation_s", [30.0, 90.0, 600.0])
def test_a_path_begins_where_the_chain_has_forgotten_by_the_rules_in_force(correlation_s):
    """Far weights that sum to ``FORGETTING`` lie between the beginning and the first fix near a fence."""
    lat = 10.0 + 0.001 * np.arange(300)
    nan = np.full(300, np.nan)
    fixes = Fixes.of_columns(START_MS + 15_000 * np.arange(300), lat, np.full(300, 10.0), nan, nan)
    table = append(PathTables.of_slots(1), np.zeros(300, np.int64), fixes, nowhere(300)).fixes
    start = _start_before(rows_of(table, 0), 299, 0, RULES._replace(correlation_s=correlation_s))
    assert start > 0
    assert (298 - start) * (1.0 - np.exp(-15.0 / correlation_s)) >= FORGETTING


def test_days_have_visits_and_passes_to_tell():
    stays = [derive_stays("van", day(seed), FENCES, RULES, int(day(seed).ts_ms[-1])).stays for seed in range(20)]
    assert sum(map(len, stays)) > 20
    assert all(first.arrived_ms <= second.arrived_ms for log in stays for first, second in pairwise(log))


def test_a_device_taken_over_is_watched_before_its_next_fix():
    tracks, fixes = Tracks(), day(seed=1)
    slots = tracks.slots_of(["device"] * len(fixes))
    tracks.fold(slots, fixes, FENCES, RULES)
    again = Tracks()
    again.adopt([tracks.changes(np.array([0]), whole=True)])
    assert again.watched().tolist() == [0]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([-(2**41), 0, 1, 2, 3, 2**41]), *[st.integers(0, 1)] * 4),
        max_size=12,
    )
)
def test_fixes_of_a_frame_are_ordered_by_all_that_tells_them_apart(rows):
    slots, ts_ms, lat, lon, accuracy_m, speed_mps = np.array(rows, np.int64).reshape(-1, 6).T
    fixes = Fixes.of_columns(ts_ms, lat, lon, accuracy_m, speed_mps)
    assert fixes.order_by(slots).tolist() == sorted(range(len(rows)), key=rows.__getitem__)

"""What is late where all is near some fence: settled from a time between two stays on."""

import numpy as np
import pytest

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.settling import FORGOTTEN_FIXES, FORGOTTEN_MS, start_of
from schemas.visit import Visit
from tests.geofence.one_track import OneTrack, advance, rederive
from tests.geofence.test_tracks import METRES, START_MS, circle

RULES = Rules()
FENCES = FenceSet.of([circle("bakery", 0)])
HOUR_MS = 3_600_000
NOW_MS = START_MS + 24 * HOUR_MS


def next_door(first_ms: int, last_ms: int, step_ms: int = 60_000) -> Fixes:
    """A phone that lies 120 m from the bakery, and never leaves."""
    ts_ms = np.arange(first_ms, last_ms, step_ms)
    sway_m = np.random.default_rng(1).normal(0, 4, (2, len(ts_ms)))
    lat, lon = 47.0 + (120 + sway_m[0]) * METRES, 9.0 + sway_m[1] * METRES
    return Fixes.of_columns(ts_ms, lat, lon, np.full(len(ts_ms), 8.0), np.zeros(len(ts_ms)))


@pytest.fixture
def track() -> OneTrack:
    """A day has come, and one fix of nine hours ago after it."""
    track = OneTrack()
    for begin_ms in range(START_MS, NOW_MS, HOUR_MS):
        advance(track, next_door(begin_ms, begin_ms + HOUR_MS), FENCES, RULES)
    advance(track, next_door(NOW_MS - 9 * HOUR_MS + 500, NOW_MS - 9 * HOUR_MS + 501), FENCES, RULES)
    assert track.late is not None
    return track


def told(arrived_ms: int, departed_ms: int) -> Visit:
    edges = (arrived_ms,) * 3 + (departed_ms,) * 3
    on_site_s = (departed_ms - arrived_ms) / 1000
    return Visit("told", "van", "bakery", 1, None, "closed", 1, *edges, *(on_site_s,) * 3, 0.9, "departed", 9)


def test_it_starts_between_two_stays_once_enough_lies_before():
    fixes = next_door(START_MS, NOW_MS)
    start = start_of("van", fixes, FENCES, RULES, NOW_MS)
    assert start is not None
    assert start.first == 0
    assert start.told_from >= FORGOTTEN_FIXES
    assert fixes.ts_ms[start.told_from] - START_MS >= FORGOTTEN_MS
    short = fixes.take(fixes.ts_ms < START_MS + FORGOTTEN_MS)
    assert start_of("van", short, FENCES, RULES, NOW_MS) is None
    few = next_door(START_MS, NOW_MS, NOW_MS // FORGOTTEN_FIXES)
    assert start_of("van", few, FENCES, RULES, NOW_MS) is None


def test_what_is_late_is_settled_without_what_lies_before(track):
    assert rederive(track, next_door(START_MS, NOW_MS), FENCES, RULES, 0, complete=False) == []
    assert track.late is None


def test_a_visit_told_over_the_dividing_fix_makes_it_look_farther_back(track):
    """By the fixes nobody was there; taken as if it had ended before, the visit would stand for ever."""
    stored = next_door(START_MS, NOW_MS)
    track.tracks.learn(told(NOW_MS - 12 * HOUR_MS, NOW_MS - HOUR_MS))
    assert rederive(track, stored, FENCES, RULES, 0, complete=False) is None
    assert track.late is not None
    (revision,) = rederive(track, stored, FENCES, RULES, 0, complete=True)
    assert (revision.visit_id, revision.state, revision.revision) == ("told", "retracted", 2)


def test_a_visit_that_was_over_before_is_left_alone(track):
    track.tracks.learn(told(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS))
    assert rederive(track, next_door(START_MS, NOW_MS), FENCES, RULES, 0, complete=False) == []
    assert track.published["told"].state == "closed"

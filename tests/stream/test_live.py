"""The live board tells the newest ping of a device, once, and what the visit log says of it."""

import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.tracks import Tracks
from schemas.ping import Ping
from schemas.times import Instant
from stream.tracker.live import LiveBoard, live_state
from tests.stream.test_packing import VISIT

NOW = Instant(1_000_000)


def ping(ts_ms: int, **fields) -> Ping:
    return Ping("van-1", ts_ms, 47.0, 9.0, **fields)


def moved_to(lat: float) -> Tracks:
    """A device whose fixes say so, ten seconds after one at 47 degrees."""
    nan, tracks = [float("nan")] * 2, Tracks()
    fixes = Fixes.of_columns([0, 10_000], [47.0, lat], [9.0, 9.0], nan, nan)
    tracks.fold(np.full(2, tracks.slot_of("van-1")), fixes, FenceSet.of([]), Rules())
    return tracks


def test_only_the_newest_ping_counts_and_is_told_once():
    board = LiveBoard()
    board.see([ping(200, battery=0.5), ping(100, battery=0.9)])
    board.see([ping(150, battery=0.8)])
    [told] = board.take_due(lambda _: None, NOW)
    assert (told.ts_ms, told.battery, told.updated_ms) == (200, 0.5, NOW)
    assert board.take_due(lambda _: None, NOW) == []


def test_each_device_is_told_at_once_and_then_once_a_second_at_most():
    board = LiveBoard()
    told = {}
    for turn in range(24):
        at_s = turn / 4
        pings = [ping(turn * 250)] if turn else []
        board.see([*pings, *([Ping("van-2", turn, 47.0, 9.0)] if turn in (2, 13) else [])])
        for state in board.take_due(lambda _: None, NOW, at_s):
            told.setdefault(state.device_id, []).append((at_s, state.ts_ms))
    assert told == {"van-1": [(s + 0.25, 1_000 * s + 250) for s in range(6)], "van-2": [(0.5, 2), (3.25, 13)]}
    assert [state.ts_ms for state in board.take_due(lambda _: None, NOW)] == [5_750], "by default all"


def test_a_device_s_clock_is_told_once_it_has_been_heard_a_few_times():
    board = LiveBoard()
    skews = []
    for second in range(0, 50, 10):
        board.see([ping(second * 1_000, sent_ms=second * 1_000 + 500, received_ms=second * 1_000 + 90_700)])
        [told] = board.take_due(lambda _: None, NOW)
        skews.append((told.clock_skew_s, told.clock_skew_error_s))
    assert skews == [(None, None)] * 2 + [(-90.2, 1.0)] * 3
    board.see([ping(60_000)])
    [told] = board.take_due(lambda _: None, NOW)
    assert told.clock_skew_s == -90.2
    # What is older than the newest fix comes from a queue, or for the second time.
    board.see([ping(5_000, sent_ms=10**7, received_ms=0)])
    board.touch("van-1")
    [told] = board.take_due(lambda _: None, NOW)
    assert told.clock_skew_s == -90.2


def test_a_visit_that_changes_is_told_without_a_new_ping():
    board = LiveBoard()
    board.see([ping(200)])
    board.take_due(lambda _: None, NOW)
    board.touch("van-1")
    board.touch("a device never seen")
    tracks = Tracks()
    tracks.learn(VISIT)
    [told] = board.take_due(lambda _: tracks, NOW)
    assert (told.state, told.open_visits) == ("on_site", ["v1"])


def test_moving_is_what_the_phone_says_or_what_its_fixes_show():
    assert live_state(ping(1, speed_mps=9.0), None, NOW).state == "moving"
    assert live_state(ping(1, speed_mps=0.2), None, NOW).state == "stopped"
    assert live_state(ping(1), moved_to(47.001), NOW).state == "moving"
    assert live_state(ping(1), moved_to(47.00001), NOW).state == "stopped"
    assert live_state(ping(1), None, NOW).state == "stopped"

from dataclasses import replace

import numpy as np
import pytest

from simulator.movement import Activity, Track
from simulator.phones import Noise, PingColumns, correlated, record
from simulator.plane import Plane

PLANE = Plane(47.0, 8.3)
QUIET = replace(Noise(), leaps=0.0, coarse=0.0, cached=0.0, stale_rate=0.0, burst_rate=0.0, late_phones=0.0)


def standing(hours: float, activity: Activity, stay: int) -> Track:
    seconds = round(hours * 3600)
    return Track(
        1_772_434_800_000,
        np.zeros(seconds),
        np.zeros(seconds),
        np.full(seconds, activity, np.int8),
        np.full(seconds, stay, np.int32),
    )


def first_copies(pings: PingColumns) -> PingColumns:
    _, first = np.unique(pings.ts_ms, return_index=True)
    return pings.take(first)


def many(track: Track, noise: Noise, phones: int = 40) -> list[PingColumns]:
    return [
        first_copies(record(number, track, [], PLANE, noise, np.random.default_rng([7, number])))
        for number in range(phones)
    ]


def errors_m(pings: PingColumns) -> tuple[np.ndarray, np.ndarray]:
    return PLANE.to_metres(pings.lat, pings.lon)


def test_the_noise_process_has_variance_one_and_the_correlation_asked_for():
    rng = np.random.default_rng(1)
    values = correlated(np.arange(0.0, 400_000.0, 10.0), 90.0, rng.standard_normal(40_000))
    assert values.std() == pytest.approx(1.0, abs=0.05)
    for lag in (1, 9, 18):
        measured = np.corrcoef(values[:-lag], values[lag:])[0, 1]
        assert measured == pytest.approx(np.exp(-10.0 * lag / 90.0), abs=0.06)


def test_errors_are_correlated_over_a_minute_and_forgotten_after_ten():
    near, far = [], []
    for pings in many(standing(3.0, Activity.DRIVING, -1), replace(QUIET, moving_interval_s=(10.0,)), phones=10):
        x, _ = errors_m(pings)
        near.append(np.corrcoef(x[:-2], x[2:])[0, 1])
        far.append(np.corrcoef(x[:-60], x[60:])[0, 1])
    assert np.mean(near) > 0.65
    assert abs(np.mean(far)) < 0.2


def test_an_honest_accuracy_holds_about_two_fixes_in_three():
    honest = replace(QUIET, claims=(("honest", 1.0),))
    held = []
    for activity, stay in ((Activity.DRIVING, -1), (Activity.RESTING, 0)):
        for pings in many(standing(2.0, activity, stay), honest):
            x, y = errors_m(pings)
            held.append(np.mean(np.hypot(x, y) <= pings.accuracy_m))
    assert 0.55 < np.mean(held) < 0.8


def test_errors_are_worse_indoors():
    outdoors = [np.median(np.hypot(*errors_m(pings))) for pings in many(standing(1.0, Activity.DRIVING, -1), QUIET)]
    indoors = [np.median(np.hypot(*errors_m(pings))) for pings in many(standing(1.0, Activity.RESTING, 0), QUIET)]
    assert np.mean(indoors) > 1.5 * np.mean(outdoors)


def test_every_way_of_lying_about_accuracy_occurs():
    claims = set()
    for pings in many(standing(0.5, Activity.DRIVING, -1), QUIET, phones=60):
        distinct = set(pings.accuracy_m[~np.isnan(pings.accuracy_m)].tolist())
        claims.add({0: "none", 1: f"{next(iter(distinct), 0):.0f} m"}.get(len(distinct), "honest"))
    assert claims == {"honest", "5 m", "65 m", "none"}


def test_a_still_phone_senses_less():
    for pings in many(
        standing(1.0, Activity.RESTING, 0), replace(QUIET, moving_interval_s=(1.0,), still_interval_s=(60.0,))
    ):
        gaps_s = np.diff(pings.ts_ms) / 1000.0
        assert np.median(gaps_s[-10:]) > 40.0
        assert np.median(gaps_s[:60]) < 2.0


def test_tunnels_begin_at_the_drive_by():
    noise = replace(QUIET, tunnels=1.0, silence_rate=0.0)
    track = standing(1.0, Activity.DRIVING, -1)
    pings = record(0, track, [(600.0, 610.0)], PLANE, noise, np.random.default_rng(2))
    at_s = np.unique(pings.ts_ms - track.start_ms) / 1000.0
    assert not ((at_s > 603.0) & (at_s < 660.0)).any()
    assert ((at_s > 560.0) & (at_s < 602.5)).any()


def test_cached_fixes_repeat_a_position_exactly():
    repeats = [
        np.sum((np.diff(pings.lat) == 0.0) & (np.diff(pings.lon) == 0.0))
        for pings in many(standing(1.0, Activity.DRIVING, -1), replace(QUIET, cached=0.02))
    ]
    assert np.mean(repeats) > 3


def test_a_late_phone_uploads_everything_at_the_end():
    track = standing(2.0, Activity.DRIVING, -1)
    pings = record(0, track, [], PLANE, replace(QUIET, late_phones=1.0), np.random.default_rng(4))
    assert pings.sent_ms.min() > track.start_ms + 2 * 3_600_000


def test_copies_repeat_the_fix_and_not_the_sending():
    track = standing(4.0, Activity.DRIVING, -1)
    noisy = replace(QUIET, repeated_batches=0.1, repeated_pings=0.02)
    pings = record(0, track, [], PLANE, noisy, np.random.default_rng(5))
    _, first, count = np.unique(pings.ts_ms, return_index=True, return_counts=True)
    assert (count > 1).any()
    for row in first[count > 1][:20]:
        copies = pings.take(pings.ts_ms == pings.ts_ms[row])
        assert len(set(zip(copies.lat, copies.lon, strict=True))) == 1
        assert len(set(copies.sent_ms)) == len(copies)

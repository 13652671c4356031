"""The properties can fail: each small fault put into the engine here is caught by the check named beside it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from geofence import anchors, folding, tracks
from geofence.fixes import Fixes
from geofence.stretches import rows_of
from geofence.visits import Derivation, derive_stays, path
from tests import naive
from tests.geofence import test_forgetting as forgetting
from tests.geofence.visits import test_complaints as complaints
from tests.geofence.visits import test_derivation as derivation
from tests.geofence.visits import test_oracle as oracle
from tests.geofence.visits import test_properties as properties
from tests.geofence.visits.days import days

Patch = pytest.MonkeyPatch

seeds = st.integers(0, 10_000)


def assert_caught(check: Callable[..., None], *drawn: st.SearchStrategy[Any], within: int = 60) -> None:
    """A check that holds of every case without the fault (its own test says so) fails on one of the first with it."""

    @settings(
        max_examples=within,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*drawn))
    def run(case: tuple[Any, ...]) -> None:
        check(*case)

    with pytest.raises(AssertionError):
        run()


def test_late_fixes_that_are_not_sorted_in_are_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(tracks.Tracks, "_sort_in", lambda self, *arrived: self._append(*arrived[:-1]))
    assert_caught(properties.check_live_equals_batch_while_a_backlog_drains, seeds, st.floats(0.2, 0.8), st.just(40))


def test_copies_of_which_the_first_to_come_counts_are_caught(monkeypatch: Patch) -> None:
    def ordered(fixes: Fixes) -> Fixes:
        identity = np.stack([fixes.ts_ms, fixes.lat_e7, fixes.lon_e7], axis=1)
        return fixes.take(np.unique(identity, axis=0, return_index=True)[1])

    monkeypatch.setattr(Fixes, "in_order", ordered)
    assert_caught(properties.check_copies_that_differ_come_in_any_order, days(), seeds)


def test_memory_let_go_too_early_is_caught(monkeypatch: Patch) -> None:
    def hasty(devices: Any, slots: Any, *_: Any) -> Any:
        for slot in slots:
            folding._drop(devices, slot, max(0, len(rows_of(devices.paths.fixes, slot)) - 5))
            devices.marks["kept_from_ms"][slot] = rows_of(devices.paths.fixes, slot)["ts_ms"][0]
            devices.known.stretch["size"][slot] = 0
        return slots[:0]

    properties.remember_little(monkeypatch)
    monkeypatch.setattr(tracks, "RECENT_FIXES", 5)
    monkeypatch.setattr(tracks, "forget", hasty)
    assert_caught(properties.check_live_equals_batch_while_a_backlog_drains, seeds, st.just(0.0), st.just(20))


def test_a_path_resumed_without_what_the_device_may_have_been_at_is_caught(monkeypatch: Patch) -> None:
    resumed = anchors.resumed
    monkeypatch.setattr(
        anchors, "resumed", lambda *given: resumed(*given[:4], [each for each in given[4] if each[2] > 0], given[5])
    )
    forgetting.forget_soon(monkeypatch)
    stops = [(-25_000.0, 0.0), (600.0, 5_000.0), (0.0, 300.0)]
    assert_caught(forgetting.check_shops_within_a_zone, st.just(0), st.just(stops))


def test_late_fixes_judged_by_the_fences_of_now_are_caught(monkeypatch: Patch) -> None:
    held = path._held
    monkeypatch.setattr(path, "_held", lambda ts_ms, *rest: held(np.full_like(ts_ms, ts_ms[-1]), *rest))
    with pytest.raises((AssertionError, ValueError)):
        complaints.test_complaint_3_traccar_6015_late_fixes_are_credited_to_the_job_of_then(0, 3)


def test_silence_that_is_no_evidence_is_caught(monkeypatch: Patch) -> None:
    def deaf(device_id: str, fixes: Fixes, fences: Any, rules: Any, as_of_ms: int, **more: Any) -> Derivation:
        return derive_stays(device_id, fixes, fences, rules, min(as_of_ms, int(fixes.ts_ms[-1])), **more)

    monkeypatch.setattr(oracle, "derive_stays", deaf)
    assert_caught(lambda day: oracle.compare(day.fences, day.fixes, day.as_of_ms), oracle.harder_days(), within=150)


def test_times_cut_to_the_minute_are_caught(monkeypatch: Patch) -> None:
    def coarse(device_id: str, fixes: Fixes, *rest: Any, **more: Any) -> Derivation:
        return derive_stays(device_id, dataclasses.replace(fixes, ts_ms=fixes.ts_ms // 60_000 * 60_000), *rest, **more)

    monkeypatch.setattr(derivation, "derive_stays", coarse)
    shifted = derivation.test_moving_time_moves_the_log.hypothesis.inner_test
    assert_caught(shifted, days(), st.integers(-(10**9), 10**9))


@pytest.mark.parametrize("fault", ["repeated", "doubled", "nowhere", "inaccurate"])
def test_a_reason_not_to_use_a_fix_that_is_forgotten_is_caught(monkeypatch: Patch, fault: str) -> None:
    """The oracle forgets it, so that it is the engine that differs."""
    clean = naive.clean
    forgiving = {
        "repeated": lambda fix, k: dataclasses.replace(fix, lat_e7=fix.lat_e7 + k % 2),
        "doubled": lambda fix, k: dataclasses.replace(fix, ts_ms=fix.ts_ms + 600 * k),
        "nowhere": lambda fix, k: dataclasses.replace(fix, lat_e7=fix.lat_e7 or 1),
        "inaccurate": lambda fix, k: dataclasses.replace(fix, accuracy_m=min(fix.accuracy_m or 15.0, 250.0)),
    }[fault]
    monkeypatch.setattr(
        naive, "clean", lambda fixes, as_of_ms: clean([forgiving(fix, k) for k, fix in enumerate(fixes)], as_of_ms)
    )
    assert_caught(lambda day: oracle.compare(day.fences, day.fixes, day.as_of_ms), oracle.harder_days(), within=100)

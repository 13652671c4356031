import numpy as np
import pytest

from benchmarks import accuracy_sets
from benchmarks.accuracy_sets import DATA, SIMULATED, Trace, World, circles_at, halts_of, simulated, spans_at_halts
from geofence.fixes import Fixes
from geofence.geodesy import metres_per_degree
from schemas.times import parse_instant

needs_data = pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")


def driven(*legs: tuple[int, float]) -> Fixes:
    """Along a parallel at 1 Hz: (seconds, metres a second) a leg."""
    mps = np.concatenate([np.full(seconds, speed) for seconds, speed in legs])
    east_m = np.concatenate([[0.0], np.cumsum(mps)])
    lon = 8.0 + east_m / metres_per_degree(47.0)[0]
    nothing = np.full(len(lon), np.nan)
    return Fixes.of_columns(np.arange(len(lon)) * 1000, np.full(len(lon), 47.0), lon, nothing, nothing)


def test_halts_are_found_and_get_a_circle_each():
    fixes = driven((60, 10.0), (30, 0.0), (60, 10.0), (15, 0.0), (60, 10.0), (40, 0.0))
    halts = list(halts_of(fixes))
    assert [(round(from_ms / 1000), round(to_ms / 1000)) for from_ms, to_ms in halts] == [(59, 90), (224, 265)]
    assert circles_at(fixes, halts).fence_ids == ("halt-0", "halt-1")


def test_a_run_inside_is_what_its_halts_make_of_it():
    fixes = driven((60, 11.0), (30, 0.0), (60, 11.0))
    fences = circles_at(fixes, [(60_000, 90_000)])
    trace = Trace("car", fixes, fences)

    def kinds(*halts: tuple[int, int]) -> list[str]:
        return [span.kind for span in spans_at_halts(trace, halts)]

    assert kinds((60_000, 90_000)) == ["visit"]
    assert kinds((60_000, 70_000)) == ["disputed"]
    assert kinds() == kinds((0, 50_000)) == ["pass"]
    (span,) = spans_at_halts(trace, [(60_000, 90_000)])
    assert (span.arrived_ms, span.departed_ms) == (57_000, 94_000)


@pytest.mark.parametrize(("away_s", "spans"), [(10, 1), (30, 2)])
def test_a_moment_outside_does_not_part_a_run(away_s, spans):
    stay, far = driven((60, 0.0)), driven((away_s, 0.0))
    fences = circles_at(stay, [(0, 60_000)])
    out = Fixes(far.ts_ms + 61_000, far.lat_e7, far.lon_e7 + 10_000, far.accuracy_dm, far.speed_cm_s)
    back = Fixes(stay.ts_ms + 62_000 + away_s * 1000, stay.lat_e7, stay.lon_e7, stay.accuracy_dm, stay.speed_cm_s)
    trace = Trace("car", Fixes.concat([stay, out, back]), fences)
    assert len(list(spans_at_halts(trace, [(0, 60_000)]))) == spans


def test_simulated_days_are_pooled_under_names_of_their_own():
    labelled = simulated(World(), seeds=(1, 2), technicians=1)
    assert [trace.device_id for trace in labelled.traces] == ["1/tech-0001", "2/tech-0001"]
    assert {span.device_id for span in labelled.truth} == {"1/tech-0001", "2/tech-0001"}
    assert labelled.end_ms > max(int(trace.fixes.ts_ms.max()) for trace in labelled.traces)
    adjoining = {(span.device_id, span.fence_id) for span in labelled.truth if span.adjoins}
    assert adjoining <= labelled.adjoining


def test_quick_measures_the_same_sets(monkeypatch):
    asked = []
    monkeypatch.setattr(accuracy_sets, "simulated", lambda world, seeds, technicians: asked.append((world, len(seeds))))
    monkeypatch.setattr(accuracy_sets, "REAL", {})
    names = [[name for name, _ in accuracy_sets.labelled_sets(quick)] for quick in (True, False)]
    assert names[0] == names[1] == list(SIMULATED)
    assert sum(count for _, count in asked[: len(SIMULATED)]) < sum(count for _, count in asked[len(SIMULATED) :])


@needs_data
def test_phones_los_altos_has_its_26_stays_and_taps():
    labelled = accuracy_sets.phones_los_altos()
    assert len(labelled.traces) == len({span.device_id for span in labelled.truth})
    assert len(labelled.truth) == len(labelled.taps) == 26
    seen = labelled.truth[0]
    assert seen.arrived_ms == parse_instant("2019-07-28T00:52:29Z")
    assert labelled.taps[seen].departed_ms == parse_instant("2019-07-28T02:01:06Z")
    assert labelled.unjudged == {"mountain-view-library"}


@needs_data
def test_the_halts_of_a_bus_at_its_stops_are_visits_and_the_rest_passes():
    labelled = accuracy_sets.bus_limerick()
    visits = [span for span in labelled.truth if span.kind == "visit"]
    moment_ms = parse_instant("2019-02-18T08:14:00Z")
    assert [span.fence_id for span in visits if span.overlap_ms(moment_ms, moment_ms + 1, labelled.end_ms)] == [
        "stop-607781"
    ]
    assert any(span.kind == "pass" for span in labelled.truth)
    assert len({span.fence_id for span in visits}) >= 20


@needs_data
def test_a_drive_has_the_same_truth_at_both_rates():
    dense, sparse = accuracy_sets.drive_munich("001"), accuracy_sets.drive_munich("015")
    assert dense.truth == sparse.truth
    assert any(span.kind == "visit" for span in dense.truth)
    assert len(dense.traces[0].fixes) > 10 * len(sparse.traces[0].fixes)

from dataclasses import replace

import pytest

from benchmarks import accuracy, accuracy_sets
from benchmarks.accuracy_sets import DATA, TAP_TOLERANCE_MS, LabelledSet, World
from benchmarks.baselines import PlainStay
from simulator.score import Case, compare
from simulator.truth import Span

MINUTE_MS = 60_000
SEEN = Span("phone", "site", "visit", 10 * MINUTE_MS, 70 * MINUTE_MS)


def found(arrived_ms: int, departed_ms: int) -> list[Case]:
    return [Case("phone", "site", "found", SEEN, PlainStay("site", arrived_ms, departed_ms))]


def test_intervals_hold_the_truth_exactly_and_taps_within_their_tolerance():
    exact = found(SEEN.arrived_ms, SEEN.departed_ms + 1)
    assert accuracy.interval_coverage(exact, {}) == 0.5
    tapped = replace(SEEN, arrived_ms=SEEN.arrived_ms + TAP_TOLERANCE_MS, departed_ms=SEEN.departed_ms)
    assert accuracy.interval_coverage(exact, {SEEN: tapped}) == 1.0
    assert accuracy.interval_coverage(exact, {SEEN: replace(tapped, arrived_ms=tapped.arrived_ms + 1)}) == 0.5
    assert accuracy.interval_coverage([Case("phone", "site", "missed", SEEN, None)], {}) is None


def test_apart_leaves_out_sites_that_adjoin():
    invented = Case("phone", "shop", "invented", None, PlainStay("shop", 0, MINUTE_MS))
    cases = [*found(SEEN.arrived_ms, SEEN.departed_ms), invented]
    labelled = LabelledSet((), (SEEN,), 100 * MINUTE_MS, adjoining=frozenset({("phone", "shop")}))
    judged = accuracy.judgement(labelled, cases)
    assert judged.score.f1 == pytest.approx(2 / 3)
    assert judged.f1_apart == 1.0
    assert accuracy.judgement(replace(labelled, adjoining=frozenset()), cases).f1_apart is None


@pytest.fixture(scope="module")
def judged() -> dict[str, dict[str, accuracy.Judgement]]:
    labelled = accuracy_sets.simulated(World(), seeds=(7,), technicians=2)
    by_engine = {}
    for engine in accuracy.ENGINES:
        cases = compare(labelled.truth, accuracy.log_of(engine, labelled), labelled.end_ms)
        by_engine[engine] = accuracy.judgement(labelled, list(cases))
    return {"day": by_engine}


def test_every_engine_is_judged_on_the_same_true_visits(judged):
    assert len({each.score.true for each in judged["day"].values()}) == 1
    assert judged["day"]["onsite"].score.f1 > max(judged["day"][engine].score.f1 for engine in accuracy.BASELINES)


def test_figures_anchors_and_ratios_are_named_by_set(judged):
    outcome = accuracy.outcome_of(judged)
    wanted = {"f1", "false_per_pass", "arrival_error_p50_s", "interval_coverage"}
    assert {f"day_{figure}" for figure in wanted} <= outcome["figures"].keys()
    assert outcome["anchors"].keys() == {"day_point_in_polygon_f1", "day_dwell_filter_f1"}
    for anchor, f1 in outcome["anchors"].items():
        assert outcome["ratios"][f"onsite_vs_{anchor}"] == outcome["figures"]["day_f1"] / f1
    assert all(isinstance(value, float | int) for section in outcome.values() for value in section.values())


def test_a_row_a_set_and_engine(judged):
    assert accuracy.visits_table(judged).row_count == 3
    assert accuracy.errors_table(judged).row_count == 1


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_real_phones_beside_the_baselines():
    labelled = accuracy_sets.phones_los_altos()
    judged = {
        engine: accuracy.judgement(
            labelled, list(compare(labelled.truth, accuracy.log_of(engine, labelled), labelled.end_ms))
        )
        for engine in accuracy.ENGINES
    }
    onsite = judged["onsite"]
    assert (onsite.score.found, onsite.score.invented, onsite.score.split) == (26, 0, 0)
    assert onsite.coverage is not None
    assert onsite.coverage >= 0.9
    assert judged["point_in_polygon"].score.split > 0
    assert judged["dwell_filter"].score.f1 < 1.0

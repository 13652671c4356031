"""A round of jobs, held against rounds that were thrown by dice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.eta.chain import Call, arrivals
from dispatch.eta.durations import Durations
from dispatch.eta.spread import Spread

NORMAL_80 = 1.2816
MOMENTS = st.floats(0.0, 1e6)
SPREADS = st.tuples(MOMENTS, MOMENTS, MOMENTS).map(lambda each: Spread(*sorted(each)))


def lognormal(median_s: float, sigma: float) -> Spread:
    return Spread(median_s * np.exp(-NORMAL_80 * sigma), median_s, median_s * np.exp(NORMAL_80 * sigma))


@pytest.mark.parametrize("waits", [False, True])
def test_windows_down_the_round_hold_as_often_as_the_first(waits: bool) -> None:
    rng = np.random.default_rng(5)
    ways, work = [(900.0, 0.2), (1_500.0, 0.25), (700.0, 0.2), (1_200.0, 0.3)], (2_400.0, 0.35)
    begins = [None, 9_000_000 if waits else None, None, None]
    calls = [
        Call(f"j{number}", lognormal(*way), lognormal(*work), begin)
        for number, (way, begin) in enumerate(zip(ways, begins, strict=True))
    ]
    told = arrivals(Spread(0.0, 0.0, 0.0), calls)
    thrown_ms = np.zeros(40_000)
    for (median_s, sigma), begin, (job_id, window) in zip(ways, begins, told.items(), strict=True):
        thrown_ms = np.maximum(thrown_ms, (begin or 0) - 1000.0 * median_s)  # nobody sets out long before
        thrown_ms = thrown_ms + 1000.0 * median_s * np.exp(rng.normal(0.0, sigma, 40_000))
        held = np.mean((thrown_ms >= window.low) & (thrown_ms <= window.high))
        assert held == pytest.approx(0.8, abs=0.06), job_id
        thrown_ms = np.maximum(thrown_ms, begin or 0) + 1000.0 * work[0] * np.exp(rng.normal(0.0, work[1], 40_000))


@given(SPREADS, SPREADS)
def test_sums_are_wider_than_each_and_narrower_than_both_together(one: Spread, other: Spread) -> None:
    total = one.plus(other)
    assert total.middle == pytest.approx(one.middle + other.middle)
    for side in (lambda each: each.middle - each.low, lambda each: each.high - each.middle):
        slack = 1e-6 * (1.0 + total.middle)
        assert max(side(one), side(other)) - slack <= side(total) <= side(one) + side(other) + slack


@given(SPREADS, MOMENTS)
def test_who_is_early_waits(arrives: Spread, moment: float) -> None:
    begins = arrives.not_before(moment)
    assert begins.low == max(arrives.low, moment)
    assert begins.high == max(arrives.high, moment)


def test_who_has_not_set_out_comes_for_the_window_and_who_is_under_way_comes_sooner() -> None:
    way, work = Spread(500.0, 600.0, 800.0), Spread(1_000.0, 1_000.0, 1_000.0)
    now = Spread(0.0, 0.0, 0.0)
    later, underway = (
        arrivals(now, [Call("a", way, work, 9_000_000, is_under_way=begun), Call("b", way, work)])
        for begun in (False, True)
    )
    assert later["a"] == Spread(8_900_000, 9_000_000, 9_200_000)
    assert underway["a"] == Spread(500_000, 600_000, 800_000)
    assert later["b"].middle == underway["b"].middle == 10_600_000, "nobody begins before"


def test_what_is_no_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="not around"):
        Spread(1.0, 0.5, 2.0)


def test_who_knows_nothing_takes_estimates_for_half_to_double() -> None:
    expected = Durations().expected_s("boiler", 1_800.0)
    assert expected.middle == pytest.approx(1_800.0, rel=0.05)
    assert expected.low < 0.6 * 1_800
    assert expected.high > 1.7 * 1_800


def test_a_type_that_takes_longer_is_known_and_one_never_seen_is_like_all() -> None:
    rng = np.random.default_rng(6)
    durations = Durations()
    for _ in range(200):
        durations.learn("boiler", 1_800.0, 1_800.0 * 1.5 * float(np.exp(rng.normal(0.0, 0.2))))
        durations.learn("meter", 600.0, 600.0 * 0.8 * float(np.exp(rng.normal(0.0, 0.1))))
    boiler, meter, other = (durations.expected_s(each, 1_000.0) for each in ("boiler", "meter", "roof"))
    assert boiler.middle == pytest.approx(1_500.0, rel=0.08)
    assert meter.middle == pytest.approx(800.0, rel=0.08)
    assert meter.middle < other.middle < boiler.middle
    assert other.high - other.low > boiler.high - boiler.low > meter.high - meter.low
    actual_s = 1_000.0 * 1.5 * np.exp(rng.normal(0.0, 0.2, 2_000))
    assert np.mean((actual_s >= boiler.low) & (actual_s <= boiler.high)) == pytest.approx(0.8, abs=0.08)


@given(st.floats(0.0, 40_000.0), st.floats(0.0, 4_000.0))
def test_work_that_goes_on_takes_longer_than_it_has_and_never_less_than_was_thought(
    done_s: float, more_s: float
) -> None:
    durations = Durations()
    for number in range(30):
        durations.learn("boiler", 1_800.0, 1_500.0 + 40.0 * number)
    before, after = (durations.expected_s("boiler", 1_800.0, each) for each in (done_s, done_s + more_s))
    assert done_s <= before.low
    assert done_s < before.middle or done_s == 0.0
    for side in ("low", "middle", "high"):
        assert getattr(after, side) >= 0.9 * getattr(before, side)


def test_what_is_learnt_counts_at_once() -> None:
    durations = Durations()
    before = durations.expected_s("boiler", 1_800.0)
    for _ in range(50):
        durations.learn("boiler", 1_800.0, 3_600.0)
    assert durations.expected_s("boiler", 1_800.0).middle > 1.5 * before.middle
    assert durations.expected_s("roof", 1_800.0).middle > 1.2 * before.middle

"""Windows hold as often as they promise, from the first day on, also while the world changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.eta.windows import CENTRES_S, Windows, bucket_shares


def held(windows: Windows, errors: np.ndarray, predicted_s: np.ndarray, device: int = 0) -> np.ndarray:
    """Whether the window of each trip held; each is learnt from before the next."""
    found = np.zeros(len(errors), bool)
    for number, (error, way_s) in enumerate(zip(errors, predicted_s, strict=True)):
        asked = np.array([way_s])
        begin, end = windows.around(asked, np.array([device]))
        came = asked * np.exp(error)
        found[number] = begin[0] <= came[0] <= end[0]
        windows.learn(device, asked, begin, end, came)
    return found


@pytest.mark.parametrize("level", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("centre_s", [120.0, 900.0, 4_000.0])
def test_windows_hold_as_often_as_they_promise(level: float, centre_s: float) -> None:
    rng = np.random.default_rng(7)
    errors = rng.gamma(2.0, 0.1, 1_500) - 0.2
    found = held(Windows(level), errors, centre_s * rng.uniform(0.9, 1.1, 1_500))
    assert found[300:].mean() == pytest.approx(level, abs=0.03)


def test_also_while_errors_drift() -> None:
    rng = np.random.default_rng(8)
    errors = rng.normal(0.0, 0.2, 1_200) + np.linspace(-0.1, 0.1, 1_200)
    errors[600:] *= 2.0
    found = held(Windows(), errors, np.full(1_200, 900.0))
    assert found[100:].mean() == pytest.approx(0.8, abs=0.03)
    assert found[600:700].mean() < found[900:].mean(), "a step is felt first"


def test_who_knows_nothing_has_wide_windows() -> None:
    (begin,), (end,) = Windows().around(np.array([600.0]), np.array([0]))
    assert begin < 0.55 * 600
    assert end > 1.8 * 600
    rng = np.random.default_rng(1)
    seasoned = Windows()
    held(seasoned, rng.normal(0.0, 0.05, 400), np.full(400, 600.0))
    (begin,), (end,) = seasoned.around(np.array([600.0]), np.array([0]))
    assert end - begin < 0.3 * 600


def test_first_windows_hold_more_often_rather_than_less() -> None:
    rng = np.random.default_rng(2)
    found = [held(Windows(), rng.normal(0.0, 0.3, 20), np.full(20, 600.0)).mean() for _ in range(40)]
    assert np.mean(found) > 0.8


def test_each_horizon_has_its_own() -> None:
    rng = np.random.default_rng(3)
    windows = Windows()
    ways_s = np.where(np.arange(1_200) % 2 == 0, CENTRES_S[1], CENTRES_S[5])
    errors = rng.normal(0.0, 1.0, 1_200) * np.where(ways_s == CENTRES_S[1], 0.4, 0.1)
    found = held(windows, errors, ways_s)
    for way_s in (CENTRES_S[1], CENTRES_S[5]):
        assert found[300:][ways_s[300:] == way_s].mean() == pytest.approx(0.8, abs=0.04)
    begin, end = windows.around(CENTRES_S[[1, 5]], np.array([0, 0]))
    spread = np.log(end / begin)
    assert spread[0] > 2.5 * spread[1]


def test_whoever_keeps_time_has_narrower_windows() -> None:
    rng = np.random.default_rng(4)
    windows = Windows()
    for number in range(600):
        device = number % 2
        held(windows, rng.normal(0.0, (0.05, 0.3)[device], 1), np.array([900.0]), device)
    begin, end = windows.around(np.full(3, 900.0), np.array([0, 1, 2]))
    punctual, other, stranger = np.log(end / begin)
    assert other > 3.0 * punctual
    assert punctual < stranger < other


@given(st.lists(st.floats(1.0, 50_000.0), min_size=1, max_size=20), st.integers(0, 60), st.integers(0, 9))
def test_a_window_is_around_its_eta(ways_s: list[float], learnt: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    windows = Windows()
    held(windows, rng.normal(-0.5, 0.4, learnt), rng.uniform(10.0, 9_000.0, learnt))
    begin, end = windows.around(np.array(ways_s), np.zeros(len(ways_s), int))
    assert np.all(begin > 0)
    assert np.all(begin <= np.array(ways_s))
    assert np.all(end >= np.array(ways_s))


def test_buckets_share_what_lies_between_their_middles() -> None:
    assert bucket_shares(CENTRES_S) == pytest.approx(np.eye(len(CENTRES_S)))
    assert bucket_shares(np.array([0.0, 1.0, 1e9]))[:, [0, -1]].tolist() == [[1, 0], [1, 0], [0, 1]]
    between = bucket_shares(np.sqrt(CENTRES_S[:-1] * CENTRES_S[1:]))
    assert between.sum(axis=1) == pytest.approx(1.0)
    assert np.diagonal(between) == pytest.approx(0.5)

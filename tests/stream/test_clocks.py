"""A device's clock is estimated from one-way times, whatever the network does to some of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.tracker.clocks import FEWEST_REQUESTS, LEAST_ERROR_S, REQUESTS, DeviceClock, Skew

T0_MS = 1_772_439_300_000


def told(ahead_ms: int, delays_ms: list[int], clock: DeviceClock | None = None) -> Skew | None:
    """What a device says of itself whose clock is so much ahead, in requests that are so long on their way."""
    clock = clock or DeviceClock()
    for number, delay_ms in enumerate(delays_ms):
        sent_ms = T0_MS + number * 30_000
        clock.see(sent_ms + ahead_ms, sent_ms + delay_ms)
    return clock.skew()


def test_nothing_is_said_of_a_device_before_it_has_been_heard_a_few_times() -> None:
    assert told(5_000, [100] * (FEWEST_REQUESTS - 1)) is None
    assert told(5_000, [100] * FEWEST_REQUESTS) == Skew(4.9, LEAST_ERROR_S)


@given(st.integers(-(10**8), 10**8), st.lists(st.integers(0, 10**7), min_size=FEWEST_REQUESTS, max_size=REQUESTS))
def test_it_is_off_by_the_fastest_request_and_by_nothing_else(ahead_ms: int, delays_ms: list[int]) -> None:
    skew = told(ahead_ms, delays_ms)
    assert skew is not None
    assert skew.ahead_s == pytest.approx((ahead_ms - min(delays_ms)) / 1000)
    assert skew.error_s >= LEAST_ERROR_S


@pytest.mark.parametrize("ahead_ms", [-86_400_000, -45_000, 0, 700, 45_000])
def test_the_truth_is_within_the_error_on_mobile_networks(ahead_ms: int) -> None:
    """A tenth to some seconds on the way; now and then a dead spot or a batch that waited for hours."""
    chance = random.Random(7)
    within = sure = 0
    for _ in range(500):
        delays_ms = [
            round(100 + chance.expovariate(1 / 400)) + (chance.randrange(10**7) if chance.random() < 0.15 else 0)
            for _ in range(REQUESTS)
        ]
        skew = told(ahead_ms, delays_ms)
        assert skew is not None
        within += abs(skew.ahead_s - ahead_ms / 1000) <= skew.error_s
        sure += skew.error_s < 3
    assert within >= 0.99 * 500
    assert sure >= 0.95 * 500  # of the others half of the requests were late


def test_requests_that_took_hours_change_nothing() -> None:
    assert told(-300_000, [200, 7_200_000, 300, 250, 86_400_000, 220]) == Skew(-300.2, LEAST_ERROR_S)


def test_a_clock_that_is_set_is_doubted_and_then_believed() -> None:
    clock = DeviceClock()
    assert told(40_000, [100] * REQUESTS, clock) == Skew(39.9, LEAST_ERROR_S)
    half = told(0, [100] * (REQUESTS // 2), clock)
    assert half is not None
    assert half.error_s >= 20
    assert told(0, [100] * (REQUESTS // 2), clock) == Skew(-0.1, LEAST_ERROR_S)

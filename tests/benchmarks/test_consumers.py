import asyncio

from benchmarks.consumers import Meter


def test_the_first_pings_start_the_clock_and_do_not_count() -> None:
    meter = Meter(expected=10)
    meter.add(0)
    meter.add(4)
    meter.add(6)
    meter.add(100)  # beyond what is measured
    figures = asyncio.run(meter.figures())
    assert figures["pings"] == 6
    assert figures["pings_per_cpu_s"] == figures["pings"] / figures["cpu_s"]


def test_all_pings_count_from_a_clock_that_was_started_though_they_come_at_once() -> None:
    meter = Meter(expected=10)
    meter.begin()
    meter.add(10)
    figures = asyncio.run(meter.figures())
    assert figures["pings"] == 10
    assert figures["pings_per_cpu_s"] > 0

"""The load is what the goals are said for: mixed rates, adjoining fences, late uploads, repeats."""

import numpy as np
import pytest

from benchmarks.load import Load, build_load


@pytest.fixture(scope="module")
def load() -> Load:
    return build_load(devices=400, minutes=20.0)


def test_its_shares_are_those_of_the_goals(load: Load) -> None:
    figures = load.figures()
    assert figures["load_fences"] == 20_000
    assert figures["load_near_pings_share"] >= 0.4
    assert figures["load_adjoining_fences_share"] > 0.05
    assert figures["load_late_devices_share"] == 0.05
    assert figures["load_repeated_pings_share"] == pytest.approx(0.01, abs=0.005)


def test_every_fence_is_a_polygon_with_an_id_of_its_own(load: Load) -> None:
    records = list(load.fence_records())
    assert {record.current.geometry["type"] for record in records} == {"Polygon"}
    assert len({record.fence_id for record in records}) == 20_000


def test_pings_come_in_the_order_of_delivery_and_devices_have_rates_of_their_own(load: Load) -> None:
    pings = list(load.pings())
    received_ms = [ping.received_ms for ping in pings]
    assert len(pings) == len(load)
    assert received_ms == sorted(received_ms)
    assert all(ping.ts_ms <= ping.received_ms for ping in pings)
    per_device = np.unique([ping.device_id for ping in pings], return_counts=True)[1]
    assert np.percentile(per_device, 95) > 5 * np.median(per_device)


def test_late_devices_upload_ten_minutes_at_once(load: Load) -> None:
    columns = load.day.pings
    for device in np.flatnonzero(load.late_devices):
        uploads_ms = np.unique(columns.delivered_ms[columns.device == device])
        assert len(uploads_ms) <= 2
    late = load.late_devices[columns.device]
    assert (columns.delivered_ms - columns.ts_ms)[late].max() > 500_000


def test_the_same_seed_is_the_same_load() -> None:
    one, same, other = (build_load(devices=20, minutes=2.0, seed=seed) for seed in (7, 7, 8))
    assert list(one.records()) == list(same.records())
    assert list(one.records()) != list(other.records())

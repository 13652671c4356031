"""Which of two shops that share a wall: what a whole stay says."""

import numpy as np
import pytest

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays
from geofence.visits.arrangement import arrangement_of
from geofence.visits.evidence import SCORE_SCALE
from geofence.visits.rivals import settle_rivals
from geofence.visits.tables import ENTRY, STEP
from tests.geofence.visits.days import START_MS, degrees, square

SHOPS = FenceSet.of([("left", square(-10, 0, 20)), ("right", square(10, 0, 20))])


def log_of(rows, until_s):
    """Fence ids told of rows (seconds, x, y, speed in m/s), as of a moment."""
    seconds, x, y, speed_mps = np.array(rows, dtype=float).T
    lon, lat = np.array([degrees(*at) for at in zip(x, y, strict=True)]).T
    ts_ms = START_MS + np.rint(seconds * 1000.0).astype(np.int64)
    fixes = Fixes.of_columns(ts_ms, lat, lon, np.full(len(ts_ms), 8.0) + np.arange(len(ts_ms)) / 10 % 0.3, speed_mps)
    stays = derive_stays("d", fixes.in_order(), SHOPS, Rules(), START_MS + until_s * 1000).stays
    return [stay.fence_id for stay in stays]


def outing(kerb_x_m, resting_x_m, out_to_s):
    """Drives up, gets out at ``kerb_x_m``, walks in, rests for an hour where its fixes show ``resting_x_m``, leaves."""
    rng = np.random.default_rng(0)

    def jitter() -> float:
        return rng.normal(0.0, 0.3)

    way_in = [(s, kerb_x_m - (200 - s) * 10.0, -16.0, 10.0) for s in range(100, 200, 10)]
    to_the_door = [(200 + 4 * k, kerb_x_m + jitter(), -16.0 + 2.0 * k, 1.2) for k in range(10)]
    inside = [(300 + 60 * k, resting_x_m + jitter(), jitter(), 0.0) for k in range(60)]
    from_the_door = [(3900 + 4 * k, kerb_x_m + jitter(), 2.0 - 2.0 * k, 1.2) for k in range(10)]
    way_out = [(s, kerb_x_m + (s - 3940) * 10.0, -16.0, 10.0) for s in range(3950, out_to_s, 10)]
    return [*way_in, *to_the_door, *inside, *from_the_door, *way_out]


def test_the_way_in_and_out_outweighs_a_bias_indoors():
    assert log_of(outing(kerb_x_m=-12.0, resting_x_m=3.0, out_to_s=4600), 4600) == ["left"]


def test_fixes_well_within_a_shop_outweigh_the_kerb():
    assert log_of(outing(kerb_x_m=-12.0, resting_x_m=16.0, out_to_s=4600), 4600) == ["right"]


def test_a_visit_is_not_moved_while_the_device_may_come_back():
    assert log_of(outing(kerb_x_m=-12.0, resting_x_m=3.0, out_to_s=3950), 3950) == ["right"]


@pytest.mark.parametrize(("nats_for_the_right", "told"), [(-1.0, "left"), (1.0, "right")])
def test_a_stay_at_a_shop_that_no_fix_of_it_is_near(nats_for_the_right, told):
    """The path may be at a place that is only active: it weighs nothing, and still has to be beaten."""
    steps, entries = np.zeros(7, STEP), np.zeros(14, ENTRY)
    steps["ts_ms"] = START_MS + 1000 * np.array([0, 10, 20, 30, 40, 50, 1_000])
    steps["best"] = [1] * 6 + [0]
    steps["weight"] = 1.0
    steps["row_begin"], steps["row_end"] = np.arange(0, 14, 2), np.arange(2, 16, 2)
    entries["place"], entries["near"], entries["pace"] = [0, 1] * 7, [False, True] * 7, 1.0
    entries["inside"][1::2] = round(nats_for_the_right * SCORE_SCALE)
    arrangement = arrangement_of(SHOPS)
    settled, moved = settle_rivals(steps, entries, 0, False, arrangement.ground, arrangement.overlaps)
    assert settled == 7
    assert moved == (told == "right")
    assert {SHOPS.fence_ids[label - 1] for label in steps["label"][:6]} == {told}

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.baselines import PlainStay, dwell_filter, point_in_polygon
from geofence.fences import FenceSet, read_collection
from geofence.fixes import Fixes
from geofence.rules import Rules

RULES = Rules(min_on_site_s=120.0)
NORTH_OF_LON = {"in": 8.0, "annexe": 8.001, "out": 8.1}


def circle(fence_id: str, lon: float, **properties: object) -> dict[str, object]:
    return {
        "type": "Feature",
        "properties": {"fence_id": fence_id, "radius_m": 30, **properties},
        "geometry": {"type": "Point", "coordinates": [lon, 47.0]},
    }


def fence_set(*features: dict[str, object]) -> FenceSet:
    return FenceSet.of(read_collection(json.dumps({"type": "FeatureCollection", "features": list(features)})))


FENCES = fence_set(circle("site", NORTH_OF_LON["in"]), circle("annexe", NORTH_OF_LON["annexe"], min_on_site_s=30))


def fixes(*seen: tuple[float, str], accuracy_m: float = 10.0) -> Fixes:
    """(seconds, where)."""
    ts_ms = [round(s * 1000) for s, _ in seen]
    lon = [NORTH_OF_LON[where] for _, where in seen]
    return Fixes.of_columns(ts_ms, [47.0] * len(seen), lon, np.full(len(seen), accuracy_m), np.full(len(seen), np.nan))


def stay(from_s: float, to_s: float | None, fence_id: str = "site") -> PlainStay:
    return PlainStay(fence_id, round(from_s * 1000), None if to_s is None else round(to_s * 1000))


def test_every_crossing_is_an_enter_or_an_exit():
    seen = fixes((0, "out"), (10, "in"), (20, "out"), (30, "in"), (40, "in"), (50, "annexe"))
    found = point_in_polygon(seen, FENCES)
    assert sorted(found, key=lambda each: each.arrived_ms) == [stay(10, 20), stay(30, 50), stay(50, None, "annexe")]


def test_what_is_not_newer_than_all_before_is_passed_over():
    seen = fixes((0, "out"), (600, "out"), (100, "in"), (300, "in"), (600, "in"), (700, "in"))
    assert point_in_polygon(seen, FENCES) == [stay(700, None)]


def test_the_dwell_filter_sorts_and_asks_for_the_fences_own_time():
    seen = fixes((500, "out"), (0, "in"), (119, "in"), (130, "out"), (200, "in"), (320, "in"), (0, "in"))
    assert dwell_filter(seen, FENCES, RULES) == [stay(200, 500)]
    short = fixes((0, "annexe"), (30, "annexe"), (40, "out"), (50, "annexe"), (79, "annexe"), (90, "out"))
    assert dwell_filter(short, FENCES, RULES) == [stay(0, 40, "annexe")]


@pytest.mark.parametrize(("accuracy_m", "kept"), [(100.0, True), (100.1, False), (float("nan"), True)])
def test_the_gate(accuracy_m, kept):
    seen = fixes((0, "in"), (200, "in"), accuracy_m=accuracy_m)
    assert dwell_filter(seen, FENCES, RULES) == ([stay(0, None)] if kept else [])


def test_nothing_seen_nothing_logged():
    assert point_in_polygon(Fixes.empty(), FENCES) == []
    assert dwell_filter(Fixes.empty(), FENCES, RULES) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["in", "out", "annexe"])), max_size=40))
def test_at_once_is_a_tracker_with_one_bit_of_state_a_fence(seen):
    """Oracle: fix by fix, as a tracker keeps it."""
    expected, since, newest_s = [], {}, -1
    for at_s, where in seen:
        if at_s <= newest_s:
            continue
        newest_s = at_s
        now_in = {"in": "site", "annexe": "annexe"}.get(where)
        for fence_id in [fence_id for fence_id in since if fence_id != now_in]:
            expected.append(stay(since.pop(fence_id), at_s, fence_id))
        if now_in is not None:
            since.setdefault(now_in, at_s)
    expected += [stay(from_s, None, fence_id) for fence_id, from_s in since.items()]
    assert set(point_in_polygon(fixes(*seen), FENCES)) == set(expected)

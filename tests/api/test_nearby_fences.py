"""Fences are found by their boxes: none within reach is missed, and few others are measured."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.history.nearby_fences import NearbyFences
from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import near
from geofence.rule_book import RuleBook
from geofence.visits.evidence import REACH_M
from schemas.fence import FenceRecord, FenceVersion
from schemas.times import Instant

PLACES = [(47.0, 9.5), (70.0, 25.0), (-16.8, 179.999), (-16.8, -179.999), (0.0, 0.001), (-45.0, -120.0)]


def record(fence_id: str, *versions: FenceVersion) -> FenceRecord:
    return FenceRecord(fence_id, list(versions), Instant(0))


@st.composite
def records(draw: st.DrawFn) -> dict[str, FenceRecord]:
    found = {}
    for i in range(draw(st.integers(1, 12))):
        lat, lon = draw(st.sampled_from(PLACES))
        lat += draw(st.floats(-0.02, 0.02))
        lon = (lon + draw(st.floats(-0.02, 0.02)) + 180.0) % 360.0 - 180.0
        kind = draw(st.sampled_from(["Point", "LineString", "Polygon"]))
        h = draw(st.floats(1e-5, 4e-3))
        corner = [(lon + 2 * h + 180.0) % 360.0 - 180.0, lat]
        if kind == "Point":
            version = FenceVersion(1, {"type": kind, "coordinates": [lon, lat]}, radius_m=h * 1e5)
        elif kind == "LineString":
            line = [[lon, lat], [corner[0], lat + h]]
            version = FenceVersion(1, {"type": kind, "coordinates": line}, radius_m=h * 1e5)
        else:
            ring = [[lon, lat], corner, [corner[0], lat + h], [lon, lat + h], [lon, lat]]
            version = FenceVersion(1, {"type": kind, "coordinates": [ring]})
        found[f"f{i}"] = record(f"f{i}", version)
    return found


def fixes_at(places: list[tuple[float, float]]) -> Fixes:
    nothing = [np.nan] * len(places)
    lat, lon = zip(*places, strict=True) if places else ((), ())
    return Fixes.of_columns(range(len(places)), lat, lon, nothing, nothing)


@settings(deadline=None, max_examples=200)
@given(records(), st.lists(st.tuples(st.sampled_from(PLACES), st.floats(-0.03, 0.03), st.floats(-0.03, 0.03))))
def test_none_within_reach_is_missed(known, spots):
    fixes = fixes_at([(lat + dlat, (lon + dlon + 180.0) % 360.0 - 180.0) for (lat, lon), dlat, dlon in spots])
    everything = FenceSet.of((each.fence_id, version) for each in known.values() for version in each.versions)
    rows = np.unique(near(everything.packed, fixes.lat, fixes.lon, REACH_M).row)
    within_reach = {everything.fence_ids[everything.fence_of_row[row]] for row in rows}
    picked = set(NearbyFences(RuleBook()).of(fixes, "f0", known).fence_ids)
    assert within_reach | {"f0"} <= picked


def test_what_lies_far_away_is_left_out_and_all_versions_come_along():
    def circle(version: int, lat: float, **fields: object) -> FenceVersion:
        geometry = {"type": "Point", "coordinates": [9.5, lat]}
        return msgspec.structs.replace(FenceVersion(version, geometry, radius_m=40.0), **fields)

    known = {
        "here": record("here", circle(1, 47.0, valid_to_ms=Instant(1)), circle(2, 48.0, valid_from_ms=Instant(1))),
        "asked": record("asked", circle(1, 50.0)),
        "far": record("far", circle(1, 47.01)),
    }
    nearby = NearbyFences(RuleBook(by_fence={"here": {"bridge_s": 7.0}}))
    fixes = fixes_at([(47.0, 9.5)])
    fences = nearby.of(fixes, "asked", known)
    assert fences.fence_ids == ("asked", "here")
    assert fences.version.tolist() == [1, 1, 2]
    assert fences.bridge_s.tolist() == [pytest.approx(np.nan, nan_ok=True), 7.0, 7.0]
    del known["here"]
    known["far"] = record("far", circle(1, 47.0))
    assert nearby.of(fixes, "asked", known).fence_ids == ("asked", "far")


@pytest.mark.parametrize("geometry", [{}, {"type": "Point", "coordinates": ["a", None]}, {"coordinates": [[]]}])
def test_an_impossible_fence_is_left_out(geometry):
    known = {"wrong": record("wrong", FenceVersion(1, geometry, radius_m=10.0))}
    assert NearbyFences(RuleBook()).of(fixes_at([(0.0, 0.0)]), "wrong", known).fence_ids == ()

import json
import math
import time

import numpy as np
import pytest

from geofence.fence_book import FenceBook
from geofence.fences import GONE, UNBOUNDED_FUTURE_MS, UNBOUNDED_PAST_MS, FenceSet, read_collection, read_feature
from geofence.kernel import near
from schemas.fence import FenceError, FenceRecord, FenceVersion
from schemas.times import Instant


def feature(fence_id="yard", lon=9.5, lat=47.1, radius_m=50.0, **properties):
    return {
        "type": "Feature",
        "properties": {"fence_id": fence_id, "radius_m": radius_m, **properties},
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
    }


def record(fence_id="yard", **given):
    fence_id, version = read_feature(feature(fence_id, **given))
    return FenceRecord(fence_id, [version], Instant(0))


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": features})


def rows_at(fences, lat, lon):
    found = near(fences.packed, np.array([lat]), np.array([lon]), 0.0)
    return [fences.fence_ids[fences.fence_of_row[row]] for row in found.row if fences.version[row] != GONE]


def test_every_property_of_the_contract_is_read():
    fence_id, version = read_feature(
        feature(
            name="Yard",
            kind="depot",
            min_on_site_s=60,
            branch="north",
            devices=["d1", "d2"],
            valid_from="2026-03-01T00:00:00Z",
            valid_to="2026-04-01T00:00:00+02:00",
            colour="ignored",
        )
    )
    assert fence_id == "yard"
    assert (version.version, version.name, version.kind, version.branch) == (1, "Yard", "depot", "north")
    assert (version.min_on_site_s, version.radius_m, version.devices) == (60.0, 50.0, ["d1", "d2"])
    assert (version.valid_from_ms, version.valid_to_ms) == (1_772_323_200_000, 1_774_994_400_000)


def test_the_id_of_the_feature_serves_when_no_property_names_it():
    plain = feature()
    del plain["properties"]["fence_id"]
    assert read_feature({**plain, "id": 7})[0] == "7"
    assert read_feature({**feature("named"), "id": 7})[0] == "named"
    with pytest.raises(FenceError, match="has no fence_id"):
        read_feature(plain)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "castle"}, r"fence 'yard': .*kind"),
        ({"min_on_site_s": -1}, "min_on_site_s -1 is not a number of seconds"),
        ({"min_on_site_s": math.inf}, "min_on_site_s inf is not"),
        ({"radius_m": None}, "fence 'yard': radius_m is missing"),
        ({"radius_m": "wide"}, r"fence 'yard': .*radius_m"),
        ({"valid_from": "yesterday"}, r"fence 'yard': .*'yesterday' is not an RFC 3339 time"),
        (
            {"valid_from": "2026-03-01T00:00:00Z", "valid_to": "2026-03-01T00:00:00Z"},
            "valid_from is not before valid_to",
        ),
        ({"devices": "d1"}, r"fence 'yard': .*devices"),
        ({"lat": 91.0}, "fence 'yard': point has latitude 91"),
    ],
)
def test_a_wrong_property_is_named(given, message):
    with pytest.raises(FenceError, match=message):
        read_feature(feature(**given))


@pytest.mark.parametrize("bad", [None, [], {"type": "Point"}, {"type": "Feature", "properties": [1]}])
def test_what_is_no_feature(bad):
    with pytest.raises(FenceError):
        read_feature(bad)


def test_no_geometry():
    with pytest.raises(FenceError, match="fence 'yard': has no geometry"):
        read_feature({**feature(), "geometry": None})


def test_a_collection_tells_every_wrong_feature():
    data = collection(feature("a"), feature("b", radius_m=-1), feature("a"), feature("c", lat=95))
    with pytest.raises(FenceError) as raised:
        read_collection(data)
    told = str(raised.value).split("; ")
    assert [part.split(":")[0] for part in told] == ["feature 1", "feature 2", "feature 3"]
    assert "'b'" in told[0]
    assert "appears twice" in told[1]


def test_a_collection_with_many_wrong_features_stays_readable():
    with pytest.raises(FenceError, match=r"and 40 more$"):
        read_collection(collection(*(feature(f"f{i}", radius_m=0) for i in range(50))))


@pytest.mark.parametrize("data", ["", "{", "[]", '{"type": "Feature"}', '{"type": "FeatureCollection"}'])
def test_what_is_no_collection(data):
    with pytest.raises(FenceError):
        read_collection(data)


def test_a_set_has_a_row_for_each_version():
    point = {"type": "Point", "coordinates": [9.5, 47.1]}
    first = FenceVersion(1, point, radius_m=50.0, min_on_site_s=30.0, valid_to_ms=Instant(1_000))
    second = FenceVersion(2, point, radius_m=80.0, kind="zone", devices=["d1"], valid_from_ms=Instant(1_000))
    fences = FenceSet.of([("a", first), ("b", first), ("a", second)])
    assert len(fences) == 3
    assert fences.fence_ids == ("a", "b")
    assert fences.fence_of_row.tolist() == [0, 1, 0]
    assert fences.version.tolist() == [1, 1, 2]
    assert fences.valid_from_ms.tolist() == [UNBOUNDED_PAST_MS, UNBOUNDED_PAST_MS, 1_000]
    assert fences.valid_to_ms.tolist() == [1_000, 1_000, UNBOUNDED_FUTURE_MS]
    assert np.isnan(fences.min_on_site_s[2])
    assert fences.min_on_site_s[0] == 30.0
    assert fences.kind == ("site", "site", "zone")
    assert fences.devices == (None, None, frozenset({"d1"}))
    assert fences.width_m.tolist() == [100.0, 100.0, 160.0]
    assert fences.area_m2 == pytest.approx([math.pi * 2_500, math.pi * 2_500, math.pi * 6_400])


def test_a_set_names_the_fence_that_is_wrong():
    with pytest.raises(FenceError, match="fence 'a' version 3: radius_m is missing"):
        FenceSet.of([("a", FenceVersion(3, {"type": "Point", "coordinates": [9.5, 47.1]}))])


def test_a_book_follows_its_edits():
    book = FenceBook([record("a", lon=9.0), record("b", lon=9.1)])
    before = book.snapshot()
    book.put(record("a", lon=9.2))
    book.put(record("c", lon=9.3))
    book.remove("b")
    book.remove("never there")
    after = book.snapshot()

    assert len(book) == 2
    assert [rows_at(before, 47.1, lon) for lon in (9.0, 9.1, 9.2, 9.3)] == [["a"], ["b"], [], []]
    assert [rows_at(after, 47.1, lon) for lon in (9.0, 9.1, 9.2, 9.3)] == [[], [], ["a"], ["c"]]
    assert book.nearest(47.1, 9.0, 1) == ["a"]
    assert book.nearest(47.1, 9.3, 5) == ["c", "a"]


def test_a_wrong_record_changes_nothing():
    book = FenceBook([record("a")])
    wrong = FenceRecord("a", [FenceVersion(2, {"type": "Point", "coordinates": [9.0, 47.0]})], Instant(0))
    with pytest.raises(FenceError):
        book.put(wrong)
    assert rows_at(book.snapshot(), 47.1, 9.5) == ["a"]
    assert book.nearest(47.1, 9.5, 1) == ["a"]


def test_nearest_across_the_antimeridian():
    book = FenceBook([record("east", lon=179.9999), record("far", lon=-179.9)])
    assert book.nearest(47.1, -179.9999, 1) == ["east"]


def test_ten_thousand_fences():
    def square(i):
        lon, lat = 9.0 + i % 100 * 0.01, 47.0 + i // 100 * 0.01
        ring = [[lon, lat], [lon + 0.005, lat], [lon + 0.005, lat + 0.005], [lon, lat + 0.005], [lon, lat]]
        return {"type": "Feature", "id": f"f{i}", "geometry": {"type": "Polygon", "coordinates": [ring]}}

    read_feature(square(0))  # compiles
    started_s = time.process_time()
    fences = read_collection(collection(*(square(i) for i in range(10_000))))
    book = FenceBook(FenceRecord(fence_id, [version], Instant(0)) for fence_id, version in fences)
    snapshot = book.snapshot()
    assert time.process_time() - started_s < 20.0
    assert len(snapshot) == 10_000
    assert rows_at(snapshot, 47.0025 + 0.42, 9.0025 + 0.17) == ["f4217"]
    assert rows_at(snapshot, 47.0075, 9.0075) == []

"""Fences over HTTP: versions, ETags, import, and what is refused."""

import math
from typing import Any

import pytest

from schemas.topics import FENCES
from tests.api.conftest import NOW_MS, Door
from tests.api.test_pings import is_problem


def circle(fence_id: str | None = None, lat: float = 53.4, **properties: Any) -> dict[str, Any]:
    stated = {"radius_m": 60, **properties} | ({} if fence_id is None else {"fence_id": fence_id})
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-2.9, lat]}, "properties": stated}


def polygon(ring: list[list[float]], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def versions(door: Door, fence_id: str) -> list[tuple[Any, Any]]:
    features = door.get(f"/v1/fences/{fence_id}/versions").json()["features"]
    return [(f["properties"].get("valid_from"), f["properties"].get("valid_to")) for f in features]


def test_create_read_change_delete(door: Door) -> None:
    created = door.put("/v1/fences/site-7", json=circle(name="HQ", min_on_site_s=180))
    assert created.status_code == 201
    feature = created.json()
    assert feature["id"] == feature["properties"]["fence_id"] == "site-7"
    assert feature["geometry"] == {"type": "Point", "coordinates": [-2.9, 53.4]}
    assert feature["properties"]["version"] == 1
    read = door.get("/v1/fences/site-7")
    assert read.json() == feature
    assert read.headers["etag"] == created.headers["etag"]
    assert read.headers["content-type"] == "application/geo+json"

    door.clock.moment_ms += 60_000
    changed = door.put("/v1/fences/site-7", json=circle(name="HQ", radius_m=80))
    assert changed.status_code == 200
    assert changed.json()["properties"]["version"] == 2
    assert versions(door, "site-7") == [(None, "2026-03-02T08:16:10.000Z"), ("2026-03-02T08:16:10.000Z", None)]

    door.clock.moment_ms += 60_000
    assert door.delete("/v1/fences/site-7").status_code == 204
    assert is_problem(door.get("/v1/fences/site-7"), 410, "fence_gone")
    assert is_problem(door.delete("/v1/fences/site-7"), 410, "fence_gone")
    assert door.get("/v1/fences").json()["features"] == []
    assert versions(door, "site-7")[1] == ("2026-03-02T08:16:10.000Z", "2026-03-02T08:17:10.000Z")

    door.clock.moment_ms += 60_000
    again = door.put("/v1/fences/site-7", json=circle(name="HQ", radius_m=80))
    assert again.status_code == 201
    assert again.json()["properties"]["version"] == 3
    assert versions(door, "site-7")[2] == ("2026-03-02T08:18:10.000Z", None)


def test_the_same_again_changes_nothing(door: Door) -> None:
    first = door.put("/v1/fences/site-7", json=circle(name="HQ"))
    door.clock.moment_ms += 60_000
    second = door.put("/v1/fences/site-7", json=circle(name="HQ"))
    put_back = door.put("/v1/fences/site-7", json=first.json())
    assert second.headers["etag"] == put_back.headers["etag"] == first.headers["etag"]
    assert len(door.log.records[FENCES.name]) == 1


def test_a_version_may_begin_in_the_past_or_the_future(door: Door) -> None:
    door.put("/v1/fences/site-7", json=circle())
    door.put("/v1/fences/site-7", json=circle(radius_m=70, valid_from="2026-04-01T00:00:00Z"))
    assert versions(door, "site-7") == [(None, "2026-04-01T00:00:00.000Z"), ("2026-04-01T00:00:00.000Z", None)]
    door.put("/v1/fences/site-7", json=circle(radius_m=75, valid_from="2026-01-01T00:00:00Z"))
    assert versions(door, "site-7") == [
        (None, "2026-01-01T00:00:00.000Z"),
        ("2026-04-01T00:00:00.000Z", "2026-04-01T00:00:00.000Z"),
        ("2026-01-01T00:00:00.000Z", None),
    ]


def test_etags(door: Door) -> None:
    assert is_problem(door.put("/v1/fences/f", json=circle(), headers={"If-Match": "*"}), 412, "changed")
    created = door.put("/v1/fences/f", json=circle(), headers={"If-None-Match": "*"})
    assert created.status_code == 201
    etag = created.headers["etag"]
    assert is_problem(door.put("/v1/fences/f", json=circle(), headers={"If-None-Match": "*"}), 412, "exists")
    assert door.get("/v1/fences/f", headers={"If-None-Match": etag}).status_code == 304
    changed = door.put("/v1/fences/f", json=circle(radius_m=70), headers={"If-Match": etag})
    assert changed.status_code == 200
    stale = door.put("/v1/fences/f", json=circle(radius_m=80), headers={"If-Match": etag})
    assert is_problem(stale, 412, "changed")
    assert stale.headers["etag"] == changed.headers["etag"]
    assert is_problem(door.delete("/v1/fences/f", headers={"If-Match": etag}), 412, "changed")
    assert door.delete("/v1/fences/f", headers={"If-Match": changed.headers["etag"]}).status_code == 204


@pytest.mark.parametrize(
    "feature",
    [
        polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]),
        polygon([[0, 0], [1, 0], [1, 1], [0, 1]]),
        polygon([]),
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}, "properties": {}},
        {"type": "Feature", "geometry": None, "properties": {}},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}, "properties": {}},
        {"type": "Point", "coordinates": [0, 0]},
        circle(lat=91),
        circle(kind="castle"),
        circle(fence_id="another"),
        circle(valid_from="2026-03-02T08:00:00Z", valid_to="2026-03-02T07:00:00Z"),
        circle(valid_from="soon"),
        [],
    ],
)
def test_a_fence_that_is_refused(door: Door, feature: Any) -> None:
    answer = door.put("/v1/fences/site-7", json=feature)
    assert is_problem(answer, 400, "invalid_fence")
    assert not door.log.records


@pytest.mark.parametrize("body", [b"{", b"", b'{"type": NaN}', b"\xff"])
def test_a_fence_that_is_no_json(door: Door, body: bytes) -> None:
    assert is_problem(door.put("/v1/fences/site-7", content=body), 400, "malformed_body")
    assert is_problem(door.post("/v1/fences/import", content=body), 400, "malformed_body")


@pytest.mark.parametrize("east", [-179.5, 180.5])
def test_a_polygon_across_the_antimeridian(door: Door, east: float) -> None:
    ring = [[179.5, 0.0], [east, 0.0], [east, 1.0], [179.5, 1.0], [179.5, 0.0]]
    assert door.put("/v1/fences/fiji", json=polygon(ring)).status_code == 201


def test_an_unknown_fence(door: Door) -> None:
    assert is_problem(door.get("/v1/fences/ghost"), 404, "unknown_fence")
    assert is_problem(door.get("/v1/fences/ghost/versions"), 404, "unknown_fence")
    assert is_problem(door.delete("/v1/fences/ghost"), 404, "unknown_fence")


def test_import(door: Door) -> None:
    door.put("/v1/fences/same", json=circle("same"))
    door.put("/v1/fences/moved", json=circle("moved"))
    bad = polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]], fence_id="bow-tie")
    features = [circle("new"), bad, circle("same"), circle("moved", lat=53.5), circle("new"), {"type": "Feature"}]
    answer = door.post("/v1/fences/import", json=collection(*features))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["imported"], body["unchanged"]) == (2, 1)
    assert [(each["index"], each["fence_id"]) for each in body["rejected"]] == [
        (1, "bow-tie"),
        (4, "new"),
        (5, None),
    ]
    assert all(each["reason"] for each in body["rejected"])
    assert sorted(door.fences.records) == ["moved", "new", "same"]
    assert door.get("/v1/fences/moved").json()["properties"]["version"] == 2


def test_import_of_ten_thousand(door: Door) -> None:
    def hexadecagon(i: int) -> dict[str, Any]:
        lat, lon = 40 + (i // 100) * 0.01, -3 + (i % 100) * 0.01
        corners = [2 * math.pi * k / 16 for k in range(16)]
        ring = [[lon + 0.003 * math.cos(a), lat + 0.003 * math.sin(a)] for a in corners]
        return polygon([*ring, ring[0]], fence_id=f"site-{i}")

    features = [hexadecagon(i) for i in range(10_000)]
    features[4321]["geometry"]["coordinates"][0].pop()
    answer = door.post("/v1/fences/import", json=collection(*features))
    assert answer.status_code == 200
    body = answer.json()
    assert body["imported"] == 9_999
    assert [each["index"] for each in body["rejected"]] == [4321]
    again = door.post("/v1/fences/import", json=collection(*features)).json()
    assert (again["imported"], again["unchanged"]) == (0, 9_999)


@pytest.mark.parametrize("body", [[], {"type": "Feature"}, {"type": "FeatureCollection"}])
def test_an_import_that_is_no_collection(door: Door, body: Any) -> None:
    assert is_problem(door.post("/v1/fences/import", json=body), 400, "invalid_fence")


def test_the_broker_refuses(door: Door) -> None:
    door.log.down = True
    assert is_problem(door.put("/v1/fences/f", json=circle()), 503, "unavailable")
    assert is_problem(door.post("/v1/fences/import", json=collection(circle("f"))), 503, "unavailable")


def test_no_edit_before_the_fences_are_read(door: Door) -> None:
    door.fences.is_caught_up = False
    assert is_problem(door.put("/v1/fences/f", json=circle()), 503, "unavailable")
    assert not door.log.records


def test_the_list_pages_through_all(door: Door) -> None:
    door.post("/v1/fences/import", json=collection(*(circle(f"f{i}") for i in range(5))))
    first = door.get("/v1/fences?limit=3").json()
    second = door.get("/v1/fences", params={"limit": "3", "cursor": first["next_cursor"]}).json()
    assert [f["id"] for f in first["features"] + second["features"]] == [f"f{i}" for i in range(5)]
    assert second["next_cursor"] is None


def test_a_fence_that_has_yet_to_end_is_listed(door: Door) -> None:
    door.put("/v1/fences/f", json=circle(valid_to="2026-03-02T09:00:00Z"))
    assert len(door.get("/v1/fences").json()["features"]) == 1
    door.clock.moment_ms = NOW_MS + 3_600_000
    assert door.get("/v1/fences").json()["features"] == []

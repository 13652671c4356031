"""The doors of apps: each answers what its app expects, and nothing that is refused makes an app send for ever."""

import base64
import json
from typing import Any

import pytest

from schemas.topics import PINGS, PINGS_REJECTED
from tests.api.conftest import Door
from tests.fakes import make_key, token_of
from tests.schemas.test_app_protocols import GPSLOGGER, OVERLAND_POINT, OWNTRACKS, TRACCAR_JSON, TRACCAR_QUERY

SENT: list[tuple[str, str, dict[str, Any], bytes, str]] = [
    ("osmand", "GET", {"params": TRACCAR_QUERY}, b"", "48241179"),
    ("osmand", "POST", {"params": TRACCAR_QUERY}, b"", "48241179"),
    ("osmand", "POST", {"data": TRACCAR_QUERY}, b"", "48241179"),
    ("osmand", "POST", {"json": TRACCAR_JSON}, b"", "48241179"),
    ("owntracks", "POST", {"json": OWNTRACKS}, b"[]", "jane-phone"),
    ("overland", "POST", {"json": {"locations": [OVERLAND_POINT]}}, b'{"result":"ok"}', "van-12"),
    ("gpslogger", "GET", {"params": GPSLOGGER}, b"", "van-12"),
    ("gpslogger", "POST", {"data": GPSLOGGER}, b"", "van-12"),
]


@pytest.mark.parametrize(("protocol", "method", "sent", "answered", "device_id"), SENT)
def test_each_app_is_answered_what_it_expects(
    door: Door, protocol: str, method: str, sent: dict[str, Any], answered: bytes, device_id: str
) -> None:
    answer = door.request(method, f"/v1/ingest/{protocol}", "device", **sent)
    assert (answer.status_code, answer.content) == (200, answered)
    ((key, _),) = door.log.records[PINGS.name]
    assert key == device_id
    (stored,) = door.log.values(PINGS)
    assert (stored["lat"], stored["lon"], stored["source"]) == (53.4084, -2.9916, protocol)


def test_owntracks_names_its_device_in_headers(door: Door) -> None:
    headers = {"X-Limit-U": "jane", "X-Limit-D": "tablet", "Authorization": f"Bearer {token_of('device')}"}
    answer = door.request("POST", "/v1/ingest/owntracks", None, json=OWNTRACKS, headers=headers)
    assert answer.status_code == 200
    assert door.log.records[PINGS.name][0][0] == "jane-tablet"


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"jane:{password}".encode()).decode()}


def test_a_token_may_be_a_password_or_stand_in_the_address(door: Door) -> None:
    token = token_of("device")
    path = "/v1/ingest/osmand"
    assert door.request("GET", path, None, params=TRACCAR_QUERY, headers=basic(token)).status_code == 200
    assert door.request("GET", path, None, params={**TRACCAR_QUERY, "token": token}).status_code == 200
    assert [key for key, _ in door.log.records[PINGS.name]] == ["48241179"] * 2
    assert token not in json.dumps(door.log.values(PINGS))


@pytest.mark.parametrize(
    ("params", "headers", "status"),
    [
        ({}, {}, 401),
        ({"token": "onsite_keydevice_wrong"}, {}, 401),
        ({}, basic("onsite_keydevice_wrong"), 401),
        ({}, {"Authorization": "Basic not-base64"}, 401),
        ({"token": token_of("viewer")}, {}, 403),
    ],
)
def test_nobody_else_comes_in(door: Door, params: dict[str, str], headers: dict[str, str], status: int) -> None:
    answer = door.request("GET", "/v1/ingest/osmand", None, params={**TRACCAR_QUERY, **params}, headers=headers)
    assert answer.status_code == status
    assert PINGS.name not in door.log.records


def test_elsewhere_a_token_in_the_address_is_none(door: Door) -> None:
    assert door.request("GET", "/v1/devices", None, params={"token": token_of("admin")}).status_code == 401


def test_a_refused_fix_is_kept_with_its_reason_and_not_asked_for_again(door: Door) -> None:
    answer = door.request("GET", "/v1/ingest/osmand", "device", params={**TRACCAR_QUERY, "lat": "0", "lon": "0"})
    assert answer.status_code == 200
    (kept,) = door.log.values(PINGS_REJECTED)
    assert (kept["code"], kept["protocol"], kept["device_id"]) == ("null_island", "osmand", "48241179")
    assert PINGS.name not in door.log.records


def test_what_is_no_message_is_told(door: Door) -> None:
    answer = door.request("POST", "/v1/ingest/overland", "device", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert door.request("GET", "/v1/ingest/overland", "device").status_code == 405
    assert door.request("POST", "/v1/ingest/nobody", "device", content=b"{}").status_code == 404


@pytest.fixture
def bound(door: Door) -> Door:
    """The key of the role ``device`` is the token of van-12."""
    door.keys.records["keydevice"] = make_key("device", device_id="van-12")
    return door


@pytest.mark.parametrize(("protocol", "method", "sent", "answered", "device_id"), SENT)
def test_a_device_token_speaks_for_its_device_alone(
    bound: Door, protocol: str, method: str, sent: dict[str, Any], answered: bytes, device_id: str
) -> None:
    answer = bound.request(method, f"/v1/ingest/{protocol}", "device", **sent)
    if protocol == "osmand":  # the app names itself by a number of its own
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_device")
        assert not bound.log.records
    else:
        assert answer.status_code == 200
        assert [key for key, _ in bound.log.records[PINGS.name]] == ["van-12"]


def test_a_device_token_on_the_way_for_own_code(bound: Door) -> None:
    own = {"device_id": "van-12", "ts": "2026-03-02T08:15:00Z", "lat": 53.4, "lon": -2.9}
    assert bound.post("/v1/pings", role="device", json=[own, {**own, "lat": 95}]).json()["accepted"] == 1
    mixed = bound.post("/v1/pings", role="device", json=[own, {**own, "device_id": "van-13"}])
    assert (mixed.status_code, mixed.json()["code"]) == (403, "foreign_device")
    assert len(bound.log.records[PINGS.name]) == 1
    assert bound.get("/v1/devices/van-12", role="device").status_code == 403


def test_whoever_looks_is_told_in_headers_what_became_of_the_fixes(door: Door) -> None:
    batch = {"locations": [OVERLAND_POINT, {"type": "Feature"}, OVERLAND_POINT, {"type": "Feature"}]}
    answer = door.request("POST", "/v1/ingest/overland", "device", json=batch)
    assert answer.headers["onsite-accepted"] == "2"
    assert answer.headers["onsite-rejected"] == "not_a_point, not_a_point"
    answer = door.request("GET", "/v1/ingest/osmand", "device", params=TRACCAR_QUERY)
    assert answer.headers["onsite-accepted"] == "1"
    assert "onsite-rejected" not in answer.headers

"""The protocols of apps people have: messages as the apps send them, and what each field becomes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ping import Ping, check_ping
from schemas.protocols import PROTOCOLS, BodyError, Rejected

NOW_MS = 1_772_439_310_000
TS_MS = 1_772_439_300_000

TRACCAR_JSON: dict[str, Any] = {
    "location": {
        "timestamp": "2026-03-02T08:15:00.000Z",
        "uuid": "5d2ac2a6-7d2e-4a5e-9a5b-7e1f9b1b3a10",
        "coords": {
            "latitude": 53.4084,
            "longitude": -2.9916,
            "accuracy": 8.0,
            "speed": 1.5,
            "heading": 271.5,
            "altitude": 34.2,
        },
        "is_moving": True,
        "odometer": 1250.3,
        "event": "motionchange",
        "battery": {"level": 0.83, "is_charging": False},
        "activity": {"type": "in_vehicle"},
        "extras": {},
    },
    "device_id": "48241179",
}
OWNTRACKS: dict[str, Any] = {
    "_type": "location",
    "_id": "f39ad2c1",
    "lat": 53.4084,
    "lon": -2.9916,
    "tst": TS_MS // 1000,
    "acc": 8,
    "alt": 34,
    "vac": 3,
    "batt": 83,
    "bs": 1,
    "cog": 271,
    "vel": 36,
    "tid": "JD",
    "t": "u",
    "conn": "m",
    "topic": "owntracks/jane/phone",
}
OVERLAND_POINT: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-2.9916, 53.4084]},
    "properties": {
        "timestamp": "2026-03-02T09:15:00+0100",
        "altitude": 34,
        "speed": 4,
        "course": 271,
        "horizontal_accuracy": 8,
        "vertical_accuracy": -1,
        "motion": ["driving", "stationary"],
        "pauses": False,
        "activity": "other_navigation",
        "desired_accuracy": 100,
        "deferred": 1000,
        "significant_change": "disabled",
        "locations_in_payload": 1,
        "battery_state": "unplugged",
        "battery_level": 0.83,
        "wifi": "depot",
        "device_id": "van-12",
    },
}
OVERLAND_TRIP: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-2.99, 53.41]},
    "properties": {"type": "trip", "mode": "driving", "start": "2026-03-02T08:00:00Z", "end": "2026-03-02T08:10:00Z"},
}


def read(
    protocol: str, body: object = b"", received_ms: int | None = NOW_MS, **parameters: str
) -> list[Ping | Rejected]:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(PROTOCOLS[protocol].read(body, parameters, received_ms))


def ping(protocol: str, device_id: str, **more: Any) -> Ping:
    return Ping(device_id, TS_MS, 53.4084, -2.9916, source=protocol, received_ms=NOW_MS, **more)


TRACCAR_QUERY = {
    "id": "48241179",
    "timestamp": str(TS_MS // 1000),
    "lat": "53.4084",
    "lon": "-2.9916",
    "speed": "19.438444924406",
    "bearing": "271.5",
    "altitude": "34.2",
    "accuracy": "8.0",
    "batt": "83.0",
}
FROM_TRACCAR = ping(
    "osmand", "48241179", accuracy_m=8.0, speed_mps=10.0, bearing_deg=271.5, altitude_m=34.2, battery=0.83
)


def close(found: list[Ping | Rejected], expected: Ping) -> bool:
    """Equal, but for the rounding of a speed or a charge of another unit."""
    (item,) = found
    assert isinstance(item, Ping), item
    for name in ("speed_mps", "battery"):
        value = getattr(item, name)
        if value is not None:
            setattr(item, name, round(value, 6))
    return item == expected


def test_traccar_client_in_the_query_or_a_form() -> None:
    assert close(read("osmand", **TRACCAR_QUERY), FROM_TRACCAR)
    form = "&".join(f"{name}={value}" for name, value in TRACCAR_QUERY.items()).encode()
    assert close(read("osmand", form), FROM_TRACCAR)


@pytest.mark.parametrize(
    "timestamp",
    [str(TS_MS), "2026-03-02T08:15:00Z", "2026-03-02T09:15:00+01:00", "2026-03-02 08:15:00", "2026-03-02T08:15:00"],
)
def test_traccar_client_s_times(timestamp: str) -> None:
    assert close(read("osmand", **TRACCAR_QUERY | {"timestamp": timestamp}), FROM_TRACCAR)


def test_osmand_s_own_words() -> None:
    """``deviceid``, a place in one word, no time: it speaks of now. An ``hdop`` is no accuracy."""
    (found,) = read("osmand", deviceid="van-12", location="53.4084,-2.9916", hdop="1.5", heading="90", valid="true")
    assert found == Ping("van-12", NOW_MS, 53.4084, -2.9916, bearing_deg=90.0, source="osmand", received_ms=NOW_MS)


def test_a_receiver_that_says_it_has_no_fix() -> None:
    (found,) = read("osmand", **TRACCAR_QUERY | {"valid": "false"})
    assert isinstance(found, Rejected)
    assert (found.code, found.device_id) == ("no_fix", "48241179")


def test_traccar_client_s_json() -> None:
    expected = ping(
        "osmand",
        "48241179",
        accuracy_m=8.0,
        speed_mps=1.5,
        bearing_deg=271.5,
        altitude_m=34.2,
        battery=0.83,
        activity="in_vehicle",
        ping_id=TRACCAR_JSON["location"]["uuid"],
    )
    assert read("osmand", TRACCAR_JSON) == [expected]
    several = {**TRACCAR_JSON, "location": [TRACCAR_JSON["location"], {"coords": 5}, TRACCAR_JSON["location"]]}
    found = read("osmand", several)
    assert [found[0], found[2]] == [expected, expected]
    assert isinstance(found[1], Rejected)
    assert (found[1].index, found[1].code) == (1, "missing_field")


def test_what_traccar_client_does_not_know_is_left_out() -> None:
    unknown = {"accuracy": -1, "speed": -1, "heading": -1}
    location = {**TRACCAR_JSON["location"], "battery": {"level": -1}, "activity": None}
    location["coords"] = {**location["coords"], **unknown}
    (found,) = read("osmand", {**TRACCAR_JSON, "location": location})
    assert isinstance(found, Ping)
    assert [found.accuracy_m, found.speed_mps, found.bearing_deg, found.battery] == [None] * 4


def test_owntracks_location() -> None:
    expected = ping(
        "owntracks",
        "jane-phone",
        accuracy_m=8.0,
        speed_mps=10.0,
        bearing_deg=271.0,
        altitude_m=34.0,
        battery=0.83,
        ping_id="f39ad2c1",
    )
    assert close(read("owntracks", OWNTRACKS), expected)


@pytest.mark.parametrize(
    ("parameters", "topic", "device_id"),
    [
        ({"device_id": "van-12"}, "owntracks/jane/phone", "van-12"),
        ({"x-limit-u": "jane", "x-limit-d": "tablet"}, "owntracks/jane/phone", "jane-tablet"),
        ({}, "owntracks/jane/phone", "jane-phone"),
        ({}, "owntracks/jane/phone/event", "jane-phone"),
        ({}, None, "JD"),
    ],
)
def test_whose_an_owntracks_message_is(parameters: dict[str, str], topic: str | None, device_id: str) -> None:
    (found,) = read("owntracks", {**OWNTRACKS, "topic": topic}, **parameters)
    assert found.device_id == device_id


def test_an_owntracks_transition_is_a_fix_and_a_waypoint_is_none() -> None:
    transition = {
        "_type": "transition",
        "event": "enter",
        "desc": "Depot",
        "wtst": 1_700_000_000,
        "tst": TS_MS // 1000,
        "lat": 53.4084,
        "lon": -2.9916,
        "acc": 20,
        "tid": "JD",
        "t": "c",
    }
    assert read("owntracks", transition) == [ping("owntracks", "JD", accuracy_m=20.0)]
    waypoint = {"_type": "waypoint", "desc": "Depot", "lat": 53.4, "lon": -2.9, "rad": 100, "tst": 1_700_000_000}
    for silent in (waypoint, {"_type": "lwt", "tst": 5}, {"_type": "status"}, b"", b" \n"):
        assert read("owntracks", silent) == []


def test_an_encrypted_owntracks_message_says_what_to_do() -> None:
    (found,) = read("owntracks", {"_type": "encrypted", "data": "aGVsbG8="}, device_id="van-12")
    assert isinstance(found, Rejected)
    assert found.code == "encrypted"
    assert "switch the encryption key off" in found.reason


def test_an_overland_batch() -> None:
    expected = ping(
        "overland",
        "van-12",
        accuracy_m=8.0,
        speed_mps=4.0,
        bearing_deg=271.0,
        altitude_m=34.0,
        battery=0.83,
        activity="driving+stationary",
    )
    batch = {
        "locations": [OVERLAND_POINT, OVERLAND_TRIP, {"type": "Feature"}, OVERLAND_POINT],
        "trip": {"mode": "driving"},
        "current": OVERLAND_POINT,
    }
    found = read("overland", batch)
    assert [found[0], found[2]] == [expected, expected]
    assert isinstance(found[1], Rejected)
    assert (found[1].index, found[1].code) == (1, "not_a_point")
    assert read("overland", {"locations": []}) == []


GPSLOGGER = {
    "device_id": "van-12",
    "lat": "53.4084",
    "lon": "-2.9916",
    "time": "2026-03-02T08:15:00.000Z",
    "acc": "8.0",
    "spd": "1.5",
    "dir": "271.5",
    "alt": "34.2",
    "batt": "83",
    "act": "STILL",
}
FROM_GPSLOGGER = ping(
    "gpslogger",
    "van-12",
    accuracy_m=8.0,
    speed_mps=1.5,
    bearing_deg=271.5,
    altitude_m=34.2,
    battery=0.83,
    activity="STILL",
)


def test_gpslogger_in_the_query_a_form_or_json() -> None:
    assert close(read("gpslogger", **GPSLOGGER), FROM_GPSLOGGER)
    assert close(read("gpslogger", "&".join(f"{k}={v}" for k, v in GPSLOGGER.items()).encode()), FROM_GPSLOGGER)
    assert close(read("gpslogger", GPSLOGGER), FROM_GPSLOGGER)


def test_gpslogger_under_the_names_of_other_servers() -> None:
    others = {
        "device": "van-12",
        "latitude": "53.4084",
        "longitude": "-2.9916",
        "timestamp": str(TS_MS // 1000),
        "accuracy": "8.0",
        "speed": "1.5",
        "direction": "271.5",
        "altitude": "34.2",
        "battery": "83",
        "activity": "STILL",
    }
    assert close(read("gpslogger", **others), FROM_GPSLOGGER)


def test_gpslogger_on_the_equator() -> None:
    (found,) = read("gpslogger", {**GPSLOGGER, "lat": 0, "lon": 9.5})
    assert isinstance(found, Ping)
    assert (found.lat, found.lon) == (0.0, 9.5)


@pytest.mark.parametrize(
    ("protocol", "body", "said"),
    [
        ("osmand", b"", "neither a query"),
        ("osmand", b"{}", "has a location"),
        ("osmand", b'{"location": 5}', "has a location"),
        ("osmand", b"\xff\xfe=1", "UTF-8"),
        ("owntracks", b"[]", "_type"),
        ("owntracks", b'{"lat": 1}', "_type"),
        ("owntracks", b"hello", "malformed JSON"),
        ("overland", b'{"locations": {}}', "list of locations"),
        ("overland", b"5", "list of locations"),
        ("gpslogger", b"", "neither a query"),
        ("gpslogger", b"\xff\xfe=1", "UTF-8"),
    ],
)
def test_what_is_no_message_of_the_app(protocol: str, body: bytes, said: str) -> None:
    with pytest.raises(BodyError, match=said):
        read(protocol, body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SAMPLES: dict[str, dict[str, Any]] = {
    "osmand": TRACCAR_JSON,
    "owntracks": OWNTRACKS,
    "overland": {"locations": [OVERLAND_POINT]},
    "gpslogger": GPSLOGGER,
}


@st.composite
def mangled(draw: st.DrawFn, sample: Any) -> Any:
    """A message with anything in the place of some part of it."""
    if isinstance(sample, dict) and sample and draw(st.integers(0, 9)) > 1:
        name = draw(st.sampled_from(sorted(sample)))
        return {**sample, name: draw(mangled(sample[name]))}
    if isinstance(sample, list) and sample and draw(st.integers(0, 9)) > 1:
        return [draw(mangled(sample[0])), *sample[1:]]
    return draw(json_values)


@pytest.mark.parametrize("protocol", SAMPLES)
@given(data=st.data())
def test_any_part_of_a_message_may_be_anything(protocol: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(mangled(SAMPLES[protocol]))).encode()
    try:
        found = read(protocol, body)
    except BodyError:
        return
    for index, item in enumerate(found):
        if isinstance(item, Ping):
            check_ping(item, NOW_MS)
        else:
            assert item.index == index
            assert item.code

"""Which pings are refused, and what is left of the others."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ping import (
    FUTURE_TOLERANCE_MS,
    LATEST_MS,
    OLDEST_TS_MS,
    Ping,
    PingError,
    check_ping,
    leave_out_impossible,
    read_ping,
)

GOOD: dict[str, Any] = {"device_id": "d", "ts": 1_772_439_300_000, "lat": 53.4, "lon": -2.9}


def ping(**more: Any) -> Ping:
    return Ping(**{"device_id": "d", "ts_ms": 1_772_439_300_000, "lat": 53.4, "lon": -2.9, **more})


def code_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(PingError) as caught:
        call(*arguments)
    return caught.value.code


def test_text_is_read_as_numbers() -> None:
    row = {"device_id": "d", "ts": "2026-03-02T09:15:00+01:00", "lat": "53.4", "lon": "-2.9", "battery": ".5", "x": "y"}
    assert read_ping(row) == ping(battery=0.5)


@pytest.mark.parametrize("missing", ["device_id", "ts", "lat", "lon"])
@pytest.mark.parametrize("empty", [None, ""])
def test_what_makes_a_fix_is_required(missing: str, empty: Any) -> None:
    assert code_of(read_ping, {**GOOD, missing: empty}) == "missing_field"
    assert code_of(read_ping, {name: value for name, value in GOOD.items() if name != missing}) == "missing_field"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accuracy_m", -1),
        ("accuracy_m", float("nan")),
        ("accuracy_m", float("inf")),
        ("speed_mps", -1),
        ("bearing_deg", 361),
        ("altitude_m", 1e9),
        ("battery", 87),
        ("sent_at", -5),
        ("sent_at", 10**18),
        ("ping_id", "x" * 201),
        ("activity", "\udfff"),
    ],
)
def test_an_impossible_optional_field_is_left_out(field: str, value: Any) -> None:
    assert read_ping({**GOOD, field: value}) == ping()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("ts", "noon", "bad_time"),
        ("ts", "2026-03-02T09:15:00", "bad_time"),
        ("ts", 1.5, "bad_time"),
        ("ts", True, "bad_time"),
        ("ts", [], "bad_time"),
        ("sent_at", {}, "bad_time"),
        ("lat", "north", "bad_field"),
        ("lat", [1], "bad_field"),
        ("accuracy_m", "good", "bad_field"),
        ("device_id", 5, "bad_field"),
        ("device_id", "\ud800", "bad_device_id"),
    ],
)
def test_an_unreadable_field(field: str, value: Any, code: str) -> None:
    assert code_of(read_ping, {**GOOD, field: value}) == code


@pytest.mark.parametrize("fields", [None, [], "x", 5])
def test_what_is_no_object(fields: Any) -> None:
    assert code_of(read_ping, fields) == "not_an_object"


def test_a_reason_stays_short() -> None:
    with pytest.raises(PingError) as caught:
        read_ping({**GOOD, "ts": "x" * 10**6})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"lat": 90.0000001}, "lat_out_of_range"),
        ({"lat": float("nan")}, "lat_out_of_range"),
        ({"lon": -180.1}, "lon_out_of_range"),
        ({"lon": float("inf")}, "lon_out_of_range"),
        ({"lat": 0.0, "lon": -0.0}, "null_island"),
        ({"ts_ms": OLDEST_TS_MS - 1}, "ts_too_old"),
        ({"ts_ms": -(10**18)}, "ts_too_old"),
        ({"ts_ms": LATEST_MS + 1}, "ts_in_future"),
        ({"sent_ms": 1_772_439_300_000 - FUTURE_TOLERANCE_MS - 1}, "ts_in_future"),
        ({"device_id": ""}, "missing_field"),
        ({"device_id": "x" * 201}, "bad_device_id"),
    ],
)
def test_what_cannot_be_true(change: dict[str, Any], code: str) -> None:
    assert code_of(check_ping, ping(**change), None) == code


def test_the_future_begins_after_the_tolerance() -> None:
    fix = ping()
    check_ping(fix, fix.ts_ms - FUTURE_TOLERANCE_MS)
    assert code_of(check_ping, fix, fix.ts_ms - FUTURE_TOLERANCE_MS - 1) == "ts_in_future"


def test_a_fix_that_comes_by_a_wrong_clock_says_so() -> None:
    fix = ping(sent_ms=1_772_439_305_000)
    with pytest.raises(PingError) as caught:
        check_ping(fix, fix.ts_ms - 600_000)
    assert str(caught.value).endswith("received; by its sent_at the device's clock is 605 s ahead")
    with pytest.raises(PingError, match=r"received$"):
        check_ping(ping(), fix.ts_ms - 600_000)


@pytest.mark.parametrize(("lat", "lon"), [(90.0, 180.0), (-90.0, -180.0), (0.0, 1e-7)])
def test_the_edges_of_the_globe_are_on_it(lat: float, lon: float) -> None:
    check_ping(ping(lat=lat, lon=lon), None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = [field.encode_name for field in msgspec.structs.fields(Ping)]


@given(
    st.dictionaries(st.sampled_from(NAMES), json_values)
    | st.dictionaries(st.sampled_from(NAMES), json_values).map(lambda drawn: {**GOOD, **drawn})
)
def test_any_object_is_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        read = read_ping(fields)
        check_ping(read, None)
    except PingError:
        return
    again = msgspec.json.decode(msgspec.json.encode(read), type=Ping)
    assert again == read
    leave_out_impossible(again)
    assert again == read

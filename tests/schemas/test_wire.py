"""Records over the wire and back."""

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator

from schemas import wire
from schemas.fence import FenceRecord, FenceVersion
from schemas.key import ApiKey
from schemas.live import LiveState
from schemas.rejected import RejectedPing
from schemas.times import Instant
from schemas.visit import Visit

RECORDS = [
    ApiKey("k", "n", "admin", "h", Instant(0), Instant(1)),
    LiveState("d", Instant(0), 1.0, 2.0, None, 0.0, None, 0.5, "moving", ["v"], Instant(1)),
    FenceRecord("f", [FenceVersion(1, {"type": "Point"}, radius_m=5.0, valid_to_ms=Instant(5))], Instant(1)),
    RejectedPing("", "bad_time", "bad_time: x", Instant(0), "json", "{}"),
    Visit("v", "d", "f", 1, None, "open", 1, *[Instant(0)] * 3, *[None] * 3, *[0.0] * 3, 1.0, "r", 2),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_round_trip_and_schema(record: msgspec.Struct) -> None:
    encoded = wire.encode(record)
    assert wire.decode(type(record), encoded) == record
    plain = json.loads(encoded)
    assert wire.to_builtins(record) == plain
    assert wire.from_builtins(type(record), plain) == record
    Draft202012Validator(wire.json_schema(type(record))).validate(plain)


def test_a_live_state_of_before_devices_clocks_were_told_is_read() -> None:
    plain = wire.to_builtins(RECORDS[1])
    older = {name: value for name, value in plain.items() if not name.startswith("clock_")}
    assert len(older) == len(plain) - 2
    assert wire.decode(LiveState, msgspec.json.encode(older)) == RECORDS[1]


def test_times_are_rfc_3339_under_names_without_units() -> None:
    plain = json.loads(wire.encode(RECORDS[1]))
    assert plain["ts"] == "1970-01-01T00:00:00.000Z"
    assert "ts_ms" not in plain


def test_lists_and_dicts_of_records() -> None:
    assert json.loads(wire.encode({"at": [Instant(0)]})) == {"at": ["1970-01-01T00:00:00.000Z"]}


def test_what_has_no_wire_form() -> None:
    with pytest.raises(NotImplementedError):
        wire.encode(object())

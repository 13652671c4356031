"""What is kept of a refused item is enough to send it again, by its own protocol and alone."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from schemas.ping import Ping
from schemas.protocols import PROTOCOLS, BodyError, Rejected
from schemas.rejected import MAX_RAW_BYTES, RejectedPing, text_of
from schemas.tables.rejected import REJECTED
from schemas.times import Instant, format_instant
from tests.schemas.test_app_protocols import GPSLOGGER, OVERLAND_POINT, OWNTRACKS, TRACCAR_JSON, TRACCAR_QUERY
from tests.schemas.test_protocols import GOOD, gpx

RECEIVED_MS = 1_772_439_310_000
LATER_MS = RECEIVED_MS + 3_600_000
AHEAD_MS = RECEIVED_MS + 600_000
"""In the future for who receives it now, and no more an hour later."""

AHEAD = format_instant(AHEAD_MS)
EARLIER = format_instant(RECEIVED_MS - 10_000)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def overland_at(ts: str) -> dict[str, Any]:
    properties = {name: value for name, value in OVERLAND_POINT["properties"].items() if name != "device_id"}
    return {**OVERLAND_POINT, "properties": {**properties, "timestamp": ts}}


def traccar_at(ts: str) -> dict[str, Any]:
    return {**TRACCAR_JSON["location"], "timestamp": ts}


def track_point(ts: str) -> str:
    return f'<trkpt lat="53.4084" lon="-2.9916"><ele>30</ele><time>{ts}</time></trkpt>'


QUERY_AHEAD = {**TRACCAR_QUERY, "timestamp": str(AHEAD_MS // 1000)}
LOGGER_AHEAD = {**GPSLOGGER, "time": AHEAD}

CAME: list[tuple[str, bytes, dict[str, str]]] = [
    ("json", as_json([GOOD, {**GOOD, "ts": AHEAD}]), {}),
    ("json", as_json([GOOD, {**GOOD, "ts": AHEAD, "lat": "53.4"}]), {}),
    ("ndjson", as_json(GOOD) + b"\n" + as_json({**GOOD, "ts": AHEAD}), {}),
    (
        "csv",
        f"\ufeffts,lat,lon,device_id\r\n{EARLIER},53.4,-2.9,van-12\r\n{AHEAD},53.4,-2.9,van-12\r\n".encode(),
        {},
    ),
    ("gpx", gpx(track_point(EARLIER) + track_point(AHEAD)), {"device_id": "van-12"}),
    ("osmand", b"", QUERY_AHEAD),
    ("osmand", urlencode(QUERY_AHEAD).encode(), {"device_id": "van-12"}),
    ("osmand", as_json({"location": [traccar_at(EARLIER), traccar_at(AHEAD)]}), {"device_id": "van-12"}),
    ("owntracks", as_json({**OWNTRACKS, "tst": AHEAD_MS // 1000}), {"x-limit-u": "jane", "x-limit-d": "tablet"}),
    ("overland", as_json({"locations": [overland_at(EARLIER), overland_at(AHEAD)]}), {"device_id": "van-12"}),
    ("gpslogger", b"", LOGGER_AHEAD),
    ("gpslogger", urlencode(LOGGER_AHEAD).encode(), {}),
    ("gpslogger", as_json(LOGGER_AHEAD), {}),
]


def read(protocol: str, body: bytes, parameters: Mapping[str, str], received_ms: int) -> list[Ping | Rejected]:
    return list(PROTOCOLS[protocol].read(body, parameters, received_ms))


def again(protocol: str, refused: Rejected, received_ms: int) -> list[Ping | Rejected]:
    return read(protocol, refused.raw, {"device_id": refused.device_id}, received_ms)


@pytest.mark.parametrize(("protocol", "body", "parameters"), CAME)
def test_an_item_by_itself_is_read_as_it_was_among_others(
    protocol: str, body: bytes, parameters: dict[str, str]
) -> None:
    *_, refused = read(protocol, body, parameters, RECEIVED_MS)
    assert isinstance(refused, Rejected)
    assert refused.code == "ts_in_future"
    (still_refused,) = again(protocol, refused, RECEIVED_MS)
    assert isinstance(still_refused, Rejected)
    assert (still_refused.code, still_refused.device_id) == (refused.code, refused.device_id)
    *_, wanted = read(protocol, body, parameters, LATER_MS)
    assert again(protocol, refused, LATER_MS) == [wanted]


def test_the_cases_are_of_every_protocol() -> None:
    assert {protocol for protocol, _, _ in CAME} == set(PROTOCOLS)


BAD: list[tuple[str, bytes, str]] = [
    ("json", as_json([GOOD, [GOOD]]), "not_an_object"),
    ("json", as_json([GOOD, None]), "not_an_object"),
    ("csv", b"device_id,ts,lat,lon\nvan-12,2026-03-02T08:15:00Z,1", "malformed_csv"),
    ("osmand", as_json({"location": {"timestamp": EARLIER}, "device_id": "van-12"}), "missing_field"),
    ("overland", as_json({"locations": [{"type": "Feature"}]}), "not_a_point"),
    ("owntracks", as_json({"_type": "encrypted", "data": "x"}), "encrypted"),
]


@pytest.mark.parametrize(("protocol", "body", "code"), BAD)
def test_what_is_no_fix_at_all_stays_refused_for_the_same_reason(protocol: str, body: bytes, code: str) -> None:
    *_, refused = read(protocol, body, {}, RECEIVED_MS)
    assert isinstance(refused, Rejected)
    (still_refused,) = again(protocol, refused, LATER_MS)
    assert isinstance(still_refused, Rejected)
    assert still_refused.code == refused.code == code


def test_a_torn_line_stays_torn() -> None:
    _, torn = read("ndjson", as_json(GOOD) + b"\n{", {}, RECEIVED_MS)
    assert isinstance(torn, Rejected)
    with pytest.raises(BodyError, match="no line is JSON"):
        again("ndjson", torn, LATER_MS)


def test_a_fix_without_a_time_keeps_the_moment_it_came() -> None:
    """An app that names no time speaks of now, and sent again it still means the first time."""
    (refused,) = read("osmand", b"", {"id": "van-12", "lat": "91", "lon": "2"}, RECEIVED_MS)
    assert isinstance(refused, Rejected)
    (mended,) = read("osmand", refused.raw.replace(b"lat=91", b"lat=1"), {}, LATER_MS)
    assert mended == Ping("van-12", RECEIVED_MS, 1.0, 2.0, source="osmand", received_ms=LATER_MS)


def record(raw: bytes, **changes: Any) -> RejectedPing:
    fields = {"device_id": "d", "code": "c", "reason": "c: why", "received_at": Instant(1), "protocol": "json"}
    return RejectedPing(**fields | {"raw": text_of(raw)} | changes)


@pytest.mark.parametrize(
    ("raw", "whole"),
    [(b"{}", True), ("ü".encode(), True), (b"van-\xff", False), (b"x" * MAX_RAW_BYTES, False), (b"", False)],
)
def test_what_was_cut_or_was_no_text_is_known(raw: bytes, whole: bool) -> None:
    assert record(raw).is_whole() is whole
    assert len(record(raw).raw) <= MAX_RAW_BYTES


def test_the_same_item_has_the_same_name_and_another_has_another() -> None:
    once = record(b"{}")
    assert record(b"{}", received_at=Instant(2), reason="c: in other words").content_id() == once.content_id()
    others = [record(b"{ }"), *(record(b"{}", **{name: "other"}) for name in ("device_id", "code", "protocol"))]
    assert len({each.content_id() for each in [once, *others]}) == 5


def test_a_row_holds_what_the_record_does() -> None:
    (row,) = REJECTED.batch([record(b"{}", device_id="")]).to_pylist()
    assert row.pop("received_at").timestamp() == 0.001
    assert row == {
        "content_id": record(b"{}", device_id="").content_id(),
        "device_id": "",
        "code": "c",
        "reason": "c: why",
        "protocol": "json",
        "raw": "{}",
    }

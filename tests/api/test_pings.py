"""POST /v1/pings: what is accepted, what is refused, and that neither spoils the other."""

import dataclasses
import gzip
import itertools
import json
import math
import zlib
from typing import Any

import pytest

from schemas.protocols import PROTOCOLS, Rejected
from schemas.topics import PINGS, PINGS_REJECTED
from tests.api.conftest import NOW_MS, Door

NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD: dict[str, Any] = {"device_id": "van-12", "ts": "2026-03-02T08:15:00Z", "lat": 53.4084, "lon": -2.9916}


def ping(**more: Any) -> dict[str, Any]:
    return {**GOOD, **more}


def is_problem(answer: Any, status: int, code: str) -> bool:
    body = answer.json()
    return (
        answer.status_code == body["status"] == status
        and answer.headers["content-type"] == "application/problem+json"
        and body["code"] == code
        and {"type", "title", "detail"} <= body.keys()
    )


def test_one_ping(door: Door) -> None:
    answer = door.post("/v1/pings", json=ping(accuracy_m=8))
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "rejected": []}
    assert door.log.records[PINGS.name][0][0] == "van-12"
    (stored,) = door.log.values(PINGS)
    assert stored == {
        "device_id": "van-12",
        "ts": 1772439300000,
        "lat": 53.4084,
        "lon": -2.9916,
        "accuracy_m": 8.0,
        "received_at": NOW_MS,
    }


def test_received_at_is_the_servers_word(door: Door) -> None:
    door.post("/v1/pings", json=ping(received_at=1))
    assert door.log.values(PINGS)[0]["received_at"] == NOW_MS


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps([ping(), ping(ts=1772439301000)]), "application/json; charset=utf-8"),
        (json.dumps(ping()) + "\n\n" + json.dumps(ping(ts="1772439301000")) + "\r\n", "application/x-ndjson"),
        ("device_id,ts,lat,lon\nvan-12,1772439300000,1,2\nvan-12,2026-03-02T08:15:01Z,1,2\n", "text/csv"),
    ],
)
def test_batches_by_content_type(door: Door, body: str, content_type: str) -> None:
    answer = door.post("/v1/pings", content=body, headers={"Content-Type": content_type})
    assert answer.json() == {"accepted": 2, "rejected": []}
    assert [stored["ts"] for stored in door.log.values(PINGS)] == [1772439300000, 1772439301000]


def test_content_type_is_json_unless_told(door: Door) -> None:
    assert door.post("/v1/pings", content=json.dumps(ping())).status_code == 202


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (ping(lat=91), "lat_out_of_range"),
        (ping(lon=180.5), "lon_out_of_range"),
        (ping(lat=float("nan")), "lat_out_of_range"),
        (ping(lat=0, lon=0), "null_island"),
        (ping(ts="1901-12-13T20:45:52Z"), "ts_too_old"),
        (ping(ts="2027-03-02T08:15:00Z"), "ts_in_future"),
        (ping(ts=10**30), "ts_in_future"),
        (ping(ts="yesterday"), "bad_time"),
        (ping(ts="2026-03-02T08:15:00"), "bad_time"),
        (ping(lat="north"), "bad_field"),
        (ping(device_id=""), "missing_field"),
        (ping(device_id="x" * 201), "bad_device_id"),
        (ping(device_id="\ud800"), "bad_device_id"),
        ({"device_id": "van-12"}, "missing_field"),
        ("van-12", "not_an_object"),
        (None, "not_an_object"),
    ],
)
@pytest.mark.parametrize("as_lines", [False, True])
def test_one_bad_among_good(door: Door, bad: Any, code: str, as_lines: bool) -> None:
    items = [ping(), bad, ping(ts="2026-03-02T08:15:01Z")]
    if as_lines:
        answer = door.post("/v1/pings", content="\n".join(json.dumps(item) for item in items), headers=NDJSON)
    else:
        answer = door.post("/v1/pings", content=json.dumps(items))
    body = answer.json()
    assert answer.status_code == 202
    assert body["accepted"] == 2
    assert [each["index"] for each in body["rejected"]] == [1]
    assert body["rejected"][0]["reason"].startswith(f"{code}: ")
    assert [stored["ts"] for stored in door.log.values(PINGS)] == [1772439300000, 1772439301000]
    (kept,) = door.log.values(PINGS_REJECTED)
    assert kept["code"] == code
    raw = json.loads(str(kept["raw"]))
    assert raw in (bad, [bad]) or math.isnan(bad["lat"])
    assert f'onsite_pings_rejected_total{{code="{code}"}} 1.0' in door.get("/metrics").text


def test_a_torn_line_only_loses_itself(door: Door) -> None:
    torn = json.dumps(ping())[:30]
    answer = door.post("/v1/pings", content=f"{torn}\n{json.dumps(ping())}\n", headers=NDJSON)
    assert answer.json()["accepted"] == 1
    assert answer.json()["rejected"][0]["reason"].startswith("malformed_json: ")
    assert door.log.values(PINGS_REJECTED)[0]["raw"] == torn


def test_impossible_optional_fields_are_left_out(door: Door) -> None:
    door.post("/v1/pings", json=ping(speed_mps=-1, bearing_deg=-1, battery=-1, accuracy_m=-5, activity="x" * 10**6))
    (stored,) = door.log.values(PINGS)
    assert stored.keys() == {"device_id", "ts", "lat", "lon", "received_at"}


@pytest.mark.parametrize("body", ["{", "", "[1, 2", "\x00", "null", '"x"', "17", "[" * 100_000])
def test_a_body_that_is_no_json(door: Door, body: str) -> None:
    assert is_problem(door.post("/v1/pings", content=body), 400, "malformed_body")
    assert not door.log.records


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "text/csv", "application/json"])
def test_a_body_that_is_no_text(door: Door, content_type: str) -> None:
    answer = door.post("/v1/pings", content=b"\xff\xfe\x00garbage", headers={"Content-Type": content_type})
    assert is_problem(answer, 400, "malformed_body")


def test_an_unknown_content_type(door: Door) -> None:
    answer = door.post("/v1/pings", content="<pings/>", headers={"Content-Type": "text/xml"})
    assert is_problem(answer, 415, "unsupported_media_type")
    assert "application/json" in answer.headers["accept-post"]


def test_three_mebibytes(door: Door) -> None:
    assert is_problem(door.post("/v1/pings", content=b"x" * 3 * 1024 * 1024), 413, "body_too_large")


def test_what_is_over_the_limit_is_not_even_read(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = dataclasses.replace(PROTOCOLS["json"], read=lambda *_: itertools.repeat(Rejected(0, "x", "x", b"")))
    monkeypatch.setitem(PROTOCOLS, "json", endless)
    assert is_problem(door.post("/v1/pings", json=[]), 413, "too_many_pings")
    assert not door.log.records


def test_too_many_pings(door: Door) -> None:
    answer = door.post("/v1/pings", json=[ping()] * 201)
    assert is_problem(answer, 413, "too_many_pings")
    assert answer.json()["limit_pings"] == 200
    assert not door.log.records


def test_gzip(door: Door) -> None:
    packed = gzip.compress(json.dumps([ping()]).encode()[:20]) + gzip.compress(json.dumps([ping()]).encode()[20:])
    answer = door.post("/v1/pings", content=packed, headers={"Content-Encoding": "gzip"})
    assert answer.json()["accepted"] == 1


def test_a_gzip_bomb(door: Door) -> None:
    bomb = gzip.compress(b" " * 200 * 1024 * 1024)
    assert is_problem(door.post("/v1/pings", content=bomb, headers={"Content-Encoding": "gzip"}), 413, "body_too_large")


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(b"[]")[:-9], b"", zlib.compress(b"[]")],
    ids=["other", "cut short", "empty", "zlib"],
)
def test_broken_gzip(door: Door, body: bytes) -> None:
    assert is_problem(door.post("/v1/pings", content=body, headers={"Content-Encoding": "gzip"}), 400, "broken_gzip")


def test_an_unknown_encoding(door: Door) -> None:
    answer = door.post("/v1/pings", content=b"", headers={"Content-Encoding": "br"})
    assert is_problem(answer, 415, "unsupported_encoding")


def test_the_broker_refuses(door: Door) -> None:
    door.log.down = True
    answer = door.post("/v1/pings", json=ping())
    assert is_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "onsite_pings_accepted_total 0.0" in door.get("/metrics").text


def test_no_pings(door: Door) -> None:
    assert door.post("/v1/pings", json=[]).json() == {"accepted": 0, "rejected": []}
    assert not door.log.records

"""Reading in columns against reading ping by ping: the same fixes, the same rejections, the same errors."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geofence import recorded
from geofence.fixes import Fixes
from geofence.recorded import Recording, read_recorded
from schemas.ping import Ping
from schemas.protocols import BodyError, Rejected, read_file

DATA = Path("../shared/data")
TS_MS = 1_772_439_300_000
GOOD: dict[str, Any] = {"device_id": "van-1", "ts": TS_MS, "lat": 47.14, "lon": 9.52, "accuracy_m": 8.0}
COLUMNS = ("ts_ms", "lat_e7", "lon_e7", "accuracy_dm", "speed_cm_s")

Told = list[tuple[int, str, str, str]] | str
Read = tuple[dict[str, list[tuple[int, ...]]], Told]


def in_columns(name: str, body: bytes) -> Read:
    recording = Recording()
    try:
        rejected = list(read_recorded(name, io.BytesIO(body), recording))
    except BodyError as error:
        return {}, str(error)
    return rows_of(recording.by_device()), told(rejected)


def ping_by_ping(name: str, body: bytes) -> Read:
    by_device: dict[str, list[Ping]] = {}
    rejected = []
    try:
        for item in read_file(name, body):
            if isinstance(item, Ping):
                by_device.setdefault(item.device_id, []).append(item)
            else:
                rejected.append(item)
    except BodyError as error:
        return {}, str(error)
    return rows_of({device_id: Fixes.of_pings(pings) for device_id, pings in by_device.items()}), told(rejected)


def rows_of(by_device: dict[str, Fixes]) -> dict[str, list[tuple[int, ...]]]:
    return {
        device_id: list(zip(*(getattr(fixes, column).tolist() for column in COLUMNS), strict=True))
        for device_id, fixes in by_device.items()
    }


def told(rejected: list[Rejected]) -> Told:
    return [(each.index, each.code, each.reason, each.device_id) for each in rejected]


NUMBERS = [
    None,
    0,
    -0.0,
    -1,
    1.5,
    1e4,
    10_000.1,
    1e6,
    1_000_000.1,
    10**20,
    10**400,
    True,
    "1.5",
    "x",
    "",
    [1],
    float("nan"),
]
DEGREES = [*NUMBERS, 90, 90.1, -90, -91, 180.0, -180, -180.1, 180.1]
TIMES = [
    *(TS_MS, TS_MS - 60_000, TS_MS - 60_001, TS_MS + 1, 0, -1, 10**18, -(10**18), 10**25, 2**63 - 1, -(2**63)),
    *(946_684_799_999, 946_684_800_000, 7_258_118_400_000, 7_258_118_400_001, 1.5, None, True, "", "soon"),
    *("1772439300000", "9" * 30, f" {TS_MS} ", "2026-03-02T08:15:00", "2026-03-02T08:14Z", "2026-02-29T08:15:00Z"),
    *("2026-03-02T08:15:00Z", "2026-03-02T08:14:00.0Z", "2026-03-02T08:13:59.999Z", "1999-12-31T23:59:59.999Z"),
    *("2026-03-02t09:15:00.123456+01:00", "2200-01-01T00:00:00Z", "2200-01-01T00:00:00.001Z"),
]
TEXTS = [None, 'ü "\\', "", "x" * 200, "x" * 201, "ü" * 200, "ü" * 201, "\ud800", 7]
VALUES: dict[str, list[Any]] = {
    **dict.fromkeys(("device_id", "ping_id", "activity", "source"), TEXTS),
    **dict.fromkeys(("ts", "sent_at", "received_at"), TIMES),
    **dict.fromkeys(("lat", "lon"), DEGREES),
    **dict.fromkeys(("accuracy_m", "speed_mps", "bearing_deg", "altitude_m", "battery"), NUMBERS),
    "unknown_field": [{"a": [1]}],
}
ONE_FAULT = [{**GOOD, name: value} for name, values in VALUES.items() for value in values]

faulty = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})
plain = st.fixed_dictionaries(
    {
        "device_id": st.sampled_from("abc"),
        "ts": st.integers(TS_MS, TS_MS + 1000) | st.just("2026-03-02T08:15:00.5Z"),
        "lat": st.floats(-91, 91),
        "lon": st.floats(-181, 181),
    },
    optional={"speed_mps": st.floats(-2, 30), "sent_at": st.integers(TS_MS - 61_000, TS_MS)},
)
records = plain | st.sampled_from(ONE_FAULT) | faulty | faulty.map(lambda fields: {**GOOD, **fields})
lines = st.one_of(
    records.map(lambda record: json.dumps(record).encode()),
    plain.map(lambda record: json.dumps(record).encode()),
    st.sampled_from(
        [b"", b" ", b"{", b"[]", b"5", b"\xff", b"null", json.dumps(GOOD)[:40].encode(), b"\xef\xbb\xbf{}"]
    ),
)
bodies = st.tuples(
    st.lists(lines, max_size=12),
    st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"", b"\n", b" \n\n"]),
).map(lambda drawn: drawn[2] + drawn[1].join(drawn[0]) + drawn[3])


def test_every_fault_by_itself_and_before_another() -> None:
    null_island = {**GOOD, "lat": 0, "lon": 0}
    for record in (*ONE_FAULT, null_island, {**null_island, "lon": 1}, {**null_island, "lat": 1}):
        for others in ((), (GOOD, null_island, GOOD)):
            body = "\n".join(json.dumps(each) for each in (record, *others)).encode()
            assert in_columns("pings.ndjson", body) == ping_by_ping("pings.ndjson", body), record


@settings(deadline=None)
@given(body=bodies, size=st.sampled_from([1, 100, 200, 1 << 18]))
@example(body=b"", size=1)
@example(body=b"{\n{", size=1)
@example(body=b"\n".join([b"{"] * 3 + [json.dumps(GOOD).encode()]), size=1)
def test_lines_of_every_kind(body: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "CHUNK_BYTES", size)
        assert in_columns("pings.ndjson", body) == ping_by_ping("pings.ndjson", body)


@settings(deadline=None)
@given(records=st.lists(records, max_size=6), alone=st.booleans())
def test_an_array(records: list[Any], alone: bool) -> None:
    body = json.dumps(records[0] if alone and records else records).encode()
    assert in_columns("pings.json", body) == ping_by_ping("pings.json", body)


def test_a_ping_over_several_lines_is_torn_whatever_its_neighbours_are() -> None:
    spread, good = json.dumps(GOOD, indent=0).encode(), json.dumps(GOOD).encode()
    for neighbours in (good, good + b"\n{"):
        fixes, rejections = in_columns("pings.ndjson", spread + b"\n" + neighbours)
        assert len(fixes["van-1"]) == 1
        assert [code for _, code, _, _ in rejections if code == "malformed_json"]


def test_devices_come_in_the_order_of_their_first_fix_and_fixes_as_they_were_read() -> None:
    moments = random.Random(5).choices(range(TS_MS, TS_MS + 1000), k=3000)
    named = [("zulu", moments[0]), *((random.Random(ts).choice(["b", "a", "zulu"]), ts) for ts in moments[1:])]
    body = "\n".join(json.dumps({**GOOD, "device_id": device_id, "ts": ts}) for device_id, ts in named)
    recording = Recording()
    assert list(read_recorded("pings.jsonl", io.BytesIO(body.encode()), recording)) == []
    by_device = recording.by_device()
    assert list(by_device) == list(dict.fromkeys(device_id for device_id, _ in named))
    for device_id, fixes in by_device.items():
        assert fixes.ts_ms.tolist() == [ts for each, ts in named if each == device_id]


def test_one_recording_of_several_files() -> None:
    recording = Recording()
    csv = b"device_id,ts,lat,lon\nvan-1,1772439300000,47.2,9.5\nvan-2,1772439300000,47.2,9.5\n"
    for name, body in (("a.ndjson", json.dumps(GOOD).encode()), ("b.csv", csv), ("c.ndjson", b"")):
        assert list(read_recorded(name, io.BytesIO(body), recording)) == []
    assert {device_id: fixes.lat.tolist() for device_id, fixes in recording.by_device().items()} == {
        "van-1": [47.14, 47.2],
        "van-2": [47.2],
    }


def test_nothing_recorded() -> None:
    assert Recording().by_device() == {}


@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded traces are not in ../shared/data")
@pytest.mark.parametrize("name", ["phones-los-altos/pings.ndjson", "gpx-dirty/cerknicko-jezero.gpx"])
def test_real_files(name: str) -> None:
    body = (DATA / name).read_bytes()
    fixes, rejections = in_columns(name, body)
    assert sum(map(len, fixes.values())) > 0
    assert (fixes, rejections) == ping_by_ping(name, body)

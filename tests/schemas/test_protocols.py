"""Every ingest protocol: good pings come back, bad ones lose only themselves, garbage is told."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gpxpy.gpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ping import Ping, check_ping
from schemas.protocols import PROTOCOLS, BodyError, Rejected, by_media_type, read_file
from schemas.times import format_instant

DATA = Path("../shared/data")
NOW_MS = 1_772_439_310_000
GOOD: dict[str, Any] = {"device_id": "van-12", "ts": "2026-03-02T08:15:00Z", "lat": 53.4084, "lon": -2.9916}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded traces are not in ../shared/data")

tidy = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"'), min_size=1, max_size=20
)
pings = st.builds(
    Ping,
    device_id=tidy,
    ts_ms=st.integers(946_684_800_000, NOW_MS),
    lat=st.floats(0.1, 90),
    lon=st.floats(-180, 180),
    accuracy_m=st.none() | st.floats(0, 1e4),
    speed_mps=st.none() | st.floats(0, 100),
    bearing_deg=st.none() | st.floats(0, 360),
    altitude_m=st.none() | st.floats(-100, 9000),
    battery=st.none() | st.floats(0, 1),
    ping_id=st.none() | tidy,
    activity=st.none() | tidy,
)


def as_json(items: list[Ping]) -> bytes:
    return msgspec.json.encode(items)


def as_ndjson(items: list[Ping]) -> bytes:
    return msgspec.json.Encoder().encode_lines(items)


def as_csv(items: list[Ping]) -> bytes:
    names = [field.encode_name for field in msgspec.structs.fields(Ping)]
    out = io.StringIO()
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    for item in items:
        writer.writerow(msgspec.to_builtins(item) | {"ts": format_instant(item.ts_ms)})
    return out.getvalue().encode()


WRITERS = {"json": as_json, "ndjson": as_ndjson, "csv": as_csv}


def read(protocol: str, body: bytes, received_ms: int | None = None, **parameters: str) -> list[Ping | Rejected]:
    return list(PROTOCOLS[protocol].read(body, parameters, received_ms))


@pytest.mark.parametrize("protocol", WRITERS)
@given(items=st.lists(pings, max_size=5))
def test_round_trip(protocol: str, items: list[Ping]) -> None:
    assert read(protocol, WRITERS[protocol](items)) == items


@pytest.mark.parametrize("protocol", WRITERS)
@given(items=st.lists(pings, min_size=1, max_size=3), now_ms=st.integers(NOW_MS, NOW_MS + 10**9))
def test_pings_are_stamped_with_the_moment_of_receipt(protocol: str, items: list[Ping], now_ms: int) -> None:
    found = read(protocol, WRITERS[protocol](items), now_ms)
    assert [item.received_ms for item in found if isinstance(item, Ping)] == [now_ms] * len(items)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(body=st.binary() | st.text().map(str.encode), received_ms=st.none() | st.just(NOW_MS))
def test_garbage_is_told(protocol: str, body: bytes, received_ms: int | None) -> None:
    try:
        found = read(protocol, body, received_ms, device_id="d")
    except BodyError:
        return
    for index, item in enumerate(found):
        if isinstance(item, Ping):
            check_ping(item, received_ms)
        else:
            assert item.index == index
            assert item.code
            assert item.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
strange = st.dictionaries(st.sampled_from([*GOOD, "accuracy_m", "sent_at", "ping_id"]), json_values).map(
    lambda drawn: {**GOOD, **drawn}
)


@given(st.lists(strange | json_values, min_size=1, max_size=4))
def test_strange_items_are_read_alike_alone_and_among_others(items: list[Any]) -> None:
    """The fast way and the patient way agree: one item that needs patience does not change the others."""
    alone = []
    for index, item in enumerate(items):
        (found,) = read("json", json.dumps([item]).encode(), NOW_MS)
        alone.append(found if isinstance(found, Ping) else (index, found.code, found.device_id))
    body = json.dumps([*items, float("nan")]).encode()
    together = [
        found if isinstance(found, Ping) else (found.index, found.code, found.device_id)
        for found in read("json", body, NOW_MS)[:-1]
    ]
    assert together == alone


@pytest.mark.parametrize(
    "ts", [1_772_439_300_000, "1772439300000", "2026-03-02T08:15:00Z", "2026-03-02T09:15:00+01:00"]
)
def test_times_in_every_dress(ts: Any) -> None:
    (found,) = read("json", json.dumps({**GOOD, "ts": ts}).encode())
    assert isinstance(found, Ping)
    assert found.ts_ms == 1_772_439_300_000


@pytest.mark.parametrize("protocol", ["json", "ndjson", "csv"])
def test_a_byte_order_mark_is_no_hindrance(protocol: str) -> None:
    ping = Ping("d", NOW_MS, 1.0, 2.0)
    assert read(protocol, b"\xef\xbb\xbf" + WRITERS[protocol]([ping])) == [ping]


@pytest.mark.parametrize(("torn", "is_read"), [(9_999, True), (10_000, False)])
def test_lines_are_read_in_vain_only_so_far(torn: int, is_read: bool) -> None:
    body = b"x\n" * torn + json.dumps(GOOD).encode()
    if is_read:
        *refused, ping = read("ndjson", body)
        assert len(refused) == torn
        assert isinstance(ping, Ping)
    else:
        with pytest.raises(BodyError, match="no line is JSON"):
            read("ndjson", body)


def test_a_torn_line_only_loses_itself() -> None:
    line = json.dumps(GOOD).encode()
    found = read("ndjson", b"\n".join([line, line[:40], b"", b"\xff\xfe", line]))
    assert [isinstance(item, Ping) for item in found] == [True, False, False, True]
    assert [item.index for item in found if isinstance(item, Rejected)] == [1, 2]
    assert found[1].raw == line[:40]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("van-12,2026-03-02T08:15:00Z,53.4", "malformed_csv"),
        ("van-12,2026-03-02T08:15:00Z,53.4,-2.9,5,6", "malformed_csv"),
        ('"van-12,2026-03-02T08:15:00Z,53.4,-2.9', "malformed_csv"),
        ("van-12,2026-03-02T08:15:00Z,,-2.9", "missing_field"),
        ("van-12,2026-03-02T08:15:00Z,north,-2.9", "bad_field"),
        ("van-12,2026-03-02T08:15:00Z,95,-2.9", "lat_out_of_range"),
    ],
)
def test_a_bad_line_of_csv_only_loses_itself(line: str, code: str) -> None:
    good = "van-12,2026-03-02T08:15:00Z,53.4,-2.9"
    found = read("csv", f"device_id,ts,lat,lon\r\n{good}\r\n{line}\r\n{good}\r\n".encode())
    assert [type(item) for item in found] == [Ping, Rejected, Ping]
    assert (found[1].index, found[1].code) == (1, code)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("protocol", "body", "said"),
    [
        ("json", b"", "malformed JSON"),
        ("json", b"{", "malformed JSON"),
        ("json", b"[" * 10**6, "too deeply"),
        ("json", b"\xff", "UTF-8"),
        ("json", b"5", "not int"),
        ("ndjson", b"hello\nworld", "no line is JSON"),
        ("csv", b"", "empty"),
        ("csv", b"a,b\n1,2", "lacks device_id, ts, lat, lon"),
        ("gpx", b"<kml/>", "GPX"),
        ("gpx", b"<gpx><trk>", "GPX"),
        ("gpx", b"\xff\xfe", "UTF-8"),
        ("gpx", b'<!DOCTYPE x [<!ENTITY a "b">]><gpx/>', "document type"),
    ],
)
def test_a_body_of_another_format(protocol: str, body: bytes, said: str) -> None:
    with pytest.raises(BodyError, match=said):
        read(protocol, body, device_id="d")


def gpx(points: str) -> bytes:
    return f'<gpx version="1.1" creator="t"><trk><trkseg>{points}</trkseg></trk></gpx>'.encode()


def test_gpx_points() -> None:
    extension = (
        "<extensions><TrackPointExtension><speed>3.5</speed><course>90</course></TrackPointExtension></extensions>"
    )
    found = read(
        "gpx",
        gpx(
            '<trkpt lat="1" lon="2"><ele>30</ele><time>2026-03-02T08:15:00.25Z</time><hdop>1.5</hdop></trkpt>'
            '<trkpt lat="1" lon="2"/>'
            f'<trkpt lat="1" lon="2"><time>2026-03-02T09:15:01+01:00</time>{extension}</trkpt>'
            '<trkpt lat="1" lon="2"><time>1901-12-13T20:45:52Z</time></trkpt>'
            '<trkpt lat="95" lon="2"><time>2026-03-02T08:15:03Z</time></trkpt>'
        ),
        device_id="tracker",
    )
    assert found[0] == Ping("tracker", 1_772_439_300_250, 1.0, 2.0, altitude_m=30.0)
    assert found[2] == Ping("tracker", 1_772_439_301_000, 1.0, 2.0, speed_mps=3.5, bearing_deg=90.0)
    assert {item.index: item.code for item in found if isinstance(item, Rejected)} == {
        1: "missing_field",
        3: "ts_too_old",
        4: "lat_out_of_range",
    }


def test_gpx_needs_a_device() -> None:
    with pytest.raises(BodyError, match="device_id"):
        read("gpx", gpx(""))


@given(st.lists(pings, max_size=4))
def test_gpx_round_trip(items: list[Ping]) -> None:
    segment = gpxpy.gpx.GPXTrackSegment()
    for item in items:
        moment = datetime.fromtimestamp(item.ts_ms // 1000, UTC)
        segment.points.append(gpxpy.gpx.GPXTrackPoint(round(item.lat, 6), round(item.lon, 6), time=moment))
    track = gpxpy.gpx.GPXTrack()
    track.segments.append(segment)
    document = gpxpy.gpx.GPX()
    document.tracks.append(track)
    found = read("gpx", document.to_xml().encode(), device_id="d")
    assert found == [Ping("d", item.ts_ms // 1000 * 1000, round(item.lat, 6), round(item.lon, 6)) for item in items]


def test_the_registry_is_unambiguous() -> None:
    media_types = [each for protocol in PROTOCOLS.values() for each in protocol.media_types]
    suffixes = [each for protocol in PROTOCOLS.values() for each in protocol.suffixes]
    assert len(set(media_types)) == len(media_types)
    assert len(set(suffixes)) == len(suffixes)
    for name, protocol in PROTOCOLS.items():
        assert all(by_media_type(media_type.upper()) == name for media_type in protocol.media_types)
    assert by_media_type("text/html") is None


def test_a_file_of_an_unknown_suffix() -> None:
    with pytest.raises(BodyError, match=r"'\.txt'"):
        read_file("pings.txt", b"")


@needs_data
def test_real_files() -> None:
    phones = DATA / "phones-los-altos" / "pings.ndjson"
    found = list(read_file(phones.name, phones.read_bytes()))
    assert len(found) == 36_804
    assert len({item.identity() for item in found if isinstance(item, Ping)}) == 36_793
    bus = DATA / "bus-limerick" / "bus-304.gpx"
    fixes = list(read_file(bus.name, bus.read_bytes()))
    assert len(fixes) == 2_144
    assert {item.device_id for item in fixes if isinstance(item, Ping)} == {"bus-304"}


@needs_data
@pytest.mark.parametrize("path", sorted((DATA / "gpx-dirty").glob("*.gpx")), ids=lambda path: path.stem)
def test_dirty_gpx(path: Path) -> None:
    found = list(read_file(path.name, path.read_bytes()))
    assert found
    assert {item.code for item in found if isinstance(item, Rejected)} <= {"missing_field", "ts_too_old"}

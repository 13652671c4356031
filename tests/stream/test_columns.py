"""The columns of a frame are those of its pings decoded one by one, however their records are written."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geofence.fixes import Fixes
from schemas.ping import MAX_DEVICE_ID_CHARS, Ping
from schemas.wire import encode
from stream.columns import PingColumns, read_columns
from stream.decode import decode_pings
from stream.scan import scan
from stream.values import Values
from tests.frames import moments
from tests.stream.test_decode import GOOD, NOW_MS, UNREADABLE, raw, records


def compact(**changes: object) -> bytes:
    """As the API writes it."""
    return json.dumps({**GOOD, **changes}, separators=(",", ":")).encode()


def told(columns: PingColumns) -> list[tuple[object, ...]]:
    """Whose each ping is, where it was in the frame, and its fix."""
    owners = [columns.device_ids[device] for device in columns.device.tolist()]
    fixes = zip(*(column.tolist() for column in vars(columns.fixes).values()), strict=True)
    return list(zip(owners, columns.record.tolist(), fixes, strict=True))


def one_by_one(values: list[bytes | None], received_ms: list[int]) -> tuple[list[tuple[object, ...]], list[object]]:
    """The same, and what is left out with its reason, by decoding each record alone."""
    good, bad = [], []
    for record, (value, moment_ms) in enumerate(zip(values, received_ms, strict=True)):
        decoded = decode_pings([value], moment_ms)
        bad += [(record, reason) for _, reason in decoded.bad]
        for ping in decoded.pings:
            [fix] = zip(*(column.tolist() for column in vars(Fixes.of_pings([ping])).values()), strict=True)
            good.append((ping.device_id, record, fix))
    return good, bad


MEASURES = ("accuracy_m", "speed_mps", "bearing_deg", "altitude_m", "battery")

digits = st.text("0123456789", min_size=1, max_size=20)
written_numbers = st.one_of(
    st.floats(-200, 200).map(repr),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), st.integers(0, 200), digits),
    st.builds("{}{}".format, st.integers(-1, 100), st.sampled_from(["", ".", "e1", "E-2", ".5e0", "x", "00"])),
    st.sampled_from(
        ["-", "", ".5", "-0", "-0.0", "00", "01.5", "1.2.3", "--1", "+1", "null", "NaN", "90.0000000000000001"]
    ),
)
written_times = st.one_of(
    st.integers(NOW_MS - 10**10, NOW_MS + 120_000).map(str),
    st.sampled_from(["0", "-1", "", "null", f"{NOW_MS}.0", f"0{NOW_MS}", f"-{NOW_MS}", f"{NOW_MS}0", "1" * 30]),
)
written_texts = st.one_of(
    st.text(max_size=5).map(json.dumps),
    st.sampled_from(
        ['"van-1"', '"van-2"', '"a\\"b"', '"', "null", '"\x7f"', '"\t"', f'"{"x" * 200}"', f'"{"x" * 201}"']
    ),
)
fields = [
    ("device_id", written_texts),
    ("ts", written_times),
    *(
        (name, written_numbers)
        for name in ("lat", "lon", "accuracy_m", "speed_mps", "bearing_deg", "altitude_m", "battery")
    ),
    ("sent_at", written_times),
    *((name, written_texts) for name in ("ping_id", "activity", "source")),
    ("received_at", written_times),
]
usual = {"device_id": '"van-1"', "ts": str(NOW_MS - 5_000), "lat": "47.14", "lon": "9.52"}
nearly_plain = st.builds(
    lambda changed, left_out, swapped, tail: _joined({**usual, **changed}, left_out, swapped) + tail,
    st.fixed_dictionaries({}, optional=dict(fields)),
    st.sampled_from([None, None, None, "device_id", "ts", "lat"]),
    st.sampled_from([None, None, None, 0, 1, 3]),
    st.sampled_from([b"", b"", b"", b" ", b"}", b",", b"\n"]),
)
"""Records as the API writes them, but for one thing or another."""


def _joined(written: dict[str, str], left_out: str | None, swapped: int | None) -> bytes:
    parts = [f'"{name}":{written[name]}' for name, _ in fields if name in written and name != left_out]
    if swapped is not None:
        parts[swapped : swapped + 2] = parts[swapped : swapped + 2][::-1]
    return f"{{{','.join(parts)}}}".encode(errors="surrogatepass")


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(st.one_of(nearly_plain, records, st.none()), st.integers(0, 10**6)), max_size=8))
@example([(compact(), 0), (None, 0), (compact(device_id="ü"), 0), (compact(device_id="ü"), 0), (b"{}", 0)])
def test_columns_are_what_decoding_one_by_one_gives(frame: list[tuple[bytes | None, int]]) -> None:
    values, received_ms = [value for value, _ in frame], [NOW_MS - ago_ms for _, ago_ms in frame]
    columns = read_columns(Values.of(values), moments(received_ms, len(values)))
    good, bad = one_by_one(values, received_ms)
    assert told(columns) == good
    assert columns.bad == bad


@settings(deadline=None)
@given(
    st.builds(
        Ping,
        st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=200),
        st.integers(NOW_MS - 10**10, NOW_MS),
        st.floats(1, 89).map(lambda degrees: round(degrees, 9)),
        st.floats(1, 179).map(lambda degrees: round(degrees, 9)),
        *(st.one_of(st.none(), st.floats(0.01, 0.99).map(lambda value: round(value, 9))) for _ in range(5)),
        *(st.none() | st.just(NOW_MS) for _ in range(1)),
        *(st.none() | st.just("walking") for _ in range(3)),
        st.just(NOW_MS),
    )
)
def test_what_the_api_writes_is_read_without_an_object(ping: Ping) -> None:
    assert scan(Values.of([encode(ping)]), np.array([NOW_MS])).device.tolist() == [0]


@pytest.mark.parametrize("value", [value for value, _ in UNREADABLE.values()], ids=UNREADABLE.keys())
def test_what_nobody_can_read_is_named_as_ever(value: bytes) -> None:
    columns = read_columns(Values.of([compact(), value, raw()]), moments(NOW_MS, 3))
    assert columns.record.tolist() == [0, 2]
    assert columns.bad == [(1, reason) for _, reason in decode_pings([value], NOW_MS).bad]


def test_devices_are_told_apart_by_their_whole_id() -> None:
    names = [f"{number:0{length}}" for length in (1, 3, 8, MAX_DEVICE_ID_CHARS) for number in range(9)] * 2
    columns = read_columns(Values.of([compact(device_id=name) for name in names]), moments(NOW_MS, len(names)))
    assert len(columns.device_ids) == 36
    assert [columns.device_ids[device] for device in columns.device.tolist()] == names


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ü"]), st.integers(-3, 3)), max_size=12))
def test_the_newest_record_of_each_device_is_found(pings: list[tuple[str, int]]) -> None:
    values = [compact(device_id=name, ts=NOW_MS - 100 + ts_ms) for name, ts_ms in pings]
    newest: dict[str, tuple[int, int]] = {}
    for record, (name, ts_ms) in enumerate(pings):
        if name not in newest or ts_ms > newest[name][0]:
            newest[name] = (ts_ms, record)
    found = read_columns(Values.of(values), moments(NOW_MS, len(values))).newest_records()
    assert found == sorted(record for _, record in newest.values())


def test_an_empty_frame() -> None:
    columns = read_columns(Values.of([]), moments([], 0))
    assert (len(columns), columns.device_ids, columns.newest_records(), columns.bad) == (0, [], [], [])

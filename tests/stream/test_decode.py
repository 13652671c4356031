import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ping import Ping
from stream.decode import decode_pings

NOW_MS = 1_790_000_000_000
GOOD = {"device_id": "van-1", "ts": NOW_MS - 5_000, "lat": 47.14, "lon": 9.52, "accuracy_m": 8.0, "received_at": NOW_MS}


def raw(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def as_builtins(pings: list[Ping]) -> list[object]:
    return [msgspec.to_builtins(ping) for ping in pings]


UNREADABLE = {
    "empty": (b"", "not_json"),
    "text": (b"hello", "not_json"),
    "not utf-8": (b'{"device_id": "\xff\xfe"}', "not_json"),
    "nested without end": (b"[" * 100_000, "not_json"),
    "nan": (raw().replace(b"47.14", b"NaN"), "not_json"),
    "infinite": (raw().replace(b"47.14", b"1e999"), "not_json"),
    "an array": (b"[1, 2]", "not_an_object"),
    "two records in one": (raw() + b"," + raw(), "not_json"),
    "no device": (raw(device_id=""), "missing_field"),
    "long device": (raw(device_id="x" * 201), "bad_device_id"),
    "lat 91": (raw(lat=91), "lat_out_of_range"),
    "lon 181": (raw(lon=181), "lon_out_of_range"),
    "null island": (raw(lat=0, lon=0), "null_island"),
    "1901": (raw(ts="1901-12-13T20:45:52Z"), "ts_too_old"),
    "next year": (raw(ts=NOW_MS + 365 * 86_400_000), "ts_in_future"),
    "a number too large": (raw(ts=10**30), "ts_in_future"),
    "no zone": (raw(ts="2026-03-02T08:15:00"), "bad_time"),
    "wrong type": (raw(lat="north"), "bad_field"),
}


@pytest.mark.parametrize(("value", "code"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_bad_record_is_named_and_the_good_ones_around_it_are_kept(value: bytes, code: str) -> None:
    decoded = decode_pings([raw(ts=1_780_000_000_000), value, raw()], NOW_MS)
    assert [ping.ts_ms for ping in decoded.pings] == [1_780_000_000_000, NOW_MS - 5_000]
    [(index, reason)] = decoded.bad
    assert index == 1
    assert reason.startswith(code)


def test_a_null_value_is_a_bad_record() -> None:
    decoded = decode_pings([raw(), None], NOW_MS)
    assert len(decoded.pings) == 1
    assert [index for index, _ in decoded.bad] == [1]


def test_other_producers_may_write_rfc_3339_and_leave_out_when_it_was_received() -> None:
    value = b'{"device_id":"d","ts":"2026-03-02T08:15:00Z","lat":1,"lon":2,"speed_mps":-1}'
    [ping] = decode_pings([value], [NOW_MS]).pings
    assert ping.ts_ms == 1_772_439_300_000
    assert ping.received_ms == NOW_MS
    assert ping.speed_mps is None


def test_a_time_in_another_unit_is_left_out_when_the_fix_does_not_need_it() -> None:
    [ping] = decode_pings([raw(sent_at=NOW_MS * 1_000)], NOW_MS).pings
    assert ping.sent_ms is None


def test_the_broker_s_moment_stands_in_record_by_record() -> None:
    value = b'{"device_id":"d","ts":1772439300000,"lat":1,"lon":2}'
    pings = decode_pings([value, raw(), value], [NOW_MS + 1, NOW_MS + 2, NOW_MS + 3]).pings
    assert [ping.received_ms for ping in pings] == [NOW_MS + 1, NOW_MS, NOW_MS + 3]


def test_an_empty_frame() -> None:
    assert decode_pings([], NOW_MS) == ([], [])


def test_pieces_that_make_as_many_pings_as_there_are_records_are_no_records() -> None:
    for pieces in ([raw()[:20], raw()[20:]], [raw()[:-1], b"}"], [b'{"device_id":"a}', b'{b"' + raw()[18:]]):
        for spare in (raw() + raw(), raw() + b"\n" + raw(), raw() + b"," + raw()):
            decoded = decode_pings([*pieces, spare, raw()], NOW_MS)
            assert [index for index, _ in decoded.bad] == [0, 1, 2]
            assert len(decoded.pings) == 1


numbers = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-2, 400), st.just("1.5"), st.just("x")
)
times = st.one_of(
    st.none(),
    st.sampled_from([0, -1, NOW_MS, NOW_MS + 60_000, NOW_MS + 60_001, NOW_MS * 1_000, 10**25, 1.5, "soon"]),
    st.just("2026-03-02T08:15:00Z"),
    st.integers(NOW_MS - 10**10, NOW_MS + 120_000),
)
PIECES = (
    raw()[:20],
    raw()[20:],
    raw()[:-1],
    b"}",
    b'{"device_id":{}',
    raw() + b"\n" + raw(),
    raw() + raw(),
    raw() + b"\n",
)
"""What is no record of its own, and may look like some beside others."""

records = st.one_of(
    st.sampled_from(PIECES),
    st.sampled_from([raw(), *(value for value, _ in UNREADABLE.values() if len(value) < 1_000)]),
    st.fixed_dictionaries(
        {
            "device_id": st.sampled_from(["a", "b", "", "ü" * 200, "x" * 201, None]),
            "ts": times,
            "lat": st.one_of(st.floats(-91, 91), st.just(0)),
            "lon": st.one_of(st.floats(-181, 181), st.just(0)),
        },
        optional={
            **dict.fromkeys(("accuracy_m", "speed_mps", "bearing_deg", "altitude_m", "battery"), numbers),
            **dict.fromkeys(("sent_at", "received_at"), times),
            **dict.fromkeys(("ping_id", "activity", "source"), st.sampled_from([None, 'ü "\\', "", "x" * 201])),
            "unknown_field": st.just({"a": [1]}),
        },
    ).map(lambda record: json.dumps(record).encode()),
)


@settings(deadline=None)
@given(st.lists(records, max_size=8))
def test_a_record_s_verdict_does_not_depend_on_its_neighbours(values: list[bytes]) -> None:
    together = decode_pings(values, NOW_MS)
    alone = [decode_pings([value], NOW_MS) for value in values]
    assert as_builtins(together.pings) == [ping for decoded in alone for ping in as_builtins(decoded.pings)]
    assert together.bad == [(index, reason) for index, decoded in enumerate(alone) for _, reason in decoded.bad]


@settings(deadline=None)
@given(records)
def test_the_fast_way_and_the_slow_way_agree(value: bytes) -> None:
    fast, slow = decode_pings([value], NOW_MS), decode_pings([value, b"?"], NOW_MS)
    assert as_builtins(fast.pings) == as_builtins(slow.pings)
    assert fast.bad == slow.bad[: len(fast.bad)]
    assert len(slow.bad) == len(fast.bad) + 1

"""The rows of a frame are those of its pings decoded one by one, however their records are written."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.ping import Ping
from schemas.tables.pings import COLUMNS, PINGS
from schemas.wire import encode
from stream.decode import decode_pings
from stream.rows import read_pings
from stream.values import Values
from tests.frames import moments
from tests.stream.test_columns import compact, nearly_plain
from tests.stream.test_decode import NOW_MS, records


def one_by_one(values: list[bytes | None], received_ms: list[int]) -> tuple[list[dict[str, Any]], list[Any]]:
    """The rows, and what is left out with its reason, by decoding each record alone."""
    rows, bad = [], []
    for record, (value, moment_ms) in enumerate(zip(values, received_ms, strict=True)):
        decoded = decode_pings([value], moment_ms)
        bad += [(record, reason) for _, reason in decoded.bad]
        rows += PINGS.batch(decoded.pings).to_pylist()
    return rows, bad


halves = compact(bearing_deg=0.125, altitude_m=-0.05, battery=0.0005, accuracy_m=0.25, ping_id="p", source="")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.one_of(nearly_plain, records, st.none()), st.integers(0, 10**6)), max_size=8))
@example([(compact(), 0), (None, 0), (compact(device_id="ü", activity="süß"), 0), (b"{}", 0), (halves, 5)])
@example([(compact(bearing_deg=1.1250000000000001, altitude_m=0.15000000000000002), 0)])
def test_rows_are_what_decoding_one_by_one_gives(frame: list[tuple[bytes | None, int]]) -> None:
    values, received_ms = [value for value, _ in frame], [NOW_MS - ago_ms for _, ago_ms in frame]
    read = read_pings(Values.of(values), moments(received_ms, len(values)))
    rows, bad = one_by_one(values, received_ms)
    assert sorted(read.batch.to_pylist(), key=repr) == sorted(rows, key=repr)
    assert read.bad == bad
    assert read.batch.schema == COLUMNS


def test_every_field_of_a_plain_ping_has_its_column() -> None:
    ping = Ping(
        "van-1", NOW_MS, 47.5, -9.25, 8.4, 1.25, 359.99, -3.2, 0.875, NOW_MS + 1, "p-1", "walking", "app", NOW_MS
    )
    [row] = read_pings(Values.of([encode(ping)]), moments(0, 1)).batch.to_pylist()
    assert [row[name] for name in ("device_id", "lat_e7", "lon_e7")] == ["van-1", 475_000_000, -92_500_000]
    assert [row[name] for name in ("bearing_cdeg", "altitude_dm", "battery_permille")] == [35_999, -32, 875]
    assert [row[name] for name in ("ping_id", "activity", "source")] == ["p-1", "walking", "app"]
    assert [round(row[name].timestamp() * 1e3) for name in ("ts", "sent_at", "received_at")] == [
        NOW_MS,
        NOW_MS + 1,
        NOW_MS,
    ]


def test_an_empty_frame_has_no_rows() -> None:
    assert read_pings(Values.of([]), moments([], 0)).batch.num_rows == 0
    assert read_pings(Values.of([b"?"]), moments(NOW_MS, 1)).batch.num_rows == 0

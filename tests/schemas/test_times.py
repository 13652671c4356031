"""Moments in and out."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import Instant, format_instant, parse_epoch_ms, parse_instant


@pytest.mark.parametrize(
    ("text", "epoch_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-03-02T09:15:00+01:00", 1_772_439_300_000),
        ("2026-03-02 08:15:00Z", 1_772_439_300_000),
        ("2026-03-02T08:15:00.1239999Z", 1_772_439_300_123),
        (" 2026-03-02T08:15:00Z ", 1_772_439_300_000),
        ("1772439300000", 1_772_439_300_000),
        (1_772_439_300_000, 1_772_439_300_000),
    ],
)
def test_read(text: Any, epoch_ms: int) -> None:
    assert parse_instant(text) == epoch_ms


@pytest.mark.parametrize(
    "value",
    ["", "noon", "2026-03-02T08:15:00", "2026-02-30T00:00:00Z", "12345678", "²" * 9, None, 1.5, True, [], {}],
)
def test_refuse(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_instant(value)


@pytest.mark.parametrize("value", [-62_135_596_800_001, 253_402_300_800_000, 10**17])
def test_refuse_what_cannot_be_written(value: int) -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        parse_instant(value)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_round_trip(epoch_ms: int) -> None:
    assert parse_instant(format_instant(epoch_ms)) == epoch_ms


times_of_a_kind = st.builds(
    "{}{}{}".format,
    st.datetimes().map(lambda moment: moment.isoformat()) | st.text("0123456789-T:. ", max_size=26),
    st.sampled_from(["", ".1", ".123456789", ",5"]),
    st.sampled_from(["", "Z", "z", "+00:00", "-03:30", "+24:00", "+0530"]),
)


def read_or_refused(text: str) -> int | str:
    try:
        return parse_epoch_ms(text)
    except ValueError as error:
        return str(error).replace(repr(text), repr(text.strip()))


@given(times_of_a_kind)
def test_the_usual_form_is_read_as_any_other(text: str) -> None:
    assert read_or_refused(text) == read_or_refused(f" {text}")  # a blank in front is not the usual form


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_instant(text), Instant)

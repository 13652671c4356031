from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.time_columns import UNREADABLE_MS, epoch_ms_column
from schemas.times import parse_epoch_ms

digits = st.text("0123456789", max_size=10)
usual = st.builds(
    lambda moment, fraction, end: moment.strftime("%Y-%m-%dT%H:%M:%S").zfill(19) + fraction + end,
    st.datetimes(),
    st.just("") | digits.map(lambda drawn: f".{drawn}"),
    st.sampled_from(["Z", "Z", "z", "+02:00", "-0330", "", "Z\0", " "]),
)
mangled = st.builds(
    lambda text, at, char: text[:at] + char + text[at + 1 :],
    usual,
    st.integers(0, 24),
    st.sampled_from([*"0123456789", "-", ":", "T", ".", " ", "\0", "/", "١", ""]),
)
texts = usual | mangled | st.text(max_size=30) | st.integers().map(str)
moments: st.SearchStrategy[Any] = st.one_of(
    texts, st.integers(), st.none(), st.booleans(), st.floats(), st.just("9" * 99)
)


def one_by_one(values: list[Any]) -> list[int]:
    found = []
    for value in values:
        try:
            moment_ms = parse_epoch_ms(value)
        except ValueError:
            moment_ms = UNREADABLE_MS
        found.append(moment_ms if -(2**63) < moment_ms < 2**63 else UNREADABLE_MS)
    return found


@given(st.lists(texts) | st.lists(st.integers()) | st.lists(moments))
def test_a_column_holds_what_each_value_says(values: list[Any]) -> None:
    assert epoch_ms_column(values).tolist() == one_by_one(values)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2000-02-29T23:59:59.9999Z",
        "2026-12-31T23:59:59.999999999Z",
        "1969-12-31T23:59:59.9995Z",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:60:00Z",
        "2026-01-01T23:59:60Z",
    ],
)
def test_edges_of_the_calendar(text: str) -> None:
    assert epoch_ms_column([text, "2026-03-02T08:15:00Z"]).tolist() == [*one_by_one([text]), 1_772_439_300_000]


def test_a_long_text_among_short_ones() -> None:
    assert epoch_ms_column(["2026-03-02T08:15:00Z", "x" * 10**6]).tolist() == [1_772_439_300_000, UNREADABLE_MS]

"""Columns of moments: what ``schemas.times`` reads, many at a time."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.times import parse_epoch_ms

UNREADABLE_MS: Final = int(np.iinfo(np.int64).min)
"""What stands where ``parse_epoch_ms`` raises, and for a number that no int64 holds."""

_FORM: Final = np.frombuffer(b"0000-00-00T00:00:00.000000000", np.uint8)
_IS_DIGIT: Final = np.equal(_FORM, ord("0"))
_CHARS: Final = len(_FORM) + 1


def epoch_ms_column(values: Sequence[object]) -> npt.NDArray[np.int64]:
    """``parse_epoch_ms`` of each value, int64; ``UNREADABLE_MS`` where there is none."""
    kinds = set(map(type, values))
    if kinds == {int}:
        try:
            return np.array(values, np.int64)
        except OverflowError:
            pass  # one by one
    if kinds == {str}:
        return _of_texts([str(value) for value in values])
    return np.fromiter(map(_epoch_ms, values), np.int64, len(values))


def _epoch_ms(value: object) -> int:
    try:
        moment_ms = parse_epoch_ms(value)
    except ValueError:
        return UNREADABLE_MS
    return moment_ms if moment_ms.bit_length() < 64 else UNREADABLE_MS


def _of_texts(texts: list[str]) -> npt.NDArray[np.int64]:
    """RFC 3339 in UTC as most write it, a column of digits at a time; every other spelling one by one."""
    moments = np.full(len(texts), UNREADABLE_MS)
    if all(map(str.isascii, texts)):
        chars = np.array(texts, f"S{_CHARS}").view(np.uint8).reshape(-1, _CHARS)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        for length in np.unique(lengths).tolist():
            if length == 20 or 22 <= length <= _CHARS:
                rows = np.flatnonzero(lengths == length)
                moments[rows] = _of_usual_form(chars[rows, :length])
    for row in np.flatnonzero(moments == UNREADABLE_MS).tolist():
        moments[row] = _epoch_ms(texts[row])
    return moments


def _of_usual_form(chars: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Rows of one length, ``2026-03-02T08:15:00Z`` with or without a fraction; ``UNREADABLE_MS`` where they are not."""
    text, end = chars[:, :-1], chars[:, -1]
    form, is_digit = _FORM[: text.shape[1]], _IS_DIGIT[: text.shape[1]]
    digits = text - np.uint8(ord("0"))  # what is below 0 wraps round to far above 9
    usual = np.where(is_digit, digits <= 9, text == form).all(axis=1) & (end == ord("Z"))

    def number(first: int, last: int) -> npt.NDArray[np.int64]:
        return digits[:, first:last].astype(np.int64) @ 10 ** np.arange(last - first)[::-1]

    year, month, day = number(0, 4), number(5, 7), number(8, 10)
    hour, minute, second = number(11, 13), number(14, 16), number(17, 19)
    months = (year - 1970) * 12 + month - 1
    first_day, next_month = (each.astype("M8[M]").astype("M8[D]").astype(np.int64) for each in (months, months + 1))
    usual &= (year > 0) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= next_month - first_day)
    usual &= (hour < 24) & (minute < 60) & (second < 60)
    seconds = (((first_day + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    fraction = digits[:, 20:23]
    thousandths = fraction.astype(np.int64) @ np.array([100, 10, 1])[: fraction.shape[1]]
    return np.where(usual, seconds * 1000 + thousandths, UNREADABLE_MS)

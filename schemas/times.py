"""Moments: epoch milliseconds inside, RFC 3339 UTC outside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from dateutil import parser as dateutil_parser

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999


class Instant(int):
    """A moment in epoch milliseconds, written as RFC 3339 UTC by ``schemas.wire``."""

    __slots__ = ()


def parse_instant(value: object) -> Instant:
    """Read RFC 3339 text (a zone is required) or an integer of epoch milliseconds.

    Raises ValueError that says what is wrong with the value; RFC 3339 has words for the years 1 to 9999.
    """
    epoch_ms = parse_epoch_ms(value)
    if not _FIRST_MS <= epoch_ms <= _LAST_MS:
        raise ValueError(f"{value!r} is not in the years 1 to 9999")
    return Instant(epoch_ms)


def parse_epoch_ms(value: object) -> int:
    """The same as a plain integer."""
    if type(value) is str and value[4:5] == "-":  # the usual form: a hot path
        try:
            return _epoch_ms(datetime.fromisoformat(value))
        except (ValueError, TypeError):  # TypeError: it has no zone
            pass  # read or refused below
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is neither RFC 3339 text nor an integer of epoch milliseconds")
    if isinstance(value, int):
        return int(value)
    text = value.strip()
    if text[4:5] != "-":  # a year: spare the usual time what only a number needs
        digits = text.lstrip("-")
        if digits.isdigit() and len(digits) > 8:
            return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = dateutil_parser.isoparse(text)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{value!r} is not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; end it with Z or an offset")
    return _epoch_ms(moment)


def _epoch_ms(moment: datetime) -> int:
    """Of a moment with a zone; floored."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def format_instant(epoch_ms: int) -> str:
    """RFC 3339 UTC with milliseconds, e.g. ``2026-03-02T08:15:00.000Z``."""
    epoch_s, ms = divmod(int(epoch_ms), 1000)
    return f"{_second(epoch_s)}.{ms:03}Z"


@lru_cache(maxsize=16_384)
def _second(epoch_s: int) -> str:
    """Most moments written in a while share their second with others."""
    return (_EPOCH + timedelta(seconds=epoch_s)).replace(tzinfo=None).isoformat(timespec="seconds")

"""From the bytes of a frame to pings. A record nobody can read is named with its reason; it never stops the others."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.ping import (
    FUTURE_TOLERANCE_MS,
    LATEST_MS,
    MAX_DEVICE_ID_CHARS,
    MAX_TEXT_CHARS,
    OLDEST_TS_MS,
    Ping,
    PingError,
    check_ping,
    read_ping,
)

_Time = Annotated[int, msgspec.Meta(ge=OLDEST_TS_MS, le=LATEST_MS)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)]


class _PlainPing(Ping, gc=False):
    """A ping as the API writes it: integer times and every value in its range, which the decoder checks on its way."""

    device_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_DEVICE_ID_CHARS)]
    ts_ms: _Time
    lat: Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
    lon: Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)]
    accuracy_m: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] | None = None
    speed_mps: Annotated[float, msgspec.Meta(ge=0.0, le=1e4)] | None = None
    bearing_deg: Annotated[float, msgspec.Meta(ge=0.0, le=360.0)] | None = None
    altitude_m: Annotated[float, msgspec.Meta(ge=-1e5, le=1e6)] | None = None
    battery: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    sent_ms: _Time | None = None
    ping_id: _Text | None = None
    activity: _Text | None = None
    source: _Text | None = None
    received_ms: _Time | None = None


_plain: Final = msgspec.json.Decoder(_PlainPing)
_first_byte: Final[Callable[[Any], int]] = itemgetter(0)
_last_byte: Final[Callable[[Any], int]] = itemgetter(-1)
_OPENING: Final = {ord("{")}
_CLOSING: Final = {ord("}")}
_any_ping: Final = msgspec.json.Decoder(Ping)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not JSON, not UTF-8 or nested without end."""


class DecodedPings(NamedTuple):
    """The pings of a frame in its order, each with its ``received_ms``; (index, reason) of every record left out."""

    pings: list[Ping]
    bad: list[tuple[int, str]]


def decode_pings(
    values: Sequence[bytes | None], received_ms: int | Sequence[int] | npt.NDArray[np.int64]
) -> DecodedPings:
    """Read the raw values of a frame.

    ``received_ms`` (one moment, or one a record, such as the broker's timestamps) stands in where the writer did not
    say when it received a ping. The verdict on a record depends on nothing but the record and that moment.
    """
    values = list(values)
    moments = np.broadcast_to(np.asarray(received_ms, np.int64), len(values))
    pings = _decode_plain(values)
    if pings is None:
        return _decode_one_by_one(values, moments)
    received = _fill_received(pings, moments)
    doubtful = _doubtful(pings, received)
    bad = [(int(index), reason) for index in doubtful if (reason := _fault(pings[index])) is not None]
    for index, _ in reversed(bad):
        del pings[index]
    return DecodedPings(pings, bad)


def _decode_plain(values: Sequence[bytes | None]) -> list[Ping] | None:
    """The pings of values that are all plain, one each; None where they have to be looked at one by one.

    As lines they are joined in one copy. What ends with a brace and goes on, after a line end, with another is two JSON
    values, for a string holds no line end; so where there are as many pings as values, each value is one.
    """
    try:
        if set(map(_first_byte, values)) != _OPENING or set(map(_last_byte, values)) != _CLOSING:
            return None
        pings: list[Ping] = list(_plain.decode_lines(b"\n".join(values)))  # type: ignore[arg-type]
    except (*_UNREADABLE, TypeError, IndexError):  # a null value among them, or an empty one
        return None
    return pings if len(pings) == len(values) else None


def _decode_one_by_one(values: Sequence[bytes | None], moments: npt.NDArray[np.int64]) -> DecodedPings:
    pings: list[Ping] = []
    bad: list[tuple[int, str]] = []
    for index, value in enumerate(values):
        try:
            ping = _read(value or b"")
        except PingError as error:
            bad.append((index, str(error)))
            continue
        if ping.received_ms is None:
            ping.received_ms = int(moments[index])
        fault = _fault(ping)
        if fault is None:
            pings.append(ping)
        else:
            bad.append((index, fault))
    return DecodedPings(pings, bad)


def _read(value: bytes) -> Ping:
    """One record as any producer may write it: RFC 3339 times, optional values out of range. Raises PingError."""
    try:
        return read_ping(msgspec.to_builtins(_any_ping.decode(value)))
    except _UNREADABLE:
        try:
            return read_ping(msgspec.json.decode(value))
        except _UNREADABLE as error:
            raise PingError("not_json", str(error)) from error


def _fill_received(pings: list[Ping], moments: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    received = np.fromiter((ping.received_ms or 0 for ping in pings), np.int64, len(pings))
    for index in np.flatnonzero(received == 0):
        pings[index].received_ms = int(moments[index])
    return np.where(received == 0, moments, received)


def _doubtful(pings: list[Ping], received: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Rows that may lie at (0, 0) or in the future: what the decoder has not checked."""
    ts = np.fromiter((ping.ts_ms for ping in pings), np.int64, len(pings))
    sent = np.fromiter((ping.sent_ms or LATEST_MS for ping in pings), np.int64, len(pings))
    lat = np.fromiter((ping.lat for ping in pings), np.float64, len(pings))
    return np.flatnonzero((lat == 0.0) | (ts > np.minimum(sent, received) + FUTURE_TOLERANCE_MS))


def _fault(ping: Ping) -> str | None:
    try:
        check_ping(ping, ping.received_ms)
    except PingError as error:
        return str(error)
    return None

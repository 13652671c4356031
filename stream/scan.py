"""Pings as the API writes them, read from the bytes of a frame into columns by compiled code.

What counts as such is narrow: compact JSON, the fields of a ``Ping`` in their order, none of them null or unknown,
ASCII texts without escapes, numbers without exponents, and a fix that nobody would refuse. All else is left to
``stream.decode``, whose verdict on a record holds: what is read here is a ping there, with the same fix.
"""

from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.compiling import COUNTED, UNCOUNTED
from geofence.fixes import DEGREE_E7
from schemas.ping import (
    FUTURE_TOLERANCE_MS,
    LATEST_MS,
    MAX_DEVICE_ID_CHARS,
    MAX_TEXT_CHARS,
    OLDEST_TS_MS,
    OPTIONAL_RANGES,
    TEXTS,
    Ping,
)
from stream.values import Values

_RANGES: Final = {"ts_ms": (OLDEST_TS_MS, LATEST_MS), "lat": (-90.0, 90.0), "lon": (-180.0, 180.0), **OPTIONAL_RANGES}
_SCALES: Final = {
    "lat": DEGREE_E7,
    "lon": DEGREE_E7,
    "accuracy_m": 10.0,
    "speed_mps": 100.0,
    "bearing_deg": 100.0,
    "altitude_m": 10.0,
    "battery": 1_000.0,
}
"""At what resolution ``Fixes`` and the table ``pings`` store them."""

_NAMES: Final = Ping.__struct_fields__
_FIELDS: Final = len(_NAMES)
_KEYS: Final = tuple(f'"{name}":'.encode() for name in Ping.__struct_encode_fields__)
_KEY_BYTES: Final = np.frombuffer(b"".join(_KEYS), np.uint8)
_KEY_ENDS: Final = np.cumsum([0, *map(len, _KEYS)])
_ID_BEGINS_AT: Final = len(b"{") + len(_KEYS[0]) + len(b'"')
_IS_TEXT: Final = np.isin(_NAMES, TEXTS)
_TEXT: Final = np.cumsum(_IS_TEXT) - 1
_IS_TIME: Final = np.array([name.endswith("_ms") for name in _NAMES])
_LOW: Final = np.array([_RANGES.get(name, (0.0, 0.0))[0] for name in _NAMES])
_HIGH: Final = np.array([_RANGES.get(name, (0.0, 0.0))[1] for name in _NAMES])
_SCALE: Final = np.array([_SCALES.get(name, 0.0) for name in _NAMES])
TS, LAT, LON, ACCURACY, SPEED, _SENT, _RECEIVED = map(
    _NAMES.index, ("ts_ms", "lat", "lon", "accuracy_m", "speed_mps", "sent_ms", "received_ms")
)

_MAX_CHARS: Final = min(MAX_DEVICE_ID_CHARS, MAX_TEXT_CHARS)
_POWERS_OF_TEN: Final = 10.0 ** np.arange(23)
_EXACT: Final = 1 << 53
"""A whole number below it, divided by one of these powers, is the float nearest to what was written."""
_MAX_DIGITS: Final = 18
_NEAR: Final = 1e-3
"""How near to a bound or to the middle of two stored values a number may be whose float is not exact. It is off by a
millionth of it at most."""

_QUOTE, _BACKSLASH, _COMMA, _DOT, _MINUS, _ZERO, _NINE, _OPENING, _CLOSING, _SPACE, _DELETE = b'"\\,.-09{} \x7f'
_NOWHERE: Final = -1


class Scanned(NamedTuple):
    """``fields`` float64[14, n] are those of ``Ping`` in their order, NaN where unstated, nothing where they are text.

    ``spans`` int64[4, n, 2] tell where in ``text`` uint8[bytes] each of the ``TEXTS`` of a ping begins and ends, which
    is where it began when it is unstated. ``device`` int64[n] says whose a ping is among ``device_ids``; -1 where the
    record is left to ``stream.decode``: then its fields and spans mean nothing.
    """

    device_ids: list[str]
    device: npt.NDArray[np.int64]
    fields: npt.NDArray[np.float64]
    text: npt.NDArray[np.uint8]
    spans: npt.NDArray[np.int64]


def scan(values: Values, received_ms: npt.NDArray[np.int64]) -> Scanned:
    """Read the values of records; ``received_ms`` int64[n] stands in where they do not say when they were received."""
    fields = np.full((_FIELDS, len(values)), np.nan)
    device = np.full(len(values), _NOWHERE)
    spans = np.zeros((len(TEXTS), len(values), 2), np.int64)
    text = np.frombuffer(values.text, np.uint8)
    ids = _scan(text, values.spans, received_ms, fields, spans, device)
    return Scanned([values.text[begin:end].decode() for begin, end in ids.tolist()], device, fields, text, spans)


def gathered(text: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], Any]:
    """The texts at ``spans`` int64[n, 2], one after the other.

    Returns int32[n + 1], where each begins in what follows and where the last ends, and uint8[bytes].
    """
    begins = np.zeros(len(spans) + 1, np.int32)
    np.cumsum(spans[:, 1] - spans[:, 0], out=begins[1:])
    texts = np.empty(begins[-1], np.uint8)
    _gather(text, spans, begins, texts)
    return begins, texts


@nb.njit(**COUNTED)
def _scan(text, values, received_ms, fields, spans, device):  # type: ignore[no-untyped-def]
    """Fill ``fields``, ``spans`` and ``device``; ``values`` int64[n, 2] tell where each begins and ends.

    Returns where the id of each device is first found: int64[devices, 2].
    """
    ids = np.empty((len(values), 2), np.int64)
    places = 16
    while places < 2 * len(values):
        places *= 2
    known = np.full(places, _NOWHERE)
    devices = 0
    for i in range(len(values)):
        begin, end = values[i]
        id_begin = begin + _ID_BEGINS_AT
        id_end = _read(text, begin, end, received_ms[i], fields, spans, i)
        if id_end == _NOWHERE:
            continue
        place = _hash(text, id_begin, id_end) & (places - 1)
        while known[place] != _NOWHERE and not _same(text, ids[known[place]], id_begin, id_end):
            place = (place + 1) & (places - 1)
        if known[place] == _NOWHERE:
            known[place] = devices
            ids[devices] = id_begin, id_end
            devices += 1
        device[i] = known[place]
    return ids[:devices]


@nb.njit(**UNCOUNTED)
def _read(text, at, end, received_ms, fields, spans, i):  # type: ignore[no-untyped-def]
    """Read the record from ``at`` to ``end`` into ``fields[:, i]`` and ``spans[:, i]``.

    Returns where its device id ends, ``_NOWHERE`` where it is no plain ping.
    """
    if end - at < 2 or _byte(text, at) != _OPENING or _byte(text, end - 1) != _CLOSING:
        return _NOWHERE
    id_end = _NOWHERE
    field = 0
    while at < end - 1:
        # The brace before the first field, a comma before each other one.
        if field > 0 and _byte(text, at) != _COMMA:
            return _NOWHERE
        at += 1
        while field < _FIELDS and not _is_key(text, at, end, field):
            field += 1
        if field == _FIELDS:
            return _NOWHERE
        at += _KEY_ENDS[field + 1] - _KEY_ENDS[field]
        if _IS_TEXT[field]:
            begin = at + 1
            at = _after_text(text, at, end)
            spans[_TEXT[field], i, 0], spans[_TEXT[field], i, 1] = begin, at - 1
            if field == 0:
                id_end = at - 1
        else:
            fields[field, i], at = _number(text, at, field)
        if at == _NOWHERE or id_end == _NOWHERE:
            return _NOWHERE
        field += 1
    ts_ms, lat, lon = fields[TS, i], fields[LAT, i], fields[LON, i]
    if at != end - 1 or np.isnan(ts_ms + lat + lon) or (lat == 0.0 and lon == 0.0):
        return _NOWHERE
    if np.isnan(fields[_RECEIVED, i]):
        fields[_RECEIVED, i] = received_ms
    latest_ms = np.fmin(fields[_RECEIVED, i], fields[_SENT, i]) + FUTURE_TOLERANCE_MS
    return _NOWHERE if ts_ms > latest_ms else id_end


@nb.njit(**UNCOUNTED)
def _is_key(text, at, end, field):  # type: ignore[no-untyped-def]
    key_begin, key_end = _KEY_ENDS[field], _KEY_ENDS[field + 1]
    if at + key_end - key_begin >= end:
        return False
    for k in range(key_begin, key_end):
        if _byte(text, at) != _byte(_KEY_BYTES, k):
            return False
        at += 1
    return True


@nb.njit(**UNCOUNTED)
def _after_text(text, at, end):  # type: ignore[no-untyped-def]
    """The position after the closing quote."""
    if _byte(text, at) != _QUOTE:
        return _NOWHERE
    begin = at + 1
    for k in range(begin, end):
        byte = _byte(text, k)
        if byte == _QUOTE:
            return k + 1 if 0 < k - begin <= _MAX_CHARS else _NOWHERE
        if byte == _BACKSLASH or not _SPACE <= byte <= _DELETE:
            return _NOWHERE
    return _NOWHERE


@nb.njit(**UNCOUNTED)
def _number(text, at, field):  # type: ignore[no-untyped-def]
    """The value of a number and the position after it. What is no digit ends it: the closing brace at the latest."""
    negative = _byte(text, at) == _MINUS
    if negative:
        at += 1
    begin, dot = at, _NOWHERE
    whole, digits = np.int64(0), 0
    while True:
        byte = _byte(text, at)
        if _ZERO <= byte <= _NINE:
            whole = 10 * whole + (byte - _ZERO)
            digits += whole > 0
            if digits > _MAX_DIGITS:
                return np.nan, _NOWHERE
        elif byte == _DOT and dot == _NOWHERE:
            dot = at
        else:
            break
        at += 1
    decimals = 0 if dot == _NOWHERE else at - dot - 1
    before = (at if dot == _NOWHERE else dot) - begin
    if before == 0 or (before > 1 and _byte(text, begin) == _ZERO) or decimals >= len(_POWERS_OF_TEN):
        return np.nan, _NOWHERE
    if (dot != _NOWHERE and decimals == 0) or (_IS_TIME[field] and (negative or dot != _NOWHERE)):
        return np.nan, _NOWHERE
    value = whole / _POWERS_OF_TEN[decimals]
    if negative:
        value = -value
    margin = 0.0
    if whole >= _EXACT:
        scaled = value * _SCALE[field]
        if abs(scaled - np.floor(scaled) - 0.5) < _NEAR:
            return np.nan, _NOWHERE
        margin = _NEAR
    if not _LOW[field] + margin <= value <= _HIGH[field] - margin:
        return np.nan, _NOWHERE
    return value, at


@nb.njit(**UNCOUNTED)
def _gather(text, spans, begins, texts):  # type: ignore[no-untyped-def]
    for i in range(len(spans)):
        at, until = spans[i]
        to = begins[i]
        while at < until:
            texts[np.uint64(to)] = _byte(text, at)
            at += 1
            to += 1


@nb.njit(**UNCOUNTED)
def _hash(text, begin, end):  # type: ignore[no-untyped-def]
    """FNV-1a."""
    found = np.uint64(14_695_981_039_346_656_037)
    for k in range(begin, end):
        found = (found ^ np.uint64(_byte(text, k))) * np.uint64(1_099_511_628_211)
    return np.int64(found >> np.uint64(16))


@nb.njit(**UNCOUNTED)
def _same(text, known, begin, end):  # type: ignore[no-untyped-def]
    """Whether two ids are the same."""
    known_begin, known_end = known
    if known_end - known_begin != end - begin:
        return False
    while begin < end and _byte(text, known_begin) == _byte(text, begin):
        known_begin += 1
        begin += 1
    return begin == end


@nb.njit(**UNCOUNTED)
def _byte(text, at):  # type: ignore[no-untyped-def]
    """By an unsigned index: of a signed one Numba asks each time whether it counts from the end."""
    return text[np.uint64(at)]

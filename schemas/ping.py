"""A ping: one position fix of one device, as it travels on ``onsite.pings``."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from schemas.times import parse_epoch_ms

FUTURE_TOLERANCE_MS: Final = 60_000
"""How far a fix may lie ahead of the moment it was sent or received."""

OLDEST_TS_MS: Final = 946_684_800_000
"""2000-01-01: GPS receivers without a date report years before it."""

LATEST_MS: Final = 7_258_118_400_000
"""2200-01-01: a time beyond it was written in another unit."""

MAX_DEVICE_ID_CHARS: Final = 200

MAX_TEXT_CHARS: Final = 200
"""Of ``ping_id``, ``activity`` and ``source``."""

_MAX_DETAIL_CHARS: Final = 300


class PingError(ValueError):
    """A ping that is refused: ``code`` for counting, the message for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail[:_MAX_DETAIL_CHARS]}")
        self.code = code


class Ping(
    msgspec.Struct,
    omit_defaults=True,
    gc=False,
    rename={"ts_ms": "ts", "sent_ms": "sent_at", "received_ms": "received_at"},
):
    """One fix. Its identity is (device_id, ts_ms, lat, lon): sent again, it is the same ping.

    On ``onsite.pings`` times are integers of epoch milliseconds; other producers may write RFC 3339 (``read_ping``).
    """

    device_id: str
    ts_ms: int
    lat: float
    lon: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    bearing_deg: float | None = None
    altitude_m: float | None = None
    battery: float | None = None
    sent_ms: int | None = None
    ping_id: str | None = None
    activity: str | None = None
    source: str | None = None
    received_ms: int | None = None

    def identity(self) -> tuple[str, int, int, int]:
        """What makes two copies the same ping; positions at the stored resolution of 1e-7 degrees."""
        return self.device_id, self.ts_ms, round(self.lat * 1e7), round(self.lon * 1e7)


OPTIONAL_RANGES: Final[dict[str, tuple[float, float]]] = {
    "accuracy_m": (0.0, 1e6),
    "speed_mps": (0.0, 1e4),
    "bearing_deg": (0.0, 360.0),
    "altitude_m": (-1e5, 1e6),
    "battery": (0.0, 1.0),
    "sent_ms": (OLDEST_TS_MS, LATEST_MS),
    "received_ms": (OLDEST_TS_MS, LATEST_MS),
}
_RANGES: Final = tuple(OPTIONAL_RANGES.items())
_ranged: Final = attrgetter(*OPTIONAL_RANGES)
_TIMES: Final = ("ts", "sent_at", "received_at")
_OPTIONAL_TEXTS: Final = ("ping_id", "activity", "source")
TEXTS: Final = ("device_id", *_OPTIONAL_TEXTS)
"""The fields of a ping that are text, in their order."""


def read_ping(fields: object) -> Ping:
    """A ping from decoded JSON or a row of text.

    An optional field that is out of its range (``speed_mps`` -1, as iOS says "unknown") is left out; the fix is kept.
    Raises PingError when what makes a fix is missing or unreadable.
    """
    if not isinstance(fields, dict):
        raise PingError("not_an_object", f"a ping is a JSON object, not {type(fields).__name__}")
    values: dict[str, Any] = {key: value for key, value in fields.items() if value is not None and value != ""}
    for required in ("device_id", "ts", "lat", "lon"):
        if required not in values:
            raise PingError("missing_field", f"{required} is required")
    for name in _TIMES:
        if name in values:
            try:
                values[name] = parse_epoch_ms(values[name])
            except ValueError as error:
                raise PingError("bad_time", f"{name}: {error}") from error
    for name in OPTIONAL_RANGES:
        if isinstance(values.get(name), str):
            try:
                values[name] = float(values[name])
            except ValueError as error:
                raise PingError("bad_field", f"{name}: {values[name]!r} is not a number") from error
    try:
        ping = msgspec.convert(values, Ping, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter for half a surrogate pair as a number
        raise PingError("bad_field", str(error)) from error
    if not is_unicode(ping.device_id):
        raise PingError("bad_device_id", "device_id holds half a surrogate pair")
    leave_out_impossible(ping)
    return ping


def leave_out_impossible(ping: Ping) -> None:
    """Set optional fields that are out of their range, empty, too long or no Unicode to None, in place."""
    # A hot path: most fields are unstated, so look at all of them at once.
    for (name, (low, high)), value in zip(_RANGES, _ranged(ping), strict=True):
        if value is not None and not low <= value <= high:
            setattr(ping, name, None)
    if ping.ping_id is not None or ping.activity is not None or ping.source is not None:
        for name in _OPTIONAL_TEXTS:
            text = getattr(ping, name)
            if text is not None and not (0 < len(text) <= MAX_TEXT_CHARS and is_unicode(text)):
                setattr(ping, name, None)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can write it: JSON lets half a surrogate pair through."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_ping(ping: Ping, received_ms: int | None) -> None:
    """Refuse a fix that cannot be true: off the globe, at (0, 0), before 2000 or from the future.

    ``received_ms`` is the server's clock, None where there is none (a file). Raises PingError.
    """
    if not ping.device_id:
        raise PingError("missing_field", "device_id is required")
    if len(ping.device_id) > MAX_DEVICE_ID_CHARS:
        raise PingError("bad_device_id", f"device_id has more than {MAX_DEVICE_ID_CHARS} characters")
    if not -90.0 <= ping.lat <= 90.0:
        raise PingError("lat_out_of_range", f"{ping.lat} is not within -90..90")
    if not -180.0 <= ping.lon <= 180.0:
        raise PingError("lon_out_of_range", f"{ping.lon} is not within -180..180")
    if ping.lat == 0.0 and ping.lon == 0.0:
        raise PingError("null_island", "(0, 0) is what a receiver without a fix says")
    if ping.ts_ms < OLDEST_TS_MS:
        raise PingError("ts_too_old", "ts lies before the year 2000")
    if ping.ts_ms > LATEST_MS:
        raise PingError("ts_in_future", "ts lies beyond the year 2200")
    for moment_ms in (ping.sent_ms, received_ms):
        if moment_ms is not None and ping.ts_ms > moment_ms + FUTURE_TOLERANCE_MS:
            tolerance_s = FUTURE_TOLERANCE_MS // 1000
            said = f"ts lies more than {tolerance_s} s after it was sent or received"
            raise PingError("ts_in_future", said + _wrong_clock(ping.sent_ms, received_ms))


def _wrong_clock(sent_ms: int | None, received_ms: int | None) -> str:
    """A word on the likeliest cause: such a device has no live state that could show its clock."""
    if sent_ms is None or received_ms is None or sent_ms <= received_ms + FUTURE_TOLERANCE_MS:
        return ""
    return f"; by its sent_at the device's clock is {(sent_ms - received_ms) // 1000} s ahead"

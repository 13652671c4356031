"""Onsite's own JSON: one ping or an array of pings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from schemas.ping import Ping, PingError, check_ping, leave_out_impossible
from schemas.protocols.item import BodyError, Rejected, read_item
from schemas.times import parse_epoch_ms


class WirePing(
    msgspec.Struct,
    gc=False,
    omit_defaults=True,
    rename={"ts_ms": "ts", "sent_ms": "sent_at", "received_ms": "received_at"},
):
    """A ping as well-behaved clients write it; what this cannot hold is read the patient way, item by item."""

    device_id: str
    ts_ms: int | str
    lat: float
    lon: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    bearing_deg: float | None = None
    altitude_m: float | None = None
    battery: float | None = None
    sent_ms: int | str | None = None
    ping_id: str | None = None
    activity: str | None = None
    source: str | None = None
    received_ms: int | str | None = None


_decode = msgspec.json.Decoder(WirePing | list[WirePing]).decode


def read(body: bytes, _parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """Pings of one JSON object or an array of objects. Raises BodyError when the body is neither."""
    try:
        decoded = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_patiently(body, received_ms)
    pings = decoded if isinstance(decoded, list) else [decoded]
    return (read_wire_ping(index, ping, received_ms) for index, ping in enumerate(pings))


def read_wire_ping(index: int, wire: WirePing, received_ms: int | None) -> Ping | Rejected:
    """The ping of a well-typed item, by the same rules as ``read_item``."""
    sent = wire.sent_ms
    try:
        try:
            ts_ms = wire.ts_ms if type(wire.ts_ms) is int else parse_epoch_ms(wire.ts_ms)
            sent_ms = sent if sent is None or type(sent) is int else parse_epoch_ms(sent)
        except ValueError:
            return read_item(index, msgspec.to_builtins(wire), msgspec.json.encode(wire), received_ms)
        ping = Ping(
            wire.device_id,
            ts_ms,
            wire.lat,
            wire.lon,
            wire.accuracy_m,
            wire.speed_mps,
            wire.bearing_deg,
            wire.altitude_m,
            wire.battery,
            sent_ms,
            wire.ping_id,
            wire.activity,
            wire.source,
            received_ms,
        )
        leave_out_impossible(ping)
        check_ping(ping, received_ms)
    except PingError as error:
        return Rejected.because(error, index, msgspec.json.encode(wire), wire.device_id)
    return ping


def _read_patiently(body: bytes, received_ms: int | None) -> Iterator[Ping | Rejected]:
    value = decode(body)
    if not isinstance(value, list | dict):
        raise BodyError(f"a ping is a JSON object, not {type(value).__name__}")
    items = value if isinstance(value, list) else [value]
    return (read_item(index, item, _alone(item), received_ms) for index, item in enumerate(items))


def _alone(item: Any) -> bytes:
    """A body with this item alone."""
    return encode(item if isinstance(item, dict) else [item])


def decode(body: bytes) -> Any:
    """JSON as the world writes it: NaN, a byte order mark and numbers of any length are let through.

    Raises BodyError for what is not JSON.
    """
    try:
        return json.loads(body.removeprefix(b"\xef\xbb\xbf"), parse_int=_integer)
    except json.JSONDecodeError as error:
        raise BodyError(f"malformed JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise BodyError(f"malformed JSON: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise BodyError("malformed JSON: nested too deeply") from error


def encode(value: Any) -> bytes:
    """The JSON of what ``decode`` gave, NaN included."""
    return json.dumps(value, separators=(",", ":")).encode()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 40 else float(digits)

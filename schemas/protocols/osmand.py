"""What Traccar Client and OsmAnd post: one fix in the query or a form, or Traccar Client's JSON since its version 9."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from schemas.ping import Ping, PingError
from schemas.protocols.item import BodyError, Rejected, read_form, read_item, scaled
from schemas.protocols.json import decode, encode

_MPS_PER_KNOT: Final = 1852.0 / 3600.0
_SECONDS_UP_TO: Final = 2**31
"""A timestamp below it is in seconds, as both apps send it; above, in milliseconds."""
_NO_FIX: Final = ("false", "0")


def read(body: bytes, parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """The fix of a request, or those of a JSON body. Raises BodyError when there is neither."""
    if body.lstrip().startswith((b"{", b"[")):
        return _read_json(body, parameters, received_ms)
    values = {**parameters, **read_form(body)}
    if not values:
        raise BodyError("neither a query, nor a form, nor JSON: a fix is ?id=…&lat=…&lon=…&timestamp=…")
    return iter([_read_form(values, received_ms)])


def _read_form(values: Mapping[str, str], received_ms: int | None) -> Ping | Rejected:
    if not values.get("timestamp") and received_ms is not None:
        values = {**values, "timestamp": str(received_ms)}  # an app that names no time speaks of now
    raw = urlencode(values).encode()
    device_id = values.get("id") or values.get("deviceid") or values.get("device_id")
    if values.get("valid", "").lower() in _NO_FIX:
        return Rejected.because(
            PingError("no_fix", "the device says that its position is not valid"), 0, raw, device_id
        )
    lat, _, lon = values.get("location", "").partition(",")
    fields = {
        "device_id": device_id,
        "ts": _moment(values.get("timestamp")),
        "lat": values.get("lat") or lat,
        "lon": values.get("lon") or lon,
        "accuracy_m": values.get("accuracy"),
        "speed_mps": scaled(values.get("speed"), _MPS_PER_KNOT),
        "bearing_deg": values.get("bearing") or values.get("heading"),
        "altitude_m": values.get("altitude"),
        "battery": scaled(values.get("batt"), 0.01),
        "source": "osmand",
    }
    return read_item(0, fields, raw, received_ms)


def _moment(timestamp: str | None) -> object:
    """Seconds or milliseconds since 1970, or a time as text, in UTC where it says nothing else."""
    if not timestamp:
        return None
    if timestamp.isascii() and timestamp.isdigit():
        number = int(timestamp[:20])
        return number * 1000 if number < _SECONDS_UP_TO else number
    return f"{timestamp.replace(' ', 'T')}Z" if len(timestamp) == len("2026-03-02 08:15:00") else timestamp


def _read_json(body: bytes, parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    message = decode(body)
    if not isinstance(message, dict) or not isinstance(message.get("location"), dict | list):
        raise BodyError("a JSON body has a location: {timestamp, coords: {latitude, longitude, …}}")
    device_id = message.get("device_id") or parameters.get("id") or parameters.get("device_id")
    located = message["location"]
    locations = located if isinstance(located, list) else [located]
    return (_read_location(index, each, device_id, received_ms) for index, each in enumerate(locations))


def _read_location(index: int, location: Any, device_id: object, received_ms: int | None) -> Ping | Rejected:
    raw = encode({"device_id": device_id, "location": location})
    if not isinstance(location, dict) or not isinstance(location.get("coords"), dict):
        return Rejected.because(PingError("missing_field", "location.coords is required"), index, raw, device_id)
    coords = location["coords"]
    battery, activity = location.get("battery"), location.get("activity")
    fields = {
        "device_id": device_id,
        "ts": location.get("timestamp"),
        "lat": coords.get("latitude"),
        "lon": coords.get("longitude"),
        "accuracy_m": coords.get("accuracy"),
        "speed_mps": coords.get("speed"),
        "bearing_deg": coords.get("heading"),
        "altitude_m": coords.get("altitude"),
        "battery": battery.get("level") if isinstance(battery, dict) else None,
        "activity": activity.get("type") if isinstance(activity, dict) else None,
        "ping_id": location.get("uuid"),
        "source": "osmand",
    }
    return read_item(index, fields, raw, received_ms)

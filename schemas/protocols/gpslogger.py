"""What GPSLogger for Android sends to a custom URL: one fix in the query or a form, under names that its user types."""

from collections.abc import Iterator, Mapping
from typing import Final

from schemas.ping import Ping
from schemas.protocols.item import BodyError, Rejected, read_form, read_item, scaled
from schemas.protocols.json import decode, encode

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "device_id": ("device_id", "device", "ser"),
    "ts": ("time", "timestamp", "ts"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "longitude"),
    "accuracy_m": ("acc", "accuracy"),
    "speed_mps": ("spd", "speed"),
    "bearing_deg": ("dir", "direction", "bearing"),
    "altitude_m": ("alt", "altitude"),
    "battery": ("batt", "battery"),
    "activity": ("act", "activity"),
}
"""What a field may be called: as in the URL of docs/devices.md, and as other servers' instructions have it."""


def read(body: bytes, parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """The fix of a request: in its query, a form, or a JSON object. Raises BodyError when there is none."""
    told = decode(body) if body.lstrip().startswith(b"{") else read_form(body)
    values = {**parameters, **told}
    if not values:
        raise BodyError("neither a query nor a form: a fix is ?device_id=…&lat=%LAT&lon=%LON&time=%TIME")
    fields: dict[str, object] = {
        field: next((values[name] for name in names if values.get(name) not in (None, "")), None)
        for field, names in _NAMES.items()
    }
    seconds = str(fields["ts"])
    if seconds.isascii() and seconds.isdigit():
        fields["ts"] = int(seconds[:20]) * 1000  # %TIMESTAMP
    fields["battery"] = scaled(fields["battery"], 0.01)
    fields["source"] = "gpslogger"
    return iter([read_item(0, fields, encode(values), received_ms)])

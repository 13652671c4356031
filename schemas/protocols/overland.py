"""What Overland posts: batches of GeoJSON points with the phone's own words about each."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.ping import Ping, PingError
from schemas.protocols.item import BodyError, Rejected, read_item
from schemas.protocols.json import decode, encode


def read(body: bytes, parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """The points of a batch. What it tells of trips, and of where the phone is in between, is no fix of its own.

    The device is that of each point, else ``parameters["device_id"]``. Raises BodyError when there are no locations.
    """
    batch = decode(body)
    if not isinstance(batch, dict) or not isinstance(batch.get("locations"), list):
        raise BodyError("an Overland batch is a JSON object with a list of locations")
    points = [each for each in batch["locations"] if not _is_trip(each)]
    return (_read_point(index, each, parameters, received_ms) for index, each in enumerate(points))


def _is_trip(feature: Any) -> bool:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return isinstance(properties, dict) and properties.get("type") == "trip"


def _read_point(index: int, feature: Any, parameters: Mapping[str, str], received_ms: int | None) -> Ping | Rejected:
    raw = encode({"locations": [feature]})
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(coordinates, list) or len(coordinates) < 2 or not isinstance(properties, dict):
        error = PingError("not_a_point", "a location is a GeoJSON point with properties")
        return Rejected.because(error, index, raw, parameters.get("device_id", ""))
    fields = {
        "device_id": properties.get("device_id") or parameters.get("device_id"),
        "ts": properties.get("timestamp"),
        "lat": coordinates[1],
        "lon": coordinates[0],
        "accuracy_m": properties.get("horizontal_accuracy"),
        "speed_mps": properties.get("speed"),
        "bearing_deg": properties.get("course"),
        "altitude_m": properties.get("altitude"),
        "battery": properties.get("battery_level"),
        "activity": _motion(properties.get("motion")),
        "ping_id": properties.get("unique_id"),
        "source": "overland",
    }
    return read_item(index, fields, raw, received_ms)


def _motion(motion: Any) -> str | None:
    """How the phone thinks that it moves: all that it names, as one word."""
    return "+".join(map(str, motion)) if isinstance(motion, list) and motion else None

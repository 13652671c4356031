"""What OwnTracks posts in its HTTP mode: one JSON message a request, of which some say where the device is."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.ping import Ping, PingError
from schemas.protocols.item import BodyError, Rejected, read_item, scaled
from schemas.protocols.json import decode, encode

_WHERE_IT_IS: Final = ("location", "transition")
"""A waypoint is a place that somebody marked; cards, steps, status and last wills hold no fix."""
_MPS_PER_KMH: Final = 1.0 / 3.6


def read(body: bytes, parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """The fix of a location or transition; nothing of other messages, nor of an empty one (a friend was removed).

    The device is ``parameters["device_id"]``, else the user and device of the headers ``X-Limit-U`` and ``X-Limit-D``
    that the apps send, else those of the topic, else the tracker id. Raises BodyError for what is no message.
    """
    if not body.strip():
        return iter(())
    message = decode(body)
    if not isinstance(message, dict) or not isinstance(message.get("_type"), str):
        raise BodyError("an OwnTracks message is a JSON object with a _type")
    device_id = _device_of(message, parameters)
    if message["_type"] == "encrypted":
        error = PingError("encrypted", "encrypted messages cannot be read: switch the encryption key off and use HTTPS")
        return iter([Rejected.because(error, 0, body, device_id)])
    if message["_type"] not in _WHERE_IT_IS:
        return iter(())
    fields = {
        "device_id": device_id,
        "ts": _epoch_ms(message.get("tst")),
        "lat": message.get("lat"),
        "lon": message.get("lon"),
        "accuracy_m": message.get("acc"),
        "speed_mps": scaled(message.get("vel"), _MPS_PER_KMH),
        "bearing_deg": message.get("cog"),
        "altitude_m": message.get("alt"),
        "battery": scaled(message.get("batt"), 0.01),
        "ping_id": message.get("_id"),
        "source": "owntracks",
    }
    return iter([read_item(0, fields, encode(message), received_ms)])


def _epoch_ms(tst: Any) -> Any:
    """``tst`` is in seconds."""
    return tst * 1000 if isinstance(tst, int) and not isinstance(tst, bool) else tst


def _device_of(message: Mapping[str, Any], parameters: Mapping[str, str]) -> object:
    if parameters.get("device_id"):
        return parameters["device_id"]
    named = [name for name in (parameters.get("x-limit-u"), parameters.get("x-limit-d")) if name]
    topic = message.get("topic")
    if not named and isinstance(topic, str):
        named = topic.split("/")[1:3]
    return "-".join(named) or message.get("tid")

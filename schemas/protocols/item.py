"""One item of a body: a ping, or why not."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from schemas.ping import MAX_DEVICE_ID_CHARS, Ping, PingError, check_ping, is_unicode, read_ping


class BodyError(ValueError):
    """A body that is not of its format at all."""


@dataclass(frozen=True)
class Rejected:
    """The item at ``index`` (from 0) was refused: ``code`` for counting, ``reason`` for people, ``raw`` what came.

    ``device_id`` is empty where it could not be read. ``raw`` is a body of the protocol with this item alone, so that
    it can be sent again; of what stood beside the body only ``device_id`` may be needed, as a parameter.
    """

    index: int
    code: str
    reason: str
    raw: bytes
    device_id: str = ""

    @classmethod
    def because(cls, error: PingError, index: int, raw: bytes, device_id: object = "") -> "Rejected":
        """The rejection that an error stands for."""
        nameable = isinstance(device_id, str) and len(device_id) <= MAX_DEVICE_ID_CHARS and is_unicode(device_id)
        return cls(index, error.code, str(error), raw, str(device_id) if nameable else "")


def read_form(body: bytes) -> dict[str, str]:
    """The fields of an HTML form, none where there is no body. Raises BodyError where it is not UTF-8."""
    try:
        return dict(parse_qsl(body.strip().decode(), keep_blank_values=True))
    except UnicodeDecodeError as error:
        raise BodyError(f"the form is not UTF-8 at byte {error.start}") from error


def scaled(value: object, factor: float) -> object:
    """A number of another unit, as text too, in Onsite's; what is no number stays for ``read_item`` to refuse."""
    try:
        return None if value is None or value == "" else float(value) * factor  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value


def read_item(index: int, fields: object, raw: bytes, received_ms: int | None) -> Ping | Rejected:
    """The ping of one item's decoded fields, checked, and stamped with the moment of receipt where there is one."""
    try:
        ping = read_ping(fields)
        check_ping(ping, received_ms)
    except PingError as error:
        return Rejected.because(error, index, raw, fields.get("device_id") if isinstance(fields, dict) else "")
    if received_ms is not None:
        ping.received_ms = received_ms
    return ping

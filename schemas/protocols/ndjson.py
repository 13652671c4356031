"""Newline-delimited JSON: one ping a line."""

from collections.abc import Iterator, Mapping

import msgspec

from schemas.ping import Ping, PingError
from schemas.protocols.item import BodyError, Rejected, read_item
from schemas.protocols.json import WirePing, decode, read_wire_ping

_decoder = msgspec.json.Decoder(WirePing)


def read(body: bytes, _parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """Pings of the non-empty lines, counted from 0; a torn line only loses itself.

    Raises BodyError when there are lines and none of them is JSON.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        pings = _decoder.decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_line_by_line(body, received_ms)
    return (read_wire_ping(index, ping, received_ms) for index, ping in enumerate(pings))


def _read_line_by_line(body: bytes, received_ms: int | None) -> Iterator[Ping | Rejected]:
    items = [
        _read_line(index, line, received_ms)
        for index, line in enumerate(line for line in body.split(b"\n") if line.strip())
    ]
    torn = [item for item in items if isinstance(item, Rejected) and item.code == "malformed_json"]
    if items and len(torn) == len(items):
        raise BodyError(f"no line is JSON; the first: {torn[0].reason}")
    return iter(items)


def _read_line(index: int, line: bytes, received_ms: int | None) -> Ping | Rejected:
    try:
        return read_wire_ping(index, _decoder.decode(line), received_ms)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # what is not well typed is read patiently
    try:
        return read_item(index, decode(line), line, received_ms)
    except BodyError as error:
        return Rejected.because(PingError("malformed_json", str(error)), index, line)

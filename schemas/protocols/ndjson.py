"""Newline-delimited JSON: one ping a line."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from schemas.ping import Ping, PingError
from schemas.protocols.item import BodyError, Rejected, read_item
from schemas.protocols.json import WirePing, decode, read_wire_ping

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
TORN: Final = "malformed_json"
"""The code of a line that is not JSON."""

_MOST_TORN: Final = 10_000
_LINE_END: Final = ord("\n")
_decoder = msgspec.json.Decoder(WirePing)


def read(body: bytes, _parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """Pings of the non-empty lines, counted from 0; a torn line only loses itself.

    Raises BodyError when there are lines and none of them is JSON, or none of the first ten thousand.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    pings = plain_lines(body)
    if pings is not None:
        return (read_wire_ping(index, ping, received_ms) for index, ping in enumerate(pings))
    return _unless_all_are_torn(read_lines(body, received_ms))


def plain_lines(lines: bytes) -> list[WirePing] | None:
    """The pings of lines that are all well typed, one a line; None where they need ``read_lines``."""
    try:
        pings = _decoder.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # The decoder takes a value that spans several lines; what a line is must not depend on its neighbours.
    return pings if len(pings) == _count_lines(lines) else None


def read_lines(lines: bytes, received_ms: int | None, first_index: int = 0) -> Iterator[Ping | Rejected]:
    """Pings of the non-empty lines, one by one."""
    index = first_index
    for line in lines.split(b"\n"):
        if line.strip():
            yield _read_line(index, line, received_ms)
            index += 1


def _count_lines(lines: bytes) -> int:
    ends = int(np.count_nonzero(np.frombuffer(lines, np.uint8) == _LINE_END))  # a fraction of bytes.count's time
    return ends + (not lines.endswith(b"\n"))


def no_json(first_torn: Rejected) -> BodyError:
    """The error of a body in which every line is torn."""
    return BodyError(f"no line is JSON; the first: {first_torn.reason}")


def _unless_all_are_torn(items: Iterator[Ping | Rejected]) -> Iterator[Ping | Rejected]:
    """The items, read no further than they are asked for."""
    torn: list[Rejected] = []
    for item in items:
        if isinstance(item, Rejected) and item.code == TORN:
            torn.append(item)
            if len(torn) == _MOST_TORN:
                break
        else:
            yield from torn
            yield item
            yield from items
            return
    if torn:
        raise no_json(torn[0])


def _read_line(index: int, line: bytes, received_ms: int | None) -> Ping | Rejected:
    try:
        return read_wire_ping(index, _decoder.decode(line), received_ms)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # what is not well typed is read patiently
    try:
        return read_item(index, decode(line), line, received_ms)
    except BodyError as error:
        return Rejected.because(PingError(TORN, str(error)), index, line)

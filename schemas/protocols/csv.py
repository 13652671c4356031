"""Comma-separated values: the names of a ping's fields as columns, one ping a line."""

import csv
from collections.abc import Iterator, Mapping

from schemas.ping import Ping, PingError
from schemas.protocols.item import BodyError, Rejected, read_item

_REQUIRED = ("device_id", "ts", "lat", "lon")


def read(body: bytes, _parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """Pings of the non-empty lines after the header, counted from 0. Columns of other names are ignored.

    A ping's fields hold no line breaks, so lines are read one by one and a stray quote only loses its line.
    Raises BodyError when there is no header with the required columns.
    """
    lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if not lines:
        raise BodyError("an empty CSV: the first line names the columns")
    try:
        header = [name.strip() for name in _cells(lines[0])]
    except PingError as error:
        raise BodyError(f"the CSV's header is unreadable: {error}") from error
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise BodyError(f"the CSV's header lacks {', '.join(missing)}")
    above = lines[0] + b"\n"
    return (_read_line(index, header, line, above + line, received_ms) for index, line in enumerate(lines[1:]))


def _read_line(index: int, header: list[str], line: bytes, raw: bytes, received_ms: int | None) -> Ping | Rejected:
    try:
        cells = _cells(line)
    except PingError as error:
        return Rejected.because(error, index, raw)
    if len(cells) != len(header):
        ragged = PingError("malformed_csv", f"{len(cells)} cells under {len(header)} columns")
        return Rejected.because(ragged, index, raw)
    fields = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    return read_item(index, fields, raw, received_ms)


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode().rstrip("\r")], strict=True))
    except UnicodeDecodeError as error:
        raise PingError("malformed_csv", f"not UTF-8 at byte {error.start}") from error
    except csv.Error as error:
        raise PingError("malformed_csv", str(error)) from error

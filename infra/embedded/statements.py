"""What the HTTP face must know of a statement before the engine sees it: its kind, its formats, its errors."""

import re
from dataclasses import dataclass
from typing import Final

_COMMENTS: Final = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_NAME: Final = r"(?:`[^`]+`|\"[^\"]+\"|[\w$]+)"
_INSERT: Final = re.compile(
    rf"{_COMMENTS}INSERT\s+INTO\s+(?:TABLE\s+)?{_NAME}(?:\s*\.\s*{_NAME})?"
    r"\s*(?:\((?:[^()`\"]|`[^`]*`|\"[^\"]*\")*\))?"  # columns
    r"(?:\s+SETTINGS\s+[^()\n]*?)?"
    r"\s*\bFORMAT\s+(?P<format>\w+)[ \t\f]*;?[ \t\f]*\r?\n?",
    re.IGNORECASE | re.DOTALL,
)
_READS: Final = re.compile(rf"{_COMMENTS}\(*\s*(?:SELECT|WITH)\b", re.IGNORECASE | re.DOTALL)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(?P<format>\w+)\s*(?:SETTINGS\s[^()']*)?;?\s*$", re.IGNORECASE)
_ERROR: Final = re.compile(r"Code: (?P<code>\d+)\. DB::Exception: .*", re.DOTALL)

STREAMABLE: Final = frozenset(
    {"Native", "RowBinary", "TabSeparated", "TSV", "CSV", "JSONEachRow", "JSONCompactEachRow", "Null"}
)
"""Output formats whose blocks, one after the other, are the whole: no header, no footer, no schema."""

VALUES: Final = "Values"  # written as SQL text; the engine's own parser takes it

_STATUS: Final = {
    **dict.fromkeys((46, 47, 50, 56, 60, 73, 81, 113, 115, 218), 404),  # unknown function, table, database, setting …
    **dict.fromkeys((6, 26, 27, 32, 36, 38, 41, 43, 44, 53, 57, 62, 69, 70, 72, 82, 117, 130, 131, 456, 457, 691), 400),
    **dict.fromkeys((164, 291, 497), 403),  # READONLY, DATABASE_ACCESS_DENIED, ACCESS_DENIED
    **dict.fromkeys((192, 193, 194, 516), 401),
    48: 501,  # NOT_IMPLEMENTED
    159: 408,  # TIMEOUT_EXCEEDED
    202: 503,  # TOO_MANY_SIMULTANEOUS_QUERIES
    241: 500,  # MEMORY_LIMIT_EXCEEDED
}
"""HTTP status of ClickHouse's error codes, as its own HTTP handler maps them; others are 500."""


@dataclass(frozen=True)
class Insert:
    """``INSERT INTO … FORMAT x`` whose rows follow as bytes."""

    statement: str
    format: str
    data_from: int
    """Where the rows begin: so many bytes into what was read."""


class StoreError(Exception):
    """ClickHouse's error: its number and its text ``Code: N. DB::Exception: …``."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status it goes out with."""
        return _STATUS.get(self.code, 500)


def read_insert(head: bytes) -> Insert | None:
    """An insert with its rows in a format of bytes, else None (``VALUES``, ``INSERT … SELECT``, other statements).

    ``head`` may run on into the rows.
    """
    match = _INSERT.match(head.decode("latin-1"))  # byte for byte: the rows need not be text
    if match is None or match["format"].lower() == VALUES.lower():
        return None
    statement = head[: match.start("format")].rstrip()[: -len("FORMAT")].rstrip()
    return Insert(statement.decode(errors="replace"), match["format"], match.end())


def reads_rows(text: str) -> bool:
    """Is it a SELECT, whose rows can be streamed?"""
    return _READS.match(text) is not None


def output_format(text: str, default: str) -> str:
    """The format a statement asks for at its end, else ``default``."""
    match = _FORMAT.search(text)
    return match["format"] if match else default


def read_error(message: str, version: str) -> StoreError:
    """The engine's message as ClickHouse's HTTP interface words it."""
    match = _ERROR.search(message)
    if match is None:
        return StoreError(1002, f"Code: 1002. DB::Exception: {message} (UNKNOWN_EXCEPTION) (version {version})")
    text = match[0].rstrip()
    if "(version " not in text:
        text = f"{text} (version {version})"
    return StoreError(int(match["code"]), text)

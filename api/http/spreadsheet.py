"""Text in CSV that a spreadsheet would take for a formula is told as text: an apostrophe goes before it."""

import re
from typing import Final

_BEGINS_FORMULA: Final = re.compile(r"[=+\-@\t\r]")


def guarded(text: str) -> str:
    """As it is safe in a cell."""
    return f"'{text}" if _BEGINS_FORMULA.match(text) else text


def guarded_sql(column: str) -> str:
    """The same in ClickHouse, of a column of text."""
    return rf"if(match(ifNull({column}, ''), '^[=+\\-@\\t\\r]'), concat('\'', {column}), {column})"

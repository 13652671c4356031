"""Query parameters that several routes share."""

from typing import Annotated, Final

from fastapi import Header, Query
from pydantic import BeforeValidator, WithJsonSchema

from api.http.answers import read_cursor
from api.http.problems import Problem
from schemas.ping import LATEST_MS
from schemas.times import parse_epoch_ms

MAX_PAGE: Final = 1_000


def _moment(value: object) -> int:
    # A "+" that was not escaped arrives as a space.
    moment = parse_epoch_ms(value.strip().replace(" ", "+") if isinstance(value, str) else value)
    return min(max(moment, 0), LATEST_MS)


Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339, or epoch milliseconds."""

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="how many at most")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]
From = Annotated[Moment | None, Query(alias="from", description="RFC 3339 or epoch milliseconds, inclusive")]
To = Annotated[Moment | None, Query(alias="to", description="RFC 3339 or epoch milliseconds, exclusive")]

MAX_KEY_CHARS: Final = 255
KEY_DESCRIPTION: Final = "sent again under the same key, it is done once and answered alike"
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=MAX_KEY_CHARS, description=KEY_DESCRIPTION)]


def read_key(key: str | None) -> str | None:
    """An Idempotency-Key of a route that reads it itself, None where there is none; Problem 400."""
    if key is not None and not 0 < len(key) <= MAX_KEY_CHARS:
        raise Problem(400, "invalid_request", f"Idempotency-Key: text of 1 to {MAX_KEY_CHARS} characters")
    return key


def cursor_key(cursor: str | None) -> str:
    """The key a page of a read model follows; Problem 400 for a cursor that is none."""
    try:
        return "" if cursor is None else read_cursor(cursor, str)
    except ValueError as error:
        raise Problem(400, "invalid_request", f"cursor: {error}") from error

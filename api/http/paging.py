"""Pages of records that are ordered by a moment, then by an id."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec

from api.http.answers import Page, read_cursor, write_cursor
from api.http.problems import Problem
from schemas.ping import LATEST_MS

T = TypeVar("T")


class _Place(msgspec.Struct, array_like=True):
    """Where a page ended."""

    moment_ms: Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
    record_id: str


def place_after(cursor: str | None) -> tuple[int, str] | None:
    """The moment and the id after which a page begins; raises Problem 400 for a cursor that is none."""
    if cursor is None:
        return None
    try:
        place = read_cursor(cursor, _Place)
    except ValueError as error:
        raise Problem(400, "invalid_request", f"cursor: {error}") from error
    return place.moment_ms, place.record_id


def page_of(found: Sequence[T], limit: int, place_of: Callable[[T], tuple[int, str]]) -> Page[T]:
    """The page of what was found: one record more than ``limit`` tells that there is a next page."""
    following = write_cursor(_Place(*place_of(found[limit - 1]))) if len(found) > limit else None
    return Page(list(found[:limit]), following)

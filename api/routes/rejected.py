"""What was refused, for whoever has to find out why."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query

from api import examples
from api.answers import JSONAnswer, Page, read_cursor, write_cursor
from api.auth import allow
from api.parameters import Cursor, From, Limit, To
from api.ports import RejectedQuery
from api.problems import Problem
from api.services import Reach
from schemas.ping import LATEST_MS

router = APIRouter(tags=["pings"], dependencies=[Depends(allow("rejected:read"))])


class _Place(msgspec.Struct, array_like=True):
    """Where a page ended."""

    received_ms: Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
    content_id: str


@router.get(
    "/v1/rejected",
    summary="List refused pings",
    responses=examples.answers(200, "Some of them, the newest first", "RejectedPage", examples.REJECTED_PAGE, 400, 503),
)
async def list_rejected(
    services: Reach,
    device_id: Annotated[str | None, Query(description="of this device")] = None,
    code: Annotated[str | None, Query(description="refused for this reason: `ts_in_future`, `null_island`, …")] = None,
    from_ms: From = None,
    to_ms: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Pings that were refused, received in [from, to), the newest first, with the reason and what came.

    `raw` is a body of its protocol with this item alone: `onsite replay --rejected` posts it again. What is refused
    now is listed within a second or two.
    """
    try:
        after = None if cursor is None else read_cursor(cursor, _Place)
    except ValueError as error:
        raise Problem(400, "invalid_request", f"cursor: {error}") from error
    page_after = None if after is None else (after.received_ms, after.content_id)
    # One more than asked for tells whether there is a next page.
    found = await services.history.rejected(RejectedQuery(limit + 1, device_id, code, from_ms, to_ms, page_after))
    last = found[limit - 1] if len(found) > limit else None
    following = None if last is None else write_cursor(_Place(int(last.received_at), last.content_id()))
    return JSONAnswer(Page(found[:limit], following))

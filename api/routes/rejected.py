"""What was refused, for whoever has to find out why."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, From, Limit, To
from api.ports import RejectedQuery
from api.services import Reach

router = APIRouter(tags=["pings"])


@router.get(
    "/v1/rejected",
    summary="List refused pings",
    responses=examples.answers(
        200, "Some of them, the newest first", "RejectedPage", examples.pings.REJECTED_PAGE, 400, 503
    ),
)
async def list_rejected(
    services: Reach,
    scope: Annotated[Scope, Depends(scoped("rejected:read"))],
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
    query = RejectedQuery(limit + 1, device_id, code, from_ms, to_ms, place_after(cursor), scope.branches_seen())
    found = await services.history.rejected(query)
    return JSONAnswer(page_of(found, limit, lambda record: (int(record.received_at), record.content_id())))

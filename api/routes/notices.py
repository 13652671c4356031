"""Notices: who was told what of a job, or why not. They are read only."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, NoticeAnswer
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, From, Limit, To
from api.ports import NoticeQuery
from api.services import Reach
from schemas.notice import Audience, NoticeKind, NoticeStatus

router = APIRouter(tags=["notices"])


@router.get(
    "/v1/notifications",
    summary="List notices",
    responses=examples.answers(200, "Some of them, the newest first", "NoticePage", examples.notices.NOTICES, 400, 503),
)
async def list_notices(
    services: Reach,
    scope: Annotated[Scope, Depends(scoped("notices:read"))],
    job: Annotated[str | None, Query(description="of this job")] = None,
    status: Annotated[NoticeStatus | None, Query(description="`suppressed`: `reason` says why")] = None,
    audience: Annotated[Audience | None, Query(description="to whom")] = None,
    kind: Annotated[NoticeKind | None, Query(description="of what")] = None,
    recipient: Annotated[str | None, Query(description="to this customer or technician")] = None,
    from_ms: From = None,
    to_ms: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Those made in [from, to), of jobs of branches that the asker sees. What changes now is listed within a second or
    two.
    """
    query = NoticeQuery(
        limit + 1,
        job,
        status,
        audience,
        kind,
        recipient,
        from_ms,
        to_ms,
        place_after(cursor),
        scope.branches_seen(),
    )
    found = [NoticeAnswer(**msgspec.structs.asdict(each)) for each in await services.history.notices(query)]
    return JSONAnswer(page_of(found, limit, lambda each: (int(each.created_at), each.notice_id)))

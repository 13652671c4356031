"""What was written, by whom. It is read only."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, From, Limit, To
from api.ports import AuditQuery
from api.services import Reach

router = APIRouter(tags=["audit"])


@router.get(
    "/v1/audit",
    summary="List what was written",
    responses=examples.answers(200, "Some of it, the newest first", "AuditPage", examples.system.AUDIT_PAGE, 400, 503),
)
async def list_audit(
    services: Reach,
    scope: Annotated[Scope, Depends(scoped("audit:read"))],
    kind: Annotated[str | None, Query(description="of this kind: `fence`, `technician`, `key`, …")] = None,
    thing_id: Annotated[str | None, Query(alias="id", description="what has this id")] = None,
    actor: Annotated[
        str | None, Query(description="by this key's id, account, token's subject or user of the machine")
    ] = None,
    from_ms: From = None,
    to_ms: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Writes in [from, to), the newest first: who, what, and what it was before and after; no secret is in it.

    What is written now is listed within a second or two.
    """
    query = AuditQuery(limit + 1, kind, thing_id, actor, from_ms, to_ms, place_after(cursor), scope.branches_seen())
    found = await services.history.audit(query)
    return JSONAnswer(page_of(found, limit, lambda record: (int(record.at), record.audit_id)))

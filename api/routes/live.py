"""The live feed over WebSocket: a snapshot, then what changes. docs/live.md describes it for clients."""

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.auth import Principal, authorize, is_still_good
from api.auth.scoped import scope_of
from api.http.problems import Problem, unavailable
from api.live.bounding_box import BoundingBox, read_bounding_box
from api.live.feed import Subscription
from api.services import Services, services_of

router = APIRouter()

SUBPROTOCOL: Final = "onsite.live"
GOING_AWAY: Final = 1001
NOT_ALLOWED: Final = 1008


@router.websocket("/v1/live")
async def live(websocket: WebSocket, bbox: str | None = None, branch: str | None = None) -> None:
    """Live states, visits, jobs and ETAs: all, or those between west,south,east,north, or of a branch."""
    services = services_of(websocket)
    principal = await authorize(websocket, "devices:read", "visits:read")
    box = _box_of(bbox)
    scope = scope_of(principal, services).narrowed(branch)
    if not services.feed.is_ready:
        raise unavailable("what there is to tell is still being read")
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
    try:
        with services.metrics.live_readers.track_inprogress(), services.feed.subscribe(box, scope) as subscription:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until_gone(websocket))
                await _tell(websocket, subscription, services, principal)
    except* WebSocketDisconnect:
        pass


async def _tell(websocket: WebSocket, subscription: Subscription, services: Services, principal: Principal) -> None:
    message: bytes | None = await subscription.snapshot()
    while message is not None:
        if not is_still_good(principal, services):
            over = "the key was revoked" if principal.way == "key" else "the session is over"
            await websocket.close(NOT_ALLOWED, over)
            return
        await websocket.send_text(message.decode())
        services.metrics.live_messages.inc()
        message = await subscription.changes()
    await websocket.close(GOING_AWAY, subscription.over)


async def _until_gone(websocket: WebSocket) -> None:
    """What a reader says is not listened to; raises WebSocketDisconnect."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))


def _box_of(bbox: str | None) -> BoundingBox | None:
    try:
        return None if bbox is None else read_bounding_box(bbox)
    except ValueError as error:
        raise Problem(400, "invalid_request", str(error)) from error

"""Webhooks: which systems are told of which events, how that goes, and telling them again."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api import examples
from api.audit import put_on_record
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, Page, ReplayAnswer, WebhookAnswer, write_cursor
from api.http.body import read_body, read_json
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, Limit, cursor_key
from api.http.preconditions import IfChanged, IfMatch, is_known, require_match
from api.http.problems import Problem, unavailable
from api.ports import DeliveryQuery, EventQuery
from api.read_back import Audit, append_and_read_back
from api.read_model import page_of as page_by_id
from api.services import Reach, Services
from api.webhooks import (
    MAX_REPLAYED,
    branches_within,
    created,
    etag_of,
    patched,
    read_order,
    read_plan,
    removed,
    rotated,
)
from dispatch.events import test_event
from schemas import wire
from schemas.audit import Change
from schemas.topics import WEBHOOK_REPLAYS, WEBHOOKS
from schemas.webhook import Outcome, Replay, WebhookRecord, public_of, stated_of

router = APIRouter(tags=["webhooks"])

_WRITE_ERRORS: Final = (400, 413, 415, 503)
_APPEND_AT_ONCE: Final = 500

Reader = Annotated[Scope, Depends(scoped("webhooks:read"))]
Writer = Annotated[Scope, Depends(scoped("webhooks:write"))]
WebhookId = Annotated[str, Path(description="the webhook's id")]


@router.get(
    "/v1/webhooks",
    summary="List webhooks",
    responses=examples.answers(
        200,
        "Some of them, by id",
        "WebhookPage",
        {"items": [examples.webhooks.WEBHOOK], "next_cursor": "IjVmMWMyYTliZTA3ZDQ0MTAi"},
        400,
        503,
    ),
)
async def list_webhooks(services: Reach, scope: Reader, limit: Limit = 100, cursor: Cursor = None) -> JSONAnswer:
    """Those of branches that the asker sees. No secret is shown."""
    standing = {
        key: record
        for key, record in _webhooks(services).items()
        if record.removed_at is None and scope.sees(record.branch)
    }
    found, last = page_by_id(standing, cursor_key(cursor), limit)
    return JSONAnswer(Page([public_of(each) for each in found], None if last is None else write_cursor(last)))


@router.post(
    "/v1/webhooks",
    status_code=201,
    summary="Add a webhook",
    openapi_extra=examples.body("NewWebhook", examples.webhooks.NEW_WEBHOOK),
    responses=examples.answers(
        201, "It is there now", "WebhookAnswer", examples.webhooks.WEBHOOK_ANSWER, *_WRITE_ERRORS
    ),
)
async def add_webhook(request: Request, services: Reach, scope: Writer) -> JSONAnswer:
    """Its secret is shown in this answer alone. Told is what happens from a second later on, or what is replayed."""
    content = read_json(await read_body(request, services.settings.max_body_bytes))
    plan = read_plan(content, allow_private=services.settings.webhook_private_addresses)
    async with services.register_edits:
        _webhooks(services)
        _require_branch(plan.branch, scope)
        record = created(plan, services.clock.now_ms())
        await _write(services, scope, "created", None, record)
    return _answer_with_secret(record, 201)


@router.get(
    "/v1/webhooks/{webhook_id}",
    summary="One webhook",
    responses=examples.answers(200, "As it is now", "Webhook", examples.webhooks.WEBHOOK, 404, 503),
)
async def get_webhook(
    services: Reach, scope: Reader, webhook_id: WebhookId, if_none_match: IfChanged = None
) -> Response:
    """With an ETag, without its secret."""
    record = _standing(services, scope, webhook_id)
    if is_known(etag_of(record), if_none_match):
        return Response(status_code=304, headers={"ETag": etag_of(record)})
    return _answer(record)


@router.patch(
    "/v1/webhooks/{webhook_id}",
    summary="Change a webhook",
    openapi_extra=examples.body("WebhookPatch", {"active": True}, "application/merge-patch+json", "application/json"),
    responses=examples.answers(200, "As it is now", "Webhook", examples.webhooks.WEBHOOK, 404, 412, *_WRITE_ERRORS),
)
async def patch_webhook(
    request: Request, services: Reach, scope: Writer, webhook_id: WebhookId, if_match: IfMatch = None
) -> JSONAnswer:
    """By a JSON merge patch (RFC 7396): what is not named stays, null takes away."""
    patch = read_json(await read_body(request, services.settings.max_body_bytes))
    async with services.register_edits:
        before = _standing(services, scope, webhook_id)
        require_match("the webhook", etag_of(before), if_match)
        allow_private = services.settings.webhook_private_addresses
        after = patched(before, patch, services.clock.now_ms(), allow_private=allow_private)
        if after is not before:
            _require_branch(after.branch, scope)
            await _write(services, scope, "edited", before, after)
    return _answer(after)


@router.delete(
    "/v1/webhooks/{webhook_id}",
    status_code=204,
    summary="Remove a webhook",
    responses=examples.answers(204, "It is told nothing more", None, None, 404, 412, 503),
)
async def remove_webhook(services: Reach, scope: Writer, webhook_id: WebhookId, if_match: IfMatch = None) -> Response:
    """What waits for it is not delivered."""
    async with services.register_edits:
        before = _standing(services, scope, webhook_id)
        require_match("the webhook", etag_of(before), if_match)
        await _write(services, scope, "removed", before, removed(before, services.clock.now_ms()))
    return Response(status_code=204)


@router.post(
    "/v1/webhooks/{webhook_id}/secret",
    summary="Give a webhook a new secret",
    responses=examples.answers(
        200, "The new secret, shown this once", "WebhookAnswer", examples.webhooks.WEBHOOK_ANSWER, 404, 503
    ),
)
async def rotate_secret(services: Reach, scope: Writer, webhook_id: WebhookId) -> JSONAnswer:
    """For a day requests are signed with the secret before as well."""
    async with services.register_edits:
        before = _standing(services, scope, webhook_id)
        after = rotated(before, services.clock.now_ms())
        await _write(services, scope, "secret_rotated", before, after)
    return _answer_with_secret(after, 200)


@router.post(
    "/v1/webhooks/{webhook_id}/test",
    summary="Try a webhook out",
    responses=examples.answers(200, "What came back", "Attempted", examples.webhooks.ATTEMPTED, 404, 503),
)
async def try_webhook(services: Reach, scope: Writer, webhook_id: WebhookId) -> JSONAnswer:
    """Sends an event `webhook.test` at once, and once; an inactive webhook is tried as well."""
    record = _standing(services, scope, webhook_id)
    event = test_event(webhook_id, record.branch, secrets.token_hex(8), services.clock.now_ms())
    await _put_on_record(services, scope, "tested", record, {"event_id": event.id})
    return JSONAnswer(await services.sender.send(record.url, record.signing, event))


@router.get(
    "/v1/webhooks/{webhook_id}/deliveries",
    summary="How deliveries stand",
    responses=examples.answers(
        200, "Some of them, the newest first", "DeliveryPage", examples.webhooks.DELIVERIES, 400, 404, 503
    ),
)
async def list_deliveries(
    services: Reach,
    scope: Reader,
    webhook_id: WebhookId,
    status: Annotated[Outcome | None, Query(description="`failed`: the dead letters")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Of each event the newest attempt. What is attempted now is listed within a second or two."""
    _standing(services, scope, webhook_id)
    query = DeliveryQuery(limit + 1, webhook_id, status, place_after(cursor))
    found = await services.history.deliveries(query)
    return JSONAnswer(page_of(found, limit, lambda each: (int(each.at), each.event_id)))


@router.post(
    "/v1/webhooks/{webhook_id}/replay",
    status_code=202,
    summary="Tell a webhook again",
    openapi_extra=examples.body("ReplayOrder", examples.webhooks.REPLAY),
    responses=examples.answers(202, "They are on their way", "ReplayAnswer", {"events": 214}, 404, *_WRITE_ERRORS),
)
async def replay_events(request: Request, services: Reach, scope: Writer, webhook_id: WebhookId) -> JSONAnswer:
    """Stored events go out again to this webhook alone, under the ids that they had: 5,000 of them at most."""
    order = read_order(read_json(await read_body(request, services.settings.max_body_bytes)))
    record = _standing(services, scope, webhook_id)
    query = EventQuery(
        MAX_REPLAYED + 1,
        types=None if order.types is None and order.event_ids is not None else tuple(order.types or record.events),
        from_ms=order.from_ms,
        to_ms=order.to_ms,
        event_ids=None if order.event_ids is None else tuple(order.event_ids),
        branches=branches_within(record.branch, scope.branches),
    )
    found = await services.history.events(query)
    if len(found) > MAX_REPLAYED:
        raise Problem(400, "too_many_events", f"there are more than {MAX_REPLAYED} events; ask for less at a time")
    await _put_on_record(services, scope, "replayed", record, {**wire.to_builtins(order), "events": len(found)})
    for start in range(0, len(found), _APPEND_AT_ONCE):
        some = [Replay(webhook_id, event) for event in found[start : start + _APPEND_AT_ONCE]]
        await services.log.append(WEBHOOK_REPLAYS, [(each.event.subject, wire.encode(each)) for each in some])
    return JSONAnswer(ReplayAnswer(len(found)), 202)


def _webhooks(services: Services) -> Mapping[str, WebhookRecord]:
    if not services.webhooks.is_caught_up:
        raise unavailable("the webhooks are still being read")
    return services.webhooks.records


def _standing(services: Services, scope: Scope, webhook_id: str) -> WebhookRecord:
    record = _webhooks(services).get(webhook_id)
    if record is None or record.removed_at is not None or not scope.sees(record.branch):
        raise Problem(404, "unknown_webhook", f"there is no webhook {webhook_id!r}")
    return record


def _require_branch(branch: str | None, scope: Scope) -> None:
    """A webhook is told of what belongs to branches that who makes it sees."""
    scope.require_own("a webhook", branch)
    if branch is None:
        return
    found = scope.branches.get(branch)
    if found is None or found.removed_at is not None or not scope.sees(branch):
        raise Problem(400, "unknown_reference", f"$.branch: there is no branch {branch!r}")


async def _write(
    services: Services, scope: Scope, action: str, before: WebhookRecord | None, after: WebhookRecord
) -> None:
    was = None if before is None else stated_of(before)
    now = None if after.removed_at is not None else stated_of(after)
    change = Change(action, "webhook", after.webhook_id, after.branch, was, now)
    audit = Audit(scope.principal, services.clock.now_ms(), [change])
    await append_and_read_back(services.log, WEBHOOKS, services.webhooks, {after.webhook_id: after}, audit)


async def _put_on_record(
    services: Services, scope: Scope, action: str, record: WebhookRecord, after: Mapping[str, Any]
) -> None:
    change = Change(action, "webhook", record.webhook_id, record.branch, None, after)
    await put_on_record(services.log, scope.principal, services.clock.now_ms(), [change])


def _answer(record: WebhookRecord) -> JSONAnswer:
    return JSONAnswer(public_of(record), 200, {"ETag": etag_of(record)})


def _answer_with_secret(record: WebhookRecord, status: int) -> JSONAnswer:
    fields = {name: getattr(record, name) for name in WebhookAnswer.__struct_fields__ if name != "secret"}
    answer = WebhookAnswer(**fields, secret=record.signing[0].secret)
    return JSONAnswer(answer, status, {"ETag": etag_of(record), "Cache-Control": "no-store"})

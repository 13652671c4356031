"""Fences: places with a history, as GeoJSON."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import ImportAnswer, JSONAnswer, RejectedFence, write_cursor
from api.http.body import read_body, read_json
from api.http.parameters import Cursor, Limit, cursor_key
from api.http.preconditions import IfChanged, IfMatch, IfNoneMatch, is_known, require_match
from api.http.problems import Problem, unavailable
from api.places.corrections import remember_moved_fence
from api.places.fence_changes import fence_change
from api.read_back import Audit, append_and_read_back
from api.read_model import etag_of, feature_of, is_gone, page_of
from api.services import Reach, Services
from geofence.fences import read_feature
from schemas import wire
from schemas.fence import FenceError, FenceRecord, FenceVersion, end_fence, revise_fence
from schemas.topics import FENCES, MAX_RECORD_BYTES

router = APIRouter(tags=["fences"])

_GEOJSON: Final = "application/geo+json"

Readable = Annotated[Scope, Depends(scoped("fences:read"))]
Writable = Annotated[Scope, Depends(scoped("fences:write"))]
FenceId = Annotated[str, Path(description="the fence's id")]


@router.get(
    "/v1/fences",
    summary="List fences",
    responses=examples.answers(200, "A GeoJSON FeatureCollection", None, examples.fences.FENCES, 400, 503),
)
async def list_fences(services: Reach, scope: Readable, limit: Limit = 100, cursor: Cursor = None) -> JSONAnswer:
    """Fences that hold now or later, by id, as a FeatureCollection with ``next_cursor`` beside it."""
    _require_fences(services)
    now_ms = services.clock.now_ms()
    fences = services.fences.records
    standing = {
        key: record for key, record in fences.items() if not is_gone(record, now_ms) and scope.sees_fence(record)
    }
    found, last = page_of(standing, cursor_key(cursor), limit)
    collection = {
        "type": "FeatureCollection",
        "features": [feature_of(record, record.current) for record in found],
        "next_cursor": None if last is None else write_cursor(last),
    }
    return JSONAnswer(collection, media_type=_GEOJSON)


@router.post(
    "/v1/fences/import",
    summary="Import fences",
    openapi_extra=examples.fences.IMPORT_BODY,
    responses=examples.answers(
        200, "What became of them", "ImportAnswer", examples.fences.IMPORT_ANSWER, 400, 413, 415, 503
    ),
)
async def import_fences(request: Request, services: Reach, scope: Writable) -> JSONAnswer:
    """Put every feature of a FeatureCollection; a bad one never takes the good ones with it.

    Idempotent. Fences that the collection does not name stay as they are.
    """
    _require_fences(services)
    body = await read_body(request, services.settings.max_import_bytes)
    features = _features(body)
    async with services.fence_edits:
        now_ms = services.clock.now_ms()
        # Ten thousand shapes take a second to validate: elsewhere, so that pings are still answered.
        revised, unchanged, rejected = await asyncio.to_thread(_revise_all, services, scope, features, now_ms)
        await _write(services, scope, revised)
    for record in revised:
        if len(record.versions) > 1:
            await remember_moved_fence(record, scope, services)
    return JSONAnswer(ImportAnswer(len(revised), unchanged, rejected))


@router.get(
    "/v1/fences/{fence_id}",
    summary="One fence",
    responses=examples.answers(200, "A GeoJSON Feature", None, examples.fences.FENCE, 404, 410, 503),
)
async def get_fence(services: Reach, scope: Readable, fence_id: FenceId, if_none_match: IfChanged = None) -> Response:
    """Its newest version as a Feature, with an ETag. A deleted one answers 410: its history stays."""
    _require_fences(services)
    record = _standing(services, scope, fence_id)
    if is_known(etag_of(record), if_none_match):
        return Response(status_code=304, headers={"ETag": etag_of(record)})
    return _feature_answer(record)


@router.get(
    "/v1/fences/{fence_id}/versions",
    summary="A fence's history",
    responses=examples.answers(200, "A GeoJSON FeatureCollection", None, examples.fences.FENCES, 404, 503),
)
async def list_versions(services: Reach, scope: Readable, fence_id: FenceId) -> JSONAnswer:
    """Every version, the first one first, each with the span of event time it holds for; deleted fences too."""
    _require_fences(services)
    record = services.fences.records.get(fence_id)
    if record is None or not scope.sees_fence(record):
        raise _unknown(fence_id)
    features = [feature_of(record, version) for version in record.versions]
    return JSONAnswer({"type": "FeatureCollection", "features": features, "next_cursor": None}, media_type=_GEOJSON)


@router.put(
    "/v1/fences/{fence_id}",
    summary="Put a fence",
    openapi_extra=examples.fences.FENCE_BODY,
    responses=examples.answers(200, "Changed, or as it was", None, examples.fences.FENCE, 400, 404, 412, 413, 415, 503)
    | examples.answers(201, "Created", None, examples.fences.FENCE),
)
async def put_fence(
    request: Request,
    services: Reach,
    scope: Writable,
    fence_id: FenceId,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Create a fence, or give it a new version that holds from now (or from its ``valid_from``) on.

    The first version holds for all time unless it says otherwise. The same again changes nothing. Answers once this
    API sees the change; the tracker does within a second.
    """
    _require_fences(services)
    feature = read_json(await read_body(request, services.settings.max_body_bytes))
    version = await asyncio.to_thread(_read_version, fence_id, feature)
    async with services.fence_edits:
        now_ms = services.clock.now_ms()
        before = services.fences.records.get(fence_id)
        _require_writable(scope, fence_id, before, version)
        standing = None if before is None or is_gone(before, now_ms) else before
        require_match("the fence", None if standing is None else etag_of(standing), if_match, if_none_match)
        after = revise_fence(before, fence_id, version, now_ms)
        if after is not before:
            await _write(services, scope, [after])
    if standing is not None and after is not before:
        await remember_moved_fence(after, scope, services)
    return _feature_answer(after, 201 if standing is None else 200)


@router.delete(
    "/v1/fences/{fence_id}",
    status_code=204,
    summary="Delete a fence",
    responses=examples.answers(204, "It holds no longer", None, None, 404, 410, 412, 503),
)
async def delete_fence(services: Reach, scope: Writable, fence_id: FenceId, if_match: IfMatch = None) -> Response:
    """It stops to hold now. Its history stays, and past visits still refer to it."""
    _require_fences(services)
    async with services.fence_edits:
        now_ms = services.clock.now_ms()
        record = _standing(services, scope, fence_id)
        scope.require_own("a fence", record.current.branch)
        require_match("the fence", etag_of(record), if_match)
        await _write(services, scope, [end_fence(record, now_ms)])
    return Response(status_code=204)


def _features(body: bytes) -> list[Any]:
    collection = read_json(body)
    if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
        raise Problem(400, "invalid_fence", "the body is not a GeoJSON FeatureCollection")
    features = collection.get("features")
    if not isinstance(features, list):
        raise Problem(400, "invalid_fence", "a FeatureCollection has a list of features")
    return features


def _revise_all(
    services: Services, scope: Scope, features: Sequence[Any], now_ms: int
) -> tuple[list[FenceRecord], int, list[RejectedFence]]:
    revised: dict[str, FenceRecord] = {}
    unchanged: set[str] = set()
    rejected: list[RejectedFence] = []
    for index, feature in enumerate(features):
        try:
            fence_id, version = read_feature(feature)
            before = services.fences.records.get(fence_id)
            _require_writable(scope, fence_id, before, version)
            after = revise_fence(before, fence_id, version, now_ms)
            _require_importable(after, fence_id in revised or fence_id in unchanged)
        except (FenceError, Problem) as error:
            rejected.append(RejectedFence(index, _stated_id(feature), str(error)))
            continue
        if after is before:
            unchanged.add(fence_id)
        else:
            revised[fence_id] = after
    return list(revised.values()), len(unchanged), rejected


def _require_importable(record: FenceRecord, is_repeated: bool) -> None:
    if is_repeated:
        raise FenceError(f"fence {record.fence_id!r}: the id appears twice")
    if len(wire.encode(record)) > MAX_RECORD_BYTES:
        raise FenceError(f"fence {record.fence_id!r}: with its history it exceeds {MAX_RECORD_BYTES} bytes")


def _stated_id(feature: Any) -> str | None:
    """The id of a feature that may not be readable."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    stated = properties.get("fence_id", feature.get("id")) if isinstance(properties, dict) else None
    return stated if isinstance(stated, str) else None


def _read_version(fence_id: str, feature: Any) -> FenceVersion:
    """The version of a Feature that may leave its id to the path, but not contradict it."""
    if not isinstance(feature, dict):
        raise FenceError("not a GeoJSON Feature")
    properties = feature.get("properties") or {}
    if isinstance(properties, dict):
        stated = properties.get("fence_id", feature.get("id", fence_id))
        if str(stated) != fence_id:
            raise FenceError(f"the feature's id {stated!r} is not the {fence_id!r} of the path")
        feature = {**feature, "properties": {**properties, "fence_id": fence_id}}
    return read_feature(feature)[1]


async def _write(services: Services, scope: Scope, records: Sequence[FenceRecord]) -> None:
    """Write records, who did, and wait until this API's own read model has them."""
    now_ms = services.clock.now_ms()
    changes = [fence_change(services.fences.records.get(record.fence_id), record, now_ms) for record in records]
    by_id = {record.fence_id: record for record in records}
    await append_and_read_back(services.log, FENCES, services.fences, by_id, Audit(scope.principal, now_ms, changes))


def _require_writable(scope: Scope, fence_id: str, before: FenceRecord | None, version: FenceVersion) -> None:
    """Raise Problem where the fence, or the branch that it would belong to, is not theirs who ask; FenceError."""
    if before is not None:
        if not scope.sees_fence(before):
            raise _unknown(fence_id)
        scope.require_own("a fence", before.current.branch)
    scope.require_own("a fence", version.branch)
    if not scope.sees(version.branch):
        raise FenceError(f"fence {fence_id!r}: there is no branch {version.branch!r}")


def _require_fences(services: Services) -> None:
    if not services.fences.is_caught_up:
        raise unavailable("the fences are still being read")


def _standing(services: Services, scope: Scope, fence_id: str) -> FenceRecord:
    record = services.fences.records.get(fence_id)
    if record is None or not scope.sees_fence(record):
        raise _unknown(fence_id)
    if is_gone(record, services.clock.now_ms()):
        raise Problem(410, "fence_gone", f"the fence {fence_id!r} has ended; see /v1/fences/{fence_id}/versions")
    return record


def _unknown(fence_id: str) -> Problem:
    return Problem(404, "unknown_fence", f"there is no fence {fence_id!r}")


def _feature_answer(record: FenceRecord, status: int = 200) -> JSONAnswer:
    return JSONAnswer(feature_of(record, record.current), status, {"ETag": etag_of(record)}, _GEOJSON)

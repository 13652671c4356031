"""Stock: what is in vans and depots, what moved, and below what somebody is told."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, Page, write_cursor
from api.http.body import read_body, read_json
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor, From, IdempotencyKey, Limit, To, cursor_key
from api.http.problems import Problem, unavailable
from api.jobs.standing import job_answer, standing_job
from api.ports import MovementQuery
from api.read_back import Audit, append_and_read_back
from api.read_model import page_of as page_by_id
from api.routes.jobs import JobId
from api.services import Reach, Services
from api.stock.answers import MovementOutcome, MovementsAnswer
from api.stock.desk import Recorded, places_of, record_movements
from api.stock.levels import level_answer, levels_of, place_of_movement
from api.stock.places import StockPlaces, holder_of
from api.stock.requests import SKU_PATTERN, NewMovement, NewPart, read_each, read_threshold
from schemas import wire
from schemas.audit import Change
from schemas.job import JobRecord
from schemas.stock import StockPlace, Threshold, stock_key
from schemas.times import Instant
from schemas.topics import STOCK_THRESHOLDS

router = APIRouter(tags=["stock"])

_WRITE_ERRORS: Final = (400, 413, 415, 503)

Reader = Annotated[Scope, Depends(scoped("stock:read"))]
Writer = Annotated[Scope, Depends(scoped("stock:write"))]
Mover = Annotated[Scope, Depends(scoped("jobs:move"))]
Holder = Annotated[str | None, Query(description="in this van or depot: `van:<technician>`, `depot:<depot>`")]
HolderInPath = Annotated[str, Path(description="`van:<technician>` or `depot:<depot>`")]
SkuInPath = Annotated[str, Path(description="what", max_length=128, pattern=SKU_PATTERN)]


@router.get(
    "/v1/stock",
    summary="What is where",
    responses=examples.answers(200, "Levels, by van and depot", "LevelPage", examples.stock.STOCK, 400, 503),
)
async def list_levels(
    services: Reach,
    scope: Reader,
    holder: Holder = None,
    sku: Annotated[str | None, Query(description="of this alone")] = None,
    branch: Annotated[str | None, Query(description="of this branch, or of one within it")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Of vans and depots that the asker sees; technicians see their own van."""
    services.stock.require_read()
    places = places_of(services, scope.narrowed(branch))
    place = None if holder is None else holder_of(holder)
    thresholds = services.stock.thresholds.records
    found, last = page_by_id(
        levels_of(services.stock.ledger, thresholds, places, place, sku), cursor_key(cursor), limit
    )
    items = [level_answer(*each, thresholds, places.branch_of(each[0])) for each in found]
    return JSONAnswer(Page(items, None if last is None else write_cursor(last)))


@router.get(
    "/v1/stock/movements",
    summary="What moved",
    responses=examples.answers(
        200, "Some of the ledger, the newest first", "MovementPage", examples.stock.MOVEMENTS, 400, 503
    ),
)
async def list_movements(
    services: Reach,
    scope: Reader,
    holder: Holder = None,
    sku: Annotated[str | None, Query(description="of this alone")] = None,
    job: Annotated[str | None, Query(description="to or from this job")] = None,
    branch: Annotated[str | None, Query(description="of this branch, or of one within it")] = None,
    from_ms: From = None,
    to_ms: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JSONAnswer:
    """From or to vans and depots that the asker sees. What is recorded now is listed within a second or two."""
    place = None if holder is None else holder_of(holder)
    scope = scope.narrowed(branch)
    if scope.principal.role == "technician":
        place = place or StockPlace("van", scope.principal.technician_id or "-")
        if not places_of(services, scope).sees(place):
            return JSONAnswer(Page([], None))
    query = MovementQuery(
        limit + 1,
        holder=None if place is None else (place.kind, place.place_id or ""),
        sku=sku,
        job_id=job,
        from_ms=from_ms,
        to_ms=to_ms,
        after=place_after(cursor),
        branches=scope.branches_within(),
    )
    found = await services.history.movements(query)
    return JSONAnswer(page_of(found, limit, place_of_movement))


@router.post(
    "/v1/stock/movements",
    status_code=201,
    summary="Record what moved",
    openapi_extra=examples.stock.MOVEMENTS_BODY,
    responses=examples.answers(201, "It is on record now", "Movement", examples.stock.MOVEMENT, 409, *_WRITE_ERRORS)
    | examples.answers(200, "It was already; or what came of each of a list", None, examples.stock.MOVEMENT_OUTCOMES),
)
async def add_movements(
    request: Request, services: Reach, scope: Writer, idempotency_key: IdempotencyKey = None
) -> JSONAnswer:
    """One, or a list of them of which all is recorded that can be. Nothing on record is ever changed: what is wrong is
    moved back, or corrected with a reason. The same `movement_id` (or Idempotency-Key) again is recorded once.

    A receipt comes from a `supplier`, what is used goes to a `job` (and is then among its parts), a return back; what a
    count does not find goes to `scrap`, what it finds too many comes from there. Levels may fall below 0.
    """
    wanted, is_list = read_each(read_json(await read_body(request, services.settings.max_body_bytes)), NewMovement)
    _require_read(services)
    found = await record_movements(wanted, idempotency_key, scope, services)
    if is_list:
        return JSONAnswer(MovementsAnswer([_outcome(index, each) for index, each in enumerate(found)]))
    [only] = found
    if isinstance(only, Problem):
        raise only
    return JSONAnswer(only.movement, 201 if only.is_new else 200)


@router.put(
    "/v1/stock/thresholds/{holder}/{sku:path}",
    summary="Say what is too little",
    openapi_extra=examples.body("NewThreshold", {"level": "5"}),
    responses=examples.answers(200, "As it is now", "LevelAnswer", examples.stock.LEVEL, 404, *_WRITE_ERRORS),
)
async def put_threshold(
    request: Request, services: Reach, scope: Writer, holder: HolderInPath, sku: SkuInPath
) -> JSONAnswer:
    """When something is taken from a van or depot and less than the level is left, an event `stock.low` is told: once
    until it was filled up again.
    """
    level = read_threshold(read_json(await read_body(request, services.settings.max_body_bytes)))
    place = holder_of(holder)
    _require_read(services)
    places = places_of(services, scope)
    places.require(place, "holder", gives=False)
    async with services.stock.edits:
        before = _threshold(services, place, sku)
        if before is None or before.level != level:
            now_ms = services.clock.now_ms()
            after = Threshold(place=place, sku=sku, level=level, updated_at=now_ms)
            await _write_threshold(services, places, before, after)
    return _level(services, places, place, sku)


@router.delete(
    "/v1/stock/thresholds/{holder}/{sku:path}",
    status_code=204,
    summary="Tell nobody any more",
    responses=examples.answers(204, "Nothing is too little now", None, None, 400, 404, 503),
)
async def remove_threshold(services: Reach, scope: Writer, holder: HolderInPath, sku: SkuInPath) -> Response:
    """The stock stays as it is."""
    place = holder_of(holder)
    _require_read(services)
    places = places_of(services, scope)
    async with services.stock.edits:
        before = _threshold(services, place, sku) if places.sees(place) else None
        if before is None:
            raise Problem(404, "unknown_threshold", f"there is no threshold of {sku!r} in {holder!r}")
        now_ms = services.clock.now_ms()
        after = msgspec.structs.replace(before, updated_at=now_ms, removed_at=now_ms)
        await _write_threshold(services, places, before, after)
    return Response(status_code=204)


@router.post(
    "/v1/jobs/{job_id}/parts",
    tags=["jobs"],
    summary="Use parts on a job",
    openapi_extra=examples.stock.PARTS_BODY,
    responses=examples.answers(
        200, "The job with its parts", "JobAnswer", examples.jobs.JOB_ANSWER, 404, 409, *_WRITE_ERRORS
    ),
)
async def use_parts(
    request: Request, services: Reach, scope: Mover, job_id: JobId, idempotency_key: IdempotencyKey = None
) -> JSONAnswer:
    """One, or a list of which either all is recorded or nothing. It comes from the van of the technician who sends it;
    sent by others, from that of the job's only technician, or from `holder`. What was planned of a part gives way to
    what was used of it. The same Idempotency-Key again is recorded once.
    """
    wanted, is_list = read_each(read_json(await read_body(request, services.settings.max_body_bytes)), NewPart)
    record = await standing_job(services, scope, job_id)
    _require_read(services)
    places = places_of(services, scope)
    moved: list[NewMovement | Problem] = []
    unit_costs: dict[str, float] = {}
    for index, part in enumerate(wanted):
        where = f"$[{index}]" if is_list else "$"
        if isinstance(part, Problem):
            raise Problem(part.status, part.code, f"{where}: {part.detail}")
        moved.append(_used(part, record, places, where))
        if part.unit_cost is not None:
            unit_costs[part.sku] = part.unit_cost
    await record_movements(moved, idempotency_key, scope, services, all_or_nothing=True, unit_costs=unit_costs)
    return job_answer(services.jobs.records[job_id], services)


def _used(part: NewPart, record: JobRecord, places: StockPlaces, where: str) -> NewMovement:
    """The movement to the job; raises Problem 400 where nobody says from which van."""
    own = places.scope.principal.technician_id if places.scope.principal.role == "technician" else None
    if part.holder is not None:
        holder = holder_of(part.holder)
        if not places.sees(holder):
            raise Problem(400, "unknown_reference", f"{where}.holder: there is no {part.holder!r}")
    elif own is not None or len(record.technician_ids) == 1:
        holder = StockPlace("van", own or record.technician_ids[0])
    else:
        raise Problem(400, "invalid_movement", f"{where}.holder: say from which van or depot it comes")
    return NewMovement(
        sku=part.sku,
        quantity=part.quantity,
        from_=holder,
        to=StockPlace("job", record.job_id),
        movement_id=part.movement_id,
        at=part.at,
        reason=part.reason,
    )


def _require_read(services: Services) -> None:
    """Raise Problem 503 until all that a movement refers to has been read."""
    services.stock.require_read()
    for model in (services.jobs, services.registers["technicians"], services.registers["depots"]):
        if not model.is_caught_up:
            raise unavailable("jobs, technicians and depots are still being read")


def _outcome(index: int, found: Recorded | Problem) -> MovementOutcome:
    if isinstance(found, Problem):
        return MovementOutcome(index, None, is_new=False, code=found.code, problem=found.detail)
    return MovementOutcome(index, found.movement.movement_id, found.is_new)


def _threshold(services: Services, place: StockPlace, sku: str) -> Threshold | None:
    found = services.stock.thresholds.records.get(stock_key(place, sku))
    return None if found is None or found.removed_at is not None else found


async def _write_threshold(services: Services, places: StockPlaces, before: Threshold | None, after: Threshold) -> None:
    known = services.stock.thresholds.records.get(after.key)
    if known is not None:
        after = msgspec.structs.replace(after, updated_at=Instant(max(after.updated_at, known.updated_at + 1)))
    action = "removed" if after.removed_at is not None else "created" if before is None else "edited"
    was, now = (None if each is None or each.removed_at is not None else _stated(each) for each in (before, after))
    change = Change(action, "threshold", f"{after.place.name}/{after.sku}", places.branch_of(after.place), was, now)
    audit = Audit(places.scope.principal, services.clock.now_ms(), [change])
    await append_and_read_back(services.log, STOCK_THRESHOLDS, services.stock.thresholds, {after.key: after}, audit)


def _stated(threshold: Threshold) -> dict[str, Any]:
    return {name: value for name, value in wire.to_builtins(threshold).items() if name != "updated_at"}


def _level(services: Services, places: StockPlaces, place: StockPlace, sku: str) -> JSONAnswer:
    level = services.stock.ledger.at(place).get(sku)
    thresholds = services.stock.thresholds.records
    return JSONAnswer(level_answer(place, sku, level, thresholds, places.branch_of(place)))

"""Where movements of stock are recorded: each once, of a list all that can be; and the parts of jobs follow."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from api.audit import put_on_record
from api.auth.scope import Scope
from api.http.problems import Problem
from api.jobs.commands import head_of, sender_of
from api.services import Services
from api.stock.ledger import StockLedger, content_of
from api.stock.places import StockPlaces
from api.stock.requests import NewMovement, movement_id_of, movement_of
from dispatch.stock import holders_of
from schemas import wire
from schemas.audit import Change
from schemas.job import UsedPart
from schemas.job_command import EditJob
from schemas.stock import Movement, StockPlace
from schemas.topics import STOCK, LogUnavailable

_READ_BACK_S: Final = 10.0
_TRIES: Final = 5
_CHANGED: Final = 412


class Recorded(msgspec.Struct, frozen=True):
    """A movement that is on record: ``is_new``: since this request."""

    movement: Movement
    is_new: bool


def places_of(services: Services, scope: Scope) -> StockPlaces:
    """The places of stock, as far as who asks may know."""
    entries = {name: model.records for name, model in services.registers.items()}
    return StockPlaces(entries, services.jobs.records, scope)


async def record_movements(
    wanted: Sequence[NewMovement | Problem],
    key: str | None,
    scope: Scope,
    services: Services,
    *,
    all_or_nothing: bool = False,
    unit_costs: Mapping[str, float] = MappingProxyType({}),
) -> list[Recorded | Problem]:
    """Record what can be, in the order of what is wanted; of the rest, why not. Raises LogUnavailable.

    Under ``key`` (an Idempotency-Key) the same movements are recorded once. ``all_or_nothing``: the first thing that
    cannot be is raised instead. ``unit_costs`` are prices, by sku, of what is used on a job. Levels and the parts of
    jobs have followed when it returns.
    """
    places = places_of(services, scope)
    async with services.stock.edits:
        found: list[Recorded | Problem] = []
        taken: dict[tuple[str, str], int] = {}
        for index, new in enumerate(wanted):
            found.append(new if isinstance(new, Problem) else _judged(new, key, index, taken, places, services))
        refused = next((each for each in found if isinstance(each, Problem)), None)
        if all_or_nothing and refused is not None:
            raise refused
        movements = [each.movement for each in found if isinstance(each, Recorded) and each.is_new]
        if movements:
            await _append(movements, places, services)
    on_jobs: defaultdict[str, set[str]] = defaultdict(set)
    for movement in [each.movement for each in found if isinstance(each, Recorded)]:
        for place in _jobs_in(movement):
            on_jobs[place.place_id or ""].add(movement.sku)
    for job_id, skus in on_jobs.items():
        await _let_parts_follow(job_id, skus, unit_costs, scope, services)
    return found


async def _let_parts_follow(
    job_id: str, skus: Collection[str], unit_costs: Mapping[str, float], scope: Scope, services: Services
) -> None:
    """Make these parts of a job what the ledger says was used of them; the others stay as they are."""
    for tried in range(1, _TRIES + 1):
        used = services.stock.ledger.used_on(job_id)
        quantities = {sku: float(used[sku]) for sku in sorted(skus)}
        record = services.jobs.records[job_id]
        parts = parts_after(record.parts, quantities, unit_costs)
        if parts == record.parts:
            return
        command = EditJob(
            job_id=job_id,
            **head_of(scope.principal, services.clock),
            changes={"parts": [wire.to_builtins(part) for part in parts]},
            if_revision=record.revision,
        )
        try:
            await services.desk.carry_out(command)
        except Problem as problem:
            if problem.status != _CHANGED or tried == _TRIES:
                raise
        else:
            return


def parts_after(
    parts: Sequence[UsedPart], used: Mapping[str, float], unit_costs: Mapping[str, float]
) -> list[UsedPart]:
    """The parts of a job of which so much was used, by sku: that replaces what was planned of it. Pure.

    What has all been given back is left out.
    """
    left, after = dict(used), []
    for part in parts:
        if part.sku not in used:
            after.append(part)
        elif left.get(part.sku, 0.0) > 0:
            after.append(UsedPart(part.sku, left.pop(part.sku), unit_costs.get(part.sku, part.unit_cost)))
    return after + [UsedPart(sku, quantity, unit_costs.get(sku)) for sku, quantity in left.items() if quantity > 0]


def _judged(
    new: NewMovement,
    key: str | None,
    index: int,
    taken: dict[tuple[str, str], int],
    places: StockPlaces,
    services: Services,
) -> Recorded | Problem:
    """The movement as it would be recorded, or is; ``taken`` are those of this request."""
    principal = places.scope.principal
    made = secrets.token_hex(8) if key is None else movement_id_of(key, principal.identity, index)
    try:
        movement = movement_of(new, new.movement_id or made, sender_of(principal).actor, services.clock.now_ms())
        places.require(movement.from_, "from", gives=True)
        places.require(movement.to, "to", gives=False)
    except Problem as problem:
        return problem
    identity = movement.sku, movement.movement_id
    known = taken.get(identity, services.stock.ledger.content(*identity))
    if known is None:
        taken[identity] = content_of(movement)
        return Recorded(movement, is_new=True)
    if known != content_of(movement):
        detail = f"there is another movement {movement.movement_id!r} of {movement.sku!r} already"
        return Problem(409, "movement_exists", detail)
    return Recorded(movement, is_new=False)


async def _append(movements: Sequence[Movement], places: StockPlaces, services: Services) -> None:
    """On record first, then in the ledger; returns when this process has read them back."""
    changes = [
        Change("moved", "stock", each.movement_id, _branch_of(each, places), None, wire.to_builtins(each))
        for each in movements
    ]
    await put_on_record(services.log, places.scope.principal, services.clock.now_ms(), changes)
    await services.log.append(STOCK, [(each.sku, wire.encode(each)) for each in movements])
    if not await services.stock.movements.until(lambda: _are_counted(movements, services.stock.ledger), _READ_BACK_S):
        raise LogUnavailable("it is written, but was not read back in time")


def _are_counted(movements: Iterable[Movement], ledger: StockLedger) -> bool:
    return all(ledger.content(each.sku, each.movement_id) is not None for each in movements)


def _branch_of(movement: Movement, places: StockPlaces) -> str | None:
    return places.branch_of(holders_of(movement)[0])


def _jobs_in(movement: Movement) -> list[StockPlace]:
    return [place for place in (movement.from_, movement.to) if place.kind == "job"]

"""Everything that is held of a person, for whoever has to tell them."""

from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Path
from starlette.responses import StreamingResponse

from api import examples
from api.audit import put_on_record
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.history.personal_data import everything_of, person_of
from api.http.problems import Problem, unavailable
from api.registers.registry import REGISTERS, Name
from api.services import Reach, Services
from schemas.audit import Change
from schemas.people import Technician
from schemas.places import Customer

router = APIRouter()

_READ: Final[tuple[Name, ...]] = ("technicians", "customers", "sites")

Reader = Annotated[Scope, Depends(scoped("personal:read"))]


@router.get(
    "/v1/technicians/{technician_id}/data",
    tags=["technicians"],
    summary="Everything held of a technician",
    responses=examples.people.PERSONAL_DATA | {code: examples.problem(code) for code in (404, 503)},
)
async def technician_data(
    services: Reach, scope: Reader, technician_id: Annotated[str, Path(description="the technician's id")]
) -> StreamingResponse:
    """NDJSON, each line with a `kind` and its `data`: the record, accounts, keys, jobs; of devices, while they held
    them, the live state, pings, visits and what was refused; what was written of them and by them.

    The last line is of the kind `end`: without it, it is not whole. What was posted in the last second or two may be
    missing. Removed technicians have data too. That it was read is on record.
    """
    return await _told("technicians", technician_id, services, scope)


@router.get(
    "/v1/customers/{customer_id}/data",
    tags=["customers"],
    summary="Everything held of a customer",
    responses=examples.people.PERSONAL_DATA | {code: examples.problem(code) for code in (404, 503)},
)
async def customer_data(
    services: Reach, scope: Reader, customer_id: Annotated[str, Path(description="the customer's id")]
) -> StreamingResponse:
    """As for a technician: the record, sites, jobs, corrected addresses and service requests, and what was
    written of them."""
    return await _told("customers", customer_id, services, scope)


async def _told(name: Name, key: str, services: Services, scope: Scope) -> StreamingResponse:
    models = [services.registers[each] for each in _READ]
    models += [services.places, services.requests]  # type: ignore[list-item]
    models += [services.jobs, services.keys, services.live, services.people.accounts]  # type: ignore[list-item]
    if not all(model.is_caught_up for model in models):
        raise unavailable("what is held is still being read")
    entry = services.registers[name].records.get(key)
    kind = REGISTERS[name].kind
    if entry is None or not scope.sees(entry.branch):
        raise Problem(404, f"unknown_{kind}", f"there is no {kind} {key!r}")
    person = await person_of(cast(Technician | Customer, entry), services)
    await services.history.ready()
    now_ms = services.clock.now_ms()
    await put_on_record(services.log, scope.principal, now_ms, [Change("exported", kind, key, entry.branch)])
    return StreamingResponse(everything_of(person, services), media_type="application/x-ndjson")

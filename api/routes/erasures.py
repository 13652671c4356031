"""Erasing a person, and how far that has come."""

import secrets
from collections.abc import Iterable
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Path

from api import examples
from api.audit import put_on_record
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.erasure.answers import answer_of
from api.erasure.order import erasure_of_account, erasure_of_person
from api.history.personal_data import jobs_of, person_of
from api.http.answers import JSONAnswer, Page, write_cursor
from api.http.parameters import Cursor, Limit, cursor_key
from api.http.problems import Problem, unavailable
from api.read_model import page_of
from api.registers.registry import REGISTERS, Name
from api.services import Reach, Services
from schemas import wire
from schemas.audit import Change
from schemas.erasure import Erasure
from schemas.job import JobRecord
from schemas.people import Technician
from schemas.places import Customer
from schemas.topics import ERASURES, LogUnavailable

router = APIRouter()

_READ_BACK_S: Final = 10.0
_NAMED: Final = 5

MayErase = Annotated[Scope, Depends(scoped("personal:erase"))]


_ORDERED: Final = examples.answers(202, "It is under way", "ErasureAnswer", examples.people.ERASURE, 404, 409, 503)


@router.delete(
    "/v1/technicians/{technician_id}/data",
    tags=["technicians"],
    status_code=202,
    summary="Erase a technician",
    responses=_ORDERED,
)
async def erase_technician(
    services: Reach, scope: MayErase, technician_id: Annotated[str, Path(description="the technician's id")]
) -> JSONAnswer:
    """Everything that says who they are or where they were goes, and cannot be brought back; `docs/privacy.md` says
    what stays under a pseudonym. `GET /v1/erasures/{erasure_id}` shows how far it has come. Asked for again, it is
    the same erasure.
    """
    return await _erase_entry("technicians", technician_id, services, scope)


@router.delete(
    "/v1/customers/{customer_id}/data",
    tags=["customers"],
    status_code=202,
    summary="Erase a customer",
    responses=_ORDERED,
)
async def erase_customer(
    services: Reach, scope: MayErase, customer_id: Annotated[str, Path(description="the customer's id")]
) -> JSONAnswer:
    """As for a technician: the record, sites and their fences; jobs stay without place, texts and attachments. Jobs
    that are not over are in the way (`409`): end or cancel them before.
    """
    return await _erase_entry("customers", customer_id, services, scope)


@router.delete(
    "/v1/accounts/{name}/data",
    tags=["sessions"],
    status_code=202,
    summary="Erase an account",
    responses=_ORDERED,
)
async def erase_account(
    services: Reach, scope: MayErase, name: Annotated[str, Path(description="the account's name")]
) -> JSONAnswer:
    """Of somebody who signs in: their account goes, and their name from the logs of jobs and from the audit."""
    accounts = services.people.accounts
    _require_read(services)
    async with services.register_edits:
        account = accounts.records.get(name)
        known = services.erasures.newest_of("account", name)
        if known is not None and (account is None or known.next_step == "access"):
            return JSONAnswer(answer_of(known), 202)
        if account is None:
            raise Problem(404, "unknown_account", f"there is no account {name!r}")
        if account.technician_id is not None and account.technician_id in services.registers["technicians"].records:
            detail = f"the account is of the technician {account.technician_id!r}: erase the technician"
            raise Problem(409, "of_a_technician", detail)
        erasure = await erasure_of_account(account, _new_id(), services)
        return await _order(erasure, services, scope)


@router.get(
    "/v1/erasures",
    tags=["erasures"],
    summary="List erasures",
    responses=examples.answers(
        200,
        "Some of them, by id",
        "ErasurePage",
        {"items": [examples.people.ERASURE], "next_cursor": "InRoaXMi"},
        400,
        503,
    ),
)
async def list_erasures(services: Reach, scope: MayErase, limit: Limit = 100, cursor: Cursor = None) -> JSONAnswer:
    """Of people of branches that the asker sees; they name nobody."""
    _require_read(services)
    seen = {key: each for key, each in services.erasures.model.records.items() if scope.sees(each.branch)}
    found, last = page_of(seen, cursor_key(cursor), limit)
    return JSONAnswer(Page([answer_of(each) for each in found], None if last is None else write_cursor(last)))


@router.get(
    "/v1/erasures/{erasure_id}",
    tags=["erasures"],
    summary="How far an erasure has come",
    responses=examples.answers(200, "As it is now", "ErasureAnswer", examples.people.ERASURE, 404, 503),
)
async def get_erasure(
    services: Reach, scope: MayErase, erasure_id: Annotated[str, Path(description="as it was answered")]
) -> JSONAnswer:
    """Which steps are done, what the next one waits for, and what remains until when."""
    _require_read(services)
    erasure = services.erasures.model.records.get(erasure_id)
    if erasure is None or not scope.sees(erasure.branch):
        raise Problem(404, "unknown_erasure", f"there is no erasure {erasure_id!r}")
    return JSONAnswer(answer_of(erasure))


async def _erase_entry(name: Name, key: str, services: Services, scope: Scope) -> JSONAnswer:
    kind = REGISTERS[name].kind
    _require_read(services)
    async with services.register_edits:
        entry = services.registers[name].records.get(key)
        known = services.erasures.newest_of(kind, key)  # type: ignore[arg-type]
        if known is not None and scope.sees(known.branch) and (entry is None or "registers" not in known.done):
            return JSONAnswer(answer_of(known), 202)
        if entry is None or not scope.sees(entry.branch):
            raise Problem(404, f"unknown_{kind}", f"there is no {kind} {key!r}")
        person = await person_of(cast(Technician | Customer, entry), services)
        if person.kind == "customer":
            _require_over(list(jobs_of(person, services)), services)
        erasure = await erasure_of_person(person, _new_id(), services, services.erasure_store)
        return await _order(erasure, services, scope)


async def _order(erasure: Erasure, services: Services, scope: Scope) -> JSONAnswer:
    """Put it on record, under the pseudonym, and on its way."""
    change = Change("erased", erasure.kind, erasure.erasure_id, erasure.branch)
    await put_on_record(services.log, scope.principal, erasure.at, [change])
    await services.log.append(ERASURES, [(erasure.erasure_id, wire.encode(erasure))])
    model = services.erasures.model
    if not await model.until(lambda: erasure.erasure_id in model.records, _READ_BACK_S):
        raise LogUnavailable("it is ordered, but was not read back in time")
    return JSONAnswer(answer_of(erasure), 202, {"Location": f"/v1/erasures/{erasure.erasure_id}"})


def _require_over(jobs: Iterable[JobRecord], services: Services) -> None:
    """Raise Problem 409 while somebody is still to come."""
    lifecycle = services.dispatch_rules.lifecycle()
    if under_way := sorted(job.job_id for job in jobs if not lifecycle.is_over(job.state)):
        some = ", ".join(under_way[:_NAMED])
        raise Problem(409, "open_jobs", f"{len(under_way)} jobs are not over ({some}): end or cancel them before")


def _require_read(services: Services) -> None:
    """Raise Problem 503 until everything is known that an erasure is about."""
    services.erasures.ensure_known()
    models = [services.jobs, services.keys, services.live, services.people.accounts, services.fences]
    models += list(services.registers.values())
    if not all(model.is_caught_up for model in models):
        raise unavailable("what is held is still being read")


def _new_id() -> str:
    return f"erased-{secrets.token_hex(6)}"

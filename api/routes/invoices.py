"""What jobs cost, and how it stands with their invoices in the accounts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import CostAnswer, JSONAnswer
from api.http.body import read_body, read_json
from api.http.problems import Problem, unavailable
from api.jobs.archive import refused_as_archived
from api.jobs.commands import head_of
from api.jobs.standing import FoundJob, found_job
from api.read_back import Audit, append_and_read_back
from api.routes.jobs import JobId
from api.services import Reach, Services
from dispatch.costing import job_lines, total
from dispatch.job_book import AHEAD_MS
from schemas import wire
from schemas.audit import Change
from schemas.invoice import Invoice, InvoicePlan
from schemas.job import JobRecord
from schemas.job_command import MoveJob
from schemas.times import Instant, format_instant
from schemas.topics import INVOICES

router = APIRouter(tags=["jobs"])

_WRITE_ERRORS: Final = (400, 404, 409, 413, 415, 503)

Accountant = Annotated[Scope, Depends(scoped("jobs:invoice"))]


@router.get(
    "/v1/jobs/{job_id}/cost",
    summary="What a job costs",
    responses=examples.answers(200, "By the tenant's rates, so far", "CostAnswer", examples.jobs.COST, 404, 503),
)
async def get_cost(services: Reach, scope: Accountant, job_id: JobId) -> JSONAnswer:
    """Time on site, travel and parts, as far as they are known now: of a completed job the lines of its invoice.

    Where nobody states the price of a part there are no lines, and `problem` says which.
    """
    record, _ = await found_job(services, scope, job_id)
    try:
        lines = job_lines(record, services.dispatch_rules.rates)
        problem = None
    except ValueError as error:
        lines, problem = [], str(error)
    return JSONAnswer(CostAnswer(job_id, record.revision, record.state, lines, total(lines), problem))


@router.get(
    "/v1/jobs/{job_id}/invoice",
    summary="How it stands with a job's invoice",
    responses=examples.answers(200, "As the accounts have told", "Invoice", examples.jobs.INVOICE, 404, 503),
)
async def get_invoice(services: Reach, scope: Accountant, job_id: JobId) -> JSONAnswer:
    """`404` until there is one."""
    await found_job(services, scope, job_id)
    found = _invoices(services).get(job_id)
    if found is None:
        raise Problem(404, "unknown_invoice", f"of an invoice of the job {job_id!r} nothing was told")
    return JSONAnswer(found)


@router.put(
    "/v1/jobs/{job_id}/invoice",
    summary="Tell how it stands with a job's invoice",
    openapi_extra=examples.body("InvoicePlan", examples.jobs.INVOICE_PLAN),
    responses=examples.answers(200, "As it is now", "Invoice", examples.jobs.INVOICE, *_WRITE_ERRORS),
)
async def put_invoice(request: Request, services: Reach, scope: Accountant, job_id: JobId) -> JSONAnswer:
    """`invoiced`, then `paid`, or that at once. It takes a completed job to `invoiced`; of another the answer is `409`.

    What is told again changes nothing, and what is not stated again stays as it was.
    """
    plan = _read(read_json(await read_body(request, services.settings.max_body_bytes)))
    now_ms = services.clock.now_ms()
    if plan.at is not None and plan.at > now_ms + AHEAD_MS:
        raise Problem(400, "in_the_future", f"$.at: {format_instant(plan.at)} has not come yet")
    async with services.invoice_edits:
        before = _invoices(services).get(job_id)
        job = await found_job(services, scope, job_id)
        record = await _invoiced(job, plan, scope, services)
        after = invoice_after(before, plan, record, now_ms)
        if after != before:
            was = None if before is None else wire.to_builtins(before)
            action = "created" if before is None else "edited"
            change = Change(action, "invoice", job_id, record.branch, was, wire.to_builtins(after))
            audit = Audit(scope.principal, now_ms, [change])
            await append_and_read_back(services.log, INVOICES, services.invoices, {job_id: after}, audit)
    return JSONAnswer(after)


def invoice_after(before: Invoice | None, plan: InvoicePlan, record: JobRecord, now_ms: Instant) -> Invoice:
    """The invoice as it stands after what was told; the very same one where that is nothing new. Pure."""
    is_other = before is None or before.invoice_id != plan.invoice_id
    amount: Decimal | None = plan.amount
    if amount is None and before is not None and not is_other:
        amount = before.amount
    invoiced_at = now_ms if plan.at is None else plan.at
    if before is not None and not is_other and (plan.at is None or plan.state == "paid"):
        invoiced_at = before.invoiced_at
    paid_at = None
    if plan.state == "paid":
        known = None if before is None or is_other else before.paid_at
        paid_at = plan.at or known or now_ms
    stated: dict[str, Any] = {
        "state": plan.state,
        "invoice_id": plan.invoice_id,
        "amount": amount,
        "invoiced_at": invoiced_at,
        "paid_at": paid_at,
        "branch": record.branch,
    }
    if before is not None and all(getattr(before, name) == value for name, value in stated.items()):
        return before
    updated_at = now_ms if before is None else Instant(max(now_ms, before.updated_at + 1))
    return Invoice(job_id=record.job_id, updated_at=updated_at, **stated)


async def _invoiced(job: FoundJob, plan: InvoicePlan, scope: Scope, services: Services) -> JobRecord:
    """The job, in the state `invoiced`; raises Problem 409 where it cannot come to it, as one that is archived."""
    record = job.record
    if services.dispatch_rules.lifecycle().like(record.state) == "invoiced":
        return record
    if job.is_archived:
        raise refused_as_archived(record.job_id)
    command = MoveJob(
        job_id=record.job_id,
        **head_of(scope.principal, services.clock),
        to="invoiced",
        reason=plan.invoice_id,
    )
    return await services.desk.carry_out(command)


def _invoices(services: Services) -> Mapping[str, Invoice]:
    if not services.invoices.is_caught_up:
        raise unavailable("the invoices are still being read")
    return services.invoices.records


def _read(content: object) -> InvoicePlan:
    if not isinstance(content, dict):
        raise Problem(400, "invalid_request", "$: send a JSON object")
    try:
        return wire.decode(InvoicePlan, msgspec.json.encode(content))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise Problem(400, "invalid_invoice", str(error)) from error

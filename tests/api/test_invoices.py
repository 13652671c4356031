"""What a job costs, and the way back from the accounts."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from api.routes.invoices import invoice_after
from dispatch.costing import Rates
from schemas.invoice import Invoice, InvoicePlan
from schemas.people import Technician
from schemas.times import Instant
from schemas.topics import AUDIT, INVOICES
from tests.api.conftest import Door
from tests.api.test_jobs import JOB, created
from tests.api.test_pings import is_problem

BY = {"role": "accountant"}


@pytest.fixture
def done(door: Door) -> Door:
    """A job that amina has completed, with a filter and a seal."""
    door.app.state.services = with_rates(door)
    door.registers["technicians"].put("amina", Technician(technician_id="amina", name="Amina"))
    parts = [{"sku": "filter", "quantity": 2, "unit_cost": 14.5}, {"sku": "seal", "quantity": 1}]
    assert created(door, parts=parts)["state"] == "scheduled"
    return door


def with_rates(door: Door) -> Any:
    from dataclasses import replace

    rates = Rates(labour_per_h=Decimal(60), parts={"seal": Decimal("0.4")})
    rules = msgspec.structs.replace(door.rules, rates=rates)
    return replace(door.app.state.services, dispatch_rules=rules)


def complete(door: Door) -> None:
    for to in ("on_site", "completed"):
        assert door.post("/v1/jobs/j1/transitions", json={"to": to}).status_code == 200


def put(door: Door, state: str, invoice_id: str = "INV-1", **more: Any) -> Any:
    return door.put("/v1/jobs/j1/invoice", json={"state": state, "invoice_id": invoice_id, **more}, **BY)


def test_what_a_job_comes_to(done: Door) -> None:
    record = done.jobs.records["j1"]
    done.jobs.records["j1"] = msgspec.structs.replace(record, on_site_s=5400.0)
    answer = done.get("/v1/jobs/j1/cost", **BY).json()
    assert answer == {
        "job_id": "j1",
        "revision": 1,
        "state": "scheduled",
        "lines": [
            {"description": "Labour", "quantity": "1.50", "unit": "h", "unit_price": "60", "amount": "90.00"},
            {"description": "filter", "quantity": "2.0", "unit": "pcs", "unit_price": "14.5", "amount": "29.00"},
            {"description": "seal", "quantity": "1.0", "unit": "pcs", "unit_price": "0.4", "amount": "0.40"},
        ],
        "total": "119.40",
        "problem": None,
    }
    done.patch("/v1/jobs/j1", json={"parts": [{"sku": "pump", "quantity": 1}]})
    answer = done.get("/v1/jobs/j1/cost", **BY).json()
    assert (answer["lines"], answer["total"]) == ([], "0.00")
    assert "nobody states what 'pump' costs" in answer["problem"]
    assert done.get("/v1/jobs/j1/cost", role="dispatcher").status_code == 403


def test_a_job_is_invoiced_then_paid(done: Door) -> None:
    refused = put(done, "invoiced")
    assert is_problem(refused, 409, "not_allowed")
    assert done.log.values(INVOICES) == []
    complete(done)
    assert is_problem(done.get("/v1/jobs/j1/invoice", **BY), 404, "unknown_invoice")
    first = put(done, "invoiced", amount="64.73", at="2026-03-02T08:00:00Z")
    assert first.status_code == 200, first.text
    assert first.json() == {
        "job_id": "j1",
        "state": "invoiced",
        "invoice_id": "INV-1",
        "amount": "64.73",
        "invoiced_at": "2026-03-02T08:00:00.000Z",
        "paid_at": None,
        "updated_at": "2026-03-02T08:15:10.000Z",
        "branch": None,
    }
    assert done.get("/v1/jobs/j1").json()["state"] == "invoiced"
    revision = done.jobs.records["j1"].revision
    assert put(done, "invoiced", amount="64.73").json() == first.json()
    paid = put(done, "paid").json()
    assert (paid["state"], paid["amount"], paid["invoiced_at"]) == ("paid", "64.73", "2026-03-02T08:00:00.000Z")
    assert paid["paid_at"] == "2026-03-02T08:15:10.000Z"
    done.clock.moment_ms += 60_000
    assert put(done, "paid").json() == paid, "told again it is the same"
    assert done.get("/v1/jobs/j1/invoice", **BY).json() == paid
    assert done.jobs.records["j1"].revision == revision
    recorded = [(each["kind"], each["action"], each["role"]) for each in done.log.values(AUDIT)][-3:]
    assert recorded == [
        ("job", "moved", "accountant"),
        ("invoice", "created", "accountant"),
        ("invoice", "edited", "accountant"),
    ]
    assert put(done, "invoiced").json()["paid_at"] is None, "the payment came back"


def test_paid_at_once(done: Door) -> None:
    complete(done)
    paid = put(done, "paid", at="2026-03-02T08:00:00Z").json()
    assert (paid["invoiced_at"], paid["paid_at"]) == ("2026-03-02T08:00:00.000Z",) * 2


@pytest.mark.parametrize(
    "stated",
    [
        {"state": "lost"},
        {"invoice_id": ""},
        {"amount": "1e15"},
        {"amount": "0.0000001"},
        {"amount": "NaN"},
        {"at": "2027-01-01T00:00:00Z"},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_is_refused(done: Door, stated: dict[str, Any]) -> None:
    complete(done)
    answer = done.put("/v1/jobs/j1/invoice", json={"state": "paid", "invoice_id": "1"} | stated, **BY)
    assert answer.status_code == 400, answer.text
    assert done.jobs.records["j1"].state == "completed"


def test_another_invoice_begins_anew(done: Door) -> None:
    record = done.jobs.records[JOB["job_id"]]  # type: ignore[index]
    plan = InvoicePlan(state="paid", invoice_id="1", amount=Decimal(5), at=Instant(10))
    first = invoice_after(None, plan, record, Instant(20))
    other = invoice_after(first, InvoicePlan(state="invoiced", invoice_id="2"), record, Instant(20))
    assert other == Invoice(
        job_id="j1",
        state="invoiced",
        invoice_id="2",
        amount=None,
        invoiced_at=Instant(20),
        paid_at=None,
        updated_at=Instant(21),
        branch=None,
    )

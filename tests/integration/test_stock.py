"""Stock through real processes: levels survive a restart, the ledger is stored, what runs out is told."""

import asyncio
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatch.stock import balances
from schemas import wire
from schemas.stock import Movement
from tests.integration.parts import Parts, is_ready, until
from tests.integration.test_people import client_for, grant, sql

pytestmark = pytest.mark.integration

VAN, DEPOT, JOB = (
    {"kind": "van", "place_id": "amina"},
    {"kind": "depot", "place_id": "dock"},
    {"kind": "job", "place_id": "j"},
)


def batch() -> list[dict[str, Any]]:
    ends = [({"kind": "supplier"}, DEPOT), (DEPOT, VAN), (VAN, JOB), (VAN, DEPOT), (JOB, VAN)]
    return [
        {"movement_id": f"m{number}", "sku": f"s{number % 3}", "quantity": f"{number % 7 + 1}.25", "from": a, "to": b}
        for number in range(200)
        for a, b in [ends[number % len(ends)]]
    ]


async def levels(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.get("/v1/stock?limit=1000")
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:  # the ledger is still being read
        return {}
    items = answer.raise_for_status().json()["items"]
    return {f"{each['holder']} {each['sku']}": each["quantity"] for each in items}


async def stored(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/stock/movements?limit=70{query}{cursor}")).raise_for_status().json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def scenario(folder: Path) -> None:
    parts = Parts(folder)
    try:
        await parts.start_all()
        async with parts.client() as admin:
            await add_stock(parts, admin)
            await see_invoice(parts, admin)
            before = await levels(admin)
            parts.terminate("api")
            parts.start("api")
            await until(lambda: is_ready(admin), "the API is ready again")
            await until(lambda: levels(admin), "the levels are those of before", before)
            async with client_for(parts, grant("accountant", ["north"])) as client:
                assert await levels(client) == {key: value for key, value in before.items() if key.startswith("van")}
                assert len(await stored(client)) == 160
    finally:
        await asyncio.to_thread(parts.close)


async def add_stock(parts: Parts, admin: httpx.AsyncClient) -> None:
    for branch in ("north", "south"):
        assert (await admin.post("/v1/branches", json={"branch": branch, "name": branch})).status_code == 201
    technician = {"technician_id": "amina", "name": "Amina", "branch": "north"}
    assert (await admin.post("/v1/technicians", json=technician)).status_code == HTTPStatus.CREATED
    depot = {"depot_id": "dock", "name": "Dock", "branch": "south"}
    assert (await admin.post("/v1/depots", json=depot)).status_code == HTTPStatus.CREATED
    assert (await admin.post("/v1/jobs", json={"job_id": "j", "title": "x"})).status_code == HTTPStatus.CREATED
    level = {"level": "1000"}
    assert (await admin.put("/v1/stock/thresholds/van:amina/s1", json=level)).status_code == HTTPStatus.OK
    for times in range(2):
        answer = (await admin.post("/v1/stock/movements", json=batch())).raise_for_status().json()
        assert [each["is_new"] for each in answer["items"]] == [times == 0] * 200, answer
    await until(lambda: count(admin), "the ledger is stored", 200)
    movements = [wire.from_builtins(Movement, each) for each in await stored(admin)]
    assert len({each.movement_id for each in movements}) == 200
    wanted = {
        f"{place.name} {sku}": quantity
        for (place, sku), quantity in balances(movements).items()
        if place.kind in ("van", "depot")
    }
    assert {key: Decimal(value) for key, value in (await levels(admin)).items()} == wanted
    used = balances(movements)
    job = (await admin.get("/v1/jobs/j")).json()
    assert {each["sku"]: Decimal(str(each["quantity"])) for each in job["parts"]} == {
        sku: quantity for (place, sku), quantity in used.items() if place.kind == "job" and quantity > 0
    }
    assert {each["movement_id"] for each in await stored(admin, "&sku=s1&job=j")} == {
        each.movement_id for each in movements if each.sku == "s1" and "job" in (each.from_.kind, each.to.kind)
    }
    summed = (
        "SELECT sum(if(to_kind = 'van', quantity, 0) - if(from_kind = 'van', quantity, 0)) FROM stock_movements FINAL"
    )
    [[in_vans]] = await sql(parts, summed)
    assert Decimal(in_vans) == sum(quantity for key, quantity in wanted.items() if key.startswith("van"))
    told = "SELECT subject, branch FROM events FINAL WHERE type = 'stock.low'"
    await until(lambda: sql(parts, told), "that it runs out is told", [["van:amina/s1", "north"]])


async def see_invoice(parts: Parts, admin: httpx.AsyncClient) -> None:
    """What the accounts tell takes the job on, and is stored."""
    for to in ("on_site", "completed"):
        assert (await admin.post("/v1/jobs/j/transitions", json={"to": to})).status_code == HTTPStatus.OK
    told = {"state": "paid", "invoice_id": "INV-1", "amount": "64.73"}
    invoice = (await admin.put("/v1/jobs/j/invoice", json=told)).raise_for_status().json()
    assert (await admin.get("/v1/jobs/j")).json()["state"] == "invoiced"
    stored = "SELECT job_id, state, amount, paid_at IS NULL FROM invoices FINAL"
    await until(lambda: sql(parts, stored), "the invoice is stored", [["j", "paid", "64.73", "0"]])
    assert (await admin.get("/v1/jobs/j/invoice")).json() == invoice


async def count(client: httpx.AsyncClient) -> int:
    return len(await stored(client))


def test_stock(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

"""Stock over HTTP: levels are what the movements add up to, whoever sends what how often."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stock.desk import parts_after
from api.stock.ledger import StockLedger
from dispatch.stock import balances
from schemas import wire
from schemas.job import UsedPart
from schemas.people import Technician
from schemas.places import Depot
from schemas.stock import HOLDERS, Movement, StockPlace
from schemas.times import Instant
from schemas.topics import AUDIT, STOCK
from tests.api.conftest import Door
from tests.api.test_jobs import created
from tests.api.test_pings import is_problem
from tests.fakes import make_key

SUPPLIER, SCRAP = {"kind": "supplier"}, {"kind": "scrap"}
DEPOT = {"kind": "depot", "place_id": "d-3"}
VAN = {"kind": "van", "place_id": "amina"}


@pytest.fixture
def stocked(door: Door) -> Door:
    """Two technicians and a depot, ten filters in the depot, four in amina's van; a job of hers."""
    for technician_id in ("amina", "bo"):
        door.registers["technicians"].put(technician_id, Technician(technician_id=technician_id, name=technician_id))
    door.registers["depots"].put("d-3", Depot(depot_id="d-3", name="Dock"))
    assert moved(door, "10", SUPPLIER, DEPOT, "m1").status_code == 201
    assert moved(door, "4", DEPOT, VAN, "m2").status_code == 201
    created(door)
    return door


def movement(quantity: Any, from_: Any, to: Any, movement_id: str | None = None, **more: Any) -> dict[str, Any]:
    stated = {"sku": "filter", "quantity": quantity, "from": from_, "to": to, **more}
    return stated if movement_id is None else stated | {"movement_id": movement_id}


def moved(door: Door, quantity: Any, from_: Any, to: Any, movement_id: str | None = None, **more: Any) -> Any:
    request = {name: more.pop(name) for name in ("role", "headers") if name in more}
    return door.post("/v1/stock/movements", json=movement(quantity, from_, to, movement_id, **more), **request)


def levels(door: Door, query: str = "", **more: Any) -> dict[str, str]:
    items = door.get(f"/v1/stock?{query}", **more).json()["items"]
    return {f"{each['holder']} {each['sku']}": each["quantity"] for each in items}


def test_what_is_moved_is_there(stocked: Door) -> None:
    assert levels(stocked) == {"depot:d-3 filter": "6", "van:amina filter": "4"}
    assert moved(stocked, "0.5", VAN, {"kind": "job", "place_id": "j1"}).status_code == 201
    assert moved(stocked, 1.25, VAN, SCRAP, reason="broken").status_code == 201
    assert levels(stocked, "holder=van:amina") == {"van:amina filter": "2.25"}
    assert moved(stocked, "3", VAN, DEPOT).status_code == 201
    assert levels(stocked, "sku=filter") == {"depot:d-3 filter": "9", "van:amina filter": "-0.75"}
    assert levels(stocked, "sku=pump") == {}


def test_a_movement_sent_again_is_recorded_once(stocked: Door) -> None:
    again = moved(stocked, "4.0", DEPOT, VAN, "m2")
    assert (again.status_code, again.json()["movement_id"]) == (200, "m2")
    assert is_problem(moved(stocked, "5", DEPOT, VAN, "m2"), 409, "movement_exists")
    keyed = {"headers": {"Idempotency-Key": "k"}}
    first, second = moved(stocked, "1", DEPOT, VAN, **keyed), moved(stocked, "1", DEPOT, VAN, **keyed)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["movement_id"] == second.json()["movement_id"]
    assert is_problem(moved(stocked, "2", DEPOT, VAN, **keyed), 409, "movement_exists")
    assert levels(stocked) == {"depot:d-3 filter": "5", "van:amina filter": "5"}
    assert len(stocked.log.records[STOCK.name]) == 3
    recorded = [each for each in stocked.log.values(AUDIT) if each["kind"] == "stock"]
    assert [(each["action"], each["id"], each["before"]) for each in recorded][:2] == [
        ("moved", "m1", None),
        ("moved", "m2", None),
    ]
    assert len(recorded) == 3


def test_of_a_list_all_is_recorded_that_can_be(stocked: Door) -> None:
    batch = [
        movement("1", DEPOT, VAN, "a"),
        movement("1", DEPOT, VAN, "a"),
        movement("2", DEPOT, VAN, "a"),
        movement("1", DEPOT, {"kind": "van", "place_id": "nobody"}),
        movement("0", DEPOT, VAN),
        movement("1", SUPPLIER, SCRAP),
        movement("1", SCRAP, VAN),
        "x",
        movement("1", DEPOT, VAN, colour="red"),
        movement("1", DEPOT, VAN, "m2"),
        movement("7", SUPPLIER, DEPOT, "b"),
    ]
    answer = stocked.post("/v1/stock/movements", json=batch)
    assert answer.status_code == 200
    found = [(each["movement_id"], each["is_new"], each["code"]) for each in answer.json()["items"]]
    assert found == [
        ("a", True, ""),
        ("a", False, ""),
        (None, False, "movement_exists"),
        (None, False, "unknown_reference"),
        (None, False, "invalid_movement"),
        (None, False, "invalid_movement"),
        (None, False, "invalid_movement"),
        (None, False, "invalid_request"),
        (None, False, "invalid_movement"),
        (None, False, "movement_exists"),
        ("b", True, ""),
    ]
    said = [each["problem"] for each in answer.json()["items"]]
    assert "there is no technician 'nobody'" in said[3]
    assert "0 is not more than 0" in said[4]
    assert "nothing moves from a supplier to a scrap" in said[5]
    assert "a correction says why" in said[6]
    assert "colour" in said[8]
    assert levels(stocked) == {"depot:d-3 filter": "12", "van:amina filter": "5"}
    assert is_problem(stocked.post("/v1/stock/movements", json=[]), 400, "invalid_request")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"quantity": "1e13"}, "below 1,000,000,000,000"),
        ({"quantity": "0.0000001"}, "more than 6 decimals"),
        ({"quantity": "NaN"}, "not more than 0"),
        ({"quantity": "many"}, "$.quantity"),
        ({"at": "2026-03-03T00:00:00Z"}, "has not come yet"),
        ({"sku": ""}, "$.sku"),
        ({"sku": "a\nb"}, "$.sku"),
        ({"to": {"kind": "job", "place_id": "ghost"}}, "there is no job 'ghost'"),
        ({"to": {"kind": "depot"}}, "has a place_id"),
        ({"to": DEPOT}, "to the same place"),
    ],
)
def test_what_cannot_be_says_why(stocked: Door, stated: dict[str, Any], words: str) -> None:
    answer = stocked.post("/v1/stock/movements", json=movement("1", DEPOT, VAN) | stated)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert len(stocked.log.records[STOCK.name]) == 2


def test_who_left_can_only_give_back(stocked: Door) -> None:
    assert stocked.delete("/v1/technicians/amina").status_code in (204, 409)
    left = Technician(technician_id="amina", name="amina", removed_at=Instant(1))
    stocked.registers["technicians"].put("amina", left)
    assert is_problem(moved(stocked, "1", DEPOT, VAN), 400, "unknown_reference")
    assert moved(stocked, "4", VAN, DEPOT).status_code == 201


def test_a_technician_uses_parts_of_their_van(stocked: Door) -> None:
    stocked.keys.records["keytechnician"] = make_key("technician", technician_id="amina")
    by = {"role": "technician", "headers": {"Idempotency-Key": "k"}}
    part = {"sku": "filter", "quantity": "1.5", "unit_cost": 14.5}
    for _ in range(2):
        answer = stocked.post("/v1/jobs/j1/parts", json=part, **by)
        assert answer.status_code == 200, answer.text
        assert answer.json()["parts"] == [{"sku": "filter", "quantity": 1.5, "unit_cost": 14.5}]
    assert levels(stocked, role="technician") == {"van:amina filter": "2.5"}
    assert moved(stocked, "1", VAN, DEPOT, role="technician").status_code == 403
    assert levels(stocked, "holder=depot:d-3", role="technician") == {}
    other = part | {"holder": "depot:d-3"}
    assert is_problem(stocked.post("/v1/jobs/j1/parts", json=other, role="technician"), 400, "unknown_reference")
    created(stocked, job_id="j2", technician_ids=["bo"])
    assert is_problem(stocked.post("/v1/jobs/j2/parts", json=part, role="technician"), 404, "unknown_job")
    [edited] = [each for each in stocked.log.values(AUDIT) if each["kind"] == "job" and each["action"] == "edited"]
    assert edited["role"] == "technician"


def test_parts_follow_the_ledger(stocked: Door) -> None:
    stocked.patch("/v1/jobs/j1", json={"parts": [{"sku": "filter", "quantity": 9}, {"sku": "seal", "quantity": 2}]})
    job = {"kind": "job", "place_id": "j1"}

    def parts() -> dict[str, float]:
        return {each["sku"]: each["quantity"] for each in stocked.get("/v1/jobs/j1").json()["parts"]}

    assert moved(stocked, "3", DEPOT, job).status_code == 201
    assert parts() == {"filter": 3.0, "seal": 2.0}
    assert moved(stocked, "1", job, VAN).status_code == 201
    assert parts() == {"filter": 2.0, "seal": 2.0}
    assert moved(stocked, "2", job, VAN).status_code == 201
    assert parts() == {"seal": 2.0}
    batch = [{"sku": "filter", "quantity": "1"}, {"sku": "pump", "quantity": "0"}]
    refused = stocked.post("/v1/jobs/j1/parts", json=batch)
    assert is_problem(refused, 400, "invalid_movement")
    assert parts() == {"seal": 2.0}, "all or nothing"
    stocked.patch("/v1/jobs/j1", json={"technician_ids": ["amina", "bo"]})
    assert is_problem(stocked.post("/v1/jobs/j1/parts", json=batch[0]), 400, "invalid_movement")
    assert stocked.post("/v1/jobs/j1/parts", json=batch[0] | {"holder": "van:bo"}).status_code == 200
    assert parts() == {"seal": 2.0, "filter": 1.0}


def test_what_was_used_replaces_what_was_planned() -> None:
    planned = [UsedPart("a", 1.0, 2.0), UsedPart("b", 3.0)]
    assert parts_after(planned, {}, {}) == planned
    assert parts_after(planned, {"b": 1.0, "c": 2.0}, {"c": 9.0}) == [
        UsedPart("a", 1.0, 2.0),
        UsedPart("b", 1.0),
        UsedPart("c", 2.0, 9.0),
    ]
    assert parts_after(planned, {"a": 0.0}, {}) == [UsedPart("b", 3.0)]
    twice = [UsedPart("a", 1.0), UsedPart("b", 2.0), UsedPart("b", 3.0), UsedPart("a", 4.0, 5.0)]
    assert parts_after(twice, {"a": 2.0}, {"a": 7.0}) == [UsedPart("a", 2.0, 7.0), *twice[1:3]]


def test_thresholds(stocked: Door) -> None:
    one = "/v1/stock/thresholds/van:amina/filter"
    answer = stocked.put(one, json={"level": "5.0"})
    assert answer.json() == {
        "holder": "van:amina",
        "branch": None,
        "sku": "filter",
        "quantity": "4",
        "threshold": "5",
        "is_low": True,
        "moved_at": "2026-03-02T08:15:10.000Z",
    }
    assert stocked.put(one, json={"level": "5"}).status_code == 200
    assert stocked.put("/v1/stock/thresholds/van:bo/1/2-elbow", json={"level": 2}).json()["quantity"] == "0"
    assert levels(stocked) == {"depot:d-3 filter": "6", "van:amina filter": "4", "van:bo 1/2-elbow": "0"}
    assert is_problem(stocked.put(one, json={"level": "0"}), 400, "invalid_request")
    assert is_problem(stocked.put("/v1/stock/thresholds/shelf:1/filter", json={"level": "1"}), 400, "invalid_request")
    assert is_problem(stocked.put(one + "%06", json={"level": "1"}), 400, "invalid_request")
    ghost = stocked.put("/v1/stock/thresholds/van:ghost/filter", json={"level": "1"})
    assert is_problem(ghost, 400, "unknown_reference")
    assert stocked.delete(one).status_code == 204
    assert is_problem(stocked.delete(one), 404, "unknown_threshold")
    assert stocked.put(one, json={"level": "6"}).json()["threshold"] == "6"
    recorded = [each["action"] for each in stocked.log.values(AUDIT) if each["id"] == "van:amina/filter"]
    assert recorded == ["created", "removed", "created"]


def test_pages_of_levels_and_of_movements(stocked: Door) -> None:
    for number in range(5):
        body = movement(str(number + 1), SUPPLIER, VAN, f"n{number}", at=f"2026-03-02T07:0{number}:00Z")
        stocked.post("/v1/stock/movements", json=body | {"sku": f"s{number}"})
    page = stocked.get("/v1/stock?limit=4").json()
    rest = stocked.get(f"/v1/stock?limit=4&cursor={page['next_cursor']}").json()
    assert [each["sku"] for each in (*page["items"], *rest["items"])] == [
        "filter",
        "filter",
        *(f"s{k}" for k in range(5)),
    ]
    assert rest["next_cursor"] is None
    page = stocked.get("/v1/stock/movements?limit=3&holder=van:amina").json()
    rest = stocked.get(f"/v1/stock/movements?limit=9&holder=van:amina&cursor={page['next_cursor']}").json()
    assert [each["movement_id"] for each in (*page["items"], *rest["items"])] == ["m2", "n4", "n3", "n2", "n1", "n0"]
    times = "from=2026-03-02T07:01:00Z&to=2026-03-02T07:03:00Z"
    assert [each["movement_id"] for each in stocked.get(f"/v1/stock/movements?{times}").json()["items"]] == ["n2", "n1"]


def test_nothing_is_told_before_it_is_read(stocked: Door) -> None:
    stocked.movements.is_caught_up = False
    assert is_problem(stocked.get("/v1/stock"), 503, "unavailable")
    assert is_problem(moved(stocked, "1", DEPOT, VAN), 503, "unavailable")


PLACES = (
    StockPlace("van", "a"),
    StockPlace("van", "b"),
    StockPlace("depot", "d"),
    StockPlace("job", "j"),
    StockPlace("supplier"),
)


@st.composite
def ledgers(draw: Any) -> list[Movement]:
    found = []
    for number in range(draw(st.integers(0, 12))):
        from_, to = draw(st.permutations(PLACES))[:2]
        found.append(
            Movement(
                movement_id=f"m{number}",
                sku=draw(st.sampled_from(["x", "y"])),
                quantity=draw(st.decimals("0.01", "99", places=2)),
                from_=from_,
                to=to,
                at=Instant(draw(st.integers(0, 9))),
                recorded_at=Instant(number),
                actor="x",
            )
        )
    return found


@given(ledgers(), st.randoms())
def test_levels_are_those_of_all_movements_in_whatever_order_and_however_often(
    movements: list[Movement], chance: random.Random
) -> None:
    records = [wire.encode(each) for each in movements for _ in range(chance.randint(1, 2))]
    chance.shuffle(records)
    ledger = StockLedger()
    for record in records:
        each = wire.decode(Movement, record)
        ledger.moved(each.sku, each)
    wanted = {key: quantity for key, quantity in balances(movements).items() if key[0].kind in HOLDERS}
    found = {(place, sku): level.quantity for place, skus in ledger.holders() for sku, level in skus.items()}
    assert found == wanted
    used = {sku: quantity for (place, sku), quantity in balances(movements).items() if place.kind == "job"}
    assert ledger.used_on("j") == used
    assert sum(found.values(), Decimal(0)) == sum(wanted.values(), Decimal(0))

"""The ledger of stock: balances in any order, and what is low told once."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dispatch.stock import Shelf, balances, in_order, shelved
from schemas import wire
from schemas.stock import LARGEST, LowStock, Movement, StockPlace
from schemas.times import Instant

VAN, DEPOT, JOB = StockPlace("van", "ann"), StockPlace("depot", "d"), StockPlace("job", "j")
SUPPLIER, SCRAP = StockPlace("supplier"), StockPlace("scrap")
PLACES = (VAN, DEPOT, JOB, SUPPLIER, SCRAP)


def movement(movement_id, quantity, from_, to, at=0, sku="cable", recorded_at=0):
    return Movement(
        movement_id=movement_id,
        sku=sku,
        quantity=Decimal(str(quantity)),
        from_=from_,
        to=to,
        at=Instant(at),
        recorded_at=Instant(recorded_at),
        actor="x",
    )


quantities = st.decimals("0.000001", LARGEST - 1, places=6)


@st.composite
def ledgers(draw):
    found = []
    for k in range(draw(st.integers(0, 12))):
        from_, to = draw(st.permutations(PLACES))[:2]
        amount = draw(st.one_of(st.integers(1, 9).map(Decimal), quantities))
        when, sku = draw(st.integers(0, 9)), draw(st.sampled_from(["cable", "valve"]))
        found.append(movement(f"m{k}", amount, from_, to, when, sku))
    return found


@given(ledgers(), st.randoms(use_true_random=False))
def test_balances_are_sums_in_any_order_and_repeats_count_once(ledger, chance):
    expected = {}
    for each in ledger:
        for place, sign in ((each.from_, -1), (each.to, 1)):
            key = place, each.sku
            expected[key] = expected.get(key, Fraction(0)) + sign * Fraction(each.quantity)
    shuffled = [*ledger, *chance.choices(ledger, k=3)] if ledger else []
    chance.shuffle(shuffled)
    found = balances(shuffled)
    assert {key: Fraction(balance) for key, balance in found.items()} == expected
    assert sum(found.values()) == 0


def told_of(ledger, level, place=VAN):
    """What is told of cable in a place, as the movements become known one after the other."""
    shelf, found = Shelf(), []
    for each in ledger:
        if each.sku == "cable" and place in (each.from_, each.to):
            shelf, low = shelved(shelf, place, each, level)
            found += [] if low is None else [low]
    return shelf, found


@given(ledgers(), st.none() | st.integers(1, 9).map(Decimal))
def test_what_is_low_is_told_once_until_it_is_filled_up(ledger, level):
    expected, is_known = [], False
    for k, each in enumerate(ledger):
        left = balances(ledger[: k + 1]).get((VAN, "cable"), 0)
        is_known = is_known and level is not None and left < level
        if level is not None and each.sku == "cable" and each.from_ == VAN and left < level and not is_known:
            expected.append((each.movement_id, VAN, left, level))
            is_known = True
    shelf, found = told_of(ledger, level)
    assert [(low.movement_id, low.place, low.balance, low.level) for low in found] == expected
    assert shelf == Shelf(balances(ledger).get((VAN, "cable"), Decimal(0)), is_known)
    assert len({low.low_stock_id for low in found}) == len(found)


def test_a_van_that_runs_out_twice():
    ledger = [
        movement("first", 3, DEPOT, VAN, 0),
        movement("a", 7, DEPOT, VAN, 1),
        movement("b", 6, VAN, JOB, 2),
        movement("c", 1, VAN, JOB, 3),
        movement("d", 5, DEPOT, VAN, 4),
        movement("e", 4, VAN, SCRAP, 5),
    ]
    _, found = told_of(ledger, Decimal(5))
    assert found == [
        LowStock("b:low_stock", VAN, "cable", Decimal(4), Decimal(5), "b", Instant(2)),
        LowStock("e:low_stock", VAN, "cable", Decimal(4), Decimal(5), "e", Instant(5)),
    ]
    assert balances(ledger)[JOB, "cable"] == 7


def test_of_two_records_of_a_movement_the_first_counts():
    said, again = movement("a", 1, DEPOT, VAN, recorded_at=1), movement("a", 2, DEPOT, VAN, recorded_at=2)
    assert in_order([said, again]) == in_order([again, said]) == [said]


def test_records_over_the_wire():
    record = movement("a", "12.5", DEPOT, VAN)
    plain = json.loads(wire.encode(record))
    assert plain["quantity"] == "12.5"
    assert plain["from"] == {"kind": "depot", "place_id": "d"}
    assert wire.decode(Movement, wire.encode(record)) == record
    assert wire.from_builtins(Movement, plain | {"quantity": 12.5}) == record
    Draft202012Validator(wire.json_schema(Movement)).validate(plain)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: movement("a", 0, DEPOT, VAN), "movement 'a' of 'cable': 0 is not more"),
        (lambda: movement("a", -1, DEPOT, VAN), "-1 is not more"),
        (lambda: movement("a", "NaN", DEPOT, VAN), "NaN is not more"),
        (lambda: movement("a", "Infinity", DEPOT, VAN), "Infinity is not more"),
        (lambda: movement("a", "1e12", DEPOT, VAN), "below 1,000"),
        (lambda: movement("a", "1.0000001", DEPOT, VAN), "more than 6 decimals"),
        (lambda: movement("a", "1e-400", DEPOT, VAN), "more than 6 decimals"),
        (lambda: movement("a", 1, DEPOT, DEPOT), "to the same place"),
        (lambda: StockPlace("van"), "a van as a place"),
    ],
)
def test_what_is_refused_says_why(make, said):
    with pytest.raises(ValueError, match=said):
        make()

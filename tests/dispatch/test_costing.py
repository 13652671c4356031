"""What a job comes to."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.costing import Rates, invoice_lines, job_lines, total
from schemas.job import UsedPart
from schemas.stock import InvoiceLine
from tests.dispatch.logs import job_of

RATES = Rates(Decimal(90), Decimal(60), Decimal("0.50"), {"valve": Decimal("19.99")})


def done(**stated):
    return job_of(("completed", 1), **stated)


def test_labour_travel_and_parts():
    job = done(on_site_s=5400.0, travel_s=1000.0, parts=[UsedPart("valve", 2), UsedPart("cable", 12.5, unit_cost=1.1)])
    lines = invoice_lines(job, RATES, travel_distance_m=12_345.0)
    assert lines == [
        InvoiceLine("Labour", Decimal("1.50"), "h", Decimal(90), Decimal("135.00")),
        InvoiceLine("Travel time", Decimal("0.28"), "h", Decimal(60), Decimal("16.80")),
        InvoiceLine("Travel distance", Decimal("12.35"), "km", Decimal("0.50"), Decimal("6.18")),
        InvoiceLine("valve", Decimal(2), "pcs", Decimal("19.99"), Decimal("39.98")),
        InvoiceLine("cable", Decimal("12.5"), "pcs", Decimal("1.1"), Decimal("13.75")),
    ]
    assert total(lines) == Decimal("211.71")


@given(
    st.none() | st.floats(0.0, 1e6),
    st.none() | st.floats(0.0, 1e6),
    st.floats(0.0, 1e7),
    st.lists(st.tuples(st.floats(0.001, 1e4), st.decimals("0", "1e4", places=2)), max_size=4),
)
def test_amounts_are_to_the_cent_of_what_the_line_says(on_site_s, travel_s, distance_m, parts):
    prices = {f"p{k}": price for k, (_, price) in enumerate(parts)}
    job = done(
        on_site_s=on_site_s, travel_s=travel_s, parts=[UsedPart(f"p{k}", amount) for k, (amount, _) in enumerate(parts)]
    )
    lines = job_lines(job, Rates(Decimal(90), Decimal(60), Decimal("0.50"), prices), distance_m)
    for line in lines:
        exact = Fraction(line.quantity) * Fraction(line.unit_price)
        assert abs(Fraction(line.amount) - exact) <= Fraction(1, 200)
        assert line.amount > 0
        assert line.amount.as_tuple().exponent == -2
    hours = next((Fraction(line.quantity) for line in lines if line.description == "Labour"), Fraction(0))
    assert abs(hours - Fraction(on_site_s or 0.0) / 3600) <= Fraction(1, 200)
    assert total(lines) == sum(line.amount for line in lines)


def test_nothing_is_no_line():
    assert job_lines(done(), RATES) == []
    assert total([]) == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: invoice_lines(job_of(("on_site", 1)), RATES), "'j' is on_site"),
        (lambda: job_lines(done(parts=[UsedPart("pump", 1)]), RATES), "'pump' costs"),
        (lambda: job_lines(done(parts=[UsedPart("valve", float("inf"))]), RATES), "inf is not between"),
        (lambda: Rates(labour_per_h=Decimal(-1)), "labour_per_h: -1"),
        (lambda: Rates(parts={"pump": Decimal("NaN")}), "pump: NaN"),
    ],
)
def test_what_is_refused_says_why(make, said):
    with pytest.raises(ValueError, match=said):
        make()

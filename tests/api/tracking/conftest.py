"""The office, and somebody of it on the way to the customer."""

import pytest

from schemas.people import Contact, Technician
from schemas.places import Branch, Customer
from tests.api.conftest import Door
from tests.api.tracking.office import JOB, MINUTE_MS, drive, link, move, track


@pytest.fixture
def office(door: Door) -> Door:
    """Amina with a van, a customer, and a job that is planned."""
    door.registers["branches"].put("liverpool", Branch(branch="liverpool", name="Mersey Heating"))
    amina = Technician(
        technician_id="tech-77",
        name="Amina Okafor",
        branch="liverpool",
        device_ids=["van-12"],
        contact=Contact(phone="+44 151 496 0000"),
    )
    door.registers["technicians"].put("tech-77", amina)
    hill = Customer(customer_id="hill", name="Frau Hill", contact=Contact(phone="0151 1"), time_zone="Europe/London")
    door.registers["customers"].put("hill", hill)
    assert door.post("/v1/jobs", json=JOB).status_code == 201
    return door


@pytest.fixture
def on_the_way(office: Door) -> tuple[Door, str]:
    """On the road to the customer, who sees where."""
    token = link(office)
    move(office, "en_route")
    office.clock.moment_ms += 2 * MINUTE_MS
    drive(office)
    assert track(office, token)["position"] is not None
    return office, token

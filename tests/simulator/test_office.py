"""The office of a simulated day: everything it plans can be planned, and its truth is that of the day."""

import json
from typing import Any

import msgspec
import pytest

from schemas import wire
from schemas.job import JobPlan
from schemas.people import Technician
from schemas.places import Customer, Site
from schemas.times import parse_instant
from simulator.day import Day, DaySpec, build_day
from simulator.job_score import JobScore, expected_log
from simulator.office import Office, name_of, office_of


@pytest.fixture(scope="module")
def day() -> Day:
    return build_day(DaySpec(technicians=4, hours=6.0, seed=3))


@pytest.fixture(scope="module")
def office(day: Day) -> Office:
    return office_of(day)


def test_it_is_as_the_api_reads_it(office: Office) -> None:
    def read(kind: type[Any], contents: list[dict[str, Any]]) -> list[Any]:
        return [wire.decode(kind, json.dumps(each)) for each in contents]

    assert len(read(Technician, office.technicians)) == 4
    customers, sites = read(Customer, office.customers), read(Site, office.sites)
    plans = read(JobPlan, [{key: value for key, value in each.items() if key != "job_id"} for each in office.jobs])
    assert len(plans) > 10
    assert {plan.customer_id for plan in plans} == {each.customer_id for each in customers}
    assert {plan.site_id for plan in plans} == {each.site_id for each in sites}
    assert {plan.technician_ids[0] for plan in plans} <= {each["technician_id"] for each in office.technicians}


def test_each_job_is_for_one_stop_and_ends_with_it(day: Day, office: Office) -> None:
    truths = office.company.truths
    assert truths.keys() == {each["job_id"] for each in office.jobs}
    stays = {(span.device_id, span.fence_id, span.arrived_ms) for span in day.visits}
    reached = [truth for truth in truths.values() if truth.arrived_ms is not None]
    assert len(reached) > 0.8 * len(truths)
    for truth in reached:
        assert (truth.technician_ids[0], truth.fence_id, truth.arrived_ms) in stays
        states = [state for state, _, _ in expected_log(truth, [])]
        assert states in (["en_route", "on_site", "completed"], ["en_route", "on_site"], ["on_site", "completed"])
    places = [(truth.technician_ids, truth.fence_id) for truth in truths.values()]
    assert len(places) == len(set(places))


def test_a_shifted_day_has_the_same_office_later(day: Day, office: Office) -> None:
    later = office_of(day.shifted(86_400_000))
    assert later.customers == office.customers
    assert later.technicians == office.technicians
    for ours, theirs in zip(office.jobs, later.jobs, strict=True):
        assert ours["job_id"] == theirs["job_id"]
        assert parse_instant(theirs["window_from"]) - parse_instant(ours["window_from"]) == 86_400_000
    moved = [each.arrived_ms and each.arrived_ms + 86_400_000 for each in office.company.truths.values()]
    assert moved == [each.arrived_ms for each in later.company.truths.values()]


def test_names_differ_however_many_there_are() -> None:
    names = [name_of(number) for number in range(100)]
    assert len(set(names)) == 100
    assert names[0] == "Amina"
    assert msgspec.json.decode(msgspec.json.encode(names)) == names


def test_a_job_is_right_or_wrong_however_much_is_wrong_with_it() -> None:
    score = JobScore(10, ["a: on_site is +300 s off", "a: the word completed is not in the log", "b: lost"], ["b"])
    assert score.right == 9, "b is not judged"

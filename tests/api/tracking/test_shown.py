"""What a customer sees of their job, and that they see nothing that is not theirs."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.tracking.view import ETA_GOOD_MS, LEAVING_MS, POSITION_GOOD_MS, Surroundings, first_name, shown
from dispatch.lifecycle import BUILT_IN, PATHS
from dispatch.tracking import GOOD_MS
from geofence.geodesy import haversine_m
from schemas import wire
from schemas.eta import Eta
from schemas.job import JobRecord, LogEntry
from schemas.live import LiveState
from schemas.people import Contact, Technician
from schemas.places import Branch, Customer
from schemas.times import Instant
from schemas.tracking import CustomerMessage, TrackingRecord
from tests.api.conftest import NOW_MS, Door
from tests.api.tracking.office import HOME, JOB, MINUTE_MS, drive, eta_in, link, move, track


def test_a_drive_followed_by_the_customer(office: Door) -> None:
    token = link(office)
    drive(office)
    eta_in(office, 40)
    seen = track(office, token)
    assert (seen["state"], seen["position"], seen["eta"] is not None) == ("scheduled", None, True)
    move(office, "dispatched")
    assert track(office, token)["position"] is None
    office.clock.moment_ms += MINUTE_MS
    move(office, "en_route")
    assert track(office, token)["position"] is None, "where the van was before it left is where somebody else lives"
    drive(office)
    assert track(office, token)["position"] is None, "nor is it shown before it is away from there"
    office.clock.moment_ms += 2 * MINUTE_MS
    drive(office)
    eta_in(office, 20)
    seen = track(office, token)
    assert (seen["state"], seen["technician"]) == ("on_the_way", "Amina")
    assert seen["eta"] == {
        "eta": "2026-03-02T08:38:10.000Z",
        "window_from": "2026-03-02T08:33:10.000Z",
        "window_to": "2026-03-02T08:48:10.000Z",
        "computed_at": "2026-03-02T08:18:10.000Z",
    }
    away_m = haversine_m(*HOME, 53.42, -2.95)
    assert seen["position"] == {
        "lat": 53.42,
        "lon": -2.95,
        "at": "2026-03-02T08:18:10.000Z",
        "distance_m": pytest.approx(away_m, abs=5),
        "bearing_deg": pytest.approx(50, abs=1),
    }
    move(office, "on_site")
    drive(office, *HOME)
    seen = track(office, token)
    assert (seen["state"], seen["technician"], seen["position"], seen["eta"]) == ("arrived", "Amina", None, None)
    move(office, "completed")
    drive(office, 53.5, -2.8)
    seen = track(office, token)
    assert (seen["state"], seen["technician"], seen["position"], seen["eta"]) == ("completed", None, None, None)
    assert (seen["can_write"], seen["can_rate"]) == (False, True)


@pytest.mark.parametrize(
    "live",
    [{"open_visits": ["v1"]}, {"state": "on_site"}, {"state": "off_shift"}, {"state": "unknown"}],
    ids=str,
)
def test_who_is_at_another_place_or_off_shift_is_not_shown(on_the_way: tuple[Door, str], live: dict[str, Any]) -> None:
    door, token = on_the_way
    drive(door, **live)
    assert track(door, token)["position"] is None


def test_who_has_another_job_at_hand_is_not_shown(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    assert door.post("/v1/jobs", json=JOB | {"job_id": "other", "lat": 53.41}).status_code == 201
    move(door, "en_route", "other")
    assert track(door, token)["position"] is None
    move(door, "on_site", "other")
    assert track(door, token)["position"] is None
    move(door, "completed", "other")
    assert track(door, token)["position"] is not None


def test_a_position_grows_old(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    door.clock.moment_ms += POSITION_GOOD_MS
    assert track(door, token)["position"] is not None
    door.clock.moment_ms += 1
    assert track(door, token)["position"] is None


def test_a_van_that_changes_hands_is_not_shown(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    amina = door.registers["technicians"].records["tech-77"]
    door.registers["technicians"].put("tech-77", msgspec.structs.replace(amina, device_ids=[]))
    door.registers["technicians"].put("bo", Technician(technician_id="bo", name="Bo", device_ids=["van-12"]))
    assert track(door, token)["position"] is None


def test_a_job_that_goes_to_somebody_else_shows_them(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    door.registers["technicians"].put("bo", Technician(technician_id="bo", name="Bo Li", device_ids=["van-13"]))
    assert door.patch("/v1/jobs/j1", json={"technician_ids": ["bo"]}).status_code == 200
    seen = track(door, token)
    assert (seen["technician"], seen["position"]) == ("Bo", None)


def test_an_eta_that_says_nothing_any_more_is_not_shown(office: Door) -> None:
    token = link(office)
    eta_in(office, 20)
    assert track(office, token)["eta"] is not None
    for stale in (
        {"seen_ms": Instant(office.clock.moment_ms - ETA_GOOD_MS - 1)},
        {"to_ms": Instant(office.clock.moment_ms - 1)},
        {"technician_id": "bo"},
    ):
        eta_in(office, 20, **stale)
        assert track(office, token)["eta"] is None, stale


SECRETS: Final = (
    "Okafor", "van-12", "tech-77", "+44", "under the mat", "1 Strand", "Frau Hill", "0151", "hill", "j1", "other-job",
    "visit-9", "filter-12", "call me", "secret reason",
)  # fmt: skip
ages_ms = st.sampled_from([-1_000, 0, 1_000, POSITION_GOOD_MS, POSITION_GOOD_MS + 1, ETA_GOOD_MS, ETA_GOOD_MS + 1])


@st.composite
def situations(draw: st.DrawFn) -> tuple[JobRecord, TrackingRecord, Surroundings]:
    state = draw(st.sampled_from(sorted(PATHS)))
    at = Instant(NOW_MS - draw(st.sampled_from([0, 60_000, 600_000])))
    log = [LogEntry(state, at, at, "technician", "key:tech-77", "secret reason", 53.1, -2.1, "visit-9")]
    place = draw(st.sampled_from([(None, None), (53.4, -2.99)]))
    job = JobRecord(
        job_id="j1",
        revision=3,
        created_at=Instant(NOW_MS - 3_600_000),
        updated_at=at,
        state=state,
        log=log,
        title="Boiler",
        notes="the key is under the mat",
        address="1 Strand",
        customer_id="hill",
        branch="liverpool",
        lat=place[0],
        lon=place[1],
        technician_ids=draw(st.sampled_from([["tech-77"], ["tech-77", "bo"], []])),
        visit_ids=["visit-9"],
    )
    seen_ms = Instant(NOW_MS - draw(ages_ms))
    eta = Eta(
        job_id="j1",
        eta=Instant(NOW_MS + 60_000),
        from_ms=Instant(NOW_MS),
        to_ms=Instant(NOW_MS + draw(st.sampled_from([-1, 120_000]))),
        level=0.8,
        provider="straight_line",
        computed_at=seen_ms,
        distance_m=900.0,
        device_id="van-12",
        technician_id=draw(st.sampled_from(["tech-77", "bo"])),
        seen_ms=seen_ms,
    )
    lives = [
        LiveState(
            "van-12",
            Instant(NOW_MS - draw(ages_ms)),
            53.42,
            -2.95,
            8.0,
            1.0,
            None,
            0.5,
            draw(st.sampled_from(["moving", "stopped", "on_site", "unknown", "off_shift"])),
            draw(st.sampled_from([[], ["visit-9"]])),
            Instant(NOW_MS),
        )
    ]
    around = Surroundings(
        BUILT_IN,
        "Europe/London",
        draw(st.sampled_from([None, eta])),
        draw(st.sampled_from([None, Technician(technician_id="tech-77", name="Amina Okafor")])),
        draw(st.sampled_from([lives, []])),
        draw(st.sampled_from([["j1"], ["j1", "other-job"], ["other-job"], []])),
        Branch(branch="liverpool", name="Mersey Heating"),
        Customer(customer_id="hill", name="Frau Hill", contact=Contact(phone="0151 1")),
    )
    said = [CustomerMessage("m", "call me", Instant(NOW_MS))]
    return job, TrackingRecord(job_id="j1", updated_at=Instant(NOW_MS), messages=said), around


@given(situations())
def test_whatever_the_state_it_tells_nothing_that_is_not_the_customers(
    situation: tuple[JobRecord, TrackingRecord, Surroundings],
) -> None:
    job, record, around = situation
    answer = shown(job, record, around, Instant(NOW_MS), Instant(NOW_MS + GOOD_MS))
    text = wire.encode(answer).decode()
    assert not [each for each in SECRETS if each in text]
    live = next(iter(around.lives), None)
    may_see_where = (
        job.state == "en_route"
        and job.lat is not None
        and list(around.at_hand) == ["j1"]
        and live is not None
        and live.state in ("moving", "stopped")
        and not live.open_visits
        and job.log[-1].at + LEAVING_MS <= live.ts_ms
        and NOW_MS - live.ts_ms <= POSITION_GOOD_MS
    )
    assert (answer.position is not None) == may_see_where
    assert ("53.42" in text) == may_see_where
    is_over = job.state in ("left_incomplete", "completed", "invoiced", "rejected", "cancelled", "created")
    assert (answer.technician == "Amina") == (not is_over and around.technician is not None)
    if answer.eta is not None:
        assert job.state in ("scheduled", "dispatched", "en_route")
        assert around.eta is not None
        assert around.eta.technician_id in job.technician_ids


@pytest.mark.parametrize(
    ("name", "first"),
    [("Amina Okafor", "Amina"), ("Okafor, Amina", "Amina"), (" Bo ", "Bo"), ("Li, Bo Anders", "Bo"), (" ", "")],
)
def test_first_names(name: str, first: str) -> None:
    assert first_name(name) == first

"""Tracking links: what a customer sees of their job, what they may say, and that nothing else can be reached."""

import base64
import hashlib
import re
from html import unescape
from typing import Any, Final

import anyio
import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.tracking.book import TrackingBook, TrackingMender
from api.tracking.limits import TrackingLimits
from api.tracking.view import ETA_GOOD_MS, LEAVING_MS, POSITION_GOOD_MS, Surroundings, first_name, shown
from dispatch.lifecycle import BUILT_IN, PATHS
from dispatch.tracking import GOOD_MS, TrackingLinks
from geofence.geodesy import haversine_m
from schemas import wire
from schemas.eta import Eta
from schemas.job import JobRecord, LogEntry
from schemas.live import LiveState
from schemas.people import Contact, Technician
from schemas.places import Branch, Customer
from schemas.settings import Settings
from schemas.times import Instant, format_instant
from schemas.topics import AUDIT, TRACKING
from schemas.tracking import MAX_MESSAGES, MAX_TEXT_CHARS, CustomerMessage, TrackingRecord
from tests.api.conftest import NOW_MS, Door
from tests.api.test_auth import OPEN
from tests.api.test_pings import is_problem

MINUTE_MS: Final = 60_000
HOME: Final = (53.4, -2.99)
JOB: Final = {
    "job_id": "j1",
    "title": "Boiler",
    "notes": "the key is under the mat",
    "address": "1 Strand",
    "lat": HOME[0],
    "lon": HOME[1],
    "branch": "liverpool",
    "customer_id": "hill",
    "window_from": "2026-03-02T09:00:00Z",
    "window_to": "2026-03-02T11:00:00Z",
    "technician_ids": ["tech-77"],
}


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


def link(door: Door, job_id: str = "j1") -> str:
    answer = door.post(f"/v1/jobs/{job_id}/tracking-link", role="dispatcher")
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


def track(door: Door, token: str) -> dict[str, Any]:
    answer = door.get(f"/v1/track/{token}", role=None)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def move(door: Door, state: str, job_id: str = "j1") -> None:
    answer = door.post(f"/v1/jobs/{job_id}/transitions", json={"to": state})
    assert answer.status_code == 200, answer.text


def drive(door: Door, lat: float = 53.42, lon: float = -2.95, **more: Any) -> None:
    """The van is somewhere, now."""
    now_ms = Instant(door.clock.moment_ms)
    live = LiveState("van-12", now_ms, lat, lon, 8.0, 9.0, None, 0.5, "moving", [], now_ms)
    door.put_live(msgspec.structs.replace(live, **more))


def eta_in(door: Door, minutes: float, **more: Any) -> None:
    now_ms = door.clock.moment_ms
    at = Instant(now_ms + round(minutes * MINUTE_MS))
    eta = Eta(
        job_id="j1",
        eta=at,
        from_ms=Instant(at - 5 * MINUTE_MS),
        to_ms=Instant(at + 10 * MINUTE_MS),
        level=0.8,
        provider="straight_line",
        computed_at=Instant(now_ms),
        distance_m=4_200.0,
        device_id="van-12",
        technician_id="tech-77",
        seen_ms=Instant(now_ms),
    )
    door.etas.put("j1", msgspec.structs.replace(eta, **more))


def test_a_link_shows_the_job_as_its_customer_may_see_it(office: Door) -> None:
    made = office.post("/v1/jobs/j1/tracking-link", role="dispatcher").json()
    assert made["url"] == f"/t/{made['token']}", "nobody said where customers reach it"
    assert made["expires_at"] == "2026-03-16T11:00:00.000Z"
    assert track(office, made["token"]) == {
        "state": "scheduled",
        "title": "Boiler",
        "company": "Mersey Heating",
        "window_from": "2026-03-02T09:00:00.000Z",
        "window_to": "2026-03-02T11:00:00.000Z",
        "eta": None,
        "technician": "Amina",
        "position": None,
        "can_write": True,
        "can_rate": False,
        "rating": None,
        "comment": None,
        "time_zone": "Europe/London",
        "language": None,
        "expires_at": "2026-03-16T11:00:00.000Z",
    }
    assert link(office) == made["token"], "the notifier makes the very same"
    assert TrackingLinks(b"a secret").link_of(office.jobs.records["j1"], 0) == made["url"]
    [written] = [each for each in office.log.values(AUDIT) if each["kind"] == "tracking"][:1]
    assert (written["action"], written["id"], written["branch"]) == ("linked", "j1", "liverpool")
    assert made["token"] not in str(office.log.values(AUDIT))


def test_the_address_is_the_public_one() -> None:
    door = Door(settings=Settings(public_url="https://track.example.com/"))
    assert door.post("/v1/jobs", json={"job_id": "j1", "title": "Boiler"}).status_code == 201
    made = door.post("/v1/jobs/j1/tracking-link").json()
    assert made["url"] == f"https://track.example.com/t/{made['token']}"
    assert len(made["url"]) < 90


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


@pytest.fixture
def on_the_way(office: Door) -> tuple[Door, str]:
    """On the road to the customer, who sees where."""
    token = link(office)
    move(office, "en_route")
    office.clock.moment_ms += 2 * MINUTE_MS
    drive(office)
    assert track(office, token)["position"] is not None
    return office, token


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


def test_expired_revoked_and_forged(office: Door) -> None:
    token = link(office)
    forged = TrackingLinks(b"another secret").token_of(office.jobs.records["j1"], 0)
    wrong = [forged, token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", "x", token[:20]]
    ghost = msgspec.structs.replace(office.jobs.records["j1"], job_id="ghost")
    wrong.append(TrackingLinks(b"a secret").token_of(ghost, 0))
    assert office.delete("/v1/jobs/j1/tracking-link", role="dispatcher").status_code == 204
    new = link(office)
    assert new != token
    assert track(office, new)["state"] == "scheduled"
    unknown = set()
    for each in (token, *wrong):
        answer = office.get(f"/v1/track/{each}", role=None)
        assert is_problem(answer, 404, "unknown_link")
        unknown.add(answer.text)
    assert len(unknown) == 1, "nobody learns which of them was one"
    office.clock.moment_ms += 15 * 86_400_000
    assert is_problem(office.get(f"/v1/track/{new}", role=None), 410, "link_expired")
    assert is_problem(office.get(f"/v1/track/{token}", role=None), 404, "unknown_link"), "revoked it stays"
    assert is_problem(office.post(f"/v1/track/{new}/rating", role=None, json={"rating": 1}), 410, "link_expired")
    later = office.post("/v1/jobs/j1/tracking-link").json()
    assert later["expires_at"] == format_instant(-(-(office.clock.moment_ms + GOOD_MS) // 60_000) * 60_000)
    assert track(office, later["token"])["state"] == "scheduled"


def test_a_revocation_ends_all_links_and_is_on_record(office: Door) -> None:
    for number in range(1, 4):
        token = link(office)
        assert office.delete("/v1/jobs/j1/tracking-link").status_code == 204
        assert is_problem(office.get(f"/v1/track/{token}", role=None), 404, "unknown_link")
        assert office.log.values(TRACKING)[-1]["generation"] == number
    actions = [each["action"] for each in office.log.values(AUDIT) if each["kind"] == "tracking"]
    assert actions == ["linked", "revoked"] * 3
    assert is_problem(office.delete("/v1/jobs/ghost/tracking-link"), 404, "unknown_job")
    assert is_problem(office.post("/v1/jobs/ghost/tracking-link"), 404, "unknown_job")


def test_a_rating_is_left_once_it_is_done_and_can_be_changed(office: Door) -> None:
    token = link(office)
    path = f"/v1/track/{token}/rating"
    for state in ("dispatched", "en_route", "on_site"):
        move(office, state)
        assert is_problem(office.post(path, role=None, json={"rating": 5}), 409, "not_completed")
    move(office, "completed")
    said = {"rating": 2, "comment": " Late,\r\nbut kind\x07. "}
    seen = office.post(path, role=None, json=said).json()
    assert (seen["rating"], seen["comment"]) == (2, "Late,\nbut kind.")
    kept = len(office.log.records[TRACKING.name])
    assert office.post(path, role=None, json=said).status_code == 200
    assert len(office.log.records[TRACKING.name]) == kept, "the same again changes nothing"
    assert office.post(path, role=None, json={"rating": 4}).json()["comment"] is None
    assert track(office, token)["rating"] == 4
    words = office.get("/v1/jobs/j1/customer-words", role="viewer").json()
    assert (words["rating"], words["comment"], words["rated_at"]) == (4, None, "2026-03-02T08:15:10.001Z")
    written = [each for each in office.log.values(AUDIT) if each["action"] == "rated"]
    assert [(each["actor"]["way"], each["role"], each["after"]) for each in written] == [  # type: ignore[index]
        ("link", None, {"rating": 2}),
        ("link", None, {"rating": 4}),
    ]
    assert "Late" not in str(office.log.values(AUDIT))


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"rating": 0}', b'{"rating": 6}', b'{"rating": 3.5}', b'{"rating": "5"}', b"[]", b"\xff", b"",
     b'{"rating": 5, "job_id": "x"}', b'{"rating": 5, "comment": "' + b"x" * 1_001 + b'"}'],
)  # fmt: skip
def test_what_is_no_rating(office: Door, body: bytes) -> None:
    token = link(office)
    for state in ("on_site", "completed"):
        move(office, state)
    assert office.post(f"/v1/track/{token}/rating", role=None, content=body).status_code == 400
    assert TRACKING.name not in office.log.records


def test_messages_are_kept_once_each_until_it_is_over(office: Door) -> None:
    token = link(office)
    path = f"/v1/track/{token}/messages"
    first = office.post(path, role=None, json={"text": "Ring twice"})
    assert first.status_code == 201
    assert office.post(path, role=None, json={"text": " Ring twice\n"}).json() == first.json()
    assert office.post(path, role=None, json={"text": "\x00 "}).status_code == 400
    for number in range(1, MAX_MESSAGES):
        assert office.post(path, role=None, json={"text": f"{number}"}).status_code == 201
    assert is_problem(office.post(path, role=None, json={"text": "more"}), 409, "too_many_messages")
    words = office.get("/v1/jobs/j1/customer-words").json()["messages"]
    assert [each["text"] for each in words] == ["Ring twice", *map(str, range(1, MAX_MESSAGES))]
    assert len({each["message_id"] for each in words}) == MAX_MESSAGES
    assert words == office.log.values(TRACKING)[-1]["messages"]
    move(office, "cancelled")
    assert is_problem(office.post(path, role=None, json={"text": "Hello?"}), 409, "job_over")
    assert "Ring twice" not in str(track(office, token)), "who else has the link does not read it"


def test_a_message_is_no_larger_than_it_may_be(office: Door) -> None:
    path = f"/v1/track/{link(office)}/messages"
    assert office.post(path, role=None, json={"text": "\N{PILE OF POO}" * MAX_TEXT_CHARS}).status_code == 201
    assert office.post(path, role=None, json={"text": "x" * (MAX_TEXT_CHARS + 1)}).status_code == 400
    assert is_problem(office.post(path, role=None, content=b" " * 20_000), 413, "body_too_large")


def test_nothing_is_said_while_the_log_is_away_or_not_read(office: Door) -> None:
    token = link(office)
    office.log.down = True
    assert is_problem(office.post(f"/v1/track/{token}/messages", role=None, json={"text": "x"}), 503, "unavailable")
    assert office.post(f"/t/{token}/messages", role=None, data={"text": "x"}).status_code == 503
    office.log.down = False
    for model in (office.said, office.jobs):
        model.is_caught_up = False
        assert is_problem(office.get(f"/v1/track/{token}", role=None), 503, "unavailable")
        assert office.get(f"/t/{token}", role=None).status_code == 503
        model.is_caught_up = True
    office.said.is_caught_up = False
    for answer in (
        office.post("/v1/jobs/j1/tracking-link"),
        office.delete("/v1/jobs/j1/tracking-link"),
        office.get("/v1/jobs/j1/customer-words"),
    ):
        assert is_problem(answer, 503, "unavailable")


OWN: Final = ("/v1/track/{token}", "/t/{token}")
PUBLIC: Final = OPEN | {"/v1/events/schemas", "/v1/events/schemas/{event_type}"}


def ways_of(token: str) -> list[dict[str, Any]]:
    """All the ways in which a request can show who it comes from, with the token."""
    basic = base64.b64encode(f"van-12:{token}".encode()).decode()
    return [
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": f"Bearer onsite_{token}_{token}"}},
        {"headers": {"Authorization": f"Basic {basic}"}},
        {"headers": {"Cookie": f"onsite={token}; __Host-onsite={token}"}},
        {"headers": {"X-Api-Key": token, "X-Auth-Token": token}},
        {"params": {"token": token, "key": token, "access_token": token}},
    ]


def test_nothing_else_can_be_reached_with_it(office: Door) -> None:
    """Every route of the document, in every way, about things that are there."""
    token = link(office)
    drive(office)
    ids = {
        "job_id": "j1", "device_id": "van-12", "technician_id": "tech-77", "customer_id": "hill", "branch": "liverpool",
        "name": "travel", "event_type": "job.completed", "token": token, "sealed": token,
    }  # fmt: skip
    kept = {topic: list(records) for topic, records in office.log.records.items()}
    tried = 0
    for path, operations in office.app.openapi()["paths"].items():
        if path.startswith(OWN) or path in PUBLIC:
            continue
        where = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], token), path)
        for method in operations:
            for way in ways_of(token):
                body = {"name": f"{tried}{token}", "password": token} if method != "get" else None
                answer = office.request(method.upper(), where, None, json=body, **way)
                needs_another = path.endswith("calendar.ics") and "params" not in way
                wanted = (400,) if needs_another else (401, 404)
                assert answer.status_code in wanted, (method, where, way, answer.text)
                assert "Boiler" not in answer.text
                tried += 1
    assert tried > 500
    assert office.log.records == kept, "what is refused changes nothing"


def test_its_own_routes_open_its_own_job_alone(office: Door) -> None:
    assert office.post("/v1/jobs", json=JOB | {"job_id": "j2", "title": "Secret"}).status_code == 201
    token = link(office)
    read = office.tracking.links.read(token)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    swapped = base64.urlsafe_b64encode(raw.replace(read.job_id.encode(), b"j2")).decode().rstrip("=")
    for path in (f"/v1/track/{swapped}", f"/v1/track/{token}/../{swapped}", f"/t/{swapped}"):
        assert office.get(path, role=None).status_code == 404
    assert office.get(f"/v1/track/{token}?job_id=j2", role=None).json()["title"] == "Boiler"
    for method in ("PUT", "PATCH", "DELETE"):
        assert office.request(method, f"/v1/track/{token}", None).status_code == 405


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


def test_answers_are_kept_nowhere_and_tell_no_other_site(office: Door) -> None:
    token = link(office)
    for path in (f"/v1/track/{token}", "/v1/track/x", f"/t/{token}", "/t/x"):
        answer = office.get(path, role=None)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert office.get(f"/v1/track/{token}", role=None).headers["x-robots-tag"] == "noindex, nofollow"


def test_too_many_requests_of_a_link_and_from_an_address(office: Door) -> None:
    token = link(office)
    statuses = [office.get(f"/v1/track/{token}", role=None).status_code for _ in range(40)]
    assert statuses == sorted(statuses)
    assert statuses.count(200) in (30, 31)
    answer = office.get(f"/v1/track/{token}", role=None)
    assert is_problem(answer, 429, "too_many")
    assert int(answer.headers["retry-after"]) >= 1
    page = office.get(f"/t/{token}", role=None)
    assert (page.status_code, page.headers["retry-after"]) == (429, "1")
    assert office.post("/v1/jobs", json=JOB | {"job_id": "j2"}).status_code == 201
    assert track(office, link(office, "j2")), "others' links are not concerned"
    office.clock.moment_ms += 2_000
    assert track(office, token)


def test_guessing_from_one_address_is_slow_and_does_not_slow_others() -> None:
    now_s = 0.0
    limits = TrackingLimits(lambda: now_s)

    def guess(times: int) -> None:
        for number in range(times):
            limits.come_from(f"2001:db8::{number:x}")

    guess(600)
    with pytest.raises(Problem, match="too many"):
        guess(3)
    limits.come_from("2001:db8:0:1::1")
    limits.come_from("192.0.2.7")
    now_s = 1.0
    limits.come_from("2001:db8::1")


def test_two_processes_that_write_at_once_lose_nothing(office: Door) -> None:
    """Each knows only its own: what both wrote holds in either, and is written again so that it outlives them."""
    told = office.said
    book = office.tracking.book
    at = Instant(NOW_MS)
    revoked = TrackingRecord(job_id="j1", updated_at=at, generation=1, revoked_at=at)
    wrote = TrackingRecord(job_id="j1", updated_at=at, messages=[CustomerMessage("m", "Ring", at)])
    told.put("j1", revoked)
    assert book.torn == set()
    told.put("j1", wrote)
    assert (book.of("j1").generation, [each.text for each in book.of("j1").messages]) == (1, ["Ring"])
    assert book.torn == {"j1"}
    anyio.run(TrackingMender(book, office.log).mend)
    assert book.torn == set()
    [(key, value)] = office.log.records[TRACKING.name]
    anew = TrackingBook(told)
    anew.changed(key, wire.decode(TrackingRecord, value or b""))
    assert anew.of("j1") == book.of("j1"), "read by who starts later"
    anyio.run(TrackingMender(book, office.log).mend)
    assert len(office.log.records[TRACKING.name]) == 1, "nothing is left to mend"


def open_page(door: Door, token: str, language: str = "en", query: str = "") -> httpx.Response:
    return door.get(f"/t/{token}{query}", role=None, headers={"Accept-Language": language})


def visible(page: httpx.Response) -> str:
    """What people read."""
    body = re.sub(r"<(script|style).*?</\1>", "", page.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_says_who_comes_and_when(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    eta_in(door, 20)
    page = open_page(door, token)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    said = visible(page)
    for words in (
        "Mersey Heating",
        "Amina is on the way to you",
        "Expected between 08:32 and 08:47",
        "As of 08:17",
        "Promised: Monday 2 March, 09:00 to 11:00",
        "3.5 km away",
        "This page can be opened until Monday 16 March.",
    ):
        assert words in said, said
    assert '<li class="present" aria-current="step">On the way</li>' in page.text
    assert not [each for each in ("Okafor", "van-12", "tech-77", "under the mat", "1 Strand") if each in page.text]
    assert "Amina ist unterwegs zu Ihnen" in visible(open_page(door, token, "fr;q=0.1, de-CH;q=0.9, en;q=0.5"))


def test_the_customers_language_comes_before_the_browsers(office: Door) -> None:
    token = link(office)
    hill = office.registers["customers"].records["hill"]
    office.registers["customers"].put("hill", msgspec.structs.replace(hill, language="it-CH"))
    assert "Il suo appuntamento" in visible(open_page(office, token, "de"))
    assert 'lang="it"' in open_page(office, token, "de").text


def test_the_page_loads_nothing_from_elsewhere_and_its_policy_knows_its_script(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    page = open_page(door, token)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"<(img|link|iframe|object)\b|\bon\w+=|\bstyle=|\bsrc=|https?://", page.text)
    assert 'content="noindex"' in page.text


def test_what_people_write_is_text_on_the_page(office: Door) -> None:
    evil = "</textarea><script>alert(1)</script>"
    assert office.patch("/v1/jobs/j1", json={"title": evil}).status_code == 200
    token = link(office)
    for state in ("on_site", "completed"):
        move(office, state)
    said = {"rating": 1, "comment": evil}
    assert office.post(f"/v1/track/{token}/rating", role=None, json=said).status_code == 200
    page = open_page(office, token)
    assert page.text.count("<script>") == 1
    assert evil not in page.text
    assert page.text.count("&lt;script&gt;") >= 2


def test_the_forms_work_without_a_script(office: Door) -> None:
    token = link(office)
    assert 'name="text"' in open_page(office, token).text
    sent = office.post(f"/t/{token}/messages", role=None, data={"text": "Ring\r\ntwice"})
    assert (sent.status_code, sent.headers["location"]) == (303, f"/t/{token}?said=sent")
    assert "Your message is on its way." in visible(open_page(office, token, query="?said=sent"))
    refused = office.post(f"/t/{token}/rating", role=None, data={"rating": "5"})
    assert (refused.status_code, "That was not taken" in visible(refused)) == (409, True)
    for state in ("on_site", "completed"):
        move(office, state)
    page = open_page(office, token)
    assert page.text.count('type="radio"') == 5
    assert 'name="text"' not in page.text
    rated = office.post(f"/t/{token}/rating", role=None, data={"rating": "4", "comment": "On time"})
    assert (rated.status_code, rated.headers["location"]) == (303, f"/t/{token}?said=thanks")
    page = open_page(office, token, query="?said=thanks")
    assert "Thank you for your rating." in visible(page)
    assert 'id="stars-4" value="4" required checked' in page.text
    for wrong in ({"rating": "6"}, {"rating": "x"}, {}, {"comment": "y"}):
        assert office.post(f"/t/{token}/rating", role=None, data=wrong).status_code == 400
    for raw in (b"rating=%ff%fe", b"\xff", b"&".join([b"a=b"] * 20)):
        assert office.post(f"/t/{token}/rating", role=None, content=raw).status_code == 400
    assert office.get("/v1/jobs/j1/customer-words").json()["messages"][0]["text"] == "Ring\ntwice"


def test_a_page_that_is_over_says_so_in_the_browsers_language(office: Door) -> None:
    token = link(office)
    assert office.delete("/v1/jobs/j1/tracking-link").status_code == 204
    revoked, forged = open_page(office, token, "fr"), open_page(office, "x", "fr")
    assert (revoked.status_code, forged.status_code) == (404, 404)
    assert revoked.text == forged.text
    assert "Ce lien n’est pas valable" in visible(revoked)
    token = link(office)
    office.clock.moment_ms += 15 * 86_400_000
    expired = open_page(office, token)
    assert (expired.status_code, "This link has expired" in visible(expired)) == (410, True)
    for path in ("rating", "messages"):
        assert office.post(f"/t/{token}/{path}", role=None, data={"text": "x"}).status_code == 410

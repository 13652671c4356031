"""Links: who makes them, what they open, until when they are good, and how they are revoked."""

import msgspec

from dispatch.tracking import GOOD_MS, TrackingLinks
from schemas.settings import Settings
from schemas.times import format_instant
from schemas.topics import AUDIT, TRACKING
from tests.api.conftest import Door
from tests.api.test_pings import is_problem
from tests.api.tracking.office import link, track


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

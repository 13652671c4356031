"""A technician's jobs as a calendar: RFC 5545 to the letter, and nothing that is not theirs."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.jobs.calendar import calendar_of
from dispatch.lifecycle import BUILT_IN
from schemas.job import JobRecord
from schemas.people import Technician
from schemas.times import Instant, format_instant
from schemas.topics import AUDIT, CALENDARS
from tests.api.conftest import NOW_MS, Door
from tests.api.test_jobs import created
from tests.api.test_pings import is_problem
from tests.fakes import make_key

DAY_MS = 86_400_000


def events_of(content: bytes) -> list[dict[str, str]]:
    """Read as RFC 5545 says it is written; anything else fails."""
    assert content.endswith(b"\r\n")
    physical = content[:-2].split(b"\r\n")
    assert all(0 < len(line) <= 75 and b"\n" not in line and b"\r" not in line for line in physical)
    lines = b"\r\n".join(physical).replace(b"\r\n ", b"").decode().split("\r\n")
    assert (lines[0], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    found: list[dict[str, str]] = []
    inside: dict[str, str] | None = None
    for line in lines[1:-1]:
        name, _, value = line.partition(":")
        assert re.fullmatch(r"[A-Z-]+(;[A-Z]+=[A-Z]+)?", name), line
        if (name, value) == ("BEGIN", "VEVENT"):
            assert inside is None
            inside = {}
        elif (name, value) == ("END", "VEVENT"):
            assert inside is not None
            assert {"UID", "DTSTAMP", "DTSTART", "DTEND", "SEQUENCE", "STATUS"} <= inside.keys()
            found.append(inside)
            inside = None
        elif inside is not None:
            assert name not in inside, "each property once"
            inside[name] = value
    assert inside is None
    return found


def unescaped(value: str) -> str:
    assert not re.search(r"(?<!\\)(?:\\\\)*[;,]", value), value
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)


@pytest.fixture
def staffed(door: Door) -> Door:
    for technician_id in ("amina", "bo"):
        door.registers["technicians"].put(technician_id, Technician(technician_id=technician_id, name=technician_id))
    door.keys.records["keytechnician"] = make_key("technician", technician_id="amina")
    return door


def address(door: Door, technician_id: str = "amina", **more: Any) -> str:
    answer = door.post(f"/v1/technicians/{technician_id}/calendar", **more)
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["url"]
    return url.removeprefix("http://onsite")


def read(door: Door, url: str) -> list[dict[str, str]]:
    answer = door.get(url, role=None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    return events_of(answer.content)


def test_a_technician_subscribes_to_their_own_jobs(staffed: Door) -> None:
    text = "Boiler; 2nd floor, left\nRing \\ twice" + "ü" * 60
    created(staffed, title=text, notes="key: 1", address="1 Water Street, Liverpool", technician_ids=["amina", "bo"])
    created(staffed, job_id="bos", technician_ids=["bo"])
    url = address(staffed, role="technician")
    [event] = read(staffed, url)
    assert unescaped(event.pop("SUMMARY")) == text
    assert event == {
        "UID": "j1@onsite",
        "SEQUENCE": "1",
        "DTSTAMP": "20260302T081510Z",
        "CREATED": "20260302T081510Z",
        "LAST-MODIFIED": "20260302T081510Z",
        "DTSTART": "20260302T090000Z",
        "DTEND": "20260302T110000Z",
        "LOCATION": "1 Water Street\\, Liverpool",
        "GEO": "53.400000;-2.990000",
        "DESCRIPTION": "key: 1",
        "PRIORITY": "5",
        "STATUS": "CONFIRMED",
    }
    staffed.post("/v1/jobs/j1/transitions", json={"to": "cancelled"})
    [event] = read(staffed, url)
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == ("j1@onsite", "2", "CANCELLED")
    staffed.patch("/v1/jobs/j1", json={"technician_ids": ["bo"]})
    assert read(staffed, url) == []
    assert "bo" not in staffed.get(url, role=None).text


def test_an_address_is_shown_once_and_can_be_ended(staffed: Door) -> None:
    created(staffed)
    first = address(staffed)
    second = address(staffed)
    assert is_problem(staffed.get(first, role=None), 404, "unknown_calendar")
    assert len(read(staffed, second)) == 1
    for _, value in staffed.log.records[CALENDARS.name]:
        assert second.partition("token=")[2].encode() not in (value or b"")
    assert "token" not in str(staffed.log.values(AUDIT)[-1])
    assert is_problem(staffed.get(second.replace("amina", "bo"), role=None), 404, "unknown_calendar")
    other = address(staffed, "bo")
    assert is_problem(staffed.get(other.replace("/bo/", "/amina/"), role=None), 404, "unknown_calendar")
    assert is_problem(staffed.delete("/v1/technicians/bo/calendar", role="technician"), 404, "unknown_technician")
    assert is_problem(staffed.post("/v1/technicians/bo/calendar", role="technician"), 404, "unknown_technician")
    assert staffed.delete("/v1/technicians/amina/calendar", role="technician").status_code == 204
    assert is_problem(staffed.get(second, role=None), 404, "unknown_calendar")
    assert is_problem(staffed.delete("/v1/technicians/amina/calendar"), 404, "unknown_calendar")
    recorded = [(each["action"], each["id"]) for each in staffed.log.values(AUDIT) if each["kind"] == "calendar"]
    assert recorded == [("created", "amina"), ("created", "amina"), ("created", "bo"), ("removed", "amina")]
    left = Technician(technician_id="bo", name="bo", removed_at=Instant(1))
    staffed.registers["technicians"].put("bo", left)
    assert is_problem(staffed.get(other, role=None), 404, "unknown_calendar")
    assert is_problem(staffed.get("/v1/technicians/bo/calendar.ics", role=None), 400, "invalid_request")


def test_what_has_not_changed_is_not_sent_again(staffed: Door) -> None:
    created(staffed)
    url = address(staffed)
    first = staffed.get(url, role=None)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache", "it may be kept, if it is asked for again"
    staffed.clock.moment_ms += 60_000
    assert staffed.get(url, role=None, headers={"If-None-Match": etag}).status_code == 304
    staffed.patch("/v1/jobs/j1", json={"notes": "Ring"})
    answer = staffed.get(url, role=None, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.headers["ETag"] != etag) == (200, True)


@pytest.mark.parametrize(("days", "is_shown"), [(-31, False), (-29, True), (179, True), (181, False)])
def test_it_is_of_a_month_back_and_half_a_year_ahead(staffed: Door, days: int, is_shown: bool) -> None:
    begins_ms = NOW_MS + days * DAY_MS
    window = {"window_from": format_instant(begins_ms), "window_to": format_instant(begins_ms + 3_600_000)}
    created(staffed, **window)
    assert (len(read(staffed, address(staffed))) == 1) is is_shown


def test_of_one_end_of_a_window_the_other_follows(staffed: Door) -> None:
    created(staffed, job_id="a", window_to=None)
    created(staffed, job_id="b", window_from=None, duration_s=1_800)
    created(staffed, job_id="c", window_from=None, window_to=None)
    spans = [(event["UID"], event["DTSTART"], event["DTEND"]) for event in read(staffed, address(staffed))]
    assert spans == [
        ("a@onsite", "20260302T090000Z", "20260302T100000Z"),
        ("b@onsite", "20260302T103000Z", "20260302T110000Z"),
    ]


texts = st.text(st.characters(codec="utf-8"), max_size=200)
jobs = st.lists(
    st.builds(
        JobRecord,
        job_id=st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1, max_size=90),
        revision=st.integers(1, 10**6),
        created_at=st.integers(0, NOW_MS).map(Instant),
        updated_at=st.integers(0, NOW_MS).map(Instant),
        state=st.sampled_from(["scheduled", "cancelled"]),
        title=texts,
        notes=texts,
        address=st.none() | texts,
        window_from_ms=st.integers(NOW_MS - DAY_MS, NOW_MS + DAY_MS).map(Instant),
        duration_s=st.none() | st.floats(0.001, 10**6),
    ),
    max_size=4,
    unique_by=lambda job: job.job_id,
)


def visible(text: str) -> str:
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each for each in plain if each in "\n\t" or (each >= " " and each != "\x7f"))


@given(jobs)
def test_whatever_people_write_is_read_as_they_wrote_it(found: list[JobRecord]) -> None:
    content = calendar_of("Amina", found, BUILT_IN, NOW_MS)
    assert content == calendar_of("Amina", found[::-1], BUILT_IN, NOW_MS)
    events = {unescaped(event["UID"]): event for event in events_of(content)}
    for job in found:
        event = events[f"{visible(job.job_id)}@onsite"]
        assert unescaped(event["SUMMARY"]) == visible(job.title or job.job_id)
        assert unescaped(event.get("DESCRIPTION", "")) == visible(job.notes)
        assert event["DTSTART"] < event["DTEND"]


@given(jobs)
def test_others_read_it_too(found: list[JobRecord]) -> None:
    icalendar = pytest.importorskip("icalendar")
    calendar = icalendar.Calendar.from_ical(calendar_of("Amina", found, BUILT_IN, NOW_MS))
    events = {str(event["UID"]): event for event in calendar.walk("VEVENT")}
    assert len(events) == len({visible(job.job_id) for job in found})
    for job in found:
        event = events[f"{visible(job.job_id)}@onsite"]
        assert not event.errors
        assert str(event["SUMMARY"]) == visible(job.title or job.job_id)
        assert int(event["SEQUENCE"]) == job.revision
        assert event["DTSTART"].dt.timestamp() == (job.window_from_ms or 0) // 1000
        assert str(event["STATUS"]) == ("CANCELLED" if job.state == "cancelled" else "CONFIRMED")

"""What stays of a job when somebody is erased: what was done, when and for how much; not who, and nothing they said."""

from typing import Any

import msgspec
import pytest

from dispatch.events import NOTHING_OF_JOB, job_events
from dispatch.job_book import JobBook
from dispatch.redaction import redacted_in_archive, struck
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.job import Approach, Attachment, ChecklistItem, Evidence, JobPlan, JobRecord, LogEntry, UsedPart
from schemas.job_command import Command, CreateJob, EditJob, MoveJob, RedactJob, Sender, TellEvidence
from schemas.times import Instant

BOOK = JobBook(DispatchRules())
OFFICE = Sender("dispatcher", "key:office", "dispatcher")
AMINA = Sender("technician", "session:amina", "technician", "amina")
ERASER = Sender("system", "erasure")
PSEUDONYM = "erased-1"
MINUTE_MS = 60_000

PLAN = JobPlan(
    title="Boiler of Mr Weber",
    customer_id="weber",
    site_id="weber-home",
    fence_id="home",
    address="Weber, Gartenweg 3",
    window_from_ms=Instant(10 * MINUTE_MS),
    window_to_ms=Instant(120 * MINUTE_MS),
    technician_ids=["amina", "ben"],
    parts=[UsedPart("valve", 2.0, 14.5)],
    checklist=[ChecklistItem("ask AMINA for the key")],
    notes="Amina Okafor knows the way, +44 1; not aminata",
    attachments=[Attachment("signature", "https://files.example.com/weber.png")],
    job_type="service",
)


def at(minute: int) -> Instant:
    return Instant(minute * MINUTE_MS)


def carried_out(commands: list[Command], record: JobRecord | None = None) -> JobRecord:
    for command in commands:
        outcome = BOOK.apply(record, command, command.issued_at)
        assert outcome.answer.refusal is None, outcome.answer
        record = outcome.record or record
    assert record is not None
    return record


def command(what: type[Any], minute: int, sender: Sender, **more: Any) -> Any:
    return what(job_id="j", sender=sender, key=f"{what.__name__}{minute}", issued_at=at(minute), **more)


def evidence(minute: int, device_id: str, technician_id: str, arrived: int, departed: int | None) -> Any:
    approach = Approach(at(arrived - 5), f"visit-{device_id}", at(arrived), departed and at(departed), 60.0)
    said = Evidence(device_id, technician_id, [approach], at(minute))
    return command(TellEvidence, minute, Sender("automatic", "foreman"), evidence=said)


def of(kind: str, minute: int, **more: Any) -> RedactJob:
    wish = {
        "technician": {"person_id": "amina", "actors": ["session:amina"], "words": ["Amina", "Okafor", "+44 1"]},
        "customer": {"person_id": "weber", "words": ["Weber"], "site_ids": ["weber-home"]},
        "account": {"person_id": "office", "actors": ["key:office"], "words": ["office"]},
    }[kind]
    redact: RedactJob = command(RedactJob, minute, ERASER, kind=kind, pseudonym=PSEUDONYM, **(wish | more))
    return redact


@pytest.fixture
def done() -> JobRecord:
    """Created, driven to and done by Amina's van, with her own words about it."""
    return carried_out(
        [
            command(CreateJob, 0, OFFICE, plan=PLAN),
            evidence(20, "van-1", "amina", 20, None),
            command(MoveJob, 25, AMINA, to="in_progress", reason="at Weber's, Amina", lat=53.4, lon=-2.9),
            evidence(61, "van-1", "amina", 20, 60),
        ]
    )


def test_a_technician_goes_and_the_record_of_the_work_stays(done: JobRecord) -> None:
    after = carried_out([of("technician", 90)], done)
    text = wire.encode(msgspec.structs.replace(after, answered=[])).decode().lower()
    assert not [word for word in ('amina"', "okafor", "+44", "van-1", "53.4", "session:") if word in text]
    assert "aminata" in text, "another name"
    assert after.technician_ids == [PSEUDONYM, "ben"]
    assert [(each.state, each.at, each.recorded_at) for each in after.log] == [
        (each.state, each.at, each.recorded_at) for each in done.log
    ]
    kept = ("state", "travel_s", "on_site_s", "waiting_s", "parts", "window_from_ms", "customer_id", "job_type")
    assert {name: getattr(after, name) for name in kept} == {name: getattr(done, name) for name in kept}
    assert {each.actor for each in after.log if each.source == "automatic"} == {PSEUDONYM}
    assert after.revision == done.revision + 1


def test_late_news_of_the_van_changes_nothing_any_more(done: JobRecord) -> None:
    after = carried_out([of("technician", 90)], done)
    nothing = Evidence("van-1", "ben", [], at(95))
    told = BOOK.apply(after, command(TellEvidence, 95, Sender("automatic", "foreman"), evidence=nothing), at(95))
    assert told.record is None


def test_who_has_still_to_do_a_job_is_taken_off_it() -> None:
    open_ = carried_out([command(CreateJob, 0, OFFICE, plan=PLAN)])
    after = carried_out([of("technician", 5)], open_)
    assert (after.state, after.technician_ids) == ("scheduled", ["ben"])
    theirs = [each for each in after.assignments if each.technician_id == PSEUDONYM]
    assert [each.to_ms for each in theirs] == [at(5)]


def test_a_customer_goes_with_the_place_and_all_that_was_said(done: JobRecord) -> None:
    after = carried_out([of("customer", 90)], done)
    text = wire.encode(after).decode()
    assert not [word for word in ("weber", "Weber", "Gartenweg", "53.4", "home", "files.example") if word in text]
    assert (after.customer_id, after.site_id, after.title, after.attachments) == (PSEUDONYM, None, "service", [])
    assert after.technician_ids == ["amina", "ben"]
    assert (after.parts, after.on_site_s, after.state) == (done.parts, done.on_site_s, done.state)
    assert [each.state for each in after.log] == [each.state for each in done.log]


def test_who_has_an_account_goes_from_the_log(done: JobRecord) -> None:
    after = carried_out([of("account", 90)], done)
    assert "key:office" not in wire.encode(after).decode()
    assert after.log[0].actor == PSEUDONYM
    assert after.technician_ids == done.technician_ids


def test_done_again_it_is_written_again_and_says_the_same(done: JobRecord) -> None:
    once = carried_out([of("technician", 90)], done)
    twice = carried_out([of("technician", 91)], once)
    same = msgspec.structs.replace(twice, revision=once.revision, updated_at=once.updated_at, answered=once.answered)
    assert same == once
    assert twice.revision == once.revision + 1


def test_it_is_told_as_an_edit_and_not_what_was_there_before(done: JobRecord) -> None:
    rates = DispatchRules().rates
    _, told = job_events(done, NOTHING_OF_JOB, rates, at(70))
    after = carried_out([of("technician", 90)], done)
    events, told = job_events(after, told, rates, at(90))
    assert [event.type for event in events] == ["job.edited"]
    assert 'amina"' not in wire.encode(events).decode()
    edited = carried_out([command(EditJob, 95, OFFICE, changes={"notes": "new"})], after)
    assert [event.type for event in job_events(edited, told, rates, at(95))[0]] == ["job.edited"]


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("Ring Amina or amina", ["Amina"], "Ring [erased] or [erased]"),
        ("Aminata came", ["Amina"], "Aminata came"),
        ("call +44 1 (or +44 12)", ["+44 1"], "call [erased] (or +44 12)"),
        ("a.b@example.com.", ["a.b@example.com"], "[erased]."),
        ("José", ["josé"], "[erased]"),
        ("nothing", [], "nothing"),
    ],
)
def test_words_are_struck_from_texts(text: str, words: list[str], left: str) -> None:
    assert struck(text, words) == left


def archived() -> JobRecord:
    """As the store has it: two came, each with a van; Ben's visit in the middle is in no entry."""
    log = [
        LogEntry("created", at(0), at(0), "dispatcher", "key:office", "for Weber"),
        LogEntry("on_site", at(20), at(21), "automatic", "van-1", "arrived", visit_id="v1"),
        LogEntry("completed", at(50), at(51), "automatic", "van-2", "departed", visit_id="v2"),
        LogEntry("invoiced", at(90), at(90), "technician", "session:amina", "Amina Okafor agreed"),
    ]
    stated = {name: getattr(PLAN, name) for name in JobPlan.__struct_fields__}
    more = {"state": "invoiced", "visit_ids": ["v1", "v2", "v3"], "on_site_s": 1_800.0, "log": log}
    return JobRecord(**stated, job_id="j", revision=7, created_at=at(0), updated_at=at(90), **more)


def wish(kind: str, person_id: str, **more: Any) -> RedactJob:
    return command(RedactJob, 9_000, ERASER, kind=kind, person_id=person_id, pseudonym=PSEUDONYM, **more)


def test_a_technician_goes_from_an_archived_job() -> None:
    asked = wish("technician", "amina", actors=["session:amina"], words=["Amina Okafor", "Amina"])
    job = redacted_in_archive(archived(), asked, lambda device_id, at_ms: (device_id, at_ms) == ("van-1", at(20)))
    assert (job.revision, job.updated_at) == (8, at(90)), "a further revision of a job that has not changed since"
    assert [(entry.actor, entry.visit_id) for entry in job.log] == [
        ("key:office", None),
        (PSEUDONYM, None),
        ("van-2", "v2"),
        (PSEUDONYM, None),
    ]
    assert (job.technician_ids, job.visit_ids) == ([PSEUDONYM, "ben"], ["v2"])
    assert [entry.at for entry in job.log] == [entry.at for entry in archived().log]
    assert b"amina " not in wire.encode(job).lower()
    again = redacted_in_archive(job, asked, lambda *_: False)
    assert again == msgspec.structs.replace(job, revision=9), "done again, it is the same"


def test_a_customer_goes_from_an_archived_job() -> None:
    asked = wish("customer", "weber", words=["Weber"], site_ids=["weber-home"])
    job = redacted_in_archive(archived(), asked, lambda *_: True)
    assert (job.customer_id, job.site_id, job.fence_id, job.address, job.notes) == (PSEUDONYM, None, None, None, "")
    assert [entry.state for entry in job.log] == ["created", "on_site", "completed", "invoiced"]
    assert (job.visit_ids, {entry.visit_id for entry in job.log}) == ([], {None})
    assert (job.technician_ids, job.on_site_s, job.parts) == (["amina", "ben"], 1_800.0, PLAN.parts)
    assert b"weber" not in wire.encode(job).lower()

"""What is told of jobs and visits: each event once, none left out, whichever revisions are read and however often."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.costing import Rates
from dispatch.events import NOTHING_OF_JOB, NOTHING_OF_VISIT, ToldJob, ToldVisit, job_events, visit_events
from dispatch.job_book import JobBook
from dispatch.lifecycle import OwnState
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.event import Event
from schemas.job import Escalation, JobRecord, UsedPart
from schemas.job_command import Command, EditJob
from schemas.times import Instant
from schemas.visit import Visit
from tests.dispatch.examples import DISPATCHER, after, approach, create, minute, move, tell

RULES = DispatchRules(states={"awaiting_parts": OwnState(("on_site",), ("completed",))})
BOOK = JobBook(RULES)
NOW = minute(600)


def edit(at: float, **changes: object) -> EditJob:
    return EditJob(job_id="job-1", sender=DISPATCHER, key=f"edit-{at}", issued_at=minute(at), changes=changes)


def revisions(*commands: Command) -> list[JobRecord]:
    """The record after each command that changed it."""
    found: list[JobRecord] = []
    for command in commands:
        outcome = BOOK.apply(found[-1] if found else None, command, command.issued_at)
        if outcome.record is not None:
            found.append(outcome.record)
    return found


def told_of(records: list[JobRecord], told: ToldJob = NOTHING_OF_JOB) -> tuple[list[Event], ToldJob]:
    """All that is told as the revisions are read; what was told goes through its wire form each time."""
    events: list[Event] = []
    for record in records:
        some, told = job_events(record, wire.decode(ToldJob, wire.encode(told)), Rates(), NOW)
        events += some
    return events, told


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_a_day_of_a_job() -> None:
    events, _ = told_of(
        revisions(
            create(),
            edit(5, title="Boiler"),
            move("dispatched", 10, DISPATCHER),
            tell(approach(20, None, None), recorded=25),
            tell(approach(20, 40, None), recorded=45),
            move("awaiting_parts", 50),
            move("completed", 90),
            move("invoiced", 95, DISPATCHER),
        )
    )
    assert types(events) == [
        "job.created",
        "job.scheduled",
        "job.edited",
        "job.dispatched",
        "job.en_route",
        "job.on_site",
        "job.awaiting_parts",
        "job.completed",
        "job.invoice_ready",
        "job.invoiced",
    ]
    completed = events[7]
    assert (completed.time, completed.subject, completed.recorded_at) == (minute(90), "job-1", NOW)
    assert completed.data["entry"]["state"] == "completed"
    assert completed.data["job"]["state"] == "completed"
    assert "words" not in completed.data["job"]


def test_a_corrected_time_and_an_entry_taken_back_are_told() -> None:
    events, told = told_of(revisions(create(), tell(approach(20, 40, 80), recorded=85)))
    assert types(events)[2:] == ["job.en_route", "job.on_site", "job.completed", "job.invoice_ready"]
    later = revisions(create(), tell(approach(20, 40, 80), recorded=85), tell(approach(None, 42, 80), recorded=90))[2:]
    events, _ = told_of(later, told)
    assert types(events)[:2] == ["job.log_revised", "job.log_revised"]
    back, moved = events[0].data, events[1].data
    assert (back["was"]["state"], back["now"]) == ("en_route", None)
    assert (moved["was"]["at"], moved["now"]["at"]) == ("1970-01-01T00:40:00.000Z", "1970-01-01T00:42:00.000Z")


def test_risks_and_escalations() -> None:
    [record] = revisions(create())
    late = Escalation("e-1", "job-1", "response", 0.5, minute(70))
    records = [
        record,
        msgspec.structs.replace(record, revision=2, risk="at_risk"),
        msgspec.structs.replace(record, revision=3, risk="at_risk", escalations=[late]),
        msgspec.structs.replace(record, revision=4, risk="late", escalations=[late]),
        msgspec.structs.replace(record, revision=5, risk="none", escalations=[late]),
    ]
    events, _ = told_of(records)
    assert types(events)[2:] == ["job.at_risk", "job.escalated", "job.late"]


def test_an_invoice_that_is_the_same_after_a_correction_is_not_told_again() -> None:
    parts = [UsedPart("filter", 2.0, 14.5)]
    book = JobBook(DispatchRules())
    once = after(book, create(parts=parts), move("on_site", 10), move("completed", 20))
    events, told = job_events(once, NOTHING_OF_JOB, Rates(), Instant(1))
    assert "job.invoice_ready" in types(events)
    undone = after(book, create(parts=parts), move("on_site", 10), move("completed", 20), move("in_progress", 30))
    events, told = job_events(undone, told, Rates(), Instant(2))
    assert types(events) == ["job.in_progress"]
    again = after(
        book,
        create(parts=parts),
        move("on_site", 10),
        move("completed", 20),
        move("in_progress", 30),
        move("completed", 40),
    )
    events, told = job_events(again, told, Rates(), Instant(3))
    assert types(events) == ["job.completed"]


def test_an_invoice_has_its_lines_and_is_told_again_when_they_change() -> None:
    record = after(BOOK, create(parts=[UsedPart("filter", 2.0, 14.5)]), move("on_site", 70), move("completed", 90))
    rates = Rates()
    events, told = job_events(record, NOTHING_OF_JOB, rates, NOW)
    [invoice] = [event for event in events if event.type == "job.invoice_ready"]
    assert invoice.data["total"] == "29.00"
    assert invoice.data["lines"][0]["description"] == "filter"
    dearer = msgspec.structs.replace(record, revision=9, parts=[UsedPart("filter", 3.0, 14.5)])
    events, told = job_events(dearer, told, rates, NOW)
    assert types(events) == ["job.edited", "job.invoice_ready"]
    unpriced = msgspec.structs.replace(record, revision=10, parts=[UsedPart("filter", 3.0)])
    events, _ = job_events(unpriced, told, rates, NOW)
    assert "filter" in events[1].data["problem"]
    assert events[1].data["lines"] == []


DAY = st.lists(
    st.one_of(
        st.builds(
            lambda left, here, gone, at: tell(
                approach(left, left + here, None if gone is None else left + here + gone), recorded=at
            ),
            st.integers(1, 50),
            st.integers(1, 50),
            st.one_of(st.none(), st.integers(1, 50)),
            st.integers(100, 400),
        ),
        st.builds(
            lambda state, at: move(state, at, DISPATCHER),
            st.sampled_from(["dispatched", "en_route", "on_site", "completed", "cancelled", "awaiting_parts"]),
            st.integers(1, 400),
        ),
        st.builds(lambda at, title: edit(at, title=title), st.integers(1, 400), st.sampled_from("abc")),
    ),
    max_size=12,
)


@given(DAY, st.data())
def test_each_event_once_and_none_left_out(day: list[Command], data: st.DataObject) -> None:
    """Some revisions are compacted away, some are read again: every entry of the last log is told, once."""
    records = revisions(create(), *sorted(day, key=lambda command: command.issued_at))
    kept = data.draw(st.lists(st.sampled_from(records), max_size=len(records)).map(lambda some: [*some, records[-1]]))
    kept.sort(key=lambda record: record.revision)
    read_again = [each for record in kept for each in [record] * data.draw(st.integers(1, 2))]
    events, told = told_of(read_again)
    ids = [event.id for event in events]
    assert len(set(ids)) == len(ids)
    standing: Counter[str] = Counter()
    for event in events:
        if event.type == "job.log_revised":
            standing[wire_key(event.data["was"])] -= 1
            if event.data["now"] is not None:
                standing[wire_key(event.data["now"])] += 1
        elif "entry" in event.data:
            standing[wire_key(event.data["entry"])] += 1
    assert +standing == Counter(wire_key(wire.to_builtins(entry)) for entry in records[-1].log)
    assert min(standing.values()) >= 0
    assert told_of(read_again, told)[0] == [], "what is read again after a crash is told already"


def wire_key(entry: dict[str, object]) -> str:
    return "|".join(str(entry[name]) for name in ("state", "at", "recorded_at", "source", "actor"))


@given(DAY)
def test_what_is_told_twice_has_the_same_ids(day: list[Command]) -> None:
    records = revisions(create(), *day)
    assert told_of(records)[0] == told_of(records)[0]


def visit(revision: int, state: str, arrived: float = 10, departed: float | None = None) -> Visit:
    end = None if departed is None else minute(departed)
    at = minute(arrived)
    return Visit(
        "v", "van-1", "site", 1, None, state, revision, at, at, at, end, end, end, 60.0, 60.0, 60.0, 0.9, "arrived", 9
    )  # fmt: skip


def told_of_visits(*visits: Visit) -> list[Event]:
    events: list[Event] = []
    told = NOTHING_OF_VISIT
    for each in visits:
        some, told = visit_events(
            each, wire.decode(ToldVisit, wire.encode(told)), "north", None, Instant(each.revision)
        )
        events += some
    assert len({event.id for event in events}) == len(events)
    return events


@pytest.mark.parametrize(
    ("visits", "told"),
    [
        ([visit(1, "open"), visit(2, "retracted")], []),
        ([visit(1, "open"), visit(2, "confirmed"), visit(3, "confirmed")], ["confirmed"]),
        ([visit(2, "confirmed"), visit(2, "confirmed"), visit(1, "open")], ["confirmed"]),
        ([visit(3, "closed", departed=50)], ["confirmed", "closed"]),
        ([visit(2, "confirmed"), *[visit(3, "closed", departed=50)] * 2], ["confirmed", "closed"]),
        ([visit(3, "closed", departed=50), visit(4, "closed", departed=50)], ["confirmed", "closed"]),
        ([visit(3, "closed", departed=50), visit(4, "closed", departed=55)], ["confirmed", "closed", "closed"]),
        ([visit(3, "closed", departed=50), visit(4, "confirmed")], ["confirmed", "closed", "confirmed"]),
        ([visit(2, "confirmed"), visit(3, "open"), visit(4, "retracted")], ["confirmed", "retracted"]),
        ([visit(2, "confirmed"), visit(4, "retracted"), visit(5, "retracted")], ["confirmed", "retracted"]),
        (
            [visit(2, "confirmed"), visit(4, "retracted"), visit(5, "confirmed")],
            ["confirmed", "retracted", "confirmed"],
        ),
    ],
)  # fmt: skip
def test_visits(visits: list[Visit], told: list[str]) -> None:
    events = told_of_visits(*visits)
    assert types(events) == [f"visit.{each}" for each in told]
    assert all((event.branch, event.subject) == ("north", "v") for event in events)


def test_a_visit_is_told_at_the_time_of_what_happened() -> None:
    confirmed, closed = told_of_visits(visit(3, "closed", arrived=10, departed=50))
    assert (confirmed.time, closed.time) == (minute(10), minute(50))
    assert closed.data["departed_at"] == "1970-01-01T00:50:00.000Z"

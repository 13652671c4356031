import pytest

from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules, read_rules_of_dispatch
from schemas.job import EtaWindow, JobRecord
from schemas.job_command import EditJob, TellEta
from schemas.times import format_instant
from tests.dispatch.examples import DISPATCHER, POSITIONS, after, approach, create, minute, move, tell

BOOK = JobBook(DispatchRules())

RULES = b"""
ahead_days = 3
[business]
time_zone = "UTC"
hours = [{days = ["mon", "tue", "wed", "thu", "fri"], from = "08:00", to = "16:00"}]
[sla.priorities.high]
response_s = 3600
hours = "always"
"""


ON_THE_WAY = tell(approach(50, None, None), recorded=60)


def expected(eta_from: float, eta_to: float, at: float) -> TellEta:
    """Somebody will be there between two minutes, it is said at a third."""
    eta = EtaWindow(minute(eta_from), minute(eta_to))
    return TellEta(job_id="job-1", sender=POSITIONS, key=f"eta-{at}", issued_at=minute(at), eta=eta)


def test_a_job_becomes_late_by_itself_once_its_window_is_over() -> None:
    record = after(BOOK, create())
    assert record.risk == "none"
    assert BOOK.next_look_ms(record, minute(10)) == minute(180) + 1
    assert BOOK.look(record, minute(180)) is None
    late = BOOK.look(record, minute(181))
    assert late is not None
    assert (late.risk, late.revision) == ("late", record.revision + 1)
    assert BOOK.next_look_ms(late, minute(181)) is None
    assert BOOK.look(late, minute(182)) is None


def test_whoever_will_be_there_too_late_puts_it_at_risk_and_who_arrives_in_time_takes_it_off() -> None:
    begun = (create(), ON_THE_WAY, expected(170, 190, 61))
    record = after(BOOK, *begun)
    assert (record.state, record.risk) == ("en_route", "at_risk")
    assert after(BOOK, *begun, expected(160, 179, 62)).risk == "at_risk"
    assert after(BOOK, *begun, expected(150, 170, 62)).risk == "none"
    arrived = after(BOOK, *begun, tell(approach(50, 175, None), recorded=178))
    assert (arrived.state, arrived.risk) == ("on_site", "none")


def test_a_job_that_nobody_is_on_the_way_to_yet_may_be_at_risk() -> None:
    record = after(BOOK, create(), expected(170, 190, 10))
    assert (record.state, record.risk) == ("scheduled", "at_risk")
    late = BOOK.look(record, minute(181))
    assert late is not None
    assert late.risk == "late"


def test_an_eta_that_changes_no_risk_makes_no_revision() -> None:
    def told(record: JobRecord, command: TellEta) -> JobRecord | None:
        return BOOK.apply(record, command, command.issued_at).record

    record = after(BOOK, create(), ON_THE_WAY)
    assert told(record, expected(100, 120, 61)) is None
    at_risk = told(record, expected(170, 190, 62))
    assert at_risk is not None
    assert (at_risk.risk, at_risk.eta, at_risk.answered) == (
        "at_risk",
        EtaWindow(minute(170), minute(190)),
        record.answered,
    )
    assert told(at_risk, expected(175, 195, 63)) is None
    assert told(at_risk, expected(160, 179, 64)) is None, "there is no room yet"
    assert after(BOOK, create(), ON_THE_WAY, expected(170, 190, 62), move("cancelled", 63, DISPATCHER)).risk == "none"
    assert BOOK.apply(None, expected(170, 190, 62), minute(62)).record is None


def test_a_window_that_is_moved_is_held_against_the_eta_that_was_told() -> None:
    changes = {"window_to": format_instant(minute(240))}
    later = EditJob(job_id="job-1", sender=DISPATCHER, key="e", issued_at=minute(65), changes=changes)
    assert after(BOOK, create(), expected(170, 190, 61), later).risk == "none"


def test_promises_are_escalated_once_each() -> None:
    book = JobBook(read_rules_of_dispatch(RULES))
    record = after(book, create(priority="high"))
    assert book.next_look_ms(record, minute(0)) == minute(48)
    first = book.look(record, minute(48))
    assert first is not None
    assert [(each.escalation_id, each.at_ms) for each in first.escalations] == [("job-1:response:0.8", minute(48))]
    assert book.next_look_ms(first, minute(48)) == minute(60)
    second = book.look(first, minute(70))
    assert second is not None
    assert [each.fraction for each in second.escalations] == [0.8, 1.0]
    in_time = after(book, create(priority="high"), move("on_site", 30))
    assert book.look(in_time, minute(70)) is None


def test_a_job_that_comes_again_is_made_ahead() -> None:
    book = JobBook(read_rules_of_dispatch(RULES))
    record = after(book, create(recurrence="FREQ=DAILY"))
    assert book.next_look_ms(record, minute(0)) == minute(0)
    made = book.made_ahead(record, "UTC", minute(0))
    assert made is not None
    after_it, occurrences = made
    assert [each.job_id for each in occurrences] == ["job-1@1970-01-02T01:00", "job-1@1970-01-03T01:00"]
    assert [each.plan.window_from_ms for each in occurrences] == [minute(60 + 1_440), minute(60 + 2_880)]
    assert book.made_ahead(after_it, "UTC", minute(60)) is None
    later = book.made_ahead(after_it, "UTC", minute(1_440))
    assert later is not None
    assert [each.job_id for each in later[1]] == ["job-1@1970-01-04T01:00"]
    cancelled = after(book, create(recurrence="FREQ=DAILY"), move("cancelled", 5, DISPATCHER))
    assert book.made_ahead(cancelled, "UTC", minute(10)) is None


def test_a_rule_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="business"):
        read_rules_of_dispatch(b"[sla.priorities.low]\nresponse_s = 60\n")
    with pytest.raises(ValueError, match="no time zone"):
        DispatchRules(time_zone="Mars")
    changes = {"recurrence": "FREQ=SECONDLY"}
    command = EditJob(job_id="job-1", sender=DISPATCHER, key="e", issued_at=minute(1), changes=changes)
    refused = BOOK.apply(after(BOOK, create()), command, minute(1)).answer.refusal
    assert refused is not None
    assert refused.code == "invalid_job"

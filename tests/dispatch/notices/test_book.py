"""Who is told what of a job, when, and why not."""

import msgspec
import pytest

from dispatch.lifecycle import BUILT_IN, OwnState
from dispatch.notices.book import NoticeBook
from dispatch.notices.facts import Message
from dispatch.notices.intents import customer_message_notices, next_look_ms
from dispatch.notices.rules import Channel, NoticeRules
from dispatch.rules import DispatchRules
from schemas.notice import Notice
from schemas.people import Contact
from schemas.places import Customer
from schemas.times import Instant
from tests.dispatch.examples import DISPATCHER, minute, move
from tests.dispatch.notices.cases import ALL_DAY, NOON, WEBER, around, at, eta, job, sent, told


def book(rules: NoticeRules = ALL_DAY) -> NoticeBook:
    return NoticeBook(rules, BUILT_IN)


def test_a_day_is_told_as_it_goes() -> None:
    known: list[Notice] = []
    days = (
        (NOON, (), ["appointment_set"]),
        (NOON + 10, (move("dispatched", NOON + 10, DISPATCHER),), ["dispatched"]),
        (NOON + 60, (move("en_route", NOON + 60),), ["en_route"]),
        (NOON + 90, (move("on_site", NOON + 90),), ["arrived"]),
        (NOON + 100, (move("in_progress", NOON + 100),), []),
        (NOON + 150, (move("completed", NOON + 150),), ["completed"]),
    )
    commands: tuple[object, ...] = ()
    for moment, more, kinds in days:
        commands += more
        news = book().news(job(*commands), around(), known, minute(moment))  # type: ignore[arg-type]
        assert told(news) == dict.fromkeys(kinds, "pending")
        assert book().news(job(*commands), around(), [*known, *news], minute(moment)) == [], "once"  # type: ignore[arg-type]
        known += [sent(each, moment) for each in news]
    assert len({each.notice_id for each in known}) == len(known)


def test_what_is_known_late_is_not_told() -> None:
    """A phone uploads its afternoon in the evening."""
    moves = (move("en_route", NOON + 60), move("on_site", NOON + 90), move("completed", NOON + 150))
    notices = book().news(job(*moves), around(), [], at(20))
    assert told(notices) == dict.fromkeys(("appointment_set", "en_route", "arrived", "completed"), "stale")
    soon = book().news(job(*moves), around(), [], minute(NOON + 155))
    assert told(soon) == {"appointment_set": "stale", "en_route": "stale", "arrived": "stale", "completed": "pending"}
    both = job(move("en_route", NOON + 5), move("on_site", NOON + 9))
    assert told(book().news(both, around(), [], minute(NOON + 10))) == {
        "appointment_set": "overtaken",
        "en_route": "overtaken",
        "arrived": "pending",
    }


def test_what_was_taken_back_is_not_told_and_never_told_twice() -> None:
    gone = job(move("en_route", NOON + 1), move("scheduled", NOON + 2, DISPATCHER))
    known = book().news(gone, around(), [], minute(NOON + 3))
    assert told(known) == {"appointment_set": "pending"}
    again = job(
        move("en_route", NOON + 1), move("scheduled", NOON + 2, DISPATCHER), move("en_route", NOON + 8, key="again")
    )
    news = book().news(again, around(), known, minute(NOON + 8))
    assert told(news) == {"en_route": "pending"}
    assert book().news(again, around(), [*known, *(sent(each, NOON + 8) for each in news)], minute(NOON + 9)) == []


def test_who_is_on_the_way_is_soon_there() -> None:
    going = job(move("en_route", NOON + 60))
    known = [sent(each, NOON + 60) for each in book().news(going, around(), [], minute(NOON + 60))]
    expected = eta(NOON + 90, NOON + 60)
    assert book().news(going, around(eta=expected), known, minute(NOON + 79)) == []
    assert next_look_ms(going, expected, ALL_DAY, BUILT_IN, minute(NOON + 60)) == minute(NOON + 80)
    assert told(book().news(going, around(eta=expected), known, minute(NOON + 80))) == {"arriving_soon": "pending"}
    for other in (
        eta(NOON + 90, NOON + 80, seen=NOON + 40),  # a phone that is silent
        eta(NOON + 90, NOON + 45, seen=NOON + 45),  # an ETA that nobody has renewed
        eta(NOON + 90, NOON + 80, stops_before=1),  # there is another job before
        eta(NOON + 60, NOON + 80),  # the window is over
    ):
        assert told(book().news(going, around(eta=other), known, minute(NOON + 80))) == {}
    waiting = job()
    assert "arriving_soon" not in told(book().news(waiting, around(eta=expected), [], minute(NOON + 85)))
    assert next_look_ms(waiting, expected, ALL_DAY, BUILT_IN, minute(NOON)) is None


def test_a_window_that_has_moved_is_told_against_what_was_told_last() -> None:
    going = job(move("en_route", NOON + 60))
    first = eta(NOON + 100, NOON + 60)
    known = [sent(each, NOON + 60) for each in book().news(going, around(eta=first), [], minute(NOON + 60))]
    windows = {each.kind: (each.from_ms, each.to_ms) for each in known}
    assert windows["en_route"] == (minute(NOON + 90), minute(NOON + 110))
    for arrives, kinds in ((NOON + 115, {}), (NOON + 116, {"delayed": "pending"})):
        moved = around(eta=eta(arrives, NOON + 70))
        assert told(book().news(going, moved, known, minute(NOON + 70))) == kinds
    silent = around(eta=eta(NOON + 300, NOON + 70, seen=NOON + 30))
    assert told(book().news(going, silent, known, minute(NOON + 70))) == {}
    promised = around(eta=eta(NOON + 190, NOON + 20))  # until 15:20 where 15:00 was promised
    assert told(book().news(job(), promised, [], minute(NOON + 20)))["delayed"] == "pending"
    assert "delayed" not in told(book().news(job(window_to_ms=None), promised, [], minute(NOON + 20)))


def test_a_promise_that_was_moved_is_told() -> None:
    known = [sent(each, NOON) for each in book().news(job(), around(), [], minute(NOON))]
    later = msgspec.structs.replace(job(), window_to_ms=minute(960), updated_at=minute(NOON + 5))
    news = book().news(later, around(), known, minute(NOON + 6))
    assert told(news) == {"delayed": "pending"}
    assert (news[0].event_at, news[0].to_ms) == (minute(NOON + 5), minute(960))
    assert book().news(later, around(), [], minute(NOON + 6))[-1].kind == "appointment_set", "nothing else was told"


@pytest.mark.parametrize(
    ("customer", "reason"),
    [
        (msgspec.structs.replace(WEBER, opt_out=True), "opted_out"),
        (msgspec.structs.replace(WEBER, contact=None), "no_contact"),
        (msgspec.structs.replace(WEBER, contact=Contact(phone="+44 1")), "no_contact"),
        (WEBER, "pending"),
    ],
)
def test_who_cannot_or_does_not_want_to_be_told(customer: Customer, reason: str) -> None:
    rules = msgspec.structs.replace(ALL_DAY, channels=(Channel("mail", url="mailto://x?to={email}"),))
    assert told(book(rules).news(job(), around(customer), [], minute(NOON))) == {"appointment_set": reason}


def test_who_is_nobody_is_told_nothing() -> None:
    assert told(book().news(job(customer_id=None), around(None), [], minute(NOON))) == {}


def test_a_kind_that_is_off_and_a_cap() -> None:
    rules = msgspec.structs.replace(ALL_DAY, off=("dispatched",), cap=1)
    dispatched = job(move("dispatched", NOON + 1, DISPATCHER))
    assert told(book(rules).news(dispatched, around(), [], minute(NOON + 1))) == {
        "appointment_set": "pending",
        "dispatched": "off",
    }
    capped = msgspec.structs.replace(ALL_DAY, cap=1)
    assert told(book(capped).news(dispatched, around(), [], minute(NOON + 1))) == {
        "appointment_set": "pending",
        "dispatched": "cap",
    }


def test_quiet_hours_are_those_of_the_customer() -> None:
    rules = NoticeRules(quiet_from="21:00", quiet_to="07:00")
    berlin = msgspec.structs.replace(WEBER, time_zone="Europe/Berlin")  # an hour ahead of UTC
    evening = job(move("dispatched", 60 * 20 + 5, DISPATCHER), at=60 * 20)
    news = book(rules).news(evening, around(berlin), [], at(20, 5))
    assert told(news) == {"appointment_set": "pending", "dispatched": "quiet_hours"}
    waiting = next(each for each in news if each.status == "pending" and each.audience == "customer")
    assert waiting.due_at == at(6, day=1), "07:00 in Berlin"
    assert told(book(rules).news(evening, around(), [], at(20, 5)))["dispatched"] == "pending", "in UTC"
    morning = book(rules).checked(waiting, job(at=60 * 20), around(berlin), at(6, day=1))
    assert (morning.status, morning.due_at) == ("pending", at(6, day=1)), "what waited for them is not stale"
    assert book(rules).checked(waiting, job(at=60 * 20), around(berlin), at(6, 31, day=1)).reason == "stale"
    gone = book(rules).checked(waiting, job(move("cancelled", 60 * 21, DISPATCHER), at=60 * 20), around(berlin), at(6))
    assert gone.reason == "overtaken"


def test_it_is_looked_at_again_before_it_goes_out() -> None:
    pending = next(each for each in book().news(job(), around(), [], minute(NOON)) if each.audience == "customer")
    opted_out = msgspec.structs.replace(WEBER, opt_out=True)
    assert book().checked(pending, job(), around(opted_out), minute(NOON + 1)).reason == "opted_out"
    assert book().checked(pending, job(), around(), minute(NOON + 31)).reason == "stale"
    assert book().checked(pending, None, around(), minute(NOON + 1)).reason == "overtaken"
    moved = msgspec.structs.replace(job(), window_to_ms=minute(960))
    again = book().checked(pending, moved, around(), minute(NOON + 1))
    assert (again.status, again.to_ms) == ("pending", minute(960)), "the window as it is now"
    assert again.updated_at > pending.updated_at


def test_technicians_are_told_once_each() -> None:
    news = book().news(job(technician_ids=["amina", "ben"]), around(), [], minute(NOON))
    assert [(each.recipient_id, each.kind) for each in news if each.audience == "technician"] == [
        ("amina", "assigned"),
        ("ben", "assigned"),
    ]
    taken = book().checked(news[1], job(), around(), minute(NOON + 1))
    assert (taken.recipient_id, taken.reason) == ("ben", "overtaken"), "it is not his any more"


def test_dispatchers_are_told_of_risks_until_somebody_is_there() -> None:
    risky = msgspec.structs.replace(job(), risk="at_risk", updated_at=minute(NOON + 5))
    known = book().news(risky, around(), [], minute(NOON + 5))
    assert told(known, "dispatcher") == {"at_risk": "pending"}
    late = msgspec.structs.replace(risky, risk="late", updated_at=minute(NOON + 9))
    assert told(book().news(late, around(), known, minute(NOON + 9)), "dispatcher") == {"running_late": "pending"}
    assert book().checked(known[1], late, around(), minute(NOON + 9)).reason == "overtaken"
    there = msgspec.structs.replace(job(move("on_site", NOON + 5)), risk="late")
    assert told(book().news(there, around(), [], minute(NOON + 9)), "dispatcher") == {}


def test_what_a_customer_writes_is_told_each_time() -> None:
    messages = (Message("m-1", minute(NOON)), Message("m-2", minute(NOON + 1)))
    news = book().news(job(), around(messages=messages), [], minute(NOON + 1))
    about = [(each.audience, each.recipient_id) for each in news if each.kind == "customer_message"]
    assert sorted(about, key=str) == [("dispatcher", None)] * 2 + [("technician", "amina")] * 2
    assert len({each.notice_id for each in news}) == len(news)
    intents = customer_message_notices(job(), "m-1", Instant(0))
    assert {each.notice_id("job-1") for each in intents} <= {each.notice_id for each in news}


def test_a_tenants_own_state_is_as_the_one_it_is_like() -> None:
    own = {"parking": OwnState(("en_route",), ("on_site",), "on_site")}
    rules = DispatchRules(states=own)
    parked = job(move("en_route", NOON + 1), move("parking", NOON + 2, DISPATCHER), rules=rules)
    news = NoticeBook(ALL_DAY, rules.lifecycle()).news(parked, around(), [], minute(NOON + 2))
    assert told(news) == {"appointment_set": "overtaken", "en_route": "overtaken", "arrived": "pending"}


def test_of_who_was_erased_nothing_is_left() -> None:
    known = book().news(job(), around(), [], minute(NOON))
    assert book().forgotten(job(), known, minute(NOON + 1)) == []
    after = msgspec.structs.replace(job(), customer_id="erased-1", erasures=["erased-1"])
    [changed] = book().forgotten(after, known, minute(NOON + 1))
    assert (changed.kind, changed.recipient_id) == ("appointment_set", None)
    rest = [each for each in known if each.notice_id != changed.notice_id]
    assert book().forgotten(after, [*rest, changed], minute(NOON + 2)) == []


def test_what_a_text_can_name() -> None:
    going = job(move("en_route", NOON + 60), title="Boiler service")
    here = around(
        msgspec.structs.replace(WEBER, time_zone="Europe/Berlin", language="de-CH"), eta(NOON + 90, NOON + 60)
    )
    notice = next(each for each in book().news(going, here, [], minute(NOON + 60)) if each.kind == "en_route")
    facts = book().told(notice, going, here, "https://example.com/t", minute(NOON + 60))
    assert book().texts.write("en_route", notice.language or "", facts).body == (
        "Guten Tag Ms Weber, Amina ist unterwegs zu Ihnen. Ankunft: 14:20–14:40 Uhr. https://example.com/t"
    )

"""Notices in whatever order revisions, ETAs and replays come, held against a clock that is walked minute by minute."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.job_book import JobBook
from dispatch.lifecycle import BUILT_IN, PATHS
from dispatch.notices.book import WAITS, NoticeBook
from dispatch.notices.facts import JobFacts
from dispatch.notices.rules import Channel, NoticeRules
from dispatch.rules import DispatchRules
from schemas.eta import Eta
from schemas.job import JobRecord
from schemas.job_command import Command, EditJob
from schemas.notice import Notice
from schemas.times import Instant
from tests.dispatch.examples import DISPATCHER, create, minute, move
from tests.dispatch.notices.cases import WEBER, around, eta, facts_of

DAY = 1_440
BEGIN, END = 18 * 60, DAY + 9 * 60
"""From six in the evening until nine in the morning."""

RULES = st.builds(
    NoticeRules,
    fresh_min=st.sampled_from([5.0, 30.0, 120.0]),
    cap=st.integers(0, 6),
    quiet_from=st.sampled_from(["20:00", "21:30", "00:30"]),
    quiet_to=st.sampled_from(["06:00", "07:15", "20:00"]),
    off=st.sampled_from([(), ("en_route",), ("arrived", "completed")]),
    channels=st.just((Channel("mail", ("customer", "technician", "dispatcher"), "mailto://x?to={email}"),)),
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"])
STATES = tuple(PATHS)


@st.composite
def histories(draw: st.DrawFn) -> list[JobFacts]:
    """The revisions of a job: moved about, its window edited, given to another."""
    book = JobBook(DispatchRules())
    moment = float(BEGIN)
    window = {"window_from_ms": minute(moment + 60), "window_to_ms": minute(moment + 120), "customer_id": "weber"}
    record: JobRecord | None = None
    found: list[JobFacts] = []
    commands: list[Command] = [create(at=moment, **window)]
    for number in range(draw(st.integers(0, 8))):
        moment += draw(st.sampled_from([0.5, 4, 25, 180]))
        what = draw(st.sampled_from(["move", "move", "move", "edit"]))
        if what == "move":
            # Said at ``moment``; it happened up to some hours before.
            said = move(draw(st.sampled_from(STATES)), moment, DISPATCHER, key=f"k{number}")
            happened = minute(moment - draw(st.sampled_from([0, 0, 10, 200])))
            commands.append(msgspec.structs.replace(said, at=happened))
        else:
            changes: dict[str, Any] = {"window_to": f"1970-01-02T{draw(st.integers(10, 20))}:00:00Z"}
            changes |= {"technician_ids": draw(st.sampled_from([["amina"], ["amina", "ben"], []]))}
            edit = EditJob(
                job_id="job-1", sender=DISPATCHER, key=f"k{number}", issued_at=minute(moment), changes=changes
            )
            commands.append(edit)
    for command in commands:
        after = book.apply(record, command, command.issued_at).record
        if after is not None:
            record = after
            found.append(facts_of(record))
    return found


@st.composite
def expected(draw: st.DrawFn) -> Eta:
    computed = draw(st.floats(BEGIN, END))
    seen = computed - draw(st.sampled_from([0, 3, 90]))
    ahead = draw(st.sampled_from([1, 8, 40, 200]))
    return eta(computed + ahead, computed, draw(st.floats(1, 30)), seen, stops_before=draw(st.integers(0, 1)))


@dataclass
class Notifier:
    """What the process does, in memory: looks, sends, fails, forgets what it had not written down."""

    book: NoticeBook
    zone: str
    opted_out_at: float
    known: dict[str, Notice] = field(default_factory=dict)
    sends: list[tuple[Notice, JobFacts, float]] = field(default_factory=list)

    def look(self, job: JobFacts, expected: Eta | None, moment: float, fails: bool) -> None:
        now_ms = minute(moment)
        weber = msgspec.structs.replace(WEBER, opt_out=moment >= self.opted_out_at)
        here = around(weber, expected, time_zone=self.zone)
        for notice in self.book.news(job, here, self.known.values(), now_ms):
            assert notice.notice_id not in self.known
            self.known[notice.notice_id] = notice
        for notice in list(self.known.values()):
            if notice.status != "pending" or (notice.due_at or 0) > now_ms:
                continue
            checked = self.book.checked(notice, job, here, now_ms)
            if checked.status == "pending" and (checked.due_at or 0) <= now_ms:
                self.sends.append((checked, job, moment))
                checked = msgspec.structs.replace(checked, status="pending" if fails else "sent")
            self.known[notice.notice_id] = checked


def is_quiet(rules: NoticeRules, zone: str, moment: float) -> bool:
    """By the clock on the wall."""
    shown = f"{datetime.fromtimestamp(moment * 60, UTC).astimezone(ZoneInfo(zone)):%H:%M}"
    if rules.quiet_from <= rules.quiet_to:
        return rules.quiet_from != rules.quiet_to and rules.quiet_from <= shown < rules.quiet_to
    return shown >= rules.quiet_from or shown < rules.quiet_to


def age_min(rules: NoticeRules, zone: str, notice: Notice, moment: float) -> float:
    """Minutes since that happened which is told, those not counted in which it had to wait."""
    begin = notice.event_at / 60_000
    if notice.audience != "customer" or notice.kind not in WAITS:
        return moment - begin
    whole = int(max(moment - begin, 0))
    return sum(not is_quiet(rules, zone, begin + each) for each in range(whole))


@settings(max_examples=150, deadline=None)
@given(st.data(), RULES, ZONES, histories(), st.lists(expected(), max_size=6))
def test_whatever_comes_when(
    data: st.DataObject, rules: NoticeRules, zone: str, history: list[JobFacts], etas: list[Eta]
) -> None:
    notifier = Notifier(NoticeBook(rules, BUILT_IN), zone, data.draw(st.floats(BEGIN, END + DAY)))
    moments = sorted(data.draw(st.lists(st.integers(BEGIN, END), min_size=1, max_size=20)))
    for moment in moments:
        # Mostly the newest there is by then; a replay may show an older one.
        there = [each for each in history if each.updated_at <= minute(moment)] or history[:1]
        job = data.draw(st.sampled_from(there[-2:] if data.draw(st.booleans()) else there))
        known = [each for each in etas if each.computed_at <= minute(moment)]
        newest = data.draw(st.sampled_from(known)) if known else None
        notifier.look(job, newest, moment, fails=data.draw(st.booleans()))
    sent = [each for each in notifier.known.values() if each.status == "sent"]
    about = [(each.kind, each.audience, each.recipient_id) for each in notifier.known.values()]
    assert len(set(about)) == len(about), "each of them once at most"
    assert sum(each.audience == "customer" for each in sent) <= rules.cap
    for notice, job, moment in notifier.sends:
        assert age_min(rules, zone, notice, moment) <= rules.fresh_min + 1
        assert notice.kind not in rules.off
        if notice.audience == "customer":
            assert moment < notifier.opted_out_at
            assert not is_quiet(rules, zone, moment)
            assert stands_by_hand(notice, job), (notice.kind, job.state)
    for notice in notifier.known.values():
        assert (notice.reason is None) == (notice.status in ("pending", "sent"))


def stands_by_hand(notice: Notice, job: JobFacts) -> bool:
    """Whether a customer who is told so now finds it true."""
    if notice.kind in ("completed", "cancelled", "dispatched", "en_route"):
        return job.state == notice.kind or (notice.kind, job.state) == ("completed", "invoiced")
    if notice.kind == "arrived":
        return job.state in ("on_site", "in_progress")
    if notice.kind == "appointment_set":
        return job.state in ("scheduled", "dispatched")
    return job.state in ("scheduled", "dispatched", "en_route")


@settings(max_examples=100, deadline=None)
@given(RULES, ZONES, histories(), st.integers(BEGIN, END), st.booleans())
def test_the_reason_is_the_first_that_holds(
    rules: NoticeRules, zone: str, history: list[JobFacts], moment: int, opts_out: bool
) -> None:
    """At the first look, each reason asked for by itself."""
    job, told = history[-1], 0
    weber = msgspec.structs.replace(WEBER, opt_out=opts_out)
    for notice in NoticeBook(rules, BUILT_IN).news(job, around(weber, time_zone=zone), [], minute(moment)):
        if notice.audience != "customer":
            continue
        is_old = age_min(rules, zone, notice, moment) > rules.fresh_min
        reasons = [
            ("stale", is_old),
            ("overtaken", not stands_by_hand(notice, job)),
            ("off", notice.kind in rules.off),
            ("opted_out", opts_out),
            ("cap", told >= rules.cap),
            ("quiet_hours", is_quiet(rules, zone, moment) and notice.kind not in WAITS),
        ]
        wanted = next((reason for reason, holds in reasons if holds), None)
        if abs(age_min(rules, zone, notice, moment) - rules.fresh_min) <= 1:
            continue  # the walk counts whole minutes
        assert notice.reason == wanted
        told += notice.reason is None
        if notice.reason is None:
            waits = is_quiet(rules, zone, moment)
            assert (notice.due_at == minute(moment)) is not waits
            assert not is_quiet(rules, zone, (notice.due_at or Instant(0)) / 60_000)

"""Clocks of promises against a log that is walked minute by minute."""

import tomllib
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.business_hours import BusinessHours, OpenHours
from dispatch.local_time import local_time
from dispatch.sla import Escalation, SlaRules, Target, escalations_between, sla_clocks
from tests.dispatch.logs import MINUTE_MS, job_of, logs

# Thursday 1970-01-01: minute 0 is one in the morning in Lagos.
OFFICE = BusinessHours("Africa/Lagos", [OpenHours(["mon", "tue", "wed", "thu", "fri"], "03:00", "06:00")])
RULES = SlaRules(
    priorities={
        "high": Target(response_s=3600.0, resolution_s=9000.0, hours="business"),
        "normal": Target(response_s=7200.0, resolution_s=14_400.0, hours="always"),
        "low": Target(resolution_s=9000.0),
    },
    paused_by=("waiting_for_parts",),
)
FULFILS = {"response": ["en_route", "on_site", "in_progress", "completed"], "resolution": ["completed"]}
LAGOS = [local_time(minute * MINUTE_MS, ZoneInfo("Africa/Lagos")) for minute in range(4000)]
OPEN = [3 <= clock.hour < 6 and clock.weekday() < 5 for clock in LAGOS]
HALTS = ["waiting_for_parts", "cancelled", "rejected"]

minutes = st.integers(0, 1500)
drawn_jobs = st.tuples(logs(900), st.integers(0, 120), st.sampled_from(["high", "normal", "low", "emergency"]))


def walk(job, promise, hours, until_minute):
    """Minute by minute: when how many seconds had passed, and when the promise was fulfilled."""
    passed_s, reached = 0, {0: job.created_at // MINUTE_MS}
    log = [(each.at // MINUTE_MS, each.state) for each in job.log if each.at <= until_minute * MINUTE_MS]
    fulfilled = next((minute for minute, state in log if state in FULFILS[promise]), None)
    log = [(minute, state) for minute, state in log if fulfilled is None or minute < fulfilled]
    for minute in range(job.created_at // MINUTE_MS, len(OPEN)):
        state = next((state for since, state in reversed(log) if since <= minute), None)
        if (hours == "always" or OPEN[minute]) and state not in HALTS:
            passed_s += 60
            reached.setdefault(passed_s, minute + 1)
    return reached, fulfilled


@given(drawn_jobs, minutes)
def test_clocks_are_those_of_the_walk(drawn, at_minute):
    log, created_minute, priority = drawn
    job = job_of(*log, created_ms=created_minute * MINUTE_MS, priority=priority)
    at_minute = max(at_minute, created_minute)
    target = RULES.priorities.get(priority, Target())
    clocks = {clock.promise: clock for clock in sla_clocks(job, RULES, OFFICE, at_minute * MINUTE_MS)}
    promised = {"response": target.response_s, "resolution": target.resolution_s}
    assert list(clocks) == [promise for promise, seconds in promised.items() if seconds is not None]
    for promise, clock in clocks.items():
        promised_s = promised[promise]
        reached, fulfilled = walk(job, promise, target.hours, at_minute)
        due = reached.get(promised_s)
        assert clock.due_ms == (None if due is None else due * MINUTE_MS)
        end = at_minute if fulfilled is None else max(fulfilled, created_minute)
        past = [state for state, when in log if when <= at_minute * MINUTE_MS]
        if due is not None and end > due:
            assert clock.state == "breached"
            assert clock.remaining_s == (due - end) * 60
        else:
            passed_s = max(passed for passed, minute in reached.items() if minute <= end)
            assert clock.remaining_s == promised_s - passed_s
            if fulfilled is not None:
                assert clock.state == "met"
            elif past and past[-1] in HALTS:
                assert clock.state == ("paused" if past[-1] == "waiting_for_parts" else "stopped")
            else:
                assert clock.state == "running"


@given(drawn_jobs, st.lists(st.integers(0, 3000), min_size=1, max_size=4))
def test_escalations_come_once_when_their_part_has_passed(drawn, asked):
    log, created_minute, priority = drawn
    job = job_of(*log, created_ms=created_minute * MINUTE_MS, priority=priority)
    asked = sorted({0, *asked, 3000})
    found = [
        escalation
        for a, b in pairwise(asked)
        for escalation in escalations_between(job, RULES, OFFICE, a * MINUTE_MS, b * MINUTE_MS)
    ]
    assert found == escalations_between(job, RULES, OFFICE, 0, 3000 * MINUTE_MS)
    target = RULES.priorities.get(priority, Target())
    expected = set()
    for promise, promised_s in (("response", target.response_s), ("resolution", target.resolution_s)):
        if promised_s is not None:
            reached, fulfilled = walk(job, promise, target.hours, 3000)
            for fraction in (0.8, 1.0):
                minute = reached.get(round(promised_s * fraction))
                if minute is not None and minute <= 3000 and (fulfilled is None or minute < fulfilled):
                    expected.add((f"j:{promise}:{fraction:g}", minute * MINUTE_MS))
    assert {(each.escalation_id, each.at_ms) for each in found} == expected
    assert len(found) == len(expected)


def test_a_working_day():
    job = job_of(
        ("created", 0), ("waiting_for_parts", 30 * MINUTE_MS), ("scheduled", 90 * MINUTE_MS), priority="normal"
    )
    response, resolution = sla_clocks(job, RULES, None, 60 * MINUTE_MS)
    assert (response.state, response.due_ms, response.remaining_s) == ("paused", None, 90 * 60)
    response, resolution = sla_clocks(job, RULES, None, 100 * MINUTE_MS)
    assert (response.state, response.due_ms, response.remaining_s) == ("running", 180 * MINUTE_MS, 80 * 60)
    assert resolution.due_ms == 300 * MINUTE_MS
    assert escalations_between(job, RULES, None, 0, 200 * MINUTE_MS) == [
        Escalation("j:response:0.8", "j", "response", 0.8, 156 * MINUTE_MS),
        Escalation("j:response:1", "j", "response", 1.0, 180 * MINUTE_MS),
    ]


def test_rules_are_read_from_toml():
    text = """
    paused_by = ["waiting_for_parts"]
    escalate_at = [0.5]
    [priorities.emergency]
    response_s = 3600
    hours = "always"
    """
    rules = msgspec.convert(tomllib.loads(text), SlaRules)
    assert rules.priorities == {"emergency": Target(response_s=3600.0, hours="always")}
    assert rules.escalate_at == (0.5,)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Target(response_s=0.0), "response_s: 0.0"),
        (lambda: SlaRules(escalate_at=(0.0,)), "escalate_at: 0.0"),
        (lambda: sla_clocks(job_of(priority="high"), RULES, None, 0), "'high' counts business hours"),
        (lambda: msgspec.convert({"priorities": {"urgent": {}}}, SlaRules), "urgent"),
        (lambda: msgspec.convert({"priorities": {"low": {"respond": 5}}}, SlaRules), "respond"),
    ],
)
def test_what_is_refused_says_why(make, said):
    with pytest.raises(ValueError, match=said):
        make()

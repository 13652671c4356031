"""Risk of delay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.delay import risk_of
from dispatch.lifecycle import Lifecycle, OwnState
from schemas.job import EtaWindow
from schemas.times import Instant
from tests.dispatch.logs import MINUTE_MS, job_of, logs

WITH_PARTS = Lifecycle.extended_by({"waiting_for_parts": OwnState(("on_site",), ("in_progress",), like="in_progress")})
NINE, ELEVEN = Instant(540 * MINUTE_MS), Instant(660 * MINUTE_MS)


def promised(*log):
    return job_of(*log, window_from_ms=NINE, window_to_ms=ELEVEN)


minutes = st.integers(0, 900).map(lambda minute: minute * MINUTE_MS)
etas = st.none() | st.tuples(minutes, st.integers(0, 60)).map(lambda e: EtaWindow(e[0], e[0] + e[1] * MINUTE_MS))
risks = st.sampled_from(["none", "at_risk", "late"])


@given(logs(900), etas, minutes, risks, st.sampled_from([0.0, 120.0, 3600.0]))
def test_risk_is_what_it_says(log, eta, at_ms, previous, clear_s):
    risk = risk_of(promised(*log), eta, at_ms, previous, clear_s=clear_s, lifecycle=WITH_PARTS)
    past = [(state, when) for state, when in log if when <= at_ms]
    waits_since = max(
        (
            k
            for k, (state, when) in enumerate(past)
            if state in ("created", "scheduled") or (state == "left_incomplete" and when < NINE)
        ),
        default=-1,
    )
    there = [
        when
        for state, when in past[waits_since + 1 :]
        if state in ("on_site", "waiting_for_parts", "in_progress", "completed", "left_incomplete", "invoiced")
    ]
    if past and past[-1][0] in ("cancelled", "rejected"):
        assert risk == "none"
    elif there:
        assert risk == ("late" if there[0] > ELEVEN else "none")
    elif at_ms > ELEVEN:
        assert risk == "late"
    elif eta is None:
        assert risk == ("at_risk" if previous == "at_risk" else "none")
    elif eta.to_ms > ELEVEN:
        assert risk == "at_risk"
    elif eta.to_ms <= ELEVEN - clear_s * 1000:
        assert risk == "none"
    else:
        assert risk == ("at_risk" if previous == "at_risk" else "none")


@given(st.lists(st.integers(-60, 60), min_size=2, max_size=50))
def test_an_eta_that_swings_less_than_the_room_changes_the_risk_once_at_most(offsets_s):
    risk, changes = "none", 0
    for offset_s in offsets_s:
        eta = EtaWindow(NINE, ELEVEN + offset_s * 1000)
        new = risk_of(promised(), eta, NINE, risk, clear_s=120.0)
        changes += new != risk
        risk = new
    assert changes <= 1


def test_a_working_day():
    on_the_way = promised(("scheduled", 0), ("en_route", NINE))
    assert risk_of(on_the_way, EtaWindow(NINE, ELEVEN), NINE) == "none"
    assert risk_of(on_the_way, EtaWindow(ELEVEN, ELEVEN + 1), NINE) == "at_risk"
    assert risk_of(on_the_way, EtaWindow(ELEVEN, ELEVEN - 60_000), NINE, "at_risk") == "at_risk"
    assert risk_of(on_the_way, EtaWindow(ELEVEN, ELEVEN - 120_000), NINE, "at_risk") == "none"
    assert risk_of(on_the_way, None, ELEVEN + 1, "at_risk") == "late"
    known_later = promised(("scheduled", 0), ("en_route", NINE), ("on_site", ELEVEN))
    assert risk_of(known_later, None, ELEVEN + 1, "late") == "none"
    again = promised(("on_site", NINE - 1), ("left_incomplete", NINE), ("scheduled", NINE + 1))
    assert risk_of(again, None, ELEVEN + 1) == "late"
    yesterday = promised(("on_site", NINE - 2), ("left_incomplete", NINE - 1), ("dispatched", NINE + 1))
    assert risk_of(yesterday, None, ELEVEN + 1) == "late"
    for_parts = promised(("on_site", NINE - 1), ("left_incomplete", NINE))
    assert risk_of(for_parts, None, ELEVEN + 1) == "none"


def test_without_a_window_there_is_no_risk():
    assert risk_of(job_of(), EtaWindow(0, 10), 99, "late") == "none"


def test_room_below_nothing_is_refused():
    with pytest.raises(ValueError, match="clear_s"):
        risk_of(promised(), None, 0, clear_s=-1.0)

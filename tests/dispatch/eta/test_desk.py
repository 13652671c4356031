"""When the desk asks, what it tells, and that what stands is what an asking from scratch would have told."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.erased import ErasedSpans
from dispatch.eta.appointments import Appointment
from dispatch.eta.desk import Desk
from dispatch.eta.engine import EtaEngine
from dispatch.eta.lessons import Learning
from dispatch.eta.telling import MOVED_MS, TOLD_AGAIN_MS
from schemas.erasure import ErasedSpan, Erasure, Subject, mark_of
from schemas.eta import Eta
from schemas.times import Instant
from tests.dispatch.eta.offices import (
    FRESH_S,
    MINUTE_MS,
    REFRESH_S,
    Office,
    Road,
    at,
    desk_of,
    job,
    north,
    turn,
)

NOTHING_ERASED = ErasedSpans()


def minutes(eta: Eta) -> tuple[float, float, float]:
    """The window's beginning, the arrival and the end, in minutes after nine."""
    return tuple((moment - at(0)) / MINUTE_MS for moment in (eta.from_ms, eta.eta, eta.to_ms))  # type: ignore[return-value]


def driving(office: Office, job_id: str = "a", device_id: str = "amina-van") -> None:
    """Positions say that the device is on the way."""
    office.headings[device_id] = job_id
    office.jobs[job_id] = msgspec.structs.replace(office.jobs[job_id], state="en_route")


def test_who_is_seen_and_awaited_has_an_eta_with_an_honest_window() -> None:
    office, road = Office(job("a", 9_000)), Road()
    driving(office)
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    (eta,) = turn(desk, road, at(0.1)).etas
    low, middle, high = minutes(eta)
    assert middle == pytest.approx(1.5 + 9 * 1.35 / 0.54, rel=0.01)
    assert 0.4 * middle < low < 0.7 * middle
    assert 1.5 * middle < high < 2.6 * middle
    assert (eta.job_id, eta.device_id, eta.technician_id, eta.stops_before) == ("a", "amina-van", "amina", 0)
    assert (eta.provider, eta.level, eta.computed_at, eta.seen_ms) == ("straight_line", 0.8, at(0.1), at(0))
    assert eta.distance_m == pytest.approx(9_000 * 1.35, rel=0.01)


def test_who_has_no_job_or_no_device_has_none() -> None:
    office, road = Office(job("a", 9_000, "berit")), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    assert turn(desk, road, at(0)).etas == []
    assert road.asked == 0


def test_later_jobs_follow_with_the_work_before_them_and_a_wider_window() -> None:
    office, road = Office(job("a", 9_000, begins=0), job("b", 12_000, begins=10), job("c", 12_000, begins=300)), Road()
    driving(office)
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    first, second, third = turn(desk, road, at(0)).etas
    assert [each.stops_before for each in (first, second, third)] == [0, 1, 2]
    assert minutes(second)[1] == pytest.approx(minutes(first)[1] + 20 + 1.5 + 3 * 1.35 / 0.54, abs=0.5)
    assert second.to_ms - second.from_ms > first.to_ms - first.from_ms
    assert minutes(third)[1] >= 300, "nobody sets out long before a window"
    assert third.to_ms > at(300)


def test_who_is_at_work_is_not_done_at_once() -> None:
    office, road = Office(job("a", 0, state="in_progress", since_ms=at(-10)), job("b", 9_000)), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    (eta,) = turn(desk, road, at(0)).etas
    assert (eta.job_id, eta.stops_before) == ("b", 1)
    way = 1.5 + 9 * 1.35 / 0.54
    assert minutes(eta)[1] > 8 + way
    office.jobs["a"] = msgspec.structs.replace(office.jobs["a"], since_ms=at(-60))
    desk.change(["amina-van"])
    (later,) = turn(desk, road, at(0)).etas
    assert minutes(later)[1] > 0.5 + way, "over time, and still not done"


def test_an_arrival_is_never_told_as_past() -> None:
    office, road = Office(job("a", 100)), Road()
    driving(office)
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    (eta,) = turn(desk, road, at(2.9)).etas
    assert eta.from_ms >= at(2.9)


def test_it_is_not_asked_at_each_fix_but_when_the_answer_has_grown_old() -> None:
    office, road = Office(job("a", 9_000)), Road()
    driving(office)
    desk = desk_of(office)
    for second in range(0, 600, 2):
        desk.see("amina-van", north(9_000 * second / 1_440, second / 60))
        turn(desk, road, at(second / 60))
    assert road.asked == 600 // (REFRESH_S + 1) + 1


def test_who_turns_round_is_asked_about_soon_and_not_again_at_once() -> None:
    office, road = Office(job("a", 9_000)), Road()
    driving(office)
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    turn(desk, road, at(0))
    desk.see("amina-van", north(-5_000, 5 / 60))
    turn(desk, road, at(5 / 60))
    assert road.asked == 1
    desk.see("amina-van", north(-5_100, 11 / 60))
    (eta,) = turn(desk, road, at(11 / 60)).etas
    assert road.asked == 2
    assert minutes(eta)[1] > 35
    desk.see("amina-van", north(-5_000, 23 / 60))
    assert turn(desk, road, at(23 / 60)).etas == []
    assert road.asked == 2


def test_a_silent_phone_s_eta_ages_and_its_first_fix_renews_it() -> None:
    office, road = Office(job("a", 9_000)), Road()
    driving(office)
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    turn(desk, road, at(0))
    for minute in range(1, 30):
        assert turn(desk, road, at(minute)).etas == []
        assert desk.standing["a"].computed_at == at(0)
    assert desk.taken_back(["a"], at(29), NOTHING_ERASED) == []
    desk.see("amina-van", north(500, 30))
    (eta,) = turn(desk, road, at(30)).etas
    assert (eta.computed_at, eta.seen_ms) == (at(30), at(30))


def test_a_backlog_that_comes_late_makes_none() -> None:
    office, road = Office(job("a", 9_000)), Road()
    driving(office)
    desk = desk_of(office)
    for minute in range(60):
        desk.see("amina-van", north(100 * minute, minute))
        assert turn(desk, road, at(minute + FRESH_S / 60 + 1)).etas == []
    assert road.asked == 0
    desk.see("amina-van", north(6_000, 62.5))
    assert len(turn(desk, road, at(63)).etas) == 1


def test_a_job_that_comes_in_between_is_told_at_once() -> None:
    office, road = Office(job("b", 9_000, begins=60)), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    (before,) = turn(desk, road, at(0)).etas
    office.jobs["a"] = job("a", 5_000, priority="emergency")
    desk.change(["amina-van"])
    first, second = turn(desk, road, at(0.2)).etas
    assert (first.job_id, second.job_id, second.stops_before) == ("a", "b", 1)
    assert second.eta >= before.eta


def test_only_news_is_told_and_now_and_then_that_there_is_none() -> None:
    office, road = Office(job("a", 9_000, begins=120)), Road()
    desk = desk_of(office)
    told = []
    for minute in range(20):
        desk.see("amina-van", north(minute % 2, minute))
        told += turn(desk, road, at(minute)).etas
    assert [each.computed_at for each in told] == [at(minute) for minute in range(0, 20, 2)]
    assert TOLD_AGAIN_MS == 2 * MINUTE_MS


def test_ways_between_jobs_are_asked_about_once_and_of_another_provider_again() -> None:
    office, road = Office(job("a", 9_000, begins=60), job("b", 12_000, begins=120)), Road()
    desk = desk_of(office)
    asked = []
    for minute, name in enumerate(("straight_line", "straight_line", "osrm", "osrm")):
        road.name = name
        desk.see("amina-van", north(minute, minute))
        etas = turn(desk, road, at(minute)).etas
        assert {each.provider for each in etas} <= {name}
        asked.append(road.asked)
    assert asked == [2, 3, 5, 6]


def test_of_several_technicians_the_first_who_is_seen_is_awaited() -> None:
    office, road = Office(job("a", 9_000, "berit", "amina")), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(8_000, 0))
    assert [each.technician_id for each in turn(desk, road, at(0)).etas] == ["amina"]
    desk.see("berit-van", north(0, 1))
    assert [each.technician_id for each in turn(desk, road, at(1)).etas] == ["berit"]
    desk.see("amina-van", north(8_500, 2))
    assert turn(desk, road, at(2)).etas == [], "berit is"
    desk.see("amina-van", north(8_500, 16))
    assert [each.technician_id for each in turn(desk, road, at(16)).etas] == ["amina"], "berit is out of reach"


def test_of_several_devices_the_first_one_counts() -> None:
    office, road = Office(job("a", 9_000)), Road()
    office.devices["amina"] = ["amina-phone", "amina-van"]
    desk = desk_of(office)
    for device_id in ("amina-van", "amina-phone", "amina-van"):
        desk.see(device_id, north(0, 0))
        turn(desk, road, at(0))
        desk.change([device_id])
    assert desk.standing["a"].device_id == "amina-phone"


@pytest.mark.parametrize(
    "change",
    [
        {"state": "on_site"},
        {"technician_ids": ("berit",)},
        {"window_from_ms": at(3 * 1_440), "window_to_ms": at(3 * 1_440 + 60)},
        None,
    ],
)
def test_an_eta_is_taken_back_once_nobody_is_awaited(change: dict[str, Any] | None) -> None:
    office, road = Office(job("a", 9_000)), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    turn(desk, road, at(0))
    assert desk.taken_back(["a", "b"], at(0), NOTHING_ERASED) == []
    if change is None:
        del office.jobs["a"]
    else:
        office.jobs["a"] = msgspec.structs.replace(office.jobs["a"], **change)
    desk.change(["amina-van"])
    assert turn(desk, road, at(0.1)).etas == []
    assert desk.taken_back(["a"], at(0.1), NOTHING_ERASED) == ["a"]
    assert desk.taken_back(["a"], at(0.1), NOTHING_ERASED) == []


def test_what_was_erased_is_taken_back_and_not_told_again() -> None:
    office, road = Office(job("a", 9_000)), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    turn(desk, road, at(0))
    spans = ErasedSpans()
    span = ErasedSpan(mark_of("device", "amina-van"), Instant(0), Instant(at(1)))
    spans.changed(
        "e",
        Erasure(erasure_id="e", kind="technician", person="x", at=Instant(at(1)), spans=[span], subject=Subject("x")),
    )
    desk.forget(spans.covers)
    assert desk.taken_back(["a"], at(0), spans) == ["a"]
    desk.change(["amina-van"])
    assert turn(desk, road, at(0.5)).etas == []
    assert len(desk) == 0


def test_a_foreman_that_was_started_again_tells_nothing_that_stands() -> None:
    office, road = Office(job("a", 9_000, begins=120)), Road()
    desk, again = desk_of(office), desk_of(office)
    for number, each in enumerate((desk, again)):
        each.see("amina-van", north(0, 0.1 * number))
        told = turn(each, road, at(0.1 * number)).etas
        assert len(told) == 1 - number
        for eta in told:
            again.stands(eta.job_id, eta)
    again.stands("a", None)
    again.change(["amina-van"])
    assert len(turn(again, road, at(0.2)).etas) == 1


def test_a_job_is_at_risk_before_anybody_has_set_out_and_safe_again_once_there_is_room() -> None:
    office, road = Office(job("a", 9_000, ends=30)), Road()
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    ((job_id, window),) = turn(desk, road, at(0)).risks
    assert job_id == "a"
    assert window.to_ms == desk.standing["a"].to_ms > at(30)
    office.jobs["a"] = msgspec.structs.replace(office.jobs["a"], risk="at_risk")
    for minute, north_m, expected in ((1, 0, 0), (2, 3_000, 0), (3, 8_000, 1)):
        desk.see("amina-van", north(north_m, minute))
        assert len(turn(desk, road, at(minute)).risks) == expected, minute


def test_a_way_that_has_arrived_teaches_once_and_by_positions_alone() -> None:
    office, road = Office(job("a", 9_000), job("b", 12_000, begins=60)), Road()
    driving(office)
    engine = EtaEngine()
    desk = desk_of(office, engine)
    for minute in range(20):
        desk.see("amina-van", north(450 * minute, minute))
        turn(desk, road, at(minute))
    office.jobs["a"] = msgspec.structs.replace(office.jobs["a"], state="on_site", since_ms=at(18))
    office.headings.clear()
    desk.change(["amina-van"])
    turn(desk, road, at(19.1))
    assert desk.arrived("a", [("amina-van", at(-100)), ("berit-van", at(18))]) == []
    assert desk.arrived("b", [("amina-van", at(18))]) == []
    (trip,) = desk.arrived("a", [("amina-van", at(18))])
    assert desk.arrived("a", [("amina-van", at(18))]) == []
    assert (trip.job_id, trip.device_id, trip.technician_id, trip.arrived_ms) == ("a", "amina-van", "amina", at(18))
    assert 2 <= len(trip.points) <= 8
    assert [trip.points[0].ts_ms, trip.points[-1].ts_ms] == [at(0), at(18)]
    assert (trip.to.lat, trip.time_zone, trip.level) == (office.jobs["a"].lat, "UTC", 0.8)
    assert {each.provider for each in trip.points} == {"straight_line"}
    learning = Learning(engine, lambda _: 0)
    assert learning.take([trip, trip]) == 1
    assert learning.take([trip]) == 0


def test_a_way_that_was_given_up_teaches_nothing() -> None:
    office, road = Office(job("a", 9_000), job("b", -9_000)), Road()
    driving(office, "a")
    desk = desk_of(office)
    desk.see("amina-van", north(0, 0))
    turn(desk, road, at(0))
    office.jobs["a"] = msgspec.structs.replace(office.jobs["a"], state="dispatched")
    driving(office, "b")
    desk.change(["amina-van"])
    turn(desk, road, at(0.5))
    assert desk.arrived("a", [("amina-van", at(20))]) == []
    assert len(desk.arrived("b", [("amina-van", at(20))])) == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("drive"), st.sampled_from(["amina", "berit"]), st.floats(-500.0, 900.0)),
        st.tuples(st.just("wait"), st.integers(1, 200), st.none()),
        st.tuples(st.just("state"), st.integers(0, 5), st.sampled_from(["dispatched", "en_route", "on_site", "over"])),
        st.tuples(st.just("place"), st.integers(0, 5), st.floats(-9_000.0, 9_000.0)),
        st.tuples(st.just("give"), st.integers(0, 5), st.sampled_from([("amina",), ("berit",), ("berit", "amina")])),
    ),
    min_size=5,
    max_size=60,
)


def from_scratch(office: Office, device_id: str, fix: tuple[float, ...], now_ms: int) -> dict[str, Eta]:
    """What somebody says who is asked for the first time, knows no trip, and sees this device alone."""
    desk = desk_of(office)
    desk.see(device_id, north(0, 0)._replace(ts_ms=int(fix[0]), lat=fix[1], lon=fix[2]))
    return {each.job_id: each for each in turn(desk, Road(), now_ms).etas}


def near(told: Eta, fresh: Eta) -> bool:
    """Told, or too like it to be told again."""
    pairs = ((told.eta, fresh.eta), (told.from_ms, fresh.from_ms), (told.to_ms, fresh.to_ms))
    return max(abs(one - other) for one, other in pairs) < MOVED_MS


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_stands_is_what_asking_from_scratch_would_have_told(steps: list[Any]) -> None:
    """At each asking about a device that nobody is under way with, so that only places and moments count."""
    names = "abcdef"
    office = Office(*(job(name, 1_500.0 * number, begins=30 * number) for number, name in enumerate(names)))
    desk, road = desk_of(office), Road()
    now_ms, where, asked_ms = at(0), {"amina": 0.0, "berit": 0.0}, []
    for kind, what, how in steps:
        now_ms += 5_000
        if kind == "drive":
            where[what] += how
            desk.see(f"{what}-van", north(where[what], 0)._replace(ts_ms=now_ms))
        elif kind == "wait":
            now_ms += 1_000 * what
        else:
            name = names[what]
            if kind == "state" and how == "over":
                office.jobs.pop(name, None)
            elif name in office.jobs:
                changes = {"state": {"state": how, "since_ms": now_ms}, "give": {"technician_ids": how}}.get(kind)
                moved = job(name, how) if kind == "place" else None
                changes = changes or {"lat": moved.lat}  # type: ignore[union-attr]
                office.jobs[name] = msgspec.structs.replace(office.jobs[name], **changes)
            desk.change(["amina-van", "berit-van"])
        before = road.asked
        batch = desk.due(now_ms, road.name)
        if batch is None:
            continue
        assert all(now_ms - each.fix.ts_ms <= 1_000 * FRESH_S for each in batch.asked)
        desk.answer(batch, road.ways(batch), now_ms)
        desk.taken_back(names, now_ms, NOTHING_ERASED)
        asked_ms += [now_ms] * (road.asked > before)
        for each in batch.asked:
            if each.day.is_under_way:
                continue  # how it has gone so far counts too
            fresh = from_scratch(office, each.device_id, each.fix, now_ms)
            assert fresh.keys() == {call.job_id for call in each.day.calls if _is_open(office, call)}
            for job_id, eta in fresh.items():
                told = desk.standing[job_id]
                if told.device_id == each.device_id:
                    assert near(told, eta), job_id
                    assert told.stops_before == eta.stops_before
        for job_id in desk.standing:
            assert _is_open(office, office.jobs[job_id])


def _is_open(office: Office, appointment: Appointment) -> bool:
    known = office.jobs.get(appointment.job_id)
    return known is not None and not known.is_at_work


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0.0, 1.0)), min_size=20, max_size=200))
def test_nobody_who_keeps_to_the_course_is_asked_about_more_often_than_the_setting_says(
    fixes: list[tuple[int, float]],
) -> None:
    office, road = Office(job("a", 40_000)), Road()
    driving(office)
    desk: Desk = desk_of(office)
    second, asked_s = 0, []
    for gap_s, wobble in fixes:
        second += gap_s
        desk.see("amina-van", north(6.6 * second + 100 * wobble, second / 60))
        before = road.asked
        turn(desk, road, at(second / 60))
        asked_s += [second] * (road.asked - before)
    assert all(later - earlier >= REFRESH_S for earlier, later in itertools.pairwise(asked_s))
    assert len(asked_s) >= second // (REFRESH_S + 20)

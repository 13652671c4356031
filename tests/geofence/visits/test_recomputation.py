"""A visit derived again from as few fixes as it takes is the visit that all fixes give."""

from collections import defaultdict

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet, read_collection
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import Recomputation, compare, derive_stays, recompute, visit_of
from schemas.ping import Ping
from schemas.visit import Visit
from simulator.day import DaySpec, build_day
from tests.geofence.visits.days import days, drive, fixes_of, ordinary_day, square, stay_at

RULES = Rules()
SITE = FenceSet.of([("site", square(0, 0, 40))])
HOUR_MS = 3_600_000


def log_of(fixes: Fixes, fences: FenceSet, as_of_ms: int, device_id: str = "d") -> list[Visit]:
    stays = derive_stays(device_id, fixes, fences, RULES, as_of_ms).stays
    return [visit_of(device_id, stay) for stay in stays]


def widened(visit: Visit, fixes: Fixes, fences: FenceSet, now_ms: int, reach_ms: int) -> tuple[Recomputation, int]:
    """Recomputed with ever more of the fixes; also how many were looked at."""
    while True:
        from_ms = visit.arrived_earliest_ms - reach_ms
        to_ms = now_ms if visit.departed_ms is None else visit.departed_ms + reach_ms
        to_end = to_ms >= now_ms
        some = fixes.take((fixes.ts_ms >= from_ms) & ((fixes.ts_ms < to_ms) | to_end))
        from_start = from_ms <= fixes.ts_ms[0]
        again = recompute(visit, some, fences, RULES, min(now_ms, to_ms), from_start=bool(from_start), to_end=to_end)
        if again is not None:
            return again, len(some)
        reach_ms *= 4


@settings(deadline=None, max_examples=150)
@given(days(), st.sampled_from([60_000, 600_000, HOUR_MS]), st.sampled_from([0, 30_000, 400_000, 24 * HOUR_MS]))
def test_whatever_the_window_every_visit_comes_to_the_same(day, reach_ms, silent_ms):
    fences, fixes, _ = day
    now_ms = int(fixes.ts_ms[-1]) + silent_ms
    for visit in log_of(fixes, fences, now_ms):
        again, _ = widened(visit, fixes, fences, now_ms, reach_ms)
        told = compare(visit, again.stays, [])
        assert (told.recomputed, told.matches, told.differs) == (visit, True, {})


def test_a_simulated_day_comes_to_the_same():
    day = build_day(DaySpec(technicians=3, hours=8.0, seed=5))
    fences = FenceSet.of(read_collection(msgspec.json.encode(day.fences())))
    visits = 0
    pings: defaultdict[str, list[Ping]] = defaultdict(list)
    for _, delivered in day.deliveries():
        for ping in delivered:
            pings[ping.device_id].append(ping)
    for device_id, some in pings.items():
        fixes = Fixes.of_pings(some).in_order()
        now_ms = int(fixes.ts_ms[-1]) + HOUR_MS
        for visit in log_of(fixes, fences, now_ms, device_id):
            again, _ = widened(visit, fixes, fences, now_ms, HOUR_MS // 4)
            assert compare(visit, again.stays, []).matches
            visits += 1
    assert visits > 10


def test_of_a_week_only_the_day_is_looked_at():
    before, after = drive(-3600, -10, 30, (-40_000, 40), (-2000, 40)), drive(2240, 5840, 30, (2000, 40), (40_000, 40))
    one = [*before, *ordinary_day(), *after]
    week = [(s + day * 86_400.0, x, y) for day in range(7) for s, x, y in one]
    fixes = fixes_of(week)
    now_ms = int(fixes.ts_ms[-1])
    log = log_of(fixes, SITE, now_ms)
    assert len(log) == 7
    for visit in log:
        again, looked_at = widened(visit, fixes, SITE, now_ms, 6 * HOUR_MS)
        assert compare(visit, again.stays, []).matches
        assert looked_at == len(one)


def test_a_window_that_is_cut_within_the_stay_is_refused():
    fixes = fixes_of(ordinary_day())
    now_ms = int(fixes.ts_ms[-1])
    (visit,) = log_of(fixes, SITE, now_ms)
    within = fixes.take((fixes.ts_ms > visit.arrived_ms) & (fixes.ts_ms < visit.departed_ms - 600_000))
    for from_start, to_end in ((True, False), (False, True), (False, False)):
        assert recompute(visit, within, SITE, RULES, now_ms, from_start=from_start, to_end=to_end) is None


def test_without_any_fix_there_is_no_stay():
    fixes = fixes_of(ordinary_day())
    now_ms = int(fixes.ts_ms[-1])
    (visit,) = log_of(fixes, SITE, now_ms)
    again = recompute(visit, Fixes.empty(), SITE, RULES, now_ms, from_start=True, to_end=True)
    assert again is not None
    told = compare(visit, again.stays, [])
    assert (told.recomputed, told.matches) == (None, False)
    assert told.differs["state"].logged == "closed"
    assert "no stay" in told.finding


@pytest.mark.parametrize("change", [{"arrived_ms": -1_000}, {"fixes": 1}, {"fence_version": 1}, {"on_site_s": 0.5}])
def test_what_differs_is_named_as_on_the_wire(change):
    fixes = fixes_of(ordinary_day())
    (stay,) = derive_stays("d", fixes, SITE, RULES, int(fixes.ts_ms[-1])).stays
    visit = visit_of("d", stay)
    ((name, by),) = change.items()
    logged = msgspec.structs.replace(visit, **{name: getattr(visit, name) + by})
    told = compare(logged, [stay], [])
    wire_name = {"arrived_ms": "arrived_at"}.get(name, name)
    assert not told.matches
    assert {field: (each.logged, each.recomputed) for field, each in told.differs.items()} == {
        wire_name: (getattr(logged, name), getattr(visit, name))
    }
    assert wire_name in told.finding


def test_running_figures_of_a_visit_that_lasts_may_lag():
    fixes = fixes_of([*drive(0, 200, 10, (-2000, 40), (-12, 0)), *stay_at(220, 2020, 20, 0, 0)])
    (stay,) = derive_stays("d", fixes, SITE, RULES, int(fixes.ts_ms[-1])).stays
    logged = msgspec.structs.replace(visit_of("d", stay), fixes=3, on_site_s=140.0, confidence=0.6)
    assert compare(logged, [stay], []).matches
    assert not compare(msgspec.structs.replace(logged, state="open"), [stay], []).matches


def test_a_retracted_visit_agrees_when_nothing_is_left_or_another_holds_what_is_left():
    fixes = fixes_of(ordinary_day())
    (stay,) = derive_stays("d", fixes, SITE, RULES, int(fixes.ts_ms[-1])).stays
    standing = msgspec.structs.replace(visit_of("d", stay), visit_id="standing")
    retracted = msgspec.structs.replace(standing, visit_id="retracted", state="retracted", reason="late_data")
    gone = compare(retracted, [], [])
    assert (gone.recomputed, gone.matches, gone.held_by) == (None, True, [])
    held = compare(retracted, [stay], [standing])
    assert (held.matches, held.held_by) == (True, ["standing"])
    assert "standing" in held.finding
    back = compare(retracted, [stay], [msgspec.structs.replace(standing, arrived_ms=stay.arrived_ms - 1)])
    assert (back.matches, back.held_by) == (False, [])
    assert back.differs["state"].recomputed == "closed"


@settings(deadline=None, max_examples=60)
@given(days(), st.integers(0, 10**9))
def test_a_mutated_log_is_found_out(day, pick):
    """The comparison can fail: any edge moved by a second is noticed."""
    fences, fixes, _ = day
    now_ms = int(fixes.ts_ms[-1])
    log = log_of(fixes, fences, now_ms)
    assume(log)
    visit = log[pick % len(log)]
    moved = msgspec.structs.replace(visit, arrived_earliest_ms=visit.arrived_earliest_ms - 1_000)
    again, _ = widened(moved, fixes, fences, now_ms, HOUR_MS)
    assert list(compare(moved, again.stays, []).differs) == ["arrived_earliest"]

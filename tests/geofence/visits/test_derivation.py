import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays
from geofence.visits.path import read_path
from tests.geofence.visits.days import START_MS, days, drive, fixes_of, ordinary_day, square, stay_at

RULES = Rules()
SITE = FenceSet.of([("site", square(0, 0, 40))])


def derived(fixes, fences=SITE, as_of_ms=None, ended=False):
    as_of_ms = int(fixes.ts_ms[-1]) if as_of_ms is None else as_of_ms
    return derive_stays("d", fixes, fences, RULES, as_of_ms, ended=ended)


def stays(fixes, fences=SITE, ended=True, **more):
    return derived(fixes, fences, ended=ended, **more).stays


def moments(stay):
    return (
        stay.arrived_earliest_ms,
        stay.arrived_ms,
        stay.arrived_latest_ms,
        stay.departed_earliest_ms,
        stay.departed_ms,
        stay.departed_latest_ms,
    )


def test_a_stay_is_found_with_its_edges_where_they_were():
    (stay,) = stays(fixes_of(ordinary_day()))
    assert stay.state == "closed"
    assert abs(stay.arrived_ms - START_MS - 200_000) < 30_000
    assert abs(stay.departed_ms - START_MS - 2_030_000) < 30_000
    assert stay.confidence > 0.9


@settings(deadline=None, max_examples=150)
@given(days(), st.integers(0, 10**9))
def test_deriving_from_the_restart_point_equals_deriving_from_all(day, cut):
    fences, fixes, _ = day
    known = 1 + cut % len(fixes)
    keep_from = derived(fixes.take(slice(0, known)), fences).keep_from
    everything = stays(fixes, fences, ended=False)
    window = fixes.take(slice(keep_from, None))
    since_ms = int(fixes.ts_ms[keep_from])
    expected = [stay for stay in everything if stay.departed_ms is None or stay.departed_ms > since_ms]
    assert stays(window, fences, ended=False) == (expected if keep_from else everything)


@settings(deadline=None, max_examples=60)
@given(days(), st.randoms(use_true_random=False))
def test_permutation_and_duplication_change_nothing(day, random):
    fences, fixes, _ = day
    rows = list(range(len(fixes))) + [random.randrange(len(fixes)) for _ in range(5)]
    random.shuffle(rows)
    again = fixes.take(np.array(rows)).in_order()
    assert derived(again, fences) == derived(fixes, fences)


@settings(deadline=None, max_examples=60)
@given(days(), st.integers(-(10**9), 10**9))
def test_moving_time_moves_the_log(day, shift_ms):
    fences, fixes, _ = day
    moved = dataclasses.replace(fixes, ts_ms=fixes.ts_ms + shift_ms)
    before, after = stays(fixes, fences), stays(moved, fences)
    assert [[moment and moment + shift_ms for moment in moments(stay)] for stay in before] == [
        list(moments(stay)) for stay in after
    ]


@settings(deadline=None, max_examples=150)
@given(days(), st.booleans())
def test_moments_are_in_order(day, ended):
    fences, fixes, _ = day
    for stay in stays(fixes, fences, ended=ended):
        told = [moment for moment in moments(stay) if moment is not None]
        assert told == sorted(told)
        assert stay.on_site_min_s <= stay.on_site_s <= stay.on_site_max_s


def test_silence_is_not_a_stop():
    fixes = fixes_of(ordinary_day()[:60])
    day_ms = 86_400_000
    (stay,) = stays(fixes, ended=False, as_of_ms=int(fixes.ts_ms[-1]) + day_ms)
    assert (stay.state, stay.departed_ms) == ("confirmed", None)


def test_a_stay_is_open_before_it_is_confirmed_before_it_is_closed():
    fixes = fixes_of(ordinary_day())
    states = []
    for end in range(1, len(fixes) + 1):
        told = stays(fixes.take(slice(0, end)), ended=False)
        states += [stay.state for stay in told] or ["none"]
    assert [state for state, _ in itertools.groupby(states)] == ["none", "open", "confirmed", "closed"]


def test_the_arrival_is_settled_soon_and_stays_settled():
    fixes = fixes_of([*drive(0, 200, 10, (-2000, 40), (-12, 0)), *stay_at(220, 9000, 20, 0, 0)])
    arrivals = set()
    for end in range(70, len(fixes) + 1, 7):
        (stay,) = stays(fixes.take(slice(0, end)), ended=False)
        arrivals.add((stay.arrived_earliest_ms, stay.arrived_ms, stay.arrived_latest_ms))
    assert len(arrivals) == 1


def test_complaint_1_jitter_at_the_edge_neither_flaps_nor_splits():
    rows = [*drive(0, 200, 10, (-2000, 0), (-20, 0)), *stay_at(201, 3800, 1, -20, 0, spread_m=6.0, seed=3)]
    assert len(stays(fixes_of(rows))) == 1


def test_complaint_2_a_leap_with_a_proud_accuracy_does_not_end_a_stay():
    rows = ordinary_day()
    rows.insert(60, (rows[59][0] + 9, 200.0, 30.0))
    fixes = fixes_of(rows, accuracy_m=1.7)
    assert len(stays(fixes)) == 1


def test_complaint_2_coarse_fixes_do_not_delay_an_exit():
    rows = ordinary_day()
    fixes = fixes_of(rows)
    coarse = fixes.accuracy_dm.copy()
    coarse[-15:] = 1_000
    (stay,) = stays(dataclasses.replace(fixes, accuracy_dm=coarse))
    assert abs(stay.departed_ms - START_MS - 2_030_000) < 60_000


def test_complaint_3_a_backlog_makes_one_visit_whatever_its_order():
    fixes = fixes_of(ordinary_day())
    assert stays(fixes.take(np.arange(len(fixes))[::-1]).in_order()) == stays(fixes)


def test_complaint_4_a_fix_from_the_future_does_not_freeze_the_device():
    fixes = fixes_of(ordinary_day())
    ahead = Fixes.concat([fixes, fixes_of([(400_000_000.0, 5000.0, 0.0)])])
    as_of_ms = int(fixes.ts_ms[-1])
    assert derived(ahead, as_of_ms=as_of_ms, ended=True).stays == derived(fixes, as_of_ms=as_of_ms, ended=True).stays


def test_complaint_5_a_fence_drawn_around_a_parked_device_says_so():
    drawn_ms = START_MS + 1_000_000
    fences = FenceSet.of([("site", square(0, 0, 40, valid_from_ms=drawn_ms))])
    (stay,) = stays(fixes_of(ordinary_day()[:90]), fences, ended=False)
    assert (stay.reason, stay.arrived_ms, stay.state) == ("initially_inside", drawn_ms, "confirmed")


@pytest.mark.parametrize("seen_after", [True, False])
def test_complaint_5_a_fence_that_ends_while_occupied_closes_the_visit(seen_after):
    ends_ms = START_MS + 1_000_000
    fences = FenceSet.of([("site", square(0, 0, 40, valid_to_ms=ends_ms))])
    fixes = fixes_of(ordinary_day())
    if not seen_after:
        fixes = fixes.take(fixes.ts_ms < ends_ms)
    (stay,) = stays(fixes, fences, ended=False, as_of_ms=START_MS + 3_000_000)
    assert (stay.state, stay.reason, stay.departed_ms) == ("closed", "fence_changed", ends_ms)


def test_complaint_5_a_new_version_around_the_device_continues_the_visit():
    changed_ms = START_MS + 1_000_000
    fences = FenceSet.of(
        [
            ("site", square(0, 0, 40, valid_to_ms=changed_ms)),
            ("site", square(0, 0, 60, version=2, valid_from_ms=changed_ms)),
        ]
    )
    (stay,) = stays(fixes_of(ordinary_day()), fences)
    assert (stay.fence_version, stay.state) == (2, "closed")
    assert abs(stay.departed_ms - START_MS - 2_030_000) < 30_000


def test_complaint_6_a_pass_between_two_sparse_fixes_is_not_a_visit():
    rows = [*drive(0, 600, 30, (-4000, 0), (4000, 0))]
    assert stays(fixes_of(rows)) == []


def test_complaint_6_a_gap_that_leaves_room_for_a_stay_is_evidence():
    rows = [*drive(0, 200, 10, (-2000, 40), (-12, 0)), (215.0, 0.0, 0.0), (230.0, 2.0, 1.0), (1800.0, 1.0, -3.0)]
    rows += drive(2030, 2230, 10, (12, 0), (2000, 40))
    (stay,) = stays(fixes_of(rows))
    assert stay.departed_ms - stay.arrived_ms > 1_700_000


def test_complaint_7_a_red_light_at_the_gate_is_not_a_visit():
    rows = [
        *drive(0, 200, 5, (-2000, 25), (0, 25)),
        *stay_at(205, 265, 5, 0, 25, spread_m=3.0),
        *drive(270, 470, 5, (0, 25), (2000, 25)),
    ]
    assert stays(fixes_of(rows)) == []


def test_nested_fences_hold_at_once():
    fences = FenceSet.of([("zone", square(0, 0, 600, kind="zone")), ("workshop", square(0, 0, 40))])
    assert sorted(stay.fence_id for stay in stays(fixes_of(ordinary_day()), fences)) == ["workshop", "zone"]


def test_neighbours_compete_and_one_wins():
    fences = FenceSet.of([("left", square(-10, 0, 20)), ("right", square(10, 0, 20))])
    rows = [*drive(0, 200, 10, (2000, 40), (10, 0)), *stay_at(220, 2020, 20, 12, 0, spread_m=8.0)]
    assert [stay.fence_id for stay in stays(fixes_of(rows), fences)] == ["right"]


def test_a_fence_for_other_devices_is_not_there():
    fences = FenceSet.of([("site", square(0, 0, 40, devices=["other"]))])
    assert stays(fixes_of(ordinary_day()), fences) == []


def test_a_device_far_from_every_fence_has_no_places_to_be_at():
    path = read_path("d", fixes_of(drive(0, 5000, 10, (5000, 5000), (50_000, 5000))), SITE, RULES, START_MS + 10**7)
    assert path.steps["row_end"].max() == 0

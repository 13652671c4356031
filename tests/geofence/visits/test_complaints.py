"""What users of other trackers live with, one test a complaint, over several seeds of noise.

The numbers in the names are the public tickets of the projects named.
"""

import dataclasses
import json

import msgspec
import numpy as np
import pytest

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from schemas.fence import FenceVersion
from schemas.ping import PingError, check_ping, read_ping
from schemas.times import format_instant
from tests.geofence.one_track import look_at_changed
from tests.geofence.visits.days import START_MS, degrees, square
from tests.geofence.visits.scenarios import RULES, Live, Outing, box, changes, circle, logged

YARD = FenceSet.of([("yard", square(0, 0, 40))])
WEST, EAST = (-2000.0, 40.0), (2000.0, 40.0)
MINUTE_MS = 60_000

over_seeds = pytest.mark.parametrize("seed", range(4))


def call(seed: int, minutes: float = 40, every_s: float = 20, at=(0.0, 0.0), **phone) -> tuple[Fixes, int, int]:
    """A customer call: drive in, stay at the spot, drive off. The fixes, and when it began and ended."""
    indoors_m = phone.pop("indoors_m", 5.0)
    van = Outing(seed, WEST, **phone).drive(at)
    arrived_ms, outdoors_m = van.now_ms, van.noise_m
    van.noise_m = indoors_m
    van.parked(minutes, every_s)
    left_ms, van.noise_m = van.now_ms, outdoors_m
    return van.drive(EAST).fixes(), arrived_ms, left_ms


def fences_of(stays) -> list[str]:
    return [stay.fence_id for stay in stays]


# 1. Flapping at the edge


@over_seeds
def test_complaint_1_traccar_2189_a_parked_phone_near_the_edge_is_one_visit(seed):
    fixes, arrived_ms, left_ms = call(seed, minutes=480, every_s=60, at=(-14.0, 0.0), indoors_m=8.0)
    (stay,) = logged(fixes, YARD)
    assert abs(stay.arrived_ms - arrived_ms) <= 5 * MINUTE_MS
    assert abs(stay.departed_ms - left_ms) <= 5 * MINUTE_MS
    live = Live(YARD)
    live.receive(fixes, size=1)
    assert changes(live.revisions)[-2:] == [("yard", "confirmed"), ("yard", "closed")]
    assert len(changes(live.revisions)) <= 3
    assert len(live.revisions) <= 8


@over_seeds
@pytest.mark.parametrize("every_s", [1.0, 5.0, 15.0, 60.0])
def test_complaint_1_traccar_6019_traffic_past_a_fence_beside_the_road_is_no_visit(seed, every_s):
    queue = Outing(seed, (-1500.0, 24.0)).drive((-10.0, 24.0), 13.0, every_s).parked(0.7, every_s)
    fixes = queue.drive((1500.0, 24.0), 13.0, every_s).fixes()
    assert logged(fixes, YARD) == []
    live = Live(YARD)
    live.receive(fixes, size=1)
    assert live.revisions == []


@over_seeds
def test_complaint_1_tile38_816_noise_once_a_second_at_the_border_enters_and_exits_once(seed):
    fixes, _, _ = call(seed, minutes=20, every_s=1, at=(-20.0, 0.0), indoors_m=10.0)
    assert len(logged(fixes, YARD)) == 1
    live = Live(YARD)
    live.receive(fixes, size=1)
    assert len(live.revisions) <= 12
    told = changes(live.revisions)
    assert len({visit.visit_id for visit in live.revisions}) == 1
    assert [state for _, state in told].count("closed") == 1


# 2. Accuracy that lies, accuracy that gates


@over_seeds
@pytest.mark.parametrize("fixes_off", [1, 3])
def test_complaint_2_tracelet_294_a_leap_of_200_m_that_claims_2_m_is_no_exit(seed, fixes_off):
    phone = Outing(seed).drive((0, 0)).parked(20)
    for _ in range(fixes_off):
        phone.fix((200.0, 30.0), mps=0.0, accuracy_m=1.7)
        phone.now_s += 5.0
    leapt_ms = phone.now_ms
    left_ms = phone.parked(20).now_ms
    fixes = phone.drive(EAST).fixes()
    (stay,) = logged(fixes, YARD)
    assert abs(stay.departed_ms - left_ms) <= MINUTE_MS
    live = Live(YARD)
    live.receive(fixes.take(fixes.ts_ms <= leapt_ms + 5 * MINUTE_MS), size=1)
    assert [visit.state for visit in live.log] == ["confirmed"]


@over_seeds
@pytest.mark.parametrize("accuracy_m", [20.0, 50.0, 150.0])
def test_complaint_2_tracelet_276_poor_accuracy_does_not_delay_an_exit(seed, accuracy_m):
    phone = Outing(seed, noise_m=6.0).drive((0, 0)).parked(20)
    left_ms, phone.accuracy_m = phone.now_ms, accuracy_m
    fixes = phone.drive(EAST).fixes()
    (stay,) = logged(fixes, YARD)
    assert abs(stay.departed_ms - left_ms) <= MINUTE_MS
    live = Live(YARD)
    live.receive(fixes.take(fixes.ts_ms <= left_ms + 2 * MINUTE_MS), size=1)
    assert [visit.state for visit in live.log] == ["closed"]


@over_seeds
@pytest.mark.parametrize("neighbour", [circle(72.0, 14.0, 11.0), circle(70.0, 0.0, 30.0), circle(75.0, 0.0, 45.0)])
def test_complaint_2_home_assistant_175663_and_176316_degraded_accuracy_moves_nobody_next_door(seed, neighbour):
    zones = FenceSet.of([("home", circle(0.0, 0.0, 30.0)), ("next door", neighbour)])
    phone = Outing(seed).drive((5.0, 0.0))
    for _ in range(4):
        phone.noise_m, phone.accuracy_m = 5.0, 12.0
        phone.parked(20, every_s=60)
        phone.noise_m, phone.accuracy_m = 25.0, 100.0
        phone.parked(10, every_s=60)
    fixes = phone.fixes()
    assert fences_of(logged(fixes, zones)) == ["home"]
    live = Live(zones)
    live.receive(fixes, size=1)
    assert {visit.fence_id for visit in live.revisions} == {"home"}


# 3. Backlogs


@over_seeds
def test_complaint_3_traccar_4417_a_backlog_newest_first_is_one_visit_without_a_storm(seed):
    fixes, arrived_ms, left_ms = call(seed)
    offline = (fixes.ts_ms > arrived_ms - 2 * MINUTE_MS) & (fixes.ts_ms < left_ms + MINUTE_MS)
    before, backlog = fixes.take(fixes.ts_ms <= arrived_ms - 2 * MINUTE_MS), fixes.take(offline)
    live = Live(YARD)
    live.receive(before)
    live.receive(fixes.take(fixes.ts_ms >= left_ms + MINUTE_MS).take(slice(0, 1)))
    live.receive(backlog.take(np.arange(len(backlog))[::-1]), size=10)
    live.receive(fixes.take(fixes.ts_ms >= left_ms + MINUTE_MS).take(slice(1, None)))
    (visit,) = live.log
    (stay,) = logged(fixes, YARD)
    assert (visit.state, visit.arrived_ms, visit.departed_ms) == ("closed", stay.arrived_ms, stay.departed_ms)
    assert abs(visit.arrived_ms - arrived_ms) <= 2 * MINUTE_MS
    assert abs(visit.departed_ms - left_ms) <= 2 * MINUTE_MS
    assert len({revision.visit_id for revision in live.revisions}) == 1


@over_seeds
@pytest.mark.parametrize("hours_late", [3, 30])
def test_complaint_3_traccar_6015_late_fixes_are_credited_to_the_job_of_then(seed, hours_late):
    """The site changes hands while a phone is offline: the morning belongs to the tenant of the morning."""
    morning, arrived_ms, left_ms = call(seed)
    changed_ms = left_ms + 30 * MINUTE_MS
    tenants = FenceSet.of(
        [
            ("old tenant", square(0, 0, 40, valid_to_ms=changed_ms)),
            ("new tenant", square(0, 0, 40, valid_from_ms=changed_ms)),
        ]
    )
    later, later_arrived_ms, _ = call(seed + 100)
    shift_ms = hours_late * 3_600_000
    later = dataclasses.replace(later, ts_ms=later.ts_ms + shift_ms)
    live = Live(tenants)
    live.receive(later)
    first = live.log
    assert fences_of(first) == ["new tenant"]
    published = live.receive(morning, size=len(morning))
    assert [(visit.fence_id, visit.state) for visit in published] == [("old tenant", "closed")]
    assert fences_of(live.log) == ["old tenant", "new tenant"]
    old, new = live.log
    assert abs(old.arrived_ms - arrived_ms) <= MINUTE_MS
    assert abs(old.departed_ms - left_ms) <= MINUTE_MS
    assert abs(new.arrived_ms - later_arrived_ms - shift_ms) <= MINUTE_MS
    assert new == first[0]


# 4. Clocks


def test_complaint_4_traccar_2264_a_timestamp_from_the_future_is_refused_at_the_door():
    now_ms = START_MS
    ahead = {"device_id": "van", "ts": format_instant(now_ms + 365 * 86_400_000), "lat": 47.0, "lon": 9.5}
    with pytest.raises(PingError, match="ts_in_future"):
        check_ping(read_ping(json.loads(json.dumps(ahead))), now_ms)


@over_seeds
def test_complaint_4_traccar_2264_a_timestamp_from_the_future_freezes_nobody(seed):
    """Were one stored all the same, the visits as of any moment before it would be those without it."""
    fixes, _, _ = call(seed)
    ahead = fixes.take(slice(60, 61))
    ahead = dataclasses.replace(ahead, ts_ms=ahead.ts_ms + 365 * 86_400_000)
    as_of_ms = int(fixes.ts_ms[-1]) + 10 * MINUTE_MS
    with_it = Fixes.concat([fixes, ahead]).in_order()
    assert logged(with_it, YARD, as_of_ms) == logged(fixes, YARD, as_of_ms)
    assert len(logged(fixes, YARD, as_of_ms)) == 1


# 5. Fences that come, change and go under a parked device


def parked_inside(seed: int, fences: FenceSet) -> tuple[Live, int]:
    phone = Outing(seed).drive((0, 0)).parked(30)
    live = Live(fences)
    live.receive(phone.fixes())
    return live, phone.now_ms


@over_seeds
def test_complaint_5_traccar_5218_a_fence_drawn_around_a_parked_vehicle_says_so(seed):
    live, now_ms = parked_inside(seed, FenceSet.of([("far", circle(9000.0, 0.0, 40.0))]))
    assert live.revisions == []
    drawn = FenceSet.of([("yard", square(0, 0, 40, valid_from_ms=now_ms - 10 * MINUTE_MS))])
    (told,) = look_at_changed(live.track, drawn, RULES, {"yard"})
    assert (told.reason, told.arrived_ms) == ("initially_inside", now_ms - 10 * MINUTE_MS)


@over_seeds
def test_complaint_5_traccar_5218_a_fence_drawn_just_now_waits_for_its_time(seed):
    live, now_ms = parked_inside(seed, FenceSet.of([("far", circle(9000.0, 0.0, 40.0))]))
    drawn = FenceSet.of([("yard", square(0, 0, 40, valid_from_ms=now_ms))])
    assert look_at_changed(live.track, drawn, RULES, {"yard"}) == []
    phone = Outing(seed, (0.0, 0.0))
    phone.now_s = (now_ms - START_MS) / 1000.0
    live.fences = drawn
    live.receive(phone.parked(20).fixes())
    assert [(visit.reason, visit.arrived_ms, visit.state) for visit in live.log] == [
        ("initially_inside", now_ms, "confirmed")
    ]


@over_seeds
@pytest.mark.parametrize("ticket", ["deleted while occupied", "tile38_635 expires while occupied"])
def test_complaint_5_a_fence_that_ends_under_a_device_closes_the_visit_there_and_then(seed, ticket):
    """Deleting a fence ends its last version; an expiry is the same, known before."""
    live, now_ms = parked_inside(seed, YARD)
    ends_ms = now_ms - 5 * MINUTE_MS
    (before,) = live.log
    (told,) = look_at_changed(
        live.track, FenceSet.of([("yard", square(0, 0, 40, valid_to_ms=ends_ms))]), RULES, {"yard"}
    )
    assert (told.visit_id, told.state, told.reason, told.departed_ms) == (
        before.visit_id,
        "closed",
        "fence_changed",
        ends_ms,
    )


@over_seeds
def test_complaint_5_a_fence_moved_away_from_a_parked_device_closes_the_visit(seed):
    live, now_ms = parked_inside(seed, YARD)
    moved_ms = now_ms - 15 * MINUTE_MS
    moved = FenceSet.of(
        [
            ("yard", square(0, 0, 40, valid_to_ms=moved_ms)),
            ("yard", square(600, 0, 40, version=2, valid_from_ms=moved_ms)),
        ]
    )
    look_at_changed(live.track, moved, RULES, {"yard"})
    (visit,) = live.log
    assert visit.state == "closed"
    assert abs(visit.departed_ms - moved_ms) <= MINUTE_MS


def test_complaint_5_tile38_374_what_expires_elsewhere_sends_nothing():
    crowd = [(f"fence {i}", circle(3000.0 + 300.0 * i, 5000.0, 50.0)) for i in range(200)]
    live, now_ms = parked_inside(1, FenceSet.of([*crowd, ("yard", square(0, 0, 40))]))
    published = len(live.revisions)
    ended = [(name, msgspec.structs.replace(version, valid_to_ms=now_ms)) for name, version in crowd]
    shrunk = FenceSet.of([*ended, ("yard", square(0, 0, 40))])
    assert look_at_changed(live.track, shrunk, RULES, {name for name, _ in crowd}) == []
    away = Live(shrunk)
    away.receive(Outing(2, (0.0, -9000.0)).parked(10).fixes())
    assert look_at_changed(away.track, FenceSet.of([]), RULES, {name for name, _ in crowd} | {"yard"}) == []
    assert away.revisions == []
    assert len(live.revisions) == published


# 6. Sparse and fast devices


@over_seeds
@pytest.mark.parametrize("every_s", [30.0, 60.0, 120.0])
def test_complaint_6_traccar_4316_a_pass_between_sparse_fixes_is_no_visit(seed, every_s):
    fixes = Outing(seed, (-6000.0, 0.0)).drive((6000.0, 0.0), 25.0, every_s).fixes()
    assert logged(fixes, YARD) == []


@over_seeds
@pytest.mark.parametrize("mps", [0.0, 0.3, np.nan])
def test_complaint_6_traccar_4316_a_gap_that_leaves_room_for_a_stay_is_evidence(seed, mps):
    """One fix inside, silence for half an hour, then on the road again: a visit with an uncertain departure."""
    phone = Outing(seed).drive((0, 0))
    arrived_ms = phone.now_ms
    phone.now_s += 5.0
    left_ms = phone.fix(mps=mps).silent(30).now_ms
    (stay,) = logged(phone.drive((300, 0), seen=False).drive(EAST).fixes(), YARD)
    assert abs(stay.arrived_ms - arrived_ms) <= MINUTE_MS
    assert stay.departed_earliest_ms <= left_ms <= stay.departed_latest_ms
    assert stay.on_site_max_s - stay.on_site_min_s >= 20 * 60


# 7. Stopped inside, not passed through


@over_seeds
def test_complaint_7_traccar_3969_of_customers_in_a_row_only_the_one_stopped_at_is_visited(seed):
    customers = FenceSet.of([(f"customer {i}", square(i * 120.0, 0.0, 50.0)) for i in range(-4, 5)])
    phone = Outing(seed, (-3000.0, 0.0)).drive((0, 0), 9.0, 5.0)
    arrived_ms = phone.now_ms
    left_ms = phone.parked(30, 30).now_ms
    fixes = phone.drive((3000.0, 0.0), 9.0, 5.0).fixes()
    (stay,) = logged(fixes, customers)
    assert stay.fence_id == "customer 0"
    assert abs(stay.on_site_s - (left_ms - arrived_ms) / 1000.0) <= 60.0
    live = Live(customers)
    live.receive(fixes, size=1)
    assert {visit.fence_id for visit in live.revisions} == {"customer 0"}


@over_seeds
def test_complaint_7_traccar_4005_a_stop_beside_the_customer_is_not_the_delivery(seed):
    stop = Outing(seed, (-3000.0, 150.0)).drive((0.0, 150.0)).parked(20, 30)
    assert logged(stop.drive((0.0, -3000.0)).fixes(), YARD) == []


@over_seeds
def test_complaint_7_traccar_4318_to_cross_a_route_is_not_to_follow_it(seed):
    line = {"type": "LineString", "coordinates": [degrees(-3000.0, 0.0), degrees(3000.0, 0.0)]}
    route = FenceSet.of([("route", FenceVersion(1, line, kind="corridor", radius_m=40.0))])
    crossing = Outing(seed, (500.0, -2000.0)).drive((500.0, 2000.0), 10.0, 5.0)
    assert logged(crossing.fixes(), route) == []
    following = Outing(seed, (-500.0, -2000.0)).drive((-500.0, 0.0)).drive((2500.0, 0.0)).drive((2500.0, 2000.0))
    (stay,) = logged(following.fixes(), route)
    assert abs(stay.on_site_s - 300.0) <= 30.0


# What costs most on real phones


@over_seeds
def test_costly_indoor_jitter_does_not_cut_an_hour(seed):
    fixes, arrived_ms, left_ms = call(seed, minutes=60, every_s=30, indoors_m=18.0, accuracy_m=25.0)
    (stay,) = logged(fixes, YARD)
    assert abs(stay.arrived_ms - arrived_ms) <= 5 * MINUTE_MS
    assert abs(stay.departed_ms - left_ms) <= 5 * MINUTE_MS


@over_seeds
@pytest.mark.parametrize("outside_m", [1.0, 8.0, 15.0])
def test_costly_a_desk_by_the_wall_whose_fixes_fall_outside_is_a_visit(seed, outside_m):
    desk = {"at": (-20.0 - outside_m, 0.0), "indoors_m": 6.0, "accuracy_m": 20.0}
    fixes, arrived_ms, left_ms = call(seed, minutes=60, every_s=60, **desk)
    (stay,) = logged(fixes, YARD)
    assert abs(stay.arrived_ms - arrived_ms) <= 5 * MINUTE_MS
    assert abs(stay.departed_ms - left_ms) <= 5 * MINUTE_MS


@over_seeds
@pytest.mark.parametrize("minutes", [1, 3, 5])
def test_costly_a_tunnel_that_begins_inside_a_fence_is_no_stay(seed, minutes):
    phone = Outing(seed).drive((0, 0)).fix(mps=10.0)
    fixes = phone.drive((600.0 * minutes, 0.0), seen=False).drive((600.0 * minutes + 2000.0, 0.0)).fixes()
    assert logged(fixes, YARD) == []


@over_seeds
def test_costly_shops_that_share_walls_are_told_apart_or_the_doubt_is_told(seed):
    shops = FenceSet.of([(f"shop {i}", box(20.0 * i - 10.0, -15.0, 20.0 * i + 10.0, 15.0)) for i in range(-2, 3)])
    fixes, _, _ = call(seed, minutes=40, every_s=20, indoors_m=4.0)
    (stay,) = logged(fixes, shops)
    assert stay.fence_id == "shop 0" or stay.confidence < 0.9


@over_seeds
def test_costly_the_house_across_the_street_is_not_visited(seed):
    houses = FenceSet.of([("here", box(-10, 0, 10, 20)), ("across", box(-10, -32, 10, -12))])
    fixes, _, _ = call(seed, minutes=40, at=(0.0, 8.0))
    assert fences_of(logged(fixes, houses)) == ["here"]


@over_seeds
@pytest.mark.parametrize("hours", [1, 4, 10])
def test_costly_a_departure_after_hours_of_silence_is_dated_to_the_road(seed, hours):
    phone = Outing(seed).drive((0, 0))
    arrived_ms = phone.now_ms
    left_ms = phone.parked(10, 60).silent(60 * hours).now_ms
    (stay,) = logged(phone.drive((400, 0), seen=False).drive(EAST).fixes(), YARD)
    assert abs(stay.arrived_ms - arrived_ms) <= MINUTE_MS
    assert abs(stay.departed_ms - left_ms) <= 5 * MINUTE_MS
    assert stay.departed_earliest_ms <= left_ms <= stay.departed_latest_ms


@over_seeds
@pytest.mark.parametrize("claim_m", [5.0, 65.0, np.nan])
@pytest.mark.parametrize("states_speed", [True, False])
def test_costly_phones_that_claim_always_the_same_or_nothing(seed, claim_m, states_speed):
    fixes, arrived_ms, left_ms = call(
        seed, every_s=30, noise_m=7.0, indoors_m=10.0, accuracy_m=claim_m, states_speed=states_speed
    )
    (stay,) = logged(fixes, YARD)
    assert abs(stay.arrived_ms - arrived_ms) <= 3 * MINUTE_MS
    assert abs(stay.departed_ms - left_ms) <= 3 * MINUTE_MS


@over_seeds
def test_costly_fixes_hours_old_under_fresh_times_neither_end_a_stay_nor_make_one(seed):
    """During the second call the phone reports, now and then, where it was in the first."""
    sites = FenceSet.of([("first", square(0, 0, 40)), ("second", square(3000, 0, 40))])
    phone = Outing(seed).drive((0, 0)).parked(20)
    stale = phone.at
    phone.drive((3000, 0))
    for _ in range(4):
        phone.parked(8).fix(stale, mps=0.0)
        phone.now_s += 2.0
    fixes = phone.drive((6000, 0)).fixes()
    assert fences_of(logged(fixes, sites)) == ["first", "second"]


@over_seeds
def test_costly_a_cached_position_repeated_after_leaving_does_not_prolong_the_stay(seed):
    phone = Outing(seed).drive((0, 0)).parked(20)
    left_ms = phone.now_ms
    fixes = phone.fixes()
    cached = fixes.take(np.full(30, len(fixes) - 1))
    cached = dataclasses.replace(cached, ts_ms=left_ms + 20_000 * np.arange(30))
    away = phone.drive((6000, 0), seen=False).drive((9000, 0)).fixes()
    (stay,) = logged(Fixes.concat([cached, away]).in_order(), YARD)
    assert abs(stay.departed_ms - left_ms) <= 3 * MINUTE_MS

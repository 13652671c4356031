import numpy as np
import pytest
import shapely

from geofence.fences import read_collection
from simulator.day import Day, DaySpec, build_day, build_rounds
from simulator.plane import Plane
from simulator.roads import RoadNetwork, street_of
from simulator.town import TownSpec, build_town
from simulator.truth import DEFAULT_MIN_ON_SITE_S, DISPUTED_S, STEP_OUT_M, STEP_OUT_S, Fences

SPEC = DaySpec(technicians=6, hours=5.0, seed=11)


@pytest.fixture(scope="module")
def day() -> Day:
    return build_day(SPEC)


def test_the_same_seed_makes_the_same_day(day):
    again = build_day(SPEC)
    assert list(again.deliveries()) == list(day.deliveries())
    assert again.spans == day.spans
    assert again.fences() == day.fences()
    assert again.jobs == day.jobs


def test_another_seed_makes_another_day(day):
    assert build_day(DaySpec(technicians=6, hours=5.0, seed=12)).spans != day.spans


def test_a_technician_more_changes_nobody_elses_day():
    town = TownSpec(sites=80)
    few = build_day(DaySpec(technicians=2, hours=2.0, town=town))
    more = build_day(DaySpec(technicians=3, hours=2.0, town=town))
    mine = more.pings.take(more.pings.device < 2)
    assert np.array_equal(mine.ts_ms, few.pings.ts_ms)
    assert np.array_equal(mine.lat, few.pings.lat)


def test_the_fences_are_valid_and_of_every_kind(day):
    fences = dict(read_collection(str(day.fences()).replace("'", '"')))
    assert len(fences) == len(day.town.sites)
    assert {fence.kind for fence in fences.values()} == {"site", "depot", "zone", "corridor"}
    assert {fence.geometry["type"] for fence in fences.values()} == {"Point", "LineString", "Polygon"}
    assert any(site.adjoins for site in day.town.sites)


def test_shops_share_walls_and_nothing_overlaps_but_zones(day):
    sites = [site for site in day.town.sites if site.kind == "site"]
    touching = 0
    for number, one in enumerate(sites):
        for other in sites[number + 1 :]:
            assert one.area.intersection(other.area).area < 0.01
            touching += one.area.distance(other.area) < 0.01
            assert one.area.distance(other.area) > 20.0 or (one.adjoins and other.adjoins)
    assert touching >= 2


def test_the_truth_follows_from_the_track():
    """Oracle: second by second with Shapely, from the definition's words."""
    town = build_town(TownSpec(sites=60), np.random.default_rng(3))
    rounds = build_rounds(DaySpec(technicians=1, hours=4.0, seed=3), town, Fences(town.sites), 0)
    track = rounds.track
    in_traffic = [activity <= 1 for activity in track.activity]
    claimed = {(span.fence_id, span.arrived_ms, span.departed_ms, span.kind) for span in rounds.spans}
    expected = set()
    for site in town.sites:
        away_m = shapely.distance(site.area, shapely.points(track.x, track.y))
        present = [bool(metres == 0.0) for metres in away_m]
        second, last_inside = 0, None
        while second < len(track):
            if present[second]:
                if last_inside is not None and 1 < second - last_inside <= STEP_OUT_S + 1:
                    out = range(last_inside + 1, second)
                    if all(away_m[s] <= STEP_OUT_M and not in_traffic[s] for s in out):
                        for s in out:
                            present[s] = True
                last_inside = second
            second += 1
        start = None
        for second, here in enumerate([*present, False]):
            if here and start is None:
                start = second
            if not here and start is not None:
                lasted_s = second - start
                needed_s = site.min_on_site_s or DEFAULT_MIN_ON_SITE_S
                if lasted_s < needed_s - DISPUTED_S:
                    kind = "pass"
                elif lasted_s < needed_s + DISPUTED_S or all(in_traffic[start:second]):
                    kind = "disputed"
                else:
                    kind = "visit"
                departed_ms = None if second >= len(track) else track.start_ms + second * 1000
                expected.add((site.fence_id, track.start_ms + start * 1000, departed_ms, kind))
                start = None
    assert any(kind == "visit" for *_, kind in expected)
    assert expected <= claimed
    assert {kind for *_, kind in claimed - expected} <= {"pass"}, "only drive-bys outside are added"


def test_nobody_teleports():
    town = build_town(TownSpec(sites=40), np.random.default_rng(5))
    track = build_rounds(DaySpec(technicians=1, hours=3.0, seed=5), town, Fences(town.sites), 0).track
    assert track.speed_mps.max() < 25.0
    assert np.abs(np.diff(track.speed_mps)).max() < 9.0
    on_foot = track.activity == 3
    assert track.speed_mps[on_foot & np.roll(on_foot, 1)].max() < 1.6


def test_every_ping_is_delivered_some_twice_some_late_some_out_of_order(day):
    pings = [ping for _, delivered in day.deliveries() for ping in delivered]
    moments = [moment for moment, _ in day.deliveries()]
    assert moments == sorted(moments)
    assert len(pings) == len(day.pings)
    identities = {ping.identity() for ping in pings}
    assert len(identities) == day.distinct_pings < len(pings)
    delay_s = (day.pings.delivered_ms - day.pings.ts_ms) / 1000.0
    assert delay_s.min() > 0.0
    assert np.mean(delay_s > 600.0) > 0.01
    for device in range(len(day.devices)):
        mine = day.pings.ts_ms[day.pings.device == device]
        assert len(mine) > 100
    assert (np.diff(day.pings.ts_ms[day.pings.device == 0]) < 0).any()


def test_a_request_is_one_phones_and_small_enough_to_post(day):
    for _, delivered in day.deliveries():
        assert len({ping.device_id for ping in delivered}) == 1
        assert len(delivered) <= 5_000
    assert all(ping.sent_ms >= ping.ts_ms for _, delivered in day.deliveries() for ping in delivered)


def test_true_visits_passes_and_jobs_are_there(day):
    kinds = {kind: sum(span.kind == kind for span in day.spans) for kind in ("visit", "pass", "disputed")}
    assert kinds["visit"] >= 20
    assert kinds["pass"] >= 0.5 * kinds["visit"]
    assert kinds["disputed"] < 0.1 * kinds["visit"]
    fences = {site.fence_id for site in day.town.sites}
    assert len(day.jobs) >= 20
    assert all(job.fence_id in fences and job.window_from_ms < job.window_to_ms for job in day.jobs)


@pytest.mark.parametrize("wrong", [{"technicians": 0}, {"hours": 0.0}, {"hours": 25.0}])
def test_an_impossible_day_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one technician"):
        DaySpec(**wrong)


def test_a_town_without_room_says_so():
    street = street_of(0, 1, np.array([[0.0, 0.0], [120.0, 0.0]]), 8.0)
    roads = RoadNetwork(street.shape, [street])
    with pytest.raises(ValueError, match="no room for another"):
        build_town(TownSpec(sites=50), np.random.default_rng(1), Plane(47.0, 8.3), roads)

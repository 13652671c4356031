"""The nearest technicians against brute force: every one measured by haversine, whatever has happened before."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatch.nearest import Nearby, NearestTechnicians, soonest
from dispatch.shifts import is_on_shift
from geofence.geodesy import haversine_m
from routing.provider import Ways
from routing.straight_line import GET_GOING_S, ROAD_FACTOR, USUAL_SPEED_MPS
from schemas.people import Shift, Technician
from schemas.times import Instant, parse_epoch_ms

MONDAY_MS = parse_epoch_ms("2026-11-23T00:00Z")
HOUR_MS = 3_600_000
SHIFTS = [
    [],
    [Shift("08:00", "16:00", ["mon", "tue"], "Europe/Berlin")],
    [Shift("22:00", "06:00", ["mon"], "Europe/Berlin")],
    [Shift("2026-11-23T10:00Z", "2026-11-23T11:00Z"), Shift("2026-11-24T10:00Z", "2026-11-24T11:00Z")],
]

latitudes = st.one_of(st.sampled_from([90.0, -90.0, 89.9999, 0.0, 47.1]), st.floats(-90.0, 90.0))
longitudes = st.one_of(st.sampled_from([180.0, -180.0, 179.9999, -179.9999, 0.0]), st.floats(-180.0, 180.0))
names = st.sampled_from("abcdefgh")
devices = st.sampled_from("123456")
skills = st.sets(st.sampled_from(["gas", "water", "power"]), max_size=2).map(frozenset)
moments = st.integers(MONDAY_MS, MONDAY_MS + 60 * HOUR_MS)


class AgainstBruteForce(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.found = NearestTechnicians()
        self.people: dict[str, Technician] = {}
        self.owner: dict[str, str] = {}
        self.places: dict[str, tuple[float, float, int]] = {}
        self.jobs: dict[str, tuple[str, int | None]] = {}

    @rule(name=names, device_ids=st.sets(devices, max_size=2), has=skills, shifts=st.sampled_from(SHIFTS))
    def put(self, name, device_ids, has, shifts):
        person = Technician(
            technician_id=name, name=name, device_ids=sorted(device_ids), skills=sorted(has), shifts=shifts
        )
        self.found.put(person)
        self.people[name] = person
        self.owner = {d: n for d, n in self.owner.items() if n != name} | dict.fromkeys(device_ids, name)

    @rule(name=names, by_record=st.booleans())
    def remove(self, name, by_record):
        if by_record:
            self.found.put(Technician(technician_id=name, name=name, removed_at=Instant(1)))
        else:
            self.found.remove(name)
        for known in (self.people, self.places, self.jobs):
            known.pop(name, None)
        self.owner = {d: n for d, n in self.owner.items() if n != name}

    @rule(device_id=devices, lat=latitudes, lon=longitudes, at_ms=moments)
    def moved(self, device_id, lat, lon, at_ms):
        self.found.moved(device_id, lat, lon, at_ms)
        name = self.owner.get(device_id)
        if name is not None and (name not in self.places or self.places[name][2] < at_ms):
            self.places[name] = lat, lon, at_ms

    @rule(name=names, ends_ms=st.none() | moments)
    def starts_job(self, name, ends_ms):
        self.found.starts_job(name, "j", ends_ms)
        if name in self.people:
            self.jobs[name] = "j", ends_ms

    @rule(name=names)
    def ends_job(self, name):
        self.found.ends_job(name)
        self.jobs.pop(name, None)

    @rule(
        lat=latitudes,
        lon=longitudes,
        at_ms=moments,
        limit=st.integers(1, 9),
        radius_m=st.sampled_from([0.0, 100.0, 1e6, 15e6, 3e7, math.inf]),
        wanted=skills,
        available=st.booleans(),
        max_age_s=st.sampled_from([0.0, 36_000.0, math.inf]),
    )
    def nearest(self, lat, lon, at_ms, limit, radius_m, wanted, available, max_age_s):
        expected = {}
        for name, (own_lat, own_lon, own_at_ms) in self.places.items():
            person = self.people[name]
            distance_m = haversine_m(lat, lon, own_lat, own_lon)
            left_out = available and (name in self.jobs or not is_on_shift(person, at_ms))
            too_old = own_at_ms < at_ms - max_age_s * 1000
            if distance_m <= radius_m and wanted <= set(person.skills) and not left_out and not too_old:
                expected[name] = distance_m
        found = self.found.nearest(
            lat,
            lon,
            at_ms=at_ms,
            limit=limit,
            radius_m=radius_m,
            skills=wanted,
            available=available,
            max_age_s=max_age_s,
        )
        distances_m = [near.distance_m for near in found]
        assert distances_m == sorted(distances_m)
        assert distances_m == pytest.approx(sorted(expected.values())[:limit], rel=1e-9, abs=1e-6)
        for near in found:
            name = near.technician_id
            job_id, ends_ms = self.jobs.get(name, (None, None))
            assert near.distance_m == pytest.approx(expected[name], rel=1e-9, abs=1e-6)
            assert near.travel_s == pytest.approx(GET_GOING_S + near.distance_m * ROAD_FACTOR / USUAL_SPEED_MPS)
            assert (near.lat, near.lon, near.at_ms) == self.places[name]
            assert near.on_shift == is_on_shift(self.people[name], at_ms)
            assert near.job_id == job_id
            assert near.free_at_ms == (None if ends_ms is None else max(ends_ms, at_ms))
        assert len({near.technician_id for near in found}) == len(found)

    @invariant()
    def counts(self):
        assert len(self.found) == len(self.people)


AgainstBruteForce.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestAgainstBruteForce = AgainstBruteForce.TestCase


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 10))
def test_the_soonest_by_road_come_first_those_as_soon_in_the_order_of_distance(minutes, limit):
    found = [Nearby(f"{k}", k * 10.0, 1.0, 0.0, 0.0, 0, True, None, None) for k in range(len(minutes))]
    providers = [f"p{k}" for k in range(len(minutes))]
    ways = Ways(np.array(minutes, np.float64) * 60, np.zeros(len(minutes)), providers)
    told = soonest(found, ways, limit)
    best = sorted(range(len(minutes)), key=lambda k: (minutes[k], k))[:limit]
    assert [each.technician_id for each in told] == [f"{k}" for k in best]
    assert [(each.travel_s, each.provider) for each in told] == [(60.0 * minutes[k], f"p{k}") for k in best]


@given(latitudes, longitudes, st.lists(st.tuples(latitudes, longitudes), min_size=1, max_size=300), st.integers(1, 40))
def test_a_crowd_is_in_the_order_of_its_distances(lat, lon, places, limit):
    crowd = NearestTechnicians()
    for k, place in enumerate(places):
        crowd.put(Technician(technician_id=f"{k}", name="", device_ids=[f"{k}"]))
        crowd.moved(f"{k}", *place, 1)
    found = [near.distance_m for near in crowd.nearest(lat, lon, at_ms=1, limit=limit)]
    expected = sorted(haversine_m(lat, lon, *place) for place in places)[:limit]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_nobody_is_near_before_anybody_is_known():
    assert NearestTechnicians().nearest(0.0, 0.0, at_ms=0) == []


def test_calendars_that_nobody_has_are_given_back():
    crowd = NearestTechnicians()
    for day in range(1, 29):
        shifts = [Shift(f"2026-02-{day:02}T08:00Z", f"2026-02-{day:02}T16:00Z")]
        crowd.put(Technician(technician_id="t", name="", shifts=shifts, device_ids=["d"]))
    crowd.moved("d", 1.0, 1.0, 1)
    assert len(crowd._calendars.work_at(0)) == 16
    noon_ms = parse_epoch_ms("2026-02-28T12:00Z")
    assert len(crowd.nearest(1.0, 1.0, at_ms=noon_ms, available=True)) == 1
    assert crowd.nearest(1.0, 1.0, at_ms=noon_ms + 12 * HOUR_MS, available=True) == []


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda crowd: crowd.nearest(91.0, 0.0, at_ms=0), "no point"),
        (lambda crowd: crowd.nearest(math.nan, 0.0, at_ms=0), "no point"),
        (lambda crowd: crowd.nearest(0.0, 0.0, at_ms=0, limit=0), "limit"),
        (lambda crowd: crowd.nearest(0.0, 0.0, at_ms=0, radius_m=-1.0), "radius"),
        (lambda crowd: crowd.moved("d", 0.0, 181.0, 5), "no point"),
    ],
)
def test_what_is_refused_says_why(ask, said):
    crowd = NearestTechnicians()
    crowd.put(Technician(technician_id="t", name="", device_ids=["d"]))
    with pytest.raises(ValueError, match=said):
        ask(crowd)

import itertools
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dispatch.heading import headed_for
from dispatch.rounds import Candidate, DeviceRounds, Heading, Stop, evidence_of, parts_of
from dispatch.rules import DispatchRules
from schemas.job import Approach, Assignment
from tests.dispatch.examples import minute, stop

RULES = DispatchRules(early_s=3_600.0, late_s=7_200.0, return_within_s=600.0, longest_leg_s=3_600.0)


def job(job_id: str, fence_id: str = "site", window: tuple[float, float] | None = (0, 600), **more: Any) -> Candidate:
    stated = {"assignments": (Assignment("amina"),), "priority": "normal", "created_ms": 0, "lat": None, "lon": None}
    from_ms, to_ms = (None, None) if window is None else map(minute, window)
    return Candidate(
        **{"job_id": job_id, "fence_id": fence_id, "window_from_ms": from_ms, "window_to_ms": to_ms, **stated, **more}
    )


def meant(visits: list[Stop], jobs: list[Candidate], rules: DispatchRules = RULES) -> list[tuple[str, str | None]]:
    return [(part.stop.visit_id, part.job_id) for part in parts_of(visits, "amina", jobs, rules)]


def test_a_visit_is_for_the_job_at_its_fence() -> None:
    assert meant([stop("a", "site", 10, 20)], [job("1"), job("2", "elsewhere")]) == [("a", "1")]
    assert meant([stop("a", "nowhere", 10, 20)], [job("1")]) == [("a", None)]


def test_of_several_jobs_the_one_whose_window_it_is() -> None:
    jobs = [job("morning", window=(0, 120)), job("afternoon", window=(240, 360))]
    assert meant([stop("a", "site", 250, 300)], jobs) == [("a", "afternoon")]
    assert meant([stop("a", "site", 10, 60), stop("b", "site", 230, 300)], jobs) == [
        ("a", "morning"),
        ("b", "afternoon"),
    ]
    assert meant([stop("b", "site", 230, 300), stop("a", "site", 10, 60)], jobs) == [
        ("a", "morning"),
        ("b", "afternoon"),
    ]


def test_two_jobs_of_one_window_are_done_one_after_the_other() -> None:
    jobs = [job("1"), job("2")]
    assert meant([stop("a", "site", 10, 60), stop("b", "site", 100, 130)], jobs) == [("a", "1"), ("b", "2")]
    assert meant([stop("a", "site", 10, 60), stop("b", "site", 65, 80)], jobs) == [
        ("a", "1"),
        ("b", "1"),
    ]  # he is back


def test_who_was_elsewhere_meanwhile_has_left() -> None:
    stops = [stop("a", "site", 10, 60), stop("b", "shop", 62, 64), stop("c", "site", 66, 80)]
    assert meant(stops, [job("1")]) == [("a", "1"), ("b", None), ("c", None)]


def test_a_visit_in_the_window_is_preferred_to_one_before() -> None:
    assert meant([stop("a", "site", 30, 50)], [job("1", window=(60, 180))]) == [("a", "1")]
    assert meant([stop("a", "site", 30, 50), stop("b", "site", 90, 100)], [job("1", window=(60, 180))]) == [
        ("a", None),
        ("b", "1"),
    ]


def test_a_brief_stop_gives_way_to_a_longer_one() -> None:
    assert meant([stop("a", "site", 10, 11)], [job("1")]) == [("a", "1")]
    assert meant([stop("a", "site", 10, 11), stop("b", "site", 30, 60)], [job("1")]) == [("a", None), ("b", "1")]
    assert meant([stop("a", "site", 10, 11), stop("b", "site", 30, 60)], [job("1", duration_s=120.0)]) == [
        ("a", "1"),
        ("b", None),
    ]


def test_an_emergency_comes_first() -> None:
    assert meant([stop("a", "site", 10, 60)], [job("1"), job("2", priority="emergency")]) == [("a", "2")]


def test_a_visit_far_from_the_window_is_for_no_job() -> None:
    assert meant([stop("a", "site", 10, 20)], [job("1", window=(90, 200))]) == [("a", None)]
    assert meant([stop("a", "site", 10, 40)], [job("1", window=(90, 200))]) == [("a", "1")]
    assert meant([stop("a", "site", 310, 320)], [job("1", window=(90, 200))]) == [("a", "1")]
    assert meant([stop("a", "site", 330, 340)], [job("1", window=(90, 200))]) == [("a", None)]


def test_it_must_be_the_technicians_at_that_time() -> None:
    others = job("1", assignments=(Assignment("bo"),))
    handed_over = job("2", assignments=(Assignment("bo", None, minute(60)), Assignment("amina", minute(60))))
    assert meant([stop("a", "site", 10, 20)], [others, handed_over]) == [("a", None)]
    assert meant([stop("a", "site", 70, 90)], [others, handed_over]) == [("a", "2")]


def test_what_a_person_has_ended_is_not_visited() -> None:
    assert meant([stop("a", "site", 10, 20)], [job("1", over_ms=minute(5))]) == [("a", None)]
    assert meant([stop("a", "site", 10, 20)], [job("1", over_ms=minute(15))]) == [("a", "1")]


def test_a_stay_goes_on_with_the_next_job_when_a_person_has_ended_the_first() -> None:
    parts = parts_of([stop("a", "site", 10, 60)], "amina", [job("1", over_ms=minute(30)), job("2")], RULES)
    assert [(part.job_id, part.from_ms, part.to_ms) for part in parts] == [
        ("1", minute(10), minute(30)),
        ("2", minute(30), minute(60)),
    ]
    evidence = evidence_of(parts, None, RULES)
    assert evidence["1"] == [Approach(None, "a", minute(10), minute(30), 1_200.0)]
    assert evidence["2"] == [Approach(None, "a", minute(30), minute(60), 1_800.0)]


def test_a_job_that_visits_ended_long_ago_is_not_begun_again() -> None:
    old = job("1", window=None, ended_ms=minute(10), visit_ids=frozenset({"forgotten"}))
    assert meant([stop("a", "site", 100, 120)], [old, job("2", window=None, created_ms=5)]) == [("a", "2")]
    assert meant([stop("a", "site", 15, 40)], [old]) == [("a", "1")]


def test_the_way_begins_where_the_place_before_was_left() -> None:
    visits = [stop("depot", "depot", 0, 30), stop("a", "site", 45, 60), stop("b", "site-2", 200, 220)]
    parts = parts_of(visits, "amina", [job("1"), job("2", "site-2")], RULES)
    found = evidence_of(parts, Heading("3", "b"), RULES)
    assert found["1"] == [Approach(minute(30), "a", minute(45), minute(60), 900.0)]
    assert found["2"][0].left_ms is None  # so long nobody is under way
    assert found["3"] == [Approach(minute(220))]


def test_a_visit_that_lasts_is_there_until_its_newest_fix() -> None:
    parts = parts_of([stop("a", "site", 10, None)], "amina", [job("1")], RULES)
    assert evidence_of(parts, None, RULES)["1"] == [Approach(None, "a", minute(10), None, 120.0)]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60), st.sampled_from("xyz")), max_size=6),
    st.lists(st.tuples(st.integers(0, 300), st.integers(10, 200), st.sampled_from("xyz")), max_size=5),
    st.randoms(),
)
def test_the_order_of_visits_and_jobs_is_of_no_account(visits: Any, jobs: Any, random: Any) -> None:
    drawn = [stop(f"v{k}", fence, at, at + stay) for k, (at, stay, fence) in enumerate(visits)]
    planned = [job(f"j{k}", fence, (at, at + length)) for k, (at, length, fence) in enumerate(jobs)]
    expected = meant(drawn, planned)
    random.shuffle(drawn)
    random.shuffle(planned)
    assert meant(drawn, planned) == expected
    assert [visit_id for visit_id, _ in expected] == [
        each.visit_id for each in sorted(drawn, key=lambda each: (each.arrived_ms, each.visit_id))
    ]
    for visit_id, job_id in expected:
        there = next(each for each in drawn if each.visit_id == visit_id)
        assert job_id is None or next(each for each in planned if each.job_id == job_id).fence_id == there.fence_id


LEFT = (53.40, -2.98)


def at(job_id: str, lat: float, lon: float) -> Candidate:
    return msgspec.structs.replace(job(job_id), lat=lat, lon=lon)


def test_heading_is_where_the_way_leads() -> None:
    north, east, farther = at("north", 53.45, -2.98), at("east", 53.40, -2.90), at("farther", 53.50, -2.98)
    planned = [north, east, farther]
    assert headed_for(LEFT, (53.401, -2.98), planned) is None  # too near to tell
    assert headed_for(LEFT, (53.41, -2.98), planned) == north
    assert headed_for(LEFT, (53.40, -2.96), planned) == east
    assert headed_for(LEFT, (53.42, -2.98), [farther, north]) == farther  # both are that way: the one planned first
    assert headed_for(LEFT, (53.36, -2.98), planned) is None
    assert headed_for(LEFT, (53.41, -2.98), []) is None


def test_the_heading_is_found_before_half_of_the_way_in_any_direction() -> None:
    for lat, lon in itertools.product((-0.06, 0.0, 0.06), (-0.1, 0.0, 0.1)):
        if lat or lon:
            there, opposite = at("there", 53.4 + lat, -2.98 + lon), at("opposite", 53.4 - lat, -2.98 - lon)
            halfway = (53.4 + lat / 2, -2.98 + lon / 2)
            assert headed_for(LEFT, halfway, [opposite, there]) == there


def news(rounds: DeviceRounds, *jobs: Candidate) -> dict[str, list[Approach]]:
    told = rounds.news("amina", jobs, RULES, moves=True, now_ms=minute(999))
    return {job_id: evidence.approaches for job_id, evidence in told}


def test_only_news_is_told_and_what_is_taken_back_too() -> None:
    rounds = DeviceRounds("van-1")
    assert rounds.hear(stop("a", "site", 10, None))
    assert not rounds.hear(stop("a", "site", 11, None))  # the same revision
    assert news(rounds, job("1")) == {"1": [Approach(None, "a", minute(10), None, 120.0)]}
    assert news(rounds, job("1")) == {}
    assert rounds.hear(msgspec.structs.replace(stop("a", "site", 10, 30), revision=2))
    assert news(rounds, job("1")) == {"1": [Approach(None, "a", minute(10), minute(30), 1_200.0)]}
    assert rounds.hear(msgspec.structs.replace(stop("a", "site", 10, 30), revision=3, state="retracted"))
    assert news(rounds, job("1")) == {"1": []}
    assert news(rounds, job("1")) == {}


def test_a_visit_goes_over_to_a_job_that_fits_better() -> None:
    rounds = DeviceRounds("van-1")
    rounds.hear(stop("a", "site", 250, 300))
    assert news(rounds, job("1", window=(0, 200))).keys() == {"1"}
    found = news(rounds, job("1", window=(0, 200)), job("2", window=(240, 400)))
    assert found["1"] == []
    assert found["2"][0].visit_id == "a"


def test_what_is_forgotten_stays_told() -> None:
    rounds = DeviceRounds("van-1")
    rounds.hear(stop("a", "site", 10, 30))
    assert news(rounds, job("1")).keys() == {"1"}
    rounds.forget_before(minute(31))
    assert rounds.stops == {}
    assert news(rounds, job("1", ended_ms=minute(30), visit_ids=frozenset("a"))) == {}

"""Chaos finds what was lost, told twice or told wrong; its kills can be had again."""

import math
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from benchmarks.chaos.evidence import Stored, Truth, identity_of, wrong_events, wrong_log, wrong_pings
from benchmarks.chaos.faults import FAULTS_A_ROUND, VICTIMS, rounds_of_faults
from benchmarks.chaos.memory import Memory
from schemas.ping import Ping
from schemas.visit import Visit
from simulator.day import DaySpec, build_day


@pytest.fixture(scope="module")
def accepted() -> list[Ping]:
    return [ping for _, pings in DAY.deliveries() for ping in pings]


@pytest.fixture(scope="module")
def truth(accepted: list[Ping]) -> Truth:
    return Truth(accepted, DAY.fences())


@pytest.fixture(scope="module")
def visits(truth: Truth) -> list[Visit]:
    return [msgspec.structs.replace(visit, confidence=0.5) for visit in truth.visits(DAY.end_ms + 3_600_000)]


DAY = build_day(DaySpec(technicians=2, hours=2.0, seed=6))
replace = msgspec.structs.replace


def test_a_ping_lost_stored_twice_or_invented_is_found(truth: Truth, accepted: list[Ping]) -> None:
    stored = sorted({identity_of(ping) for ping in accepted})
    assert wrong_pings(truth.identities, stored) == []
    [lost] = wrong_pings(truth.identities, stored[1:])
    assert lost.startswith("1 pings accepted and not stored")
    [twice] = wrong_pings(truth.identities, [*stored, stored[0]])
    assert twice.startswith("1 pings stored more than once")
    [strange] = wrong_pings(truth.identities, [*stored, ("nobody", 1, 2, 3)])
    assert strange.startswith("1 pings stored and never accepted")


def test_a_visit_missing_or_moved_is_found_and_ids_and_running_figures_do_not_count(visits: list[Visit]) -> None:
    closed = next(visit for visit in visits if visit.departed_ms is not None)
    running = replace(closed, state="confirmed", departed_ms=None, departed_earliest_ms=None, departed_latest_ms=None)
    assert wrong_log(visits, [replace(visit, visit_id="another", revision=7) for visit in visits]) == []
    assert wrong_log([running], [replace(running, fixes=1, on_site_s=2.0)]) == []
    assert len(wrong_log(visits, visits[1:])) == 1
    for field, value in {"fixes": closed.fixes + 1, "arrived_ms": closed.arrived_ms - 1, "confidence": 0.25}.items():
        assert len(wrong_log([closed], [replace(closed, **{field: value})])) == 2, field


def test_events_that_contradict_each_other_or_the_store_are_found(visits: list[Visit]) -> None:
    visit = visits[0]
    later = replace(visit, revision=2, state="retracted")
    stored = Stored([], [later], [visit, later])
    assert wrong_events([visit, later, visit], stored) == []
    assert "two contents" in wrong_events([visit, replace(visit, confidence=0.25), later], stored)[0]
    assert len(wrong_events([visit], stored)) == 2, "the newest revision and an event were never published"
    assert len(wrong_events([later], stored)) == 1, "an event was never published"
    assert len(wrong_events([visit, later, replace(later, revision=3)], stored)) == 2, "the store misses the newest"


def test_a_seed_is_one_sequence_of_kills_and_every_round_kills_everyone_alone_and_together() -> None:
    faults = list(islice(rounds_of_faults(7), 2 * FAULTS_A_ROUND))
    assert faults == list(islice(rounds_of_faults(7), 2 * FAULTS_A_ROUND))
    assert faults != list(islice(rounds_of_faults(8), 2 * FAULTS_A_ROUND))
    for first in (0, FAULTS_A_ROUND):
        killed = [fault.roles for fault in faults[first : first + FAULTS_A_ROUND]]
        assert {(role,) for role in VICTIMS} | {VICTIMS} <= set(killed)


def test_the_slope_is_that_of_each_last_process_in_megabytes_an_hour() -> None:
    memory = Memory(Path("nowhere"))
    memory._seen |= {
        ("tracker", 1): [(t, 1e9) for t in range(9)],
        ("tracker", 2): [(t, 300e6 + (0 if t < 50 else 1e3 * (t - 50))) for t in range(100)],
        ("api", 3): [(0, 50e6)],
    }
    mb, slope = memory.by_role()["tracker"]
    assert mb == pytest.approx(300.05, abs=0.01)
    assert slope == pytest.approx(3.6)
    assert memory.by_role()["api"][0] == 50.0
    assert math.isnan(memory.by_role()["api"][1])

"""Rules per tenant, fence kind and fence: which one wins, what is refused, and that each one changes the log."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rule_book import RuleBook, RulesError, read_rules
from geofence.rules import PLACE_RULES, RANGES, Rules
from geofence.visits import Stay, derive_stays
from geofence.visits.chain import FORGETTING, LEAST_SWITCH_S
from geofence.visits.evidence import MISTAKE, REACH_M
from tests.geofence.one_track import OneTrack, advance
from tests.geofence.visits.days import drive, fixes_of, square, stay_at

VISITS_PAGE = Path(__file__).parents[2] / "docs" / "visits.md"
KINDS = ("site", "depot", "zone", "corridor")


def stays_of(fixes: Fixes, fences: FenceSet, toml: str = "") -> list[Stay]:
    book = read_rules(toml.encode())
    derived = derive_stays("d", fixes, book.applied_to(fences), book.rules, int(fixes.ts_ms[-1]), ended=True)
    return [stay for stay in derived.stays if stay.state != "open"]


# Which one wins


def value_of(name: str) -> st.SearchStrategy[float]:
    return st.floats(*RANGES[name], allow_subnormal=False)


@st.composite
def books(draw: st.DrawFn) -> RuleBook:
    """Rules at all three levels, each of them set or not."""

    def some(names: tuple[str, ...]) -> dict[str, float]:
        return {name: draw(value_of(name)) for name in names if draw(st.booleans())}

    device = tuple(name for name in Rules._fields if name not in ("walk_mps", "drive_mps"))
    by_kind = {kind: some(PLACE_RULES) for kind in draw(st.sets(st.sampled_from(KINDS)))}
    by_fence = {fence_id: some(PLACE_RULES) for fence_id in draw(st.sets(st.sampled_from(["a", "b c", "é", "gone"])))}
    return RuleBook(some(device), by_kind, by_fence)


def toml_of(book: RuleBook) -> str:
    def lines(rules: dict[str, float]) -> list[str]:
        return [f"{name} = {value!r}" for name, value in rules.items()]

    text = lines(dict(book.general))
    for level, tables in (("kind", book.by_kind), ("fence", book.by_fence)):
        for name, rules in tables.items():
            text += [f'[{level}."{name}"]', *lines(dict(rules))]
    return "\n".join(text)


def rule_at(book: RuleBook, name: str, fence_id: str, kind: str, own: float | None) -> tuple[float, str]:
    """The oracle: the levels asked one by one."""
    if fence_id in book.by_fence and name in book.by_fence[fence_id]:
        return book.by_fence[fence_id][name], f"[fence.{fence_id}]"
    if name == "min_on_site_s" and own is not None:
        return own, "the fence"
    if kind in book.by_kind and name in book.by_kind[kind]:
        return book.by_kind[kind][name], f"[kind.{kind}]"
    if name in book.general:
        return book.general[name], "the top of the rules"
    return getattr(Rules(), name), "default"


@given(books(), st.lists(st.tuples(st.sampled_from(KINDS), st.none() | st.floats(0, 9_000)), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_the_most_specific_wins(book, drawn):
    assert read_rules(toml_of(book).encode()) == book
    fence_ids = ["a", "a", "b c", "é", "d"]
    rows = [
        (fence_id, square(i * 900.0, 0, 50, version=i + 1, kind=kind, min_on_site_s=own, valid_from_ms=i))
        for i, (fence_id, (kind, own)) in enumerate(zip(fence_ids, drawn, strict=True))
    ]
    fences = book.applied_to(FenceSet.of(rows))
    for row, (fence_id, (kind, own)) in enumerate(zip(fence_ids, drawn, strict=True)):
        in_force = book.in_force(fence_id, kind, own)
        assert set(in_force) == set(Rules._fields)
        for name in Rules._fields:
            assert in_force[name] == rule_at(book, name, fence_id, kind, own)
        for name in PLACE_RULES:
            stated = getattr(fences, name)[row]
            assert (getattr(book.rules, name) if math.isnan(stated) else stated) == in_force[name].value
    assert book.strangers(["a", "b c", "é", "d"]) == [fence_id for fence_id in ("gone",) if fence_id in book.by_fence]


def test_applying_rules_twice_is_applying_them_once():
    book = RuleBook({}, {"site": {"bridge_s": 10.0}}, {"a": {"min_on_site_s": 5.0}})
    once = book.applied_to(FenceSet.of([("a", square(0, 0, 50)), ("b", square(900, 0, 50, min_on_site_s=7))]))
    twice = book.applied_to(once)
    for name in PLACE_RULES:
        assert np.array_equal(getattr(once, name), getattr(twice, name), equal_nan=True)


def test_an_empty_book_changes_nothing():
    fences = FenceSet.of([("a", square(0, 0, 50))])
    assert RuleBook().applied_to(fences) is fences
    assert read_rules(b"").rules == Rules()


# What is refused


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("min_on_site_s = ", "not TOML: Invalid value"),
        ("\xff", "not TOML"),
        ("min_on_sight_s = 60", "at the top: there is no rule 'min_on_sight_s'; did you mean min_on_site_s?"),
        ("[kind.zone]\nfoo = 60", "[kind.zone]: there is no rule 'foo'; there are min_on_site_s, "),
        ("[fence.depot-north]\nbridge_m = -1", "[fence.depot-north]: bridge_m = -1 is not a number from 0 to 250"),
        ("bridge_s = '300'", "at the top: bridge_s = '300' is not a number from 0 to 14400"),
        ("bridge_s = true", "at the top: bridge_s = True is not a number"),
        ("bridge_s = nan", "at the top: bridge_s = nan is not a number"),
        ("bridge_s = inf", "at the top: bridge_s = inf is not a number"),
        ("[kind.zone]\nwalk_mps = 1", "[kind.zone]: walk_mps is about a device's evidence"),
        ("[kind.shop]\nbridge_s = 1", "[kind.shop]: there is no such kind of fence; there are site, depot, zone"),
        ("[fence]\nbridge_s = 1", "[fence]: rules stand in a table of their own"),
        ("kind = 3", "[kind]: rules stand in a table of their own"),
        ("[zone]\nbridge_s = 1", "at the top: there is no rule 'zone'"),
        ("walk_mps = 5", "walk_mps 5 is not below drive_mps 4"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(toml, said):
    with pytest.raises(RulesError, match=said if said.startswith("not TOML") else re.escape(said)):
        read_rules(toml.encode("latin-1"))


# What each one does


def two_calls(apart_s: float) -> Fixes:
    """Half an hour at (0, 0), a walk to something 120 m off and back, another half hour."""
    back_s = 2000 + apart_s
    return fixes_of(
        [
            *drive(0, 200, 10, (-2000, 40), (-12, 0)),
            *stay_at(220, 2000, 20, 0, 0),
            *drive(2010, 2080, 10, (10, 0), (120, 0)),
            *stay_at(2100, back_s - 100, 20, 120, 0),
            *drive(back_s - 80, back_s - 10, 10, (120, 0), (10, 0)),
            *stay_at(back_s, back_s + 1800, 20, 0, 0, seed=1),
            *drive(back_s + 1810, back_s + 2010, 10, (12, 0), (2000, 40)),
        ]
    )


def an_errand() -> Fixes:
    """Half an hour at (0, 0), a drive to the far end of the yard and back within five minutes, another half hour."""
    return fixes_of(
        [
            *drive(0, 200, 10, (-2000, 40), (-12, 0)),
            *stay_at(220, 2000, 20, 0, 0),
            *drive(2010, 2030, 5, (10, 0), (180, 0)),
            *stay_at(2040, 2240, 10, 180, 0),
            *drive(2250, 2270, 5, (180, 0), (10, 0)),
            *stay_at(2280, 4000, 20, 0, 0, seed=1),
            *drive(4010, 4210, 10, (12, 0), (2000, 40)),
        ]
    )


YARD = FenceSet.of([("yard", square(0, 0, 60)), ("far", square(9_000, 0, 60, kind="zone"))])


@pytest.mark.parametrize("where", ["", "[kind.site]", "[fence.yard]"])
@pytest.mark.parametrize(
    ("rule", "fixes", "before", "after"),
    [
        ("min_on_site_s = 3000", two_calls(900), 2, 0),
        ("bridge_s = 1500", two_calls(900), 2, 1),
        ("bridge_s = 60", two_calls(280), 1, 2),
        ("bridge_m = 200", an_errand(), 2, 1),
    ],
)
def test_a_rule_changes_the_log_wherever_it_is_set(where, rule, fixes, before, after):
    assert len(stays_of(fixes, YARD)) == before
    assert len(stays_of(fixes, YARD, f"{where}\n{rule}")) == after
    assert len(stays_of(fixes, YARD, f"[kind.zone]\n{rule}\n[fence.far]\n{rule}")) == before


def test_prior_weight_decides_on_a_stop_beside_the_fence():
    fixes = fixes_of(
        [
            *drive(0, 200, 10, (-2000, 50), (-10, 50)),
            *stay_at(220, 1400, 30, 0, 50, spread_m=8),
            *drive(1410, 1610, 10, (10, 50), (2000, 50)),
        ],
        accuracy_m=45.0,
    )
    found = [len(stays_of(fixes, YARD, f"[fence.yard]\nprior_weight = {weight}")) for weight in (0, 300)]
    assert found == [0, 1]


def test_the_version_of_then_says_whose_rules_hold():
    """A site that became a depot in the second stay: the absence in the first is judged as a site's."""
    fixes = two_calls(900)
    changed_ms = int(fixes.ts_ms[0]) + 3_400_000
    fences = FenceSet.of(
        [
            ("yard", square(0, 0, 60, kind="site", valid_to_ms=changed_ms)),
            ("yard", square(0, 0, 60, version=2, kind="depot", valid_from_ms=changed_ms)),
        ]
    )
    assert len(stays_of(fixes, fences, "[kind.depot]\nbridge_s = 1500")) == 2
    assert len(stays_of(fixes, fences, "[kind.site]\nbridge_s = 1500")) == 1


@pytest.mark.parametrize("size", [1, 7, 60])
def test_who_may_still_come_back_is_not_forgotten(size):
    """Far away for an hour, which ends the stay, then beside the fence for longer, and in again: one stay."""
    fixes = fixes_of(
        [
            *drive(0, 200, 10, (-2000, 40), (-12, 0)),
            *stay_at(220, 2000, 20, 0, 0),
            *drive(2010, 2210, 10, (10, 0), (2000, 0)),
            *stay_at(2220, 5800, 10, 2000, 0),
            *drive(5810, 5990, 10, (2000, 0), (230, 0)),
            *stay_at(6000, 12_000, 5, 230, 0),
            *drive(12_010, 12_100, 10, (230, 0), (10, 0)),
            *stay_at(12_110, 14_000, 20, 0, 0, seed=1),
        ]
    )
    book = read_rules(b"[kind.site]\nbridge_s = 14400\nbridge_m = 250")
    fences, track, closed = book.applied_to(YARD), OneTrack(), 0
    for first in range(0, len(fixes), size):
        told = advance(track, fixes.take(slice(first, first + size)), fences, book.rules)
        closed += sum(visit.state == "closed" for visit in told)
    live = [(v.state, v.arrived_ms, v.departed_ms) for v in track.published.values() if v.state != "retracted"]
    (whole,) = derive_stays("d", fixes, fences, book.rules, int(fixes.ts_ms[-1])).stays
    assert closed > 0
    assert live == [(whole.state, whole.arrived_ms, whole.departed_ms)]
    assert whole.departed_ms is None


# What is written about them


def test_every_rule_has_a_range_that_holds_its_default():
    assert set(RANGES) == set(Rules._fields)
    for name, value in Rules()._asdict().items():
        low, high = RANGES[name]
        assert low <= value <= high


def test_the_ranges_keep_what_the_engine_relies_on():
    longest_s = RANGES["stay_scale_s"][1]
    dearest_nats = -2.0 * math.log((1.0 - math.exp(-LEAST_SWITCH_S / longest_s)) / 2.0)
    assert FORGETTING * math.log((1.0 + MISTAKE) / MISTAKE) > dearest_nats
    assert RANGES["bridge_m"][1] <= REACH_M


def test_the_page_says_what_the_rules_are():
    rows = re.findall(
        r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\S+) \|", VISITS_PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {name: tuple(map(float, numbers)) for name, *numbers in rows}
    assert told == {name: (value, *RANGES[name]) for name, value in Rules()._asdict().items()}
    assert [name for name, *_ in rows[: len(PLACE_RULES)]] == list(PLACE_RULES)


def test_the_example_of_the_page_can_be_read():
    example = re.search(r"```toml\n(.*?)```", VISITS_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    book = read_rules(example[1].encode())
    assert book.general == {"min_on_site_s": 180.0}
    assert book.by_kind == {"zone": {"min_on_site_s": 600.0}}
    assert book.by_fence == {"depot-north": {"bridge_s": 900.0}, "c 1042": {"prior_weight": 30.0}}

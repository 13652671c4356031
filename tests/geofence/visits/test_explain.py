"""The evidence for a visit: every fix gets the verdict it deserves, in data and in words."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rule_book import RuleBook
from geofence.rules import Rules
from geofence.visits import Evidence, derive_stays, explain, visit_of
from geofence.visits.cleaning import DOUBLED, FUTURE, INACCURATE, INVALID, REPEATED, VERDICTS
from geofence.visits.explain import AROUND_MS, MOST_LISTED
from schemas.explanation import Explanation
from schemas.fence import FenceVersion
from schemas.times import Instant
from schemas.visit import Visit
from tests.geofence.visits.days import START_MS, days, drive, fixes_of, ordinary_day, square, stay_at

RULES = Rules()
SITE = square(0, 0, 60, name="The Bakery")


def visits_of(fixes: Fixes, fences: FenceSet, as_of_ms: int) -> list[Visit]:
    return [visit_of("van-12", stay) for stay in derive_stays("van-12", fixes, fences, RULES, as_of_ms).stays]


def evidence_of(fixes: Fixes, fences: FenceSet, visit: Visit, version: FenceVersion, as_of_ms: int) -> Explanation:
    in_force = RuleBook().in_force(visit.fence_id, version.kind, version.min_on_site_s)
    return explain(Evidence.read("van-12", fixes, fences, RULES, as_of_ms), visit, version, in_force)


def explained(
    fixes: Fixes, version: FenceVersion = SITE, as_of_ms: int | None = None, **changes: object
) -> Explanation:
    """Of the one visit in the fixes, after some changes to it."""
    fences = FenceSet.of([("site", version)])
    as_of_ms = int(fixes.ts_ms[-1]) if as_of_ms is None else as_of_ms
    (visit,) = visits_of(fixes, fences, as_of_ms)
    return evidence_of(fixes, fences, msgspec.structs.replace(visit, **changes), version, as_of_ms)


def with_fix(fixes: Fixes, second: float, lat_e7: int, lon_e7: int, accuracy_dm: int = 100) -> Fixes:
    one = Fixes(
        np.array([START_MS + round(second * 1000)], np.int64),
        np.array([lat_e7], np.int32),
        np.array([lon_e7], np.int32),
        np.array([accuracy_dm], np.uint16),
        np.array([0], np.uint16),
    )
    return Fixes.concat([fixes, one]).in_order()


DAY = fixes_of(ordinary_day())
AT_1000_S = int(np.searchsorted(DAY.ts_ms, START_MS + 1_000_000))
LAT_E7, LON_E7 = int(DAY.lat_e7[AT_1000_S]), int(DAY.lon_e7[AT_1000_S])


@pytest.mark.parametrize(
    ("fixes", "second", "verdict"),
    [
        (with_fix(DAY, 1_003, 0, 0), 1_003, INVALID),
        (with_fix(DAY, 1_003, LAT_E7 + 100, LON_E7, 5_000), 1_003, INACCURATE),
        (with_fix(DAY, 1_003, LAT_E7, LON_E7), 1_003, REPEATED),
        (with_fix(DAY, 1_000.3, LAT_E7 + 100, LON_E7, 400), 1_000.3, DOUBLED),
    ],
)
def test_a_fix_that_is_not_used_is_rejected_and_says_why(fixes, second, verdict):
    told = explained(fixes)
    (fix,) = [fix for fix in told.fixes if fix.ts_ms == START_MS + round(second * 1000)]
    assert (fix.verdict, fix.why) == ("rejected", VERDICTS[verdict])
    assert (fix.distance_m, fix.error_m, fix.weight, fix.at_fence) == (None, None, None, None)
    assert told.counts.rejected_why == {VERDICTS[verdict]: 1}
    assert f"1 ({VERDICTS[verdict]})" in told.words


def test_a_fix_after_the_moment_of_looking_is_rejected():
    told = explained(DAY, as_of_ms=int(DAY.ts_ms[-2]))
    assert [fix.why for fix in told.fixes if fix.verdict == "rejected"] == [VERDICTS[FUTURE]]


def test_fixes_are_accepted_inside_and_outside_and_undecided_at_the_boundary():
    rows = [*drive(0, 200, 10, (-2000, 0), (-100, 0)), *stay_at(210, 1500, 10, 0, 0, 2.0)]
    rows += [(1510.0, 29.0, 0.0), (1520.0, 33.0, 0.0), *drive(1530, 1700, 10, (100, 0), (2000, 0))]
    told = explained(fixes_of(rows))
    by_second = {(fix.ts_ms - START_MS) // 1000: fix for fix in told.fixes}
    inside, within_error, outside, far = by_second[800], by_second[1520], by_second[1530], by_second[1600]
    assert (inside.verdict, inside.at_fence) == ("accepted", True)
    assert inside.distance_m is not None
    assert inside.distance_m < 0
    assert "inside" in inside.why
    assert within_error.verdict == "undecided"
    assert within_error.distance_m == pytest.approx(3.0, abs=0.1)
    assert "too near the boundary to tell" in within_error.why
    assert (outside.verdict, outside.at_fence, outside.distance_m) == ("accepted", False, pytest.approx(70.0, abs=0.2))
    assert "70 m outside" in outside.why
    assert (far.verdict, far.distance_m) == ("accepted", None)
    assert "more than 250 m away" in far.why


@settings(deadline=None, max_examples=60)
@given(days())
def test_the_evidence_agrees_with_the_visit(day):
    fences, fixes, _ = day
    as_of_ms = int(fixes.ts_ms[-1])
    for visit in visits_of(fixes, fences, as_of_ms):
        told = evidence_of(fixes, fences, visit, FenceVersion(1, {}), as_of_ms)
        counts, listed = told.counts, told.fixes
        assert counts.inside + counts.outside + counts.undecided + counts.rejected == counts.seen
        assert len(listed) == counts.listed == min(counts.seen, MOST_LISTED)
        assert sum(counts.rejected_why.values()) == counts.rejected
        assert [fix.ts_ms for fix in listed] == sorted(fix.ts_ms for fix in listed)
        if counts.listed == counts.seen:
            assert sum(fix.verdict == "undecided" for fix in listed) == counts.undecided
            assert sum(fix.verdict == "rejected" for fix in listed) == counts.rejected
            assert sum(fix.at_fence is True for fix in listed) == counts.at_fence >= 1
        end_ms = visit.departed_ms or as_of_ms
        within = (fixes.ts_ms >= visit.arrived_earliest_ms - AROUND_MS) & (fixes.ts_ms <= end_ms + AROUND_MS)
        assert counts.seen >= np.count_nonzero(within)


def test_a_day_at_a_fix_a_second_is_counted_whole_and_listed_thinned_out_but_at_its_edges():
    rows = [*drive(0, 200, 1, (-2000, 40), (-30, 0)), *stay_at(201, 80_000, 1, 0, 0)]
    rows += [*drive(80_001, 80_200, 1, (30, 0), (2000, 40)), *drive(80_201, 81_000, 1, (2000, 40), (9000, 40))]
    fixes = fixes_of(rows)
    fences = FenceSet.of([("site", SITE)])
    as_of_ms = int(fixes.ts_ms[-1])
    (visit,) = visits_of(fixes, fences, as_of_ms)
    told = evidence_of(fixes, fences, visit, SITE, as_of_ms)
    assert told.counts.seen > 80_000
    assert told.counts.at_fence == visit.fixes
    assert len(told.fixes) == told.counts.listed == MOST_LISTED
    times = np.array([fix.ts_ms for fix in told.fixes])
    for edge_ms in (visit.arrived_ms, visit.departed_ms):
        around = np.abs(fixes.ts_ms - edge_ms) <= AROUND_MS
        assert np.isin(fixes.ts_ms[around], times).all()
    assert np.diff(times).max() < 200_000
    assert f"Only {MOST_LISTED} of these fixes are listed." in told.words


def test_the_fence_and_the_rules_are_told():
    version = msgspec.structs.replace(
        SITE, version=4, min_on_site_s=300.0, valid_from_ms=Instant(START_MS - 60_000), kind="depot"
    )
    told = explained(DAY, version)
    assert told.fence["geometry"] == SITE.geometry
    assert told.fence["properties"] == {
        "fence_id": "site",
        "kind": "depot",
        "version": 4,
        "name": "The Bakery",
        "min_on_site_s": 300.0,
        "valid_from": "2026-03-02T06:59:00.000Z",
    }
    assert {name: threshold.value for name, threshold in told.thresholds.items()} == {
        **RULES._asdict(), "min_on_site_s": 300.0
    }  # fmt: skip
    assert told.thresholds["min_on_site_s"].source == "the fence"
    assert {each.source for name, each in told.thresholds.items() if name != "min_on_site_s"} == {"default"}
    assert "version 4 of the fence site, which holds from 2026-03-02 06:59:00." in told.words
    assert "5 min make a visit" in told.words


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "van-12 arrived at The Bakery at 2026-03-02 07:03"),
        ({}, "and left at 07:33"),
        ({"state": "confirmed", "departed_ms": None}, "was not seen to leave"),
        ({"state": "open", "departed_ms": None}, "It becomes a visit after 2 min there."),
        ({"state": "retracted", "reason": "late_data"}, "taken back: fixes that came in late tell another story."),
        ({"state": "retracted", "reason": "late_data"}, "The fixes that count as being there now span 30 min"),
        ({"reason": "initially_inside"}, "It was there already"),
        ({"reason": "fence_changed"}, "It ended because the fence was changed"),
        ({"confidence": 0.6}, "Confidence is only 0.60"),
        ({}, "The first fix clearly inside is of 07:03:20, the last one clearly outside before it of 07:03:10"),
    ],
)
def test_the_words_say(changes, says):
    assert says in explained(DAY, **changes).words


def test_a_long_silence_and_fixes_that_all_lie_outside_are_told():
    rows = [*drive(0, 200, 10, (-2000, 40), (-12, 0)), *stay_at(220, 400, 20, 0, 0)]
    rows += [*stay_at(2000, 2400, 20, 0, 0), *drive(2410, 2600, 10, (12, 0), (2000, 40))]
    assert "The longest silence among them is 26 min 40 s." in explained(fixes_of(rows)).words
    beside = [(s, x, y + 36.0 if abs(x) < 40 else y) for s, x, y in ordinary_day()]
    assert "No fix lies clearly inside" in explained(fixes_of(beside, accuracy_m=20.0)).words

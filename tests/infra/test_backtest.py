"""Two logs beside each other: what counts as a difference, and which days it belongs to."""

from geofence.visits import Stay, visit_of
from infra.backtest import Days, Difference, Outcome, Span, compare
from schemas.times import Instant

DAY_MS = 86_400_000
MONDAY = Days(10 * DAY_MS, 11 * DAY_MS, 20 * DAY_MS)
HOUR_MS = 3_600_000


def stay(from_h: float, to_h: float | None, fence_id: str = "site", **fields: object) -> Stay:
    """A stay by hours of Monday."""
    arrived_ms = MONDAY.from_ms + round(from_h * HOUR_MS)
    departed_ms = None if to_h is None else MONDAY.from_ms + round(to_h * HOUR_MS)
    return Stay(
        **{
            "fence_id": fence_id,
            "fence_version": 1,
            "state": "confirmed" if to_h is None else "closed",
            "arrived_ms": arrived_ms,
            "arrived_earliest_ms": arrived_ms,
            "arrived_latest_ms": arrived_ms,
            "departed_ms": departed_ms,
            "departed_earliest_ms": departed_ms,
            "departed_latest_ms": departed_ms,
            "on_site_s": 1.0,
            "on_site_min_s": 1.0,
            "on_site_max_s": 1.0,
            "confidence": 0.9,
            "reason": "departed",
            "fixes": 9,
            **fields,
        }
    )


def span(from_h: float, to_h: float | None) -> Span:
    of = stay(from_h, to_h)
    return Span(Instant(of.arrived_ms), None if of.departed_ms is None else Instant(of.departed_ms))


def outcome(logged: list[Stay], derived: list[Stay]) -> Outcome:
    return compare("van", [visit_of("van", each) for each in logged], derived, MONDAY)


def test_what_is_in_one_log_only_was_added_or_removed_and_what_moved_has_changed():
    logged = [stay(8, 9), stay(10, 11), stay(12, 13, "depot")]
    found = outcome(logged, [stay(8, 9), stay(9.9, 11), stay(14, 15)])
    ids = [visit_of("van", each).visit_id for each in logged]
    assert found.differences == [
        Difference("van", "site", "changed", ids[1], span(10, 11), span(9.9, 11)),
        Difference("van", "depot", "removed", ids[2], span(12, 13), None),
        Difference("van", "site", "added", None, None, span(14, 15)),
    ]
    assert found.unchanged == 1


def test_one_visit_that_becomes_two_has_changed_and_one_was_added():
    found = outcome([stay(8, 12)], [stay(8, 9), stay(10, 12)])
    assert sorted((each.change, each.after) for each in found.differences) == [
        ("added", span(8, 9)),
        ("changed", span(10, 12)),
    ]


def test_figures_fence_versions_and_visits_only_opened_make_no_difference():
    other = stay(8, 9, fence_version=3, confidence=0.2, fixes=4, arrived_latest_ms=MONDAY.from_ms + 9 * HOUR_MS)
    found = outcome([stay(8, 9), stay(10, None, state="open")], [other, stay(20, None, state="open")])
    assert found == Outcome("van", [], 1)


def test_a_visit_belongs_to_the_day_on_which_either_log_lets_it_begin():
    logged = [stay(-3, -2), stay(23.9, 25), stay(26, 27)]
    found = outcome(logged, [stay(24.1, 25)])
    assert [(each.change, each.before, each.after) for each in found.differences] == [
        ("changed", span(23.9, 25), span(24.1, 25))
    ]
    assert found.unchanged == 0
    assert outcome([], [stay(-0.1, 3)]).differences == []


def test_who_has_not_left_yet_is_compared_like_anybody_else():
    assert outcome([stay(8, None)], [stay(8, None)]) == Outcome("van", [], 1)
    (left,) = outcome([stay(8, None)], [stay(8, 9)]).differences
    assert (left.change, left.before, left.after) == ("changed", span(8, None), span(8, 9))

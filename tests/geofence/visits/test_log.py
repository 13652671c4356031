from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.rules import Rules
from geofence.visits import Stay, derive_stays, revise, visit_of
from tests.geofence.visits.days import days, fixes_of, ordinary_day
from tests.geofence.visits.test_derivation import SITE

ALWAYS = (-(2**62), 2**62)


def stay(state="confirmed", arrived=1000, departed=None, **more):
    fields = {
        "fence_id": "site",
        "fence_version": 1,
        "state": state,
        "arrived_ms": arrived,
        "arrived_earliest_ms": arrived,
        "arrived_latest_ms": arrived,
        "departed_ms": departed,
        "departed_earliest_ms": departed,
        "departed_latest_ms": departed,
        "on_site_s": 1.0,
        "on_site_min_s": 1.0,
        "on_site_max_s": 1.0,
        "confidence": 0.9,
        "reason": "arrived",
        "fixes": 3,
    }
    return Stay(**{**fields, **more})


def applied(log, revisions):
    for visit in revisions:
        assert visit.revision == (log[visit.visit_id].revision + 1 if visit.visit_id in log else 1)
        log[visit.visit_id] = visit
    return log


def told(log):
    """What a reader of the log knows, running figures of open visits aside."""
    return sorted(
        (v.fence_id, v.fence_version, v.state, v.arrived_ms, v.arrived_earliest_ms, v.arrived_latest_ms)
        + ((v.departed_ms, v.on_site_s, v.confidence, v.fixes) if v.departed_ms is not None else ())
        for v in log
        if v.state != "retracted"
    )


@settings(deadline=None, max_examples=50)
@given(days(), st.lists(st.floats(0.0, 1.0), max_size=6))
def test_the_published_log_equals_the_stays_after_every_look(day, looks):
    log = {}
    for share in [*sorted(looks), 1.0]:
        fixes = day.fixes.take(slice(0, max(1, round(share * len(day.fixes)))))
        stays = derive_stays("d", fixes, day.fences, Rules(), int(fixes.ts_ms[-1])).stays
        applied(log, revise("d", log.values(), stays, "late_data", *ALWAYS))
        assert told(log.values()) == told(visit_of("d", stay) for stay in stays)
        assert revise("d", log.values(), stays, "late_data", *ALWAYS) == []


def test_a_visit_keeps_its_id_from_opened_to_closed():
    fixes = fixes_of(ordinary_day())
    log, published = {}, []
    for end in range(1, len(fixes) + 1):
        known = fixes.take(slice(0, end))
        revisions = revise(
            "d", log.values(), derive_stays("d", known, SITE, Rules(), int(known.ts_ms[-1])).stays, "", *ALWAYS
        )
        applied(log, revisions)
        published += revisions
    assert len(log) == 1
    states = [visit.state for visit in published if visit.reason in ("arrived", "departed")]
    assert list(dict.fromkeys(states)) == ["open", "confirmed", "closed"]
    assert states == sorted(states, key=["open", "confirmed", "closed"].index)


def test_running_figures_of_an_open_visit_publish_nothing():
    (first,) = revise("d", [], [stay()], "", *ALWAYS)
    assert revise("d", [first], [stay(on_site_s=99.0, fixes=8, confidence=0.5)], "", *ALWAYS) == []


def test_a_stay_that_is_no_longer_believed_is_retracted_with_the_reason():
    (first,) = revise("d", [], [stay()], "", *ALWAYS)
    (gone,) = revise("d", [first], [], "late_data", *ALWAYS)
    assert (gone.visit_id, gone.state, gone.revision, gone.reason) == (first.visit_id, "retracted", 2, "late_data")
    (again,) = revise("d", [first, gone], [stay()], "late_data", *ALWAYS)
    assert (again.visit_id, again.revision, again.state) == (first.visit_id, 3, "confirmed")


def test_a_stay_split_in_two_keeps_one_id_and_opens_another():
    (whole,) = revise("d", [], [stay("closed", 0, 100_000)], "", *ALWAYS)
    halves = [stay("closed", 0, 60_000), stay("closed", 70_000, 100_000)]
    shortened, second = revise("d", [whole], halves, "late_data", *ALWAYS)
    assert (shortened.visit_id, shortened.reason) == (whole.visit_id, halves[0].reason)
    assert second.visit_id != whole.visit_id


def test_visits_outside_the_span_are_left_alone():
    (old,) = revise("d", [], [stay("closed", 0, 100_000)], "", *ALWAYS)
    assert revise("d", [old], [], "late_data", 100_000, 2**62) == []


def test_the_id_does_not_depend_on_when_it_was_made():
    assert visit_of("d", stay()).visit_id == revise("d", [], [stay(confidence=0.1)], "", *ALWAYS)[0].visit_id

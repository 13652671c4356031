"""Who held which device when: against a slow oracle that asks moment by moment."""

from hypothesis import given
from hypothesis import strategies as st

from dispatch.holdings import Revision, held
from dispatch.spans import Span

NOW_MS = 40
DEVICES = ("van-1", "van-2")
PEOPLE = ("amina", "ben", "carl")

revisions = st.lists(
    st.builds(
        Revision,
        st.integers(1, NOW_MS - 1),
        st.sampled_from(PEOPLE),
        st.sets(st.sampled_from(DEVICES)).map(lambda each: tuple(sorted(each))),
    ),
    unique_by=lambda each: (each.at_ms, each.technician_id),
    max_size=12,
)


def holder_at(device_id: str, at_ms: int, known: list[Revision]) -> str | None:
    """Who holds a device at a moment: whoever says so in their newest record, the first of several by id."""
    newest = {each.technician_id: each for each in sorted(known) if each.at_ms <= at_ms}
    return min((who for who, each in newest.items() if device_id in each.device_ids), default=None)


@given(revisions)
def test_it_is_as_if_each_moment_was_asked_about(known: list[Revision]) -> None:
    for device_id in DEVICES:
        by_moment = [holder_at(device_id, at_ms, known) for at_ms in range(NOW_MS)]
        first = next((at_ms for at_ms, who in enumerate(by_moment) if who is not None), NOW_MS)
        by_moment[:first] = [by_moment[first]] * first if first < NOW_MS else [None] * first
        for who in PEOPLE:
            spans = held(who, known, NOW_MS).get(device_id, [])
            within = {at_ms for span in spans for at_ms in range(span.from_ms, span.to_ms)}
            assert within == {at_ms for at_ms, each in enumerate(by_moment) if each == who}
            assert all(span.from_ms < span.to_ms for span in spans)


def test_a_van_changes_hands() -> None:
    known = [
        Revision(10, "amina", ("van-1", "phone")),
        Revision(20, "amina", ("phone",)),
        Revision(25, "ben", ("van-1",)),
        Revision(30, "ben", ()),
        Revision(35, "amina", ("phone", "van-1")),
    ]
    assert held("amina", known, NOW_MS) == {
        "phone": [Span(0, NOW_MS)],
        "van-1": [Span(0, 20), Span(35, NOW_MS)],
    }
    assert held("ben", known, NOW_MS) == {"van-1": [Span(25, 30)]}
    assert held("carl", known, NOW_MS) == {}

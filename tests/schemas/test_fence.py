"""A fence's history: which version holds when."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fence import FenceError, FenceRecord, FenceVersion, end_fence, revise_fence
from schemas.times import Instant


def shape(radius_m: float, valid_from: int | None = None, valid_to: int | None = None) -> FenceVersion:
    return FenceVersion(
        1,
        {"type": "Point", "coordinates": [0, 0]},
        radius_m=radius_m,
        valid_from_ms=None if valid_from is None else Instant(valid_from),
        valid_to_ms=None if valid_to is None else Instant(valid_to),
    )


def spans(record: FenceRecord) -> list[tuple[int, int | None, int | None]]:
    return [(each.version, each.valid_from_ms, each.valid_to_ms) for each in record.versions]


def test_the_first_version_holds_for_all_time() -> None:
    record = revise_fence(None, "f", shape(10), 100)
    assert spans(record) == [(1, None, None)]
    assert record.updated_at == 100


def test_a_new_shape_holds_from_now() -> None:
    record = revise_fence(revise_fence(None, "f", shape(10), 100), "f", shape(20), 200)
    assert spans(record) == [(1, None, 200), (2, 200, None)]


def test_a_new_shape_holds_from_when_it_says() -> None:
    first = revise_fence(None, "f", shape(10), 100)
    assert spans(revise_fence(first, "f", shape(20, valid_from=50), 200)) == [(1, None, 50), (2, 50, None)]
    later = revise_fence(first, "f", shape(20, valid_from=500), 200)
    assert spans(later) == [(1, None, 500), (2, 500, None)]
    # What was to begin later is superseded, and stays in the history.
    assert spans(revise_fence(later, "f", shape(30), 300)) == [(1, None, 300), (2, 500, 500), (3, 300, None)]


def test_the_same_shape_is_the_same_record() -> None:
    record = revise_fence(None, "f", shape(10, valid_from=5), 100)
    assert revise_fence(record, "f", shape(10), 200) is record
    assert revise_fence(record, "f", shape(10, valid_from=5), 200) is record


def test_the_end_moves_without_a_new_version() -> None:
    record = revise_fence(None, "f", shape(10), 100)
    ending = revise_fence(record, "f", shape(10, valid_to=500), 200)
    assert spans(ending) == [(1, None, 500)]
    assert ending.updated_at == 200
    assert spans(revise_fence(ending, "f", shape(10), 300)) == [(1, None, None)]


def test_a_version_cannot_end_before_it_begins() -> None:
    record = revise_fence(None, "f", shape(10), 100)
    with pytest.raises(FenceError, match="'f'"):
        revise_fence(record, "f", shape(20, valid_to=150), 200)


def test_deletion_keeps_the_history() -> None:
    record = revise_fence(revise_fence(None, "f", shape(10), 100), "f", shape(20), 200)
    ended = end_fence(record, 300)
    assert spans(ended) == [(1, None, 200), (2, 200, 300)]
    assert spans(revise_fence(ended, "f", shape(20), 400)) == [(1, None, 200), (2, 200, 300), (3, 400, None)]


def test_deletion_before_a_version_begins() -> None:
    record = revise_fence(revise_fence(None, "f", shape(10), 100), "f", shape(20, valid_from=500), 200)
    assert spans(end_fence(record, 300)) == [(1, None, 300), (2, 500, 500)]


def test_each_state_has_its_moment() -> None:
    record = revise_fence(None, "f", shape(10), 100)
    assert end_fence(revise_fence(record, "f", shape(20), 100), 100).updated_at == 102


edits = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from(["put", "put", "put", "end"]),
        st.integers(1, 3),
        st.none() | st.integers(0, 250),
        st.none() | st.integers(0, 250),
    ),
    max_size=8,
)


@given(edits)
def test_versions_never_overlap_and_numbers_only_grow(
    drawn: list[tuple[int, str, int, int | None, int | None]],
) -> None:
    now, record = 0, None
    for wait, what, radius, valid_from, valid_to in drawn:
        now += wait
        before = record
        try:
            if what == "put":
                record = revise_fence(record, "f", shape(radius, valid_from, valid_to), now)
            elif record is not None:
                record = end_fence(record, now)
        except FenceError:
            assert record is before
            continue
        if record is None:
            continue
        assert [each.version for each in record.versions] == list(range(1, len(record.versions) + 1))
        for moment in range(-1, 260):
            holding = [
                each.version
                for each in record.versions
                if (each.valid_from_ms is None or each.valid_from_ms <= moment)
                and (each.valid_to_ms is None or moment < each.valid_to_ms)
            ]
            assert len(holding) <= 1
            found = record.version_at(moment)
            assert ([] if found is None else [found.version]) == holding
        if before is not None and record is not before:
            assert record.updated_at > before.updated_at
            assert msgspec.structs.asdict(record)["fence_id"] == "f"

"""Values of records are what a list of them would be."""

from hypothesis import given
from hypothesis import strategies as st

from stream.values import Values

lists = st.lists(st.none() | st.binary(max_size=5), max_size=6)


@given(lists, st.data())
def test_values_are_what_they_were_made_of(listed: list[bytes | None], data: st.DataObject) -> None:
    values = Values.of(listed)
    assert list(values) == listed
    assert len(values) == len(listed)
    assert [values[number] for number in range(-len(listed), len(listed))] == listed * 2
    assert values.null.tolist() == [number for number, value in enumerate(listed) if value is None]
    begin, end = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))
    assert list(values[begin:end]) == listed[begin:end]
    some = data.draw(st.lists(st.sampled_from(range(len(listed))))) if listed else []
    assert list(values.at(some)) == [listed[number] for number in some]

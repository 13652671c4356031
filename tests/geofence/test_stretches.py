"""Rows of many slots: whatever grows, shrinks and moves, each slot has what was put in, and the room it asked for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geofence.stretches import LEAST_ROOM, drop_rows, empty_table, rows_of, trimmed, with_room, with_slots

ROW = np.dtype([("slot", np.int64), ("number", np.int64)])
SLOTS = 5

adding = st.lists(
    st.tuples(st.integers(0, SLOTS - 1), st.integers(1, 90)), min_size=1, max_size=SLOTS, unique_by=lambda each: each[0]
)
dropping = st.tuples(st.integers(0, SLOTS - 1), st.floats(0, 1))


@given(st.lists(adding | dropping | st.just(None), max_size=30))
def test_slots_keep_their_rows(changes):
    table, expected = with_slots(empty_table(ROW), SLOTS), [[] for _ in range(SLOTS)]
    number = 0
    for change in changes:
        if change is None:
            table = trimmed(table)
            continue
        if isinstance(change, tuple):
            slot, share = change
            count = int(share * len(expected[slot]))
            drop_rows(table, slot, count)
            del expected[slot][:count]
            continue
        slots, more = np.array(change).T
        table = with_room(table, slots, table.stretch["size"][slots] + more)
        assert (table.stretch["room"][slots] >= table.stretch["size"][slots] + more).all()
        for slot, count in change:
            table.stretch["size"][slot] += count
            rows_of(table, slot)[-count:] = [(slot, number + k) for k in range(count)]
            expected[slot] += [(slot, number + k) for k in range(count)]
            number += count
    assert [rows_of(table, slot).tolist() for slot in range(SLOTS)] == expected


def test_room_that_was_needed_once_is_given_back():
    table = with_slots(empty_table(ROW), 40)
    for slot in range(40):
        table = with_room(table, np.array([slot]), np.array([10_000]))
        table.stretch["size"][slot] = 10_000
        drop_rows(table, slot, 9_990)
    assert len(table.rows) < 40 * 10_000


def test_a_table_whose_rows_have_gone_is_trimmed_and_then_left_alone():
    table = with_room(with_slots(empty_table(ROW), 40), np.arange(40), np.full(40, 1_000))
    table.stretch["size"] = 1_000
    assert trimmed(table) is table
    for slot in range(40):
        drop_rows(table, slot, 995)
    small = trimmed(table)
    assert len(small.rows) <= 2 * 40 * LEAST_ROOM
    assert trimmed(small) is small

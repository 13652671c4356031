"""Bases and changes together are the state of all devices, whatever was written, lost or overwritten in between."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geofence.changes import IncompleteError
from geofence.fixes import Fixes
from geofence.tracks import Tracks
from stream.tracker import journal
from stream.tracker.journal import Journal
from stream.tracker.packing import pack
from tests.geofence.test_forgetting import RULES, ZONE, forget_soon, moves
from tests.geofence.test_tracks import METRES, START_MS, facts, log_of_everything

DEVICES = 7
FENCES = ZONE


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Keys, bases and portions that a few devices use up, fill and exceed; tracks that soon forget."""
    forget_soon(monkeypatch)
    monkeypatch.setattr(journal, "MOST_CHANGES", 6)
    monkeypatch.setattr(journal, "DEVICES_PER_BASE", 3)
    monkeypatch.setattr(journal, "FIXES_PER_RECORD", 60)


class Worker:
    """Devices whose fixes come in frames, late ones settled by a store, with a journal beside them."""

    def __init__(self, records: dict[str, bytes]) -> None:
        self.tracks, self.journal, self.records = Tracks(), Journal(), records
        self.late_offset = self.journal.restore(records, self.tracks)
        self.touched: set[int] = set()

    def fold(self, names: list[str], fixes: Fixes) -> None:
        slots = self.tracks.slots_of(names)
        self.tracks.fold(slots, fixes, FENCES, RULES)
        self.touched.update(slots.tolist())

    def settle(self, stored: dict[str, Fixes]) -> None:
        for slot in list(self.tracks.late):
            fixes = stored[self.tracks.device_ids[slot]]
            assert self.tracks.rederive(slot, fixes.in_order(), FENCES, RULES, 0, complete=True) is not None
            self.late_offset.pop(slot, None)
            self.touched.add(slot)

    def checkpoint(self) -> list[tuple[str, bytes]]:
        for slot in self.tracks.late:
            self.late_offset.setdefault(slot, 100 + slot)
        slots, self.touched = np.array(sorted(self.touched), np.int64), set()
        return list(self.journal.records(self.tracks, slots, self.late_offset))

    def all_there_is(self) -> list[bytes]:
        """Device by device, packed; that changes what counts as written, so it is asked of a worker that goes."""
        each = [self.tracks.changes(np.array([slot]), whole=True) for slot in range(len(self.tracks))]
        return [pack(0, changes, self.late_offset) for changes in each]


goals = st.sampled_from([-25_000.0, -300.0, 0.0, 300.0, 600.0])
legs = st.lists(st.tuples(goals, st.sampled_from([0.0, 300.0, 3_000.0])), min_size=1, max_size=4)


@given(st.integers(0, 10_000), st.lists(legs, min_size=DEVICES, max_size=DEVICES), st.integers(1, 60))
@example(3459, [[(-25_000.0, 0.0)]] * 6 + [[(0.0, 3_000.0), (-300.0, 300.0), (-300.0, 300.0)]], 1)
@example(
    346,
    [
        [(300.0, 300.0)],
        [(300.0, 300.0)],
        [(-300.0, 0.0), (-25_000.0, 3_000.0)],
        [(600.0, 0.0)],
        [(600.0, 300.0), (0.0, 300.0), (600.0, 3_000.0), (300.0, 300.0)],
        [(-25_000.0, 3_000.0), (300.0, 0.0), (-300.0, 3_000.0), (300.0, 300.0)],
        [(600.0, 3_000.0), (-25_000.0, 3_000.0)],
    ],
    1,
)
@settings(max_examples=25, deadline=None)
def test_what_is_restored_at_any_moment_is_what_was_there_to_the_last_field(seed, days, size):
    """Fixes come in disorder, twice and long after; checkpoints are taken and workers replaced at random moments."""
    random = np.random.default_rng(seed)
    fixes = [
        moves(seed + k, [(-25_000.0, 12.0, 60.0), *((goal, 12.0, stay) for goal, stay in stops)], 30.0)
        for k, stops in enumerate(days)
    ]
    device = np.repeat(np.arange(DEVICES), list(map(len, fixes)))
    everything = Fixes.concat(fixes)
    arrival = everything.ts_ms + np.where(
        random.random(len(device)) < 0.02, random.integers(0, 20_000_000, len(device)), 0
    )
    order = np.argsort(arrival, kind="stable")
    stored = {f"van-{k}": Fixes.empty() for k in range(DEVICES)}
    records: dict[str, bytes] = {}
    worker = Worker(records)
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        for k in set(device[rows].tolist()):
            stored[f"van-{k}"] = Fixes.concat([stored[f"van-{k}"], everything.take(rows[device[rows] == k])])
        worker.fold([f"van-{k}" for k in device[rows]], everything.take(rows))
        if random.random() < 0.8:
            worker.settle(stored)
        if random.random() < 0.3:
            records.update(worker.checkpoint())
            if random.random() < 0.3:
                again = Worker(records)
                assert again.all_there_is() == worker.all_there_is()
                worker = Worker(records)
    worker.settle(stored)
    for slot, name in enumerate(worker.tracks.device_ids):
        newest_ms = int(stored[name].ts_ms.max())
        worker.tracks.look(np.array([slot]), FENCES, RULES, newest_ms)
    worker.settle(stored)
    for slot, name in enumerate(worker.tracks.device_ids):
        told = [facts(visit) for visit in worker.tracks.log.newest[slot].values() if visit.state != "retracted"]
        assert sorted(told, key=repr) == log_of_everything(
            stored[name].in_order(), int(stored[name].ts_ms.max()), FENCES
        )


def parked(names: list[str], minute: int) -> tuple[list[str], Fixes]:
    nan, lon = np.full(len(names), np.nan), np.full(len(names), 9.0)
    lat = 47.0 + (8_000 + np.arange(len(names))) * METRES
    return names, Fixes.of_columns(np.full(len(names), START_MS + minute * 60_000), lat, lon, nan, nan)


def test_a_device_that_is_silent_for_long_is_neither_written_again_nor_lost():
    worker, written = Worker({}), []
    worker.fold(*parked(["silent-1", "silent-2", "silent-3", "van-1"], 0))
    for minute in range(1, 40):
        worker.fold(*parked(["van-1", "van-2"], minute))
        written.append(worker.checkpoint())
        worker.records.update(written[-1])
        assert Worker(worker.records).tracks.kept(np.arange(3)).tolist() == [1, 1, 1]
    assert all("base:0" not in dict(records) for records in written[2:])
    assert len(worker.records) <= journal.MOST_CHANGES + 2 + 2
    assert sum(len(value) for value in worker.records.values()) < 6_000


def test_state_after_any_prefix_of_what_was_written_is_one_that_was():
    worker = Worker({})
    names = [f"van-{k}" for k in range(8)]
    states, log = [], []
    for minute in range(30):
        worker.fold(*parked(names[: 2 + minute // 4], minute))
        for record in worker.checkpoint():
            log.append(record)
    for length in range(len(log) + 1):
        tracks = Worker(dict(log[:length])).tracks
        states.append([tracks.kept(np.array([slot])).item() for slot in range(len(tracks))])
    assert states[0] == []
    for before, after in pairwise(states):
        assert all(one <= other for one, other in zip(before, after, strict=False))
    assert states[-1] == [worker.tracks.kept(np.array([slot])).item() for slot in range(8)]


def test_records_that_do_not_belong_together_are_refused():
    worker = Worker({})
    worker.fold(*parked(["van-1", "van-2"], 0))
    first = dict(worker.checkpoint())
    worker.fold(*parked(["van-1", "van-2"], 1))
    second = dict(worker.checkpoint())
    only_changes = {name: value for name, value in second.items() if name.startswith("changes")}
    other = Worker({})
    other.fold(*parked(["bus-1", "bus-2"], 0))
    mixed = {**first, "changes:5": dict(other.checkpoint())["changes:0"]}
    for records in (only_changes, mixed):
        with pytest.raises(IncompleteError):
            Worker(records)

"""What a tracker lets go of when somebody is erased: their fixes and visits, in memory and in checkpoints."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.erased import ErasedSpans
from geofence.fixes import Fixes
from schemas.erasure import ErasedSpan, Erasure, mark_of
from schemas.eta import Eta
from schemas.ping import Ping
from schemas.times import Instant
from schemas.wire import encode
from stream.columns import PingColumns, read_columns
from stream.recorder import read_frame
from stream.recorder import unerased as unerased_rows
from stream.tracker import journal
from stream.tracker.erased import kept_of, unerased
from stream.tracker.live import LiveBoard
from stream.tracker.partition import PartitionTracks
from stream.values import Values
from tests.frames import frame_of, moments
from tests.geofence.test_forgetting import RULES, ZONE, forget_soon, moves
from tests.geofence.test_tracks import facts, log_of_everything

DEVICES = 5
NAMES = [f"van-{number}" for number in range(DEVICES)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that a few devices fill, so that there are many; tracks that soon forget."""
    forget_soon(monkeypatch)
    monkeypatch.setattr(journal, "MOST_CHANGES", 6)
    monkeypatch.setattr(journal, "DEVICES_PER_BASE", 2)
    monkeypatch.setattr(journal, "FIXES_PER_RECORD", 60)


def spans_of(*spans: tuple[str, int, int]) -> ErasedSpans:
    found = ErasedSpans()
    erased = [ErasedSpan(mark_of("device", name), Instant(from_ms), Instant(to_ms)) for name, from_ms, to_ms in spans]
    found.changed("e", Erasure(erasure_id="e", kind="technician", person="x", at=Instant(0), spans=erased))
    return found


class Part:
    """A partition with its checkpoint, and the store behind it."""

    def __init__(self) -> None:
        self.tracks = PartitionTracks()
        self.records: dict[str, bytes] = {}
        self.stored = dict.fromkeys(NAMES, Fixes.empty())
        self.offset = 0

    def fold(self, device: Any, fixes: Fixes) -> None:
        self.offset += 1
        for number in set(device.tolist()):
            name = NAMES[number]
            self.stored[name] = Fixes.concat([self.stored[name], fixes.take(device == number)])
        self.tracks.fold(PingColumns(NAMES, device, fixes, np.arange(len(fixes)), []), self.offset, ZONE, RULES)

    def checkpoint(self) -> None:
        for name, value in self.tracks.take_changed():
            if value is None:
                self.records.pop(name, None)
            else:
                self.records[name] = value

    def restarted(self) -> None:
        self.tracks = PartitionTracks()
        self.tracks.restore(self.records)

    def settle(self) -> None:
        tracks = self.tracks.tracks
        for slot in list(tracks.late):
            stored = self.stored.get(tracks.device_ids[slot], Fixes.empty()).in_order()
            assert tracks.rederive(slot, stored, ZONE, RULES, 0, complete=True) is not None
            self.tracks.late_offset.pop(slot, None)
            self.tracks.touch(np.array([slot]))

    def told(self, name: str) -> list[Any]:
        slot = self.tracks.tracks.slots[name]
        visits = self.tracks.tracks.log.newest[slot].values()
        return sorted((facts(visit) for visit in visits if visit.state != "retracted"), key=repr)


def arrivals(told: list[Any]) -> list[int]:
    return [moment_ms for each in told for moment_ms in each[3]]


goals = st.sampled_from([-25_000.0, -300.0, 0.0, 300.0, 600.0])
legs = st.lists(st.tuples(goals, st.sampled_from([0.0, 300.0, 3_000.0])), min_size=1, max_size=3)


@given(
    st.integers(0, 10_000), st.lists(legs, min_size=DEVICES, max_size=DEVICES), st.integers(5, 60), st.floats(0.0, 1.0)
)
@settings(max_examples=12, deadline=None)
def test_what_was_erased_is_gone_and_the_rest_is_as_if_it_had_never_been(seed, days, size, share):
    """Two devices are erased, one up to a moment and one with all it did; checkpoints and restarts come between."""
    random = np.random.default_rng(seed)
    tracks = [
        moves(seed + k, [(-25_000.0, 12.0, 60.0), *((goal, 12.0, stay) for goal, stay in stops)], 30.0)
        for k, stops in enumerate(days)
    ]
    device, everything = np.repeat(np.arange(DEVICES), list(map(len, tracks))), Fixes.concat(tracks)
    order = np.argsort(everything.ts_ms, kind="stable")
    part = Part()
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        part.fold(device[rows], everything.take(rows))
        if random.random() < 0.4:
            part.checkpoint()
    first_ms, last_ms = int(tracks[1].ts_ms.min()), int(tracks[1].ts_ms.max())
    until_ms = round(first_ms + share * (last_ms + 1 - first_ms))
    spans = spans_of(("van-1", 0, until_ms), ("van-3", 0, int(everything.ts_ms.max()) + 1))
    part.settle()
    before = {name: part.told(name) for name in ("van-0", "van-2", "van-4")}

    part.tracks = part.tracks.without(spans)
    if random.random() < 0.5:
        part.checkpoint()
        part.restarted()
    for name, stored in part.stored.items():
        part.stored[name] = stored.take(kept_of(name, stored, spans))
    part.settle()
    part.checkpoint()
    assert b"van-3" not in b"".join(part.records.values())
    part.restarted()

    assert "van-3" not in part.tracks.tracks.slots
    assert part.tracks.without(spans) is part.tracks, "once is enough"
    assert {name: part.told(name) for name in before} == before
    left = part.stored["van-1"].in_order()
    assert bool(len(left)) == ("van-1" in part.tracks.tracks.slots)
    if len(left):
        slot = part.tracks.tracks.slots["van-1"]
        assert (part.tracks.tracks.fixes_of(slot).ts_ms >= until_ms).all()
        part.tracks.tracks.look(np.array([slot]), ZONE, RULES, int(left.ts_ms[-1]))
        part.settle()
        wanted = log_of_everything(left, int(left.ts_ms[-1]), ZONE)
        assert [each[:3] for each in part.told("van-1")] == [each[:3] for each in wanted]
        # Of what memory had let go of before, an arrival right after the span may still show by a few milliseconds.
        assert arrivals(part.told("van-1")) == pytest.approx(arrivals(wanted), abs=100)


def test_a_device_that_goes_on_in_other_hands_is_tracked_from_then_on():
    part = Part()
    first, second = moves(1, [(0.0, 12.0, 3_000.0)], 30.0), moves(2, [(300.0, 12.0, 3_000.0)], 30.0)
    later_ms = int(first.ts_ms.max()) + 3_600_000
    second = Fixes(second.ts_ms - second.ts_ms[0] + later_ms, *list(vars(second).values())[1:])
    part.fold(np.zeros(len(first), np.int64), first)
    part.checkpoint()
    spans = spans_of(("van-0", 0, later_ms))
    part.tracks = part.tracks.without(spans)
    part.stored["van-0"] = Fixes.empty()
    part.settle()
    part.fold(np.zeros(len(second), np.int64), second)
    part.settle()
    assert part.told("van-0") == log_of_everything(second.in_order(), int(second.ts_ms.max()), ZONE)


def raw(device_id: str, ts_ms: int) -> bytes:
    return encode(Ping(device_id, ts_ms, 47.0, 9.0, 8.0))


START_MS = 1_700_000_000_000
SENT = [("van-1", 0), ("van-1", 10), ("van-2", 10), ("van-1", 20), ("van-3", 5)]
KEPT = [("van-1", 0), ("van-2", 10), ("van-1", 20)]
SPANS = (("van-1", START_MS + 5, START_MS + 20), ("van-3", 0, START_MS + 6))


def test_pings_that_are_sent_late_are_not_folded():
    values = [raw(name, START_MS + offset) for name, offset in SENT]
    columns = unerased(read_columns(Values.of(values), moments(START_MS + 100, len(values))), spans_of(*SPANS))
    found = [columns.device_ids[number] for number in columns.device.tolist()]
    assert list(zip(found, (columns.fixes.ts_ms - START_MS).tolist(), strict=True)) == KEPT
    assert columns.record.tolist() == [0, 2, 3]
    assert columns.newest_records() == [2, 3]


def test_pings_that_are_sent_late_are_not_stored():
    values = [raw(name, START_MS + offset) for name, offset in SENT]
    frame = frame_of("onsite.pings", values, START_MS + 100)
    rows = unerased_rows(frame, read_frame(frame), spans_of(*SPANS)).batch
    stored = zip(rows.column("device_id").to_pylist(), rows.column("ts").to_pylist(), strict=True)
    assert [(name, round(moment.timestamp() * 1000) - START_MS) for name, moment in stored] == KEPT


def test_etas_by_fixes_that_were_erased_are_not_stored():
    etas = [
        Eta(
            job_id=f"{name}+{offset}",
            eta=Instant(START_MS),
            from_ms=Instant(START_MS),
            to_ms=Instant(START_MS),
            level=0.8,
            provider="osrm",
            computed_at=Instant(START_MS + 100),
            distance_m=1.0,
            device_id=name,
            technician_id="amina",
            seen_ms=Instant(START_MS + offset),
        )
        for name, offset in SENT
    ]
    frame = frame_of("onsite.etas", [*map(encode, etas), None], START_MS + 100)
    rows = unerased_rows(frame, read_frame(frame), spans_of(*SPANS)).batch
    assert rows.column("job_id").to_pylist() == [f"{name}+{offset}" for name, offset in KEPT]


def test_where_nothing_was_erased_nothing_is_copied():
    values = [raw("van-1", START_MS)]
    columns = read_columns(Values.of(values), moments(START_MS, 1))
    assert unerased(columns, ErasedSpans()) is columns
    assert unerased(columns, spans_of(("van-9", 0, START_MS))) is columns


def test_the_board_shows_nobody_where_they_were():
    board = LiveBoard()
    board.see([Ping("van-1", START_MS, 47.0, 9.0), Ping("van-2", START_MS, 47.0, 9.0)])
    board.forget(spans_of(("van-1", 0, START_MS + 1)))
    assert [live.device_id for live in board.take_due(lambda _: None, Instant(START_MS))] == ["van-2"]

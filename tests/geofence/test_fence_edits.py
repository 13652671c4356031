"""Fences are edited while devices move: rows keep their numbers, and what was looked up before stays as good as new."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geofence import fence_book, tracks
from geofence.fence_book import FenceBook
from geofence.fences import GONE, FenceSet
from geofence.kernel import near
from geofence.rules import Rules
from geofence.visits import arrangement
from geofence.visits.arrangement import arrangement_of
from geofence.visits.evidence import REACH_M
from schemas.fence import FenceRecord, FenceVersion
from schemas.times import Instant
from tests.geofence.one_track import OneTrack, advance, look_at_changed
from tests.geofence.test_forgetting import Phone
from tests.geofence.test_tracks import METRES, START_MS, day

RULES = Rules()
PLACES_M = (-1_500, 0, 700, 1_500, 1_580, 4_000, 6_000)


def disc(north_m: float, radius_m: float, number: int = 1, from_ms: int | None = None, to_ms: int | None = None):
    point = {"type": "Point", "coordinates": [9.0, 47.0 + north_m * METRES]}
    span = {
        "valid_from_ms": None if from_ms is None else Instant(from_ms),
        "valid_to_ms": None if to_ms is None else Instant(to_ms),
    }
    return FenceVersion(number, point, radius_m=radius_m, **span)


def record(fence_id: str, *versions: FenceVersion) -> FenceRecord:
    return FenceRecord(fence_id, list(versions), Instant(0))


def drawn(random: np.random.Generator, fence_id: str) -> FenceRecord:
    """A fence of a random size somewhere, or two that take over from each other in the middle of the day."""
    north_m = float(random.choice(PLACES_M)) + float(random.choice([0, 30, 200]))
    radius_m = float(random.choice([15, 40, 120, 9_000]))
    if random.random() < 0.6:
        return record(fence_id, disc(north_m, radius_m))
    noon_ms = START_MS + int(random.integers(0, 4 * 3_600_000))
    return record(fence_id, disc(north_m, radius_m, 1, None, noon_ms), disc(north_m + 20, radius_m, 2, noon_ms, None))


def ended(known: FenceRecord, random: np.random.Generator) -> FenceRecord:
    """The same fence, but its last version ends at some time of the day."""
    last = known.versions[-1]
    north_m = (last.geometry["coordinates"][1] - 47.0) / METRES
    end_ms = START_MS + int(random.integers(4 * 3_600_000, 8 * 3_600_000))
    again = disc(north_m, last.radius_m, last.version, last.valid_from_ms, end_ms)
    again.geometry["coordinates"] = last.geometry["coordinates"]
    return record(known.fence_id, *known.versions[:-1], again)


def edit(book: FenceBook, records: dict[str, FenceRecord], random: np.random.Generator) -> set[str]:
    """Edit a few fences; returns their ids."""
    changed = {f"fence-{random.integers(0, 30):02}" for _ in range(int(random.integers(1, 4)))}
    for fence_id in sorted(changed):
        kind = random.random()
        if kind < 0.3 and fence_id in records:
            del records[fence_id]
            book.remove(fence_id)
            continue
        known = records.get(fence_id)
        records[fence_id] = ended(known, random) if known and kind < 0.6 else drawn(random, fence_id)
        book.put(records[fence_id])
    return changed


def fresh(records: dict[str, FenceRecord]) -> FenceSet:
    return FenceSet.of((each.fence_id, version) for each in records.values() for version in each.versions)


def rows_of(fences: FenceSet) -> list[tuple]:
    """What is there, whatever the order of the rows."""
    columns = (fences.version, fences.valid_from_ms, fences.valid_to_ms, fences.area_m2, row_heads(fences))
    rows = zip(fences.fence_of_row.tolist(), *(column.tolist() for column in columns), strict=True)
    return sorted((fences.fence_ids[fence], *row) for fence, *row in rows if row[0] != GONE)


def row_heads(fences: FenceSet) -> np.ndarray:
    """What the kernel reads first of each row, but for its number."""
    outlines = fences.packed.outlines
    heads = outlines.row[outlines.place]
    heads["number"] = 0
    return heads


@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([0, 5, 1_024]))
@settings(max_examples=40, deadline=None)
def test_a_book_has_the_rows_of_its_records_and_these_keep_their_numbers(seed, edits, most_gone):
    random, records = np.random.default_rng(seed), dict[str, FenceRecord]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fence_book, "MOST_GONE", most_gone)
        patch.setattr(fence_book, "PAGE_ROWS", 7)
        book = FenceBook()
        before = book.snapshot()
        for _ in range(edits):
            edit(book, records, random)
            after = book.snapshot()
            assert rows_of(after) == rows_of(fresh(records))
            if after.numbering is before.numbering:
                assert after.fence_ids[: len(before.fence_ids)] == before.fence_ids
                same = np.flatnonzero(after.edited[: len(before)] <= before.edition)
                for column in ("fence_of_row", "version", "valid_from_ms", "valid_to_ms", "min_on_site_s"):
                    assert np.array_equal(
                        getattr(after, column)[same], getattr(before, column)[same], equal_nan=column == "min_on_site_s"
                    )
                kept = np.arange(len(before))
                assert np.array_equal(row_heads(after)[kept], row_heads(before)[kept])
            before = after
        assert np.count_nonzero(before.version == GONE) <= max(most_gone, len(before) // 4)


def test_an_edit_that_changes_nothing_edits_no_row():
    book = FenceBook([record("a", disc(0, 40)), record("b", disc(700, 40))])
    before = book.snapshot()
    book.put(record("a", disc(0, 40)))
    assert np.count_nonzero(book.snapshot().edited > before.edition) == 0
    book.put(record("a", disc(0, 40, to_ms=START_MS)))
    assert np.flatnonzero(book.snapshot().edited > before.edition).tolist() == [0]


@given(st.integers(0, 10_000), st.integers(3, 60), st.integers(0, 25))
@example(4883, 3, 17)  # the path is at a place that none of its fixes is near
@settings(max_examples=40, deadline=None)
def test_with_fences_edited_between_frames_the_log_is_that_of_the_last_fences(seed, size, stacked):
    """Zones, versions that take over, fences on one spot, and so many edits that rows are numbered anew.

    Nothing is forgotten: edits leave what only the store has alone.
    """
    random, fixes = np.random.default_rng(seed), day(seed)
    records = {f"fence-{k:02}": drawn(random, f"fence-{k:02}") for k in range(8)}
    records |= {f"stack-{k:02}": record(f"stack-{k:02}", disc(0, 40 + k)) for k in range(stacked)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fence_book, "MOST_GONE", 6)
        patch.setattr(arrangement, "MOST_EDITED", 12)
        patch.setattr(tracks, "RECENT_FIXES", 100_000)
        book = FenceBook(records.values())
        phone, waiting = Phone(book.snapshot()), set[str]()
        for first in range(0, len(fixes), size):
            if random.random() < 0.3:
                waiting |= edit(book, records, random)
                phone.fences = book.snapshot()
                if random.random() < 0.7:
                    phone.look_at(waiting)
                    waiting = set()
            phone.send(fixes.take(slice(first, first + size)), size)
        phone.look_at(waiting)
        told, phone.fences = phone.log(), fresh(records)
        assert told == phone.true_log()


class Spots:
    """Points whose surroundings are looked up again where fences were edited near them, and nowhere else."""

    def __init__(self, random: np.random.Generator) -> None:
        self.lat = 47.0 + METRES * (random.choice(PLACES_M, 40) + random.normal(0, 60, 40))
        self.lon = 9.0 + METRES * random.normal(0, 60, 40)
        self.near: dict[int, tuple[np.ndarray, int]] = {}
        self.fences: FenceSet | None = None

    def look_up(self, fences: FenceSet) -> None:
        known, lineage = arrangement_of(fences, after=self.fences), self.fences and arrangement_of(self.fences).lineage
        if known.lineage is lineage:
            edited = known.edited_since(self.fences.edition)
            touched = set(near(edited.where, self.lat, self.lon, REACH_M).point.tolist())
            self.near = {
                at: (rows, group)
                for at, (rows, group) in self.near.items()
                if at not in touched and not edited.rows[rows].any()
            }
        else:
            self.near = {}
        missing = np.array([at for at in range(len(self.lat)) if at not in self.near], np.int64)
        found = near(fences.packed, self.lat[missing], self.lon[missing], REACH_M)
        held = fences.version[found.row] != GONE
        groups = known.groups(found, held, len(missing))
        for k, at in enumerate(missing.tolist()):
            self.near[at] = found.row[held & (found.point == k)], int(groups[k])
        self.fences = fences

    def cells(self, at: int) -> set[tuple]:
        """The cells around a point: the fences of each, its rows and what is cut out of them, by their ids."""
        (rows, group), fences = self.near[at], self.fences
        overlaps = arrangement_of(fences).overlaps

        def ids(some: np.ndarray) -> tuple:
            return tuple(sorted((fences.fence_ids[fences.fence_of_row[row]], int(fences.version[row])) for row in some))

        among = overlaps.row[overlaps.row_begins[group] : overlaps.row_begins[group + 1]] if group >= 0 else rows[:0]
        cells = {(ids([row]), ids([row]), ()) for row in rows if row not in among}
        for c in range(overlaps.cell_begins[group], overlaps.cell_begins[group + 1]) if group >= 0 else ():
            members = among[overlaps.term[overlaps.member_begins[c] : overlaps.cut_begins[c]]]
            cut = among[overlaps.term[overlaps.cut_begins[c] : overlaps.member_begins[c + 1]]]
            cells.add((ids(members), ids(members), ids(cut)))
        return cells


@given(st.integers(0, 10_000), st.integers(0, 20), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_cells_are_those_of_fences_that_were_never_edited(seed, stacked, edits):
    random = np.random.default_rng(seed)
    records = {f"fence-{k:02}": record(f"fence-{k:02}", disc(0, 100)) for k in range(4)}
    for k in range(stacked):
        records[f"stack-{k:02}"] = record(
            f"stack-{k:02}", disc(float(random.normal(0, 30)), float(random.choice([30, 60])))
        )
    book, spots = FenceBook(records.values()), Spots(random)
    for _ in range(edits):
        for fence_id in {f"fence-{random.integers(0, 8):02}" for _ in range(2)}:
            if random.random() < 0.3 and fence_id in records:
                del records[fence_id]
                book.remove(fence_id)
            else:
                north_m = float(random.choice(PLACES_M)) * (random.random() < 0.5) + float(random.normal(0, 30))
                records[fence_id] = record(fence_id, disc(north_m, float(random.choice([20, 60, 300, 9_000]))))
                book.put(records[fence_id])
        spots.look_up(book.snapshot())
        anew = Spots(random)
        anew.lat, anew.lon = spots.lat, spots.lon
        anew.look_up(fresh(records))
        for at in range(len(spots.lat)):
            assert spots.cells(at) == anew.cells(at)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_an_edit_far_from_a_device_leaves_what_was_looked_up(seed):
    fixes = day(seed)
    book, track = FenceBook([record("bakery", disc(0, 40)), record("far", disc(90_000, 40))]), OneTrack()
    advance(track, fixes, book.snapshot(), RULES)
    path = track.tracks._devices.paths.heads[track.slot].copy()
    reloaded = []
    track.tracks._reload = lambda slots, *_: reloaded.extend(slots.tolist())
    book.put(record("far", disc(91_000, 40)))
    book.put(record("farther", disc(95_000, 40)))
    look_at_changed(track, book.snapshot(), RULES, {"far", "farther"})
    assert reloaded == []
    assert track.tracks._devices.paths.heads[track.slot] == path
    book.put(record("another bakery", disc(0, 9_000)))
    look_at_changed(track, book.snapshot(), RULES, {"another bakery"})
    assert reloaded == [track.slot]

"""How the fences of a set overlap.

Fences that overlap form an arrangement: "the zone only", "the workshop in the zone". Its cells hold several fences at
once. What has been found out about one edition of a set of fences holds for the next one but where it was edited.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple, Self
from weakref import WeakKeyDictionary

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fences import GONE, FenceSet
from geofence.geodesy import metres_per_degree
from geofence.kernel import Near, PackedFences, near, pack_boxes
from geofence.outlines import boxes_of
from geofence.visits.cells import FIRST_SHARED, fences_at
from geofence.visits.ground import ground_of, span_of

SAMPLES_A_SIDE: Final = 24
COARSE_SAMPLES_A_SIDE: Final = 6
STACK: Final = 16
"""Where more fences than this lie on one spot, coarse samples and the commonest cell of each must do: the work grows
with the square of the fences, and of the cells."""

SAMPLED_AT_ONCE: Final = 256

MOST_EDITED: Final = 4_096
"""Where more rows have been edited at once nothing is taken over."""

SLIVER: Final = 0.03
"""A cell with less than this share of every fence it belongs to is an accident of drawing."""

Place = tuple[int, ...]
"""The fences (indices into ``FenceSet.fence_ids``) that hold in a cell, in the order of their ids."""


class Overlaps(NamedTuple):
    """The cells of overlapping rows, by the *groups* of such rows that were met together near a fix.

    Group g has the rows ``row[row_begins[g]:row_begins[g + 1]]`` and the cells ``cell_begins[g]`` to
    ``cell_begins[g + 1]``. Cell c is the place ``place[c]``: the number of its fence, or ``FIRST_SHARED + p`` for the
    fences ``place_fence[place_begins[p]:place_begins[p + 1]]``. Counted among the rows of the group, its members are
    ``term[member_begins[c]:cut_begins[c]]``, and what is cut out of them ``term[cut_begins[c]:member_begins[c + 1]]``.
    """

    row_begins: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    cell_begins: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    member_begins: npt.NDArray[np.int32]
    cut_begins: npt.NDArray[np.int32]
    term: npt.NDArray[np.int32]
    place_begins: npt.NDArray[np.int32]
    place_fence: npt.NDArray[np.int32]


class Edited(NamedTuple):
    """What was edited: ``rows`` bool[n], those of the fences concerned, and ``where`` their boxes are."""

    rows: npt.NDArray[np.bool_]
    where: PackedFences


class Arrangement:
    """How the rows of a fence set overlap, found by sampling each row once, when it is first needed.

    ``known`` bool[n]: rows that were sampled; ``shared`` bool[n]: those of them that overlap others. ``overlaps`` knows
    all groups that ``groups`` has given out.

    With what an earlier edition's arrangement knew it goes on ``after`` that one, which is not to be asked any more.
    """

    def __init__(self, fences: FenceSet, after: Self | None = None) -> None:
        self.ground = ground_of(fences)
        # Not the set itself: it is kept alive by whoever uses it, and the arrangement as long as the set.
        self._fence_ids, self._number_of, self._packed = fences.fence_ids, fences.names.number_of, fences.packed
        self._edited, self.edition = fences.edited, fences.edition
        self._reserved = {row: devices for row, devices in enumerate(fences.devices) if devices is not None}
        self._here = fences.version != GONE
        self._edited_since: dict[int, Edited] = {}
        nothing, from_zero = np.zeros(0, np.int32), np.zeros(1, np.int32)
        if after is None:
            self.lineage = object()
            self._parts: dict[int, list[tuple[frozenset[int], int]]] = {}
            self._group_of: dict[tuple[int, ...], int] = {}
            self._places: dict[Place, int] = {}
            self.overlaps = Overlaps(
                from_zero, nothing, from_zero, nothing, from_zero, nothing, nothing, from_zero, nothing
            )
            self.known, self.shared, self._crowded = (np.zeros(len(fences), np.bool_) for _ in range(3))
            self._redrawn = np.zeros(len(fences), np.int64)
        else:
            self.lineage, self.overlaps = after.lineage, after.overlaps
            self._parts, self._group_of, self._places = after._parts, after._group_of, after._places
            new = np.zeros(len(fences) - len(after.known), np.bool_)
            self.known, self.shared, self._crowded = (
                np.append(each, new) for each in (after.known, after.shared, after._crowded)
            )
            self._redrawn = np.append(after._redrawn, new.astype(np.int64))
            self._meet_edited(after.edition)

    def _meet_edited(self, edition: int) -> None:
        """Sample rows again that were edited, and those around them, once they are met.

        Cells of rows that were there before stay what they were, whatever has come or gone; but not where many rows lie
        on one spot, as samples are coarser there.
        """
        edited = np.flatnonzero(self._edited > edition).astype(np.int32)
        around = np.unique(self._around(edited)[1])
        stale = around[self.known[around] & self._here[around]]
        self.known[edited] = self.known[stale] = False
        redrawn = stale[self._crowded[stale] | (self._rows_around(stale) > STACK)]
        self._redrawn[redrawn] = self.edition
        if len(redrawn):
            drawn_anew = set(redrawn.tolist())
            self._group_of = {rows: group for rows, group in self._group_of.items() if drawn_anew.isdisjoint(rows)}

    def edited_since(self, edition: int) -> Edited:
        """What was edited after an earlier edition."""
        edited = self._edited_since.get(edition)
        if edited is None:
            of_fence = np.zeros(len(self._fence_ids), np.bool_)
            of_fence[self.ground.fence_of_row[np.maximum(self._edited, self._redrawn) > edition]] = True
            rows = of_fence[self.ground.fence_of_row]
            boxes = boxes_of(self._packed.outlines, np.flatnonzero(rows).astype(np.int32))
            edited = self._edited_since[edition] = Edited(rows, pack_boxes(boxes.T))
        return edited

    def barred(self, device_of: Callable[[int], str], found: Near) -> npt.NDArray[np.int64]:
        """The pairs whose row is for other devices only; ``device_of`` a point tells whose it is."""
        reserved = self._reserved
        if not reserved:
            return np.zeros(0, np.int64)
        pairs = np.flatnonzero(np.isin(found.row, list(reserved)))
        whose = zip(pairs.tolist(), found.row[pairs].tolist(), found.point[pairs].tolist(), strict=True)
        return np.array([pair for pair, row, point in whose if device_of(point) not in reserved[row]], np.int64)

    def label_of(self, fence_ids: Collection[str]) -> int | None:
        """The label of where just these fences hold: 0 outside, place + 1; None where no such place is known."""
        if not self._number_of.keys() >= set(fence_ids):
            return None
        fences = tuple(self._number_of[fence_id] for fence_id in sorted(fence_ids))
        if any(self.ground.row_begins[fence] == self.ground.row_begins[fence + 1] for fence in fences):
            return None  # one of them is gone
        place = fences[0] if len(fences) == 1 else self._places.get(fences, None if fences else -1)
        return None if place is None else place + 1

    def fences_of(self, label: int) -> tuple[str, ...]:
        """The ids of the fences that hold where a label is, in order."""
        if label == 0:
            return ()
        first, end = fences_at(label - 1, self.overlaps)
        fences = [label - 1] if first < 0 else self.overlaps.place_fence[first:end].tolist()
        return tuple(self._fence_ids[fence] for fence in fences)

    def period_at(self, fence_id: str, moment_ms: int) -> tuple[int, int] | None:
        """The number of a fence, and its period in which a moment lies."""
        if fence_id not in self._number_of:
            return None
        ground, fence = self.ground, self._number_of[fence_id]
        turn = ground.row_begins[fence]
        while turn < ground.row_begins[fence + 1]:
            period, turn = int(ground.ordered_row[turn]), ground.period_end[turn]
            from_ms, to_ms = span_of(ground, period)
            if from_ms <= moment_ms < to_ms:
                return fence, period
        return None

    def groups(self, found: Near, held: npt.NDArray[np.bool_], fixes: int) -> npt.NDArray[np.int32]:
        """The group of the overlapping rows that hold near each of some fixes; -1 where there are none."""
        new = np.unique(found.row[held & ~self.known[found.row]])
        if len(new):
            self._sample(new)
        among = held & self.shared[found.row]
        alike, first, count = _alike(found.point, found.row, among, fixes)
        rows = found.row[among]
        met = [tuple(rows[begin : begin + size].tolist()) for begin, size in zip(first, count, strict=True)]
        self._learn([each for each in met if each not in self._group_of])
        numbers = np.array([*map(self._group_of.__getitem__, met), -1], np.int32)
        group: npt.NDArray[np.int32] = numbers[alike]
        return group

    def _learn(self, met: Iterable[tuple[int, ...]]) -> None:
        """Work out the cells of groups of rows."""
        row: list[int] = []
        place: list[int] = []
        cut_begins: list[int] = []
        term: list[int] = []
        place_fence: list[int] = []
        known = self.overlaps
        row_begins, cell_begins, member_begins, place_begins = (
            [int(begins[-1])]
            for begins in (known.row_begins, known.cell_begins, known.member_begins, known.place_begins)
        )
        for rows in met:
            self._group_of[rows] = len(known.row_begins) + len(row_begins) - 2
            row += rows
            row_begins.append(row_begins[-1] + len(rows))
            for fences, members, cut in self._cells_of(rows):
                if len(fences) > 1 and fences not in self._places:
                    self._places[fences] = FIRST_SHARED + len(self._places)
                    place_fence += fences
                    place_begins.append(place_begins[-1] + len(fences))
                place.append(fences[0] if len(fences) == 1 else self._places[fences])
                cut_begins.append(member_begins[-1] + len(members))
                member_begins.append(cut_begins[-1] + len(cut))
                term += members + cut
            cell_begins.append(cell_begins[0] + len(place))
        groups, cells = (row_begins[1:], row, cell_begins[1:]), (place, member_begins[1:], cut_begins, term)
        more = (*groups, *cells, place_begins[1:], place_fence)
        self.overlaps = Overlaps(
            *(np.append(old, np.array(new, np.int32)) for old, new in zip(known, more, strict=True))
        )

    def _sample(self, rows: npt.NDArray[np.int32]) -> None:
        """Find the sets of rows that hold together within each of some rows, and the number of samples in each."""
        self.known[rows] = True
        neighbours = self._rows_around(rows)
        parts = {row: [(frozenset((row,)), 1)] for row in rows[neighbours == 1].tolist()}
        self._crowded[rows] = neighbours > STACK
        crowded = self._sets_within(rows[neighbours > STACK], COARSE_SAMPLES_A_SIDE)
        parts |= {row: sets for row, sets in crowded.items() if any(len(together) > STACK for together, _ in sets)}
        parts |= self._sets_within(rows[~np.isin(rows, list(parts))], SAMPLES_A_SIDE)
        self._parts |= parts
        # Samples of a large fence may step over a small one within it, never the other way round.
        for together in {together for sets in parts.values() for together, _ in sets if len(together) > 1}:
            self.shared[list(together)] = True

    def _rows_around(self, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """How many rows come within the circle around the box of each."""
        return np.bincount(self._around(rows)[0], minlength=len(rows))

    def _around(self, rows: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """The rows within the circle around the box of each of some: which of these, and which row.

        Those of like size are looked up together.
        """
        west, south, east, north = boxes_of(self._packed.outlines, rows)
        lon, lat = (west + east) / 2.0, (south + north) / 2.0
        lon_m, lat_m = np.array([metres_per_degree(each) for each in lat.tolist()]).reshape(-1, 2).T
        around_m = 0.51 * np.hypot((east - west) * lon_m, (north - south) * lat_m)
        size = np.ceil(np.log2(np.maximum(around_m, 1.0)))
        which, around = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for each in np.unique(size):
            alike = np.flatnonzero(size == each)
            margin_m = float(around_m[alike].max())
            found = self._near(lat[alike], (lon[alike] + 180.0) % 360.0 - 180.0, margin_m)
            within = found.distance_m <= around_m[alike][found.point]
            which.append(alike[found.point[within]])
            around.append(found.row[within])
        return np.concatenate(which), np.concatenate(around)

    def _near(self, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], margin_m: float) -> Near:
        """The rows near points that are there."""
        found = near(self._packed, lat, lon, margin_m)
        here = self._here[found.row]
        return found if here.all() else Near(*(column[here] for column in found))

    def _sets_within(
        self, rows: npt.NDArray[np.int32], samples_a_side: int
    ) -> dict[int, list[tuple[frozenset[int], int]]]:
        """The sets of rows that hold together on a grid of samples within each of some rows, and how often they do."""
        sets: dict[int, list[tuple[frozenset[int], int]]] = {row: [] for row in rows.tolist()}
        fractions = (np.arange(samples_a_side) + 0.5) / samples_a_side
        for begin in range(0, len(rows), SAMPLED_AT_ONCE):
            some = rows[begin : begin + SAMPLED_AT_ONCE]
            west, south, east, north = boxes_of(self._packed.outlines, some)[:, :, None, None]
            lon, lat = west + fractions * (east - west), south + fractions[:, None] * (north - south)
            lon, lat = (np.ravel(each) for each in np.broadcast_arrays((lon + 180.0) % 360.0 - 180.0, lat))
            found = self._near(lat, lon, 0.0)
            alike, first, count = _alike(found.point, found.row, np.ones(len(found.row), np.bool_), len(lat))
            own = found.point // samples_a_side**2
            within = some[own] == found.row
            met = own[within].astype(np.int64) * len(first) + alike[found.point[within]]
            for key, samples in zip(*(each.tolist() for each in np.unique(met, return_counts=True)), strict=True):
                at, number = divmod(key, len(first))
                together = frozenset(found.row[first[number] : first[number] + count[number]].tolist())
                sets[int(some[at])].append((together, samples))
        return sets

    def _cells_of(self, rows: tuple[int, ...]) -> list[tuple[Place, list[int], list[int]]]:
        """The cells of rows that hold at one moment: (place, members, what is cut out), as positions in ``rows``."""
        among = frozenset(rows)
        kept: set[frozenset[int]] = set()
        for row in rows:
            tally: Counter[frozenset[int]] = Counter()
            for members, count in self._parts.get(row, ()):
                tally[members & among] += count
            if len(rows) > STACK and tally:
                kept.add(max(tally, key=lambda members: (tally[members], sorted(map(self._name_of, members)))))
                continue
            least = SLIVER * tally.total()
            kept.update(members for members, count in tally.items() if count >= least)
            if not tally:
                kept.add(frozenset((row,)))
        cells = []
        position = {row: at for at, row in enumerate(rows)}
        for members in sorted(kept, key=sorted):
            touching = frozenset().union(*(other for other in kept if not other.isdisjoint(members)))
            at, cut_at = ([position[row] for row in sorted(part)] for part in (members, touching - members))
            cells.append((self._place(members), at, cut_at))
        return cells

    def _name_of(self, row: int) -> tuple[str, int]:
        """What a row is called whatever its number: its fence and when it began to hold."""
        return self._fence_ids[self.ground.fence_of_row[row]], int(self.ground.valid_from_ms[row])

    def _place(self, rows: Collection[int]) -> Place:
        fences = {int(self.ground.fence_of_row[row]) for row in rows}
        return tuple(sorted(fences, key=self._fence_ids.__getitem__))


_ARRANGEMENTS: Final[WeakKeyDictionary[FenceSet, Arrangement]] = WeakKeyDictionary()


def arrangement_of(fences: FenceSet, after: FenceSet | None = None) -> Arrangement:
    """The arrangement of a fence set, kept as long as the set is.

    ``after`` is an earlier edition, not to be used any more, of which all that is known is taken over.
    """
    arrangement = _ARRANGEMENTS.get(fences)
    if arrangement is None:
        before = None if after is None or not _goes_on(after, fences) else arrangement_of(after)
        arrangement = _ARRANGEMENTS[fences] = Arrangement(fences, before)
    return arrangement


def _goes_on(before: FenceSet, fences: FenceSet) -> bool:
    """Whether a set is a later edition of another, with not much edited."""
    if fences.numbering is not before.numbering or fences.edition < before.edition:
        return False
    return int(np.count_nonzero(fences.edited > before.edition)) <= MOST_EDITED


@nb.njit(cache=True, nogil=True)
def _alike(point: Any, row: Any, among: Any, fixes: int) -> Any:
    """Which fixes are near the same rows ``among`` all pairs: a number int32[fixes] for each such set, -1 without rows.

    Also where, among these rows, each set's first occurrence begins, and how many they are.
    """
    number = np.full(fixes, -1, np.int32)
    rows = row[among]
    points = point[among]
    first = np.empty(len(rows), np.int64)
    count = np.empty(len(rows), np.int64)
    slots = 16
    while slots < 2 * len(rows):
        slots *= 2
    set_in = np.full(slots, -1, np.int64)
    sets = 0
    begin = 0
    while begin < len(rows):
        end = begin + 1
        digest = np.int64(rows[begin])
        while end < len(rows) and points[end] == points[begin]:
            digest = digest * 1_000_003 ^ rows[end]
            end += 1
        slot = (digest ^ (digest >> 17)) & (slots - 1)
        while True:
            at = set_in[slot]
            if at < 0:
                at = set_in[slot] = sets
                first[at], count[at] = begin, end - begin
                sets += 1
            same = count[at] == end - begin
            if same and np.array_equal(rows[first[at] : first[at] + count[at]], rows[begin:end]):
                break
            slot = (slot + 1) & (slots - 1)
        number[points[begin]] = at
        begin = end
    return number, first[:sets], count[:sets]

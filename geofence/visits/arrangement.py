"""What compiled code reads of a fence set, and how its fences overlap.

Fences that overlap form an arrangement: "the zone only", "the workshop in the zone". Its cells hold several fences at
once.
"""

import math
from collections import Counter
from collections.abc import Collection
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import DEGREE_E7
from geofence.geodesy import metres_per_degree
from geofence.kernel import Near, PackedFences, near

SAMPLES_A_SIDE: Final = 24
COARSE_SAMPLES_A_SIDE: Final = 6
STACK: Final = 16
"""Where more fences than this lie on one spot, coarse samples and the commonest cell of each must do: the work grows
with the square of the fences, and of the cells."""

SLIVER: Final = 0.03
"""A cell with less than this share of every fence it belongs to is an accident of drawing."""

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees."""

Place = tuple[int, ...]
"""The fences (indices into ``FenceSet.fence_ids``) that hold in a cell, in the order of their ids."""


class Ground(NamedTuple):
    """A fence set as columns, those of ``FenceSet`` and what follows from them.

    ``rank`` int64[f]: where a fence's id comes among all ids. A *period* is a span of event time in which a fence holds
    without a pause: fence f has the periods ``period_begins[f]`` to ``period_begins[f + 1]``, and period p the rows
    ``period_row[period_row_begins[p]:period_row_begins[p + 1]]``, one taking over from the other.
    """

    fence_of_row: npt.NDArray[np.int32]
    valid_from_ms: npt.NDArray[np.int64]
    valid_to_ms: npt.NDArray[np.int64]
    min_on_site_s: npt.NDArray[np.float64]
    bridge_s: npt.NDArray[np.float64]
    bridge_m: npt.NDArray[np.float64]
    prior_weight: npt.NDArray[np.float64]
    area_m2: npt.NDArray[np.float64]
    width_m: npt.NDArray[np.float64]
    rank: npt.NDArray[np.int64]
    period_begins: npt.NDArray[np.int64]
    period_row_begins: npt.NDArray[np.int64]
    period_row: npt.NDArray[np.int64]


class Overlaps(NamedTuple):
    """The cells of the overlapping rows near some fixes.

    ``group`` int32[n] by fix, -1 without such rows, empty where no fix has any; ``shared`` bool by row of the fence
    set. Group g has the cells ``cell_begins[g]`` to ``cell_begins[g + 1]``. Cell c has the number ``place[c]``: that of
    its fence, or ``fences + p`` for the fences ``place_fence[place_begins[p]:place_begins[p + 1]]``. Counted among the
    shared rows of a fix, its members are ``term[member_begins[c]:cut_begins[c]]``, and what is cut out of them
    ``term[cut_begins[c]:member_begins[c + 1]]``.
    """

    group: npt.NDArray[np.int32]
    shared: npt.NDArray[np.bool_]
    cell_begins: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    member_begins: npt.NDArray[np.int32]
    cut_begins: npt.NDArray[np.int32]
    term: npt.NDArray[np.int32]
    place_begins: npt.NDArray[np.int32]
    place_fence: npt.NDArray[np.int32]


class Arrangement:
    """How the rows of a fence set overlap, found by sampling each row once, when it is first needed.

    ``known`` bool[n]: rows that were sampled; ``shared`` bool[n]: those of them that overlap others.
    """

    def __init__(self, fences: FenceSet) -> None:
        self.ground = _ground(fences)
        self.known = np.zeros(len(fences), np.bool_)
        self.shared = np.zeros(len(fences), np.bool_)
        self._fence_ids = fences.fence_ids
        self._packed = fences.packed
        self._reserved = {row: devices for row, devices in enumerate(fences.devices) if devices is not None}
        self._parts: dict[int, list[tuple[frozenset[int], int]]] = {}
        self._cells: dict[tuple[int, ...], list[tuple[Place, list[int], list[int]]]] = {}
        nothing = np.zeros(0, np.int32)
        self.no_overlaps = Overlaps(nothing, self.shared, *[nothing] * 7)

    def barred(self, device_id: str, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Those of the rows that are for other devices only."""
        reserved = self._reserved
        if not reserved:
            return self.no_overlaps.place
        everyone = (device_id,)
        return np.array([row for row in set(rows.tolist()) if device_id not in reserved.get(row, everyone)], np.int32)

    def overlaps(self, found: Near, held: npt.NDArray[np.bool_], fixes: int) -> Overlaps:
        """The cells of the overlapping rows that hold near each of some fixes."""
        for row in np.unique(found.row[held & ~self.known[found.row]]).tolist():
            self.known[row] = True
            self._parts[row] = self._sample(row)
            # Samples of a large fence may step over a small one within it, never the other way round.
            for together, _ in self._parts[row]:
                if len(together) > 1:
                    self.shared[list(together)] = True
        group, first, count = _groups(found.point, found.row, held & self.shared[found.row], fixes)
        if not len(first):
            return self.no_overlaps
        cell_begins, place, member_begins, cut_begins = [0], [], [0], []
        term: list[int] = []
        numbers: dict[Place, int] = {}
        rows = found.row[held & self.shared[found.row]]
        for begin, size in zip(first.tolist(), count.tolist(), strict=True):
            for fences, members, cut in self._cells_of(tuple(rows[begin : begin + size].tolist())):
                alone = len(fences) == 1
                place.append(fences[0] if alone else numbers.setdefault(fences, len(self._fence_ids) + len(numbers)))
                cut_begins.append(len(term) + len(members))
                term += members + cut
                member_begins.append(len(term))
            cell_begins.append(len(place))
        place_begins = np.cumsum([0, *map(len, numbers)])
        place_fence = [fence for fences in numbers for fence in fences]
        columns = (cell_begins, place, member_begins, cut_begins, term, place_begins, place_fence)
        return Overlaps(group, self.shared, *(np.array(column, np.int32) for column in columns))

    def _sample(self, row: int) -> list[tuple[frozenset[int], int]]:
        """Sets of rows that hold together within ``row`` at some moment, with the number of samples in each."""
        box = _box(self._packed, row)
        neighbours = self._rows_around(box)
        if neighbours == 1:
            return [(frozenset((row,)), 1)]
        if neighbours > STACK:
            coarse = self._sets_within(row, box, COARSE_SAMPLES_A_SIDE)
            if any(len(rows) > STACK for rows, _ in coarse):
                return coarse
        return self._sets_within(row, box, SAMPLES_A_SIDE)

    def _rows_around(self, box: Box) -> int:
        """How many rows come within the circle around a box."""
        west, south, east, north = box
        lon, lat = (west + east) / 2.0, (south + north) / 2.0
        lon_m, lat_m = metres_per_degree(lat)
        around_m = 0.51 * math.hypot((east - west) * lon_m, (north - south) * lat_m)
        return len(near(self._packed, np.array([lat]), np.array([(lon + 180.0) % 360.0 - 180.0]), around_m).row)

    def _sets_within(self, row: int, box: Box, samples_a_side: int) -> list[tuple[frozenset[int], int]]:
        west, south, east, north = box
        fractions = (np.arange(samples_a_side) + 0.5) / samples_a_side
        lon, lat = np.meshgrid(west + fractions * (east - west), south + fractions * (north - south))
        found = near(self._packed, lat.ravel(), (lon.ravel() + 180.0) % 360.0 - 180.0, 0.0)
        if (found.row == row).all():
            return [(frozenset((row,)), len(found.row))] if len(found.row) else []
        within = found.point[found.row == row]
        begins, ends = np.searchsorted(found.point, within), np.searchsorted(found.point, within, side="right")
        alike = Counter(found.row[begin:end].tobytes() for begin, end in zip(begins, ends, strict=True))
        return [(frozenset(np.frombuffer(rows, found.row.dtype).tolist()), count) for rows, count in alike.items()]

    def _cells_of(self, rows: tuple[int, ...]) -> list[tuple[Place, list[int], list[int]]]:
        """The cells of rows that hold at one moment: (place, members, what is cut out), as positions in ``rows``."""
        known = self._cells.get(rows)
        if known is not None:
            return known
        among = frozenset(rows)
        kept: set[frozenset[int]] = set()
        for row in rows:
            tally: Counter[frozenset[int]] = Counter()
            for members, count in self._parts.get(row, ()):
                tally[members & among] += count
            if len(rows) > STACK and tally:
                kept.add(max(tally, key=lambda members: (tally[members], sorted(members))))
                continue
            least = SLIVER * tally.total()
            kept.update(members for members, count in tally.items() if count >= least)
            if not tally:
                kept.add(frozenset((row,)))
        cells = self._cells[rows] = []
        position = {row: at for at, row in enumerate(rows)}
        for members in sorted(kept, key=sorted):
            touching = frozenset().union(*(other for other in kept if not other.isdisjoint(members)))
            at, cut_at = ([position[row] for row in sorted(part)] for part in (members, touching - members))
            cells.append((self._place(members), at, cut_at))
        return cells

    def _place(self, rows: Collection[int]) -> Place:
        fences = {int(self.ground.fence_of_row[row]) for row in rows}
        return tuple(sorted(fences, key=self._fence_ids.__getitem__))


_ARRANGEMENTS: WeakKeyDictionary[FenceSet, Arrangement] = WeakKeyDictionary()


def arrangement_of(fences: FenceSet) -> Arrangement:
    """The arrangement of a fence set, kept as long as the set is."""
    arrangement = _ARRANGEMENTS.get(fences)
    if arrangement is None:
        arrangement = _ARRANGEMENTS[fences] = Arrangement(fences)
    return arrangement


def _ground(fences: FenceSet) -> Ground:
    count = len(fences.fence_ids)
    rank = np.empty(count, np.int64)
    rank[sorted(range(count), key=fences.fence_ids.__getitem__)] = np.arange(count)
    rows = np.lexsort((fences.valid_from_ms, fences.fence_of_row))
    fence = fences.fence_of_row[rows]
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = (fence[1:] != fence[:-1]) | (fences.valid_to_ms[rows[:-1]] != fences.valid_from_ms[rows[1:]])
    return Ground(
        fence_of_row=fences.fence_of_row,
        valid_from_ms=fences.valid_from_ms,
        valid_to_ms=fences.valid_to_ms,
        min_on_site_s=fences.min_on_site_s,
        bridge_s=fences.bridge_s,
        bridge_m=fences.bridge_m,
        prior_weight=fences.prior_weight,
        area_m2=fences.area_m2,
        width_m=fences.width_m,
        rank=rank,
        period_begins=np.searchsorted(fence[starts], np.arange(count + 1)),
        period_row_begins=np.append(np.flatnonzero(starts), len(rows)),
        period_row=rows,
    )


def _box(packed: PackedFences, row: int) -> Box:
    blocks = packed.block_box[packed.row_blocks[row] : packed.row_blocks[row + 1]] / DEGREE_E7
    lon, lat = packed.center[row]
    lon_m, lat_m = metres_per_degree(lat)
    wide, high = packed.radius_m[row] / max(lon_m, 1.0), packed.radius_m[row] / lat_m
    return (
        lon + blocks[:, 0].min() - wide,
        lat + blocks[:, 1].min() - high,
        lon + blocks[:, 2].max() + wide,
        lat + blocks[:, 3].max() + high,
    )


@nb.njit(cache=True, nogil=True)
def _groups(point: Any, row: Any, among: Any, fixes: int) -> Any:
    """Which fixes are near the same rows ``among`` all pairs: their group int32[fixes], -1 without such rows.

    Also where, among these rows, each group's first occurrence begins, and how many they are.
    """
    group = np.full(fixes, -1, np.int32)
    rows = row[among]
    points = point[among]
    first = np.empty(len(rows), np.int64)
    count = np.empty(len(rows), np.int64)
    groups = 0
    begin = 0
    while begin < len(rows):
        end = begin + 1
        while end < len(rows) and points[end] == points[begin]:
            end += 1
        at = 0
        while at < groups:
            if count[at] == end - begin and np.array_equal(rows[first[at] : first[at] + count[at]], rows[begin:end]):
                break
            at += 1
        if at == groups:
            first[at] = begin
            count[at] = end - begin
            groups += 1
        group[points[begin]] = at
        begin = end
    return group, first[:groups], count[:groups]

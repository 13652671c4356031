"""From fences to cells: places of which a device can only be in one.

Fences that overlap form an arrangement: "the zone only", "the workshop in the zone". Their cells hold several fences at
once; cells of fences that merely adjoin exclude each other and compete for the same fixes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import DEGREE_E7
from geofence.geodesy import metres_per_degree
from geofence.kernel import Near, PackedFences, near
from geofence.visits.evidence import site_prior

SAMPLES_A_SIDE: Final = 24
SLIVER: Final = 0.03
"""A cell with less than this share of every fence it belongs to is an accident of drawing."""

Place = tuple[int, ...]
"""The fences (indices into ``FenceSet.fence_ids``) that hold in a cell."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells within reach of each of n fixes.

    Fix ``i`` has the entries ``begins[i]`` to ``begins[i + 1]`` (int64[n + 1]) of ``cell`` int32, ``distance_m``,
    ``width_m`` and ``prior`` float64. ``places[c]`` are the fences of cell c, in the order of their ids.
    """

    begins: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int32]
    distance_m: npt.NDArray[np.float64]
    width_m: npt.NDArray[np.float64]
    prior: npt.NDArray[np.float64]
    places: tuple[Place, ...]

    def allied(self) -> npt.NDArray[np.bool_]:
        """bool[c, c]: whether two cells share a fence."""
        allied = np.eye(len(self.places), dtype=np.bool_)
        several: dict[int, list[int]] = {}
        for c, place in enumerate(self.places):
            for fence in place:
                several.setdefault(fence, []).append(c)
        for cells in several.values():
            if len(cells) > 1:
                allied[np.ix_(cells, cells)] = True
        return allied


class Arrangement:
    """How the rows of a fence set overlap, found by sampling each row once, when it is first needed.

    ``shared`` bool[n]: rows known to overlap others; ``reserved``: rows that are not for every device.
    """

    def __init__(self, fences: FenceSet) -> None:
        self._fences = fences
        self.reserved = [row for row, devices in enumerate(fences.devices) if devices is not None]
        self._known = np.zeros(len(fences), np.bool_)
        self.shared = np.zeros(len(fences), np.bool_)
        self._parts: dict[int, list[tuple[frozenset[int], int]]] = {}
        self._cells: dict[tuple[int, ...], list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}

    def learn(self, rows: npt.NDArray[np.int32]) -> None:
        """Sample the rows that were not seen before."""
        for row in np.unique(rows[~self._known[rows]]).tolist():
            self._known[row] = True
            self._parts[row] = parts = self._sample(row)
            self.shared[row] = any(len(members) > 1 for members, _ in parts)

    def cells(self, rows: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The cells of rows that hold at one moment: (members, rows cut out of them)."""
        known = self._cells.get(rows)
        if known is None:
            known = self._cells[rows] = self._cells_of(rows)
        return known

    def _sample(self, row: int) -> list[tuple[frozenset[int], int]]:
        """Sets of rows that hold together within ``row`` at some moment, with the number of samples in each."""
        west, south, east, north = _box(self._fences.packed, row)
        fractions = (np.arange(SAMPLES_A_SIDE) + 0.5) / SAMPLES_A_SIDE
        lon, lat = np.meshgrid(west + fractions * (east - west), south + fractions * (north - south))
        found = near(self._fences.packed, lat.ravel(), (lon.ravel() + 180.0) % 360.0 - 180.0, 0.0)
        with_row = np.isin(found.point, found.point[found.row == row])
        members: dict[int, set[int]] = {}
        for point, other in zip(found.point[with_row].tolist(), found.row[with_row].tolist(), strict=True):
            members.setdefault(point, set()).add(other)
        return list(Counter(frozenset(rows) for rows in members.values()).items())

    def _cells_of(self, rows: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        among = frozenset(rows)
        kept: set[frozenset[int]] = set()
        for row in rows:
            tally: Counter[frozenset[int]] = Counter()
            for members, count in self._parts.get(row, ()):
                tally[members & among] += count
            least = SLIVER * tally.total()
            kept.update(members for members, count in tally.items() if count >= least)
            if not tally:
                kept.add(frozenset((row,)))
        cells = []
        for members in sorted(kept, key=sorted):
            touching = frozenset().union(*(other for other in kept if not other.isdisjoint(members)))
            cells.append((tuple(sorted(members)), tuple(sorted(touching - members))))
        return cells


def _box(packed: PackedFences, row: int) -> tuple[float, float, float, float]:
    """West, south, east, north of a row, degrees."""
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


_ARRANGEMENTS: WeakKeyDictionary[FenceSet, Arrangement] = WeakKeyDictionary()


def arrangement_of(fences: FenceSet) -> Arrangement:
    """The arrangement of a fence set, kept as long as the set is."""
    arrangement = _ARRANGEMENTS.get(fences)
    if arrangement is None:
        arrangement = _ARRANGEMENTS[fences] = Arrangement(fences)
    return arrangement


def cells_near(found: Near, fixes: int, fences: FenceSet, prior_weight: float) -> Cells:
    """The cells within reach of each fix, from the rows that hold there (``found``, at the moment of each fix)."""
    arrangement = arrangement_of(fences)
    arrangement.learn(found.row)
    prior = site_prior(fences.area_m2[found.row], prior_weight)
    width_m = fences.width_m[found.row]
    shared = arrangement.shared[found.row]
    fence = fences.fence_of_row[found.row]
    numbers: dict[Place, int] = {(int(alone),): int(alone) for alone in np.unique(fence[~shared])}
    columns = [found.point[~shared], fence[~shared], found.distance_m[~shared], width_m[~shared], prior[~shared]]
    if shared.any():
        over = Near(found.point[shared], found.row[shared], found.distance_m[shared])
        parts = _overlapping(over, fences, arrangement, width_m[shared], prior[shared], numbers)
        columns = [np.concatenate([alone, *more]) for alone, *more in zip(columns, *parts, strict=True)]
    places = sorted(numbers, key=lambda place: [fences.fence_ids[one] for one in place])
    rank = np.zeros(max(numbers.values(), default=0) + 1, np.int32)
    for i, place in enumerate(places):
        rank[numbers[place]] = i
    point, cell = columns[0], rank[columns[1]]
    order = np.lexsort((cell, point))
    begins = np.searchsorted(point[order], np.arange(fixes + 1)).astype(np.int64)
    distance_m, width_m, prior = (column[order] for column in columns[2:])
    return Cells(begins, cell[order], distance_m, width_m, prior, tuple(places))


def _overlapping(
    found: Near,
    fences: FenceSet,
    arrangement: Arrangement,
    width_m: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
    numbers: dict[Place, int],
) -> list[list[npt.NDArray[Any]]]:
    """Point, place number, distance, width and prior of the cells of overlapping rows, as columns.

    Fixes near the same rows are done at once. Places not yet in ``numbers`` are added.
    """
    begins = np.flatnonzero(np.diff(found.point, prepend=-1))
    ends = np.append(begins[1:], len(found.point))
    alike: dict[bytes, list[int]] = {}
    for k, (first, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        alike.setdefault(found.row[first:end].tobytes(), []).append(k)
    parts = []
    for group in alike.values():
        firsts = begins[group]
        rows = found.row[firsts[0] : ends[group[0]]].tolist()
        distances = found.distance_m[firsts[:, None] + np.arange(len(rows))]
        column_of = {row: i for i, row in enumerate(rows)}
        for members, cut in arrangement.cells(tuple(rows)):
            at = [column_of[row] for row in members]
            signed = np.concatenate([distances[:, at], -distances[:, [column_of[row] for row in cut]]], axis=1)
            place = _place(members, fences)
            number = numbers.setdefault(place, len(fences.fence_ids) + len(numbers))
            size = len(group)
            parts.append(
                [
                    found.point[firsts],
                    np.full(size, number, np.int32),
                    signed.max(axis=1),
                    np.full(size, width_m[firsts[0] + np.array(at)].min()),
                    np.full(size, prior[firsts[0] + np.array(at)].max()),
                ]
            )
    return parts


def _place(rows: Sequence[int], fences: FenceSet) -> Place:
    return tuple(sorted({int(fences.fence_of_row[row]) for row in rows}, key=fences.fence_ids.__getitem__))

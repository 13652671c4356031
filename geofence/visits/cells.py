"""From fences to cells: places of which a device can only be in one.

Fences that overlap form an arrangement: "the zone only", "the workshop in the zone". Their cells hold several fences at
once; cells of fences that merely adjoin exclude each other and compete for the same fixes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
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
        fences = [frozenset(place) for place in self.places]
        return np.array([[not a.isdisjoint(b) for b in fences] for a in fences], np.bool_).reshape(
            len(fences), len(fences)
        )


class Arrangement:
    """How the rows of a fence set overlap, found by sampling each row once, when it is first needed."""

    def __init__(self, fences: FenceSet) -> None:
        self._fences = fences
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
    if not arrangement.shared[found.row].any():
        begins = np.searchsorted(found.point, np.arange(fixes + 1)).astype(np.int64)
        indices, numbers = np.unique(fences.fence_of_row[found.row], return_inverse=True)
        order = sorted(range(len(indices)), key=lambda i: fences.fence_ids[indices[i]])
        rank = np.empty(len(indices), np.int32)
        rank[order] = np.arange(len(indices), dtype=np.int32)
        places = tuple((int(indices[i]),) for i in order)
        return Cells(begins, rank[numbers], found.distance_m, width_m, prior, places)
    return _overlapping(found, fixes, fences, arrangement, width_m, prior)


def _overlapping(
    found: Near,
    fixes: int,
    fences: FenceSet,
    arrangement: Arrangement,
    width_m: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
) -> Cells:
    counts = np.zeros(fixes + 1, np.int64)
    entries: list[tuple[Place, float, float, float]] = []
    bounds = np.searchsorted(found.point, np.arange(fixes + 1))
    rows = found.row.tolist()
    distances = found.distance_m.tolist()
    for i in np.unique(found.point).tolist():
        first, end = int(bounds[i]), int(bounds[i + 1])
        at = {rows[k]: k for k in range(first, end)}
        cells = arrangement.cells(tuple(rows[first:end]))
        counts[i + 1] = len(cells)
        for members, cut in cells:
            distance_m = max(distances[at[row]] for row in members)
            for row in cut:
                distance_m = max(distance_m, -distances[at[row]])
            place = _place(members, fences)
            entries.append(
                (
                    place,
                    distance_m,
                    min(width_m[at[row]] for row in members),
                    float(np.prod([prior[at[row]] for row in members])),
                )
            )
    places = sorted({entry[0] for entry in entries}, key=lambda place: [fences.fence_ids[fence] for fence in place])
    number = {place: i for i, place in enumerate(places)}
    return Cells(
        np.cumsum(counts),
        np.array([number[entry[0]] for entry in entries], np.int32),
        np.array([entry[1] for entry in entries], np.float64),
        np.array([entry[2] for entry in entries], np.float64),
        np.array([entry[3] for entry in entries], np.float64),
        tuple(places),
    )


def _place(rows: Sequence[int], fences: FenceSet) -> Place:
    return tuple(sorted({int(fences.fence_of_row[row]) for row in rows}, key=fences.fence_ids.__getitem__))

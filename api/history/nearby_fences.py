"""The fences that have to do with some fixes, picked from all there are."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import structlog

from geofence.fences import FenceRow, FenceSet
from geofence.fixes import Fixes
from geofence.geodesy import metres_per_degree
from geofence.kernel import near, pack_boxes
from geofence.rule_book import RuleBook
from geofence.visits.evidence import REACH_M
from schemas.fence import FenceError, FenceRecord, FenceVersion

log = structlog.get_logger()

_SLACK: Final = 1.02
"""A degree is not equally long all along a fence."""

Box = tuple[float, float, float, float]


class NearbyFences:
    """Finds fences by their boxes, kept as long as nothing changes, and measures only what it finds.

    To measure every fence of a tenant takes seconds; those beyond reach of the fixes change nothing. For one thread at
    a time.
    """

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self._records: list[FenceRecord] = []
        self._record_of_row = np.empty(0, np.int64)
        self._boxes = pack_boxes(np.empty((0, 4)))

    def of(self, fixes: Fixes, fence_id: str, records: Mapping[str, FenceRecord]) -> FenceSet:
        """The fences within reach of any of the fixes, all their versions, and one more; with the rules of each."""
        self._update(records)
        found = near(self._boxes, fixes.lat, fixes.lon, REACH_M)
        picked = {self._records[i].fence_id for i in np.unique(self._record_of_row[found.row])} | {fence_id}
        rows = [row for each in sorted(picked) for row in _measured(records[each])]
        return self._rules.applied_to(FenceSet.of_rows(rows))

    def _update(self, records: Mapping[str, FenceRecord]) -> None:
        known = list(records.values())
        if len(known) == len(self._records) and all(a is b for a, b in zip(known, self._records, strict=True)):
            return
        boxes = [[_box(version) for version in record.versions] for record in known]
        self._record_of_row = np.repeat(np.arange(len(known)), [len(each) for each in boxes])
        self._boxes = pack_boxes(np.array([box for each in boxes for box in each], np.float64).reshape(-1, 4))
        self._records = known


def _measured(record: FenceRecord) -> list[FenceRow]:
    try:
        return [FenceRow.of(record.fence_id, version) for version in record.versions]
    except FenceError as error:  # the tracker skips it, too: nothing was ever judged by it
        log.warning("impossible fence skipped", fence_id=record.fence_id, error=str(error))
        return []


def _box(version: FenceVersion) -> Box:
    """A box (west, south, east, north, degrees) that holds a fence, whatever its kind."""
    try:
        positions = np.array(list(_positions(version.geometry.get("coordinates"))), np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        positions = np.empty((0, 2))
    if not len(positions):
        return 0.0, 0.0, 0.0, 0.0  # no fence can be made of it
    (west, south), (east, north) = positions.min(axis=0), positions.max(axis=0)
    x_m, y_m = metres_per_degree(min(max(abs(south), abs(north)), 89.0))
    margin_m = _SLACK * (version.radius_m or 0.0)
    west, east = west - margin_m / x_m, east + margin_m / x_m
    if east - west > 180.0:  # it crosses the antimeridian
        west, east = -180.0, 180.0
    return float(west), float(south - margin_m / y_m), float(east), float(north + margin_m / y_m)


def _positions(coordinates: Any) -> Iterator[list[float]]:
    """The positions of GeoJSON coordinates, however deep."""
    if not isinstance(coordinates, list) or not coordinates:
        return
    if isinstance(coordinates[0], list):
        for each in coordinates:
            yield from _positions(each)
    else:
        yield coordinates[:2]

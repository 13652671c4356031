"""Real stays to show: the fixes, and what the engine made of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self, cast

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import mapping, shape

from benchmarks.accuracy_sets import DATA, LabelledSet, Trace, fence_set, phones_los_altos
from geofence.fences import read_collection
from geofence.geodesy import metres_per_degree
from geofence.rule_book import RuleBook
from geofence.rules import Rules
from geofence.visits import Evidence, Stay, derive_stays, explain, visit_of
from schemas.explanation import ExplainedFix, Explanation
from schemas.visit import Visit

LIBRARY: Final = "los-altos-library"
FENCES: Final = DATA / "phones-los-altos" / "fences.geojson"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A visit that is over, the evidence for it, and when somebody tapped that they came and went (epoch ms)."""

    trace: Trace
    visit: Visit
    evidence: Explanation
    taps_ms: tuple[int, ...]

    @classmethod
    def at_library(cls, device_id: str, tighter_m: float = 0.0) -> Self:
        """A recorded phone's stay at the library, the fence as it is or drawn so many metres tighter."""
        phones = recorded_phones()
        collection = json.loads(FENCES.read_bytes())
        if tighter_m:
            collection = drawn_tighter(collection, tighter_m)
        recorded = next(trace for trace in phones.traces if trace.device_id == device_id)
        trace = Trace(device_id, recorded.fixes.in_order(), fence_set(collection))
        rules, as_of_ms = Rules(), int(trace.fixes.ts_ms.max())
        visit = visit_of(device_id, next(stay for stay in stays_of(trace) if stay.fence_id == LIBRARY))
        version = dict(read_collection(json.dumps(collection)))[LIBRARY]
        in_force = RuleBook().in_force(LIBRARY, version.kind, version.min_on_site_s)
        evidence = Evidence.read(device_id, trace.fixes, trace.fences, rules, as_of_ms)
        tapped = next(tap for tap in phones.taps.values() if (tap.device_id, tap.fence_id) == (device_id, LIBRARY))
        taps_ms = tuple(tap_ms for tap_ms in (tapped.arrived_ms, tapped.departed_ms) if tap_ms is not None)
        return cls(trace, visit, explain(evidence, visit, version, in_force), taps_ms)

    @property
    def edges_ms(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """(earliest, best, latest) of the arrival and of the departure."""
        visit = self.visit
        arrival = visit.arrived_earliest_ms, visit.arrived_ms, visit.arrived_latest_ms
        departure = visit.departed_earliest_ms, visit.departed_ms, visit.departed_latest_ms
        return arrival, cast(tuple[int, int, int], departure)

    @property
    def there(self) -> list[ExplainedFix]:
        """The fixes that count as being at the fence."""
        return [fix for fix in self.evidence.fixes if fix.at_fence]

    def minutes(self, epoch_ms: int) -> float:
        """Since the arrival."""
        return (epoch_ms - self.visit.arrived_ms) / 60_000.0

    def outline_m(self) -> Floats:
        """float64[n, 2]: the fence's outer ring, metres east and north of its middle."""
        ring = np.array(self.evidence.fence["geometry"]["coordinates"][0])
        return (ring - self._middle) * metres_per_degree(float(self._middle[1]))

    def positions_m(self, fixes: Sequence[ExplainedFix]) -> Floats:
        """float64[n, 2]: fixes in metres east and north of the middle of the fence."""
        at = np.array([(fix.lon, fix.lat) for fix in fixes]).reshape(-1, 2)
        return (at - self._middle) * metres_per_degree(float(self._middle[1]))

    @property
    def _middle(self) -> Floats:
        ring = np.array(self.evidence.fence["geometry"]["coordinates"][0])
        middle: Floats = (ring.min(axis=0) + ring.max(axis=0)) / 2.0
        return middle


@cache
def recorded_phones() -> LabelledSet:
    """Read once for all pictures."""
    return phones_los_altos()


def stays_of(trace: Trace) -> list[Stay]:
    """All stays of a trace, as of its newest fix."""
    fixes = trace.fixes.in_order()
    return derive_stays(trace.device_id, fixes, trace.fences, Rules(), int(fixes.ts_ms[-1])).stays


def drawn_tighter(collection: dict[str, Any], by_m: float) -> dict[str, Any]:
    """The same fences, every outline moved inward."""
    return {
        **collection,
        "features": [{**each, "geometry": _inward(each["geometry"], by_m)} for each in collection["features"]],
    }


def _inward(geometry: dict[str, Any], by_m: float) -> dict[str, Any]:
    polygon = shape(geometry)
    scale = np.array(metres_per_degree(polygon.centroid.y))
    in_m = shapely.transform(polygon, lambda at: at * scale).buffer(-by_m, join_style="mitre")
    return dict(mapping(shapely.transform(in_m, lambda at: at / scale)))

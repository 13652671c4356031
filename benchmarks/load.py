"""The load of the benchmarks: a quarter of an hour of 5,000 simulated devices among 20,000 polygon fences.

A district of 1,000 fences and its technicians are simulated (``simulator``: their movement, each phone's own rates, its
noise and its uploads). Twenty copies of it lie side by side, each further along in its day by half a minute and a bit,
so that no two do the same at the same moment nor at the same beat of a phone's rhythm; the quarter of an hour begins
when all are under way. One device in twenty is out of reach for ten minutes at a time and then uploads all at once; one
ping in a hundred is sent again. Pings come in the order in which a server would receive them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Final

import msgspec
import numpy as np

from geofence.fences import FenceSet, read_collection
from geofence.kernel import near
from schemas.fence import FenceRecord, FenceVersion
from schemas.ping import Ping
from schemas.times import Instant
from simulator.day import DAY_STARTS_MS, Day, DaySpec, build_day
from simulator.phones import Bools, Longs, Noise, PingColumns
from simulator.plane import Plane
from simulator.town import TownSpec, draw_streets

DEVICES: Final = 5_000
MINUTES: Final = 15.0
DISTRICTS: Final = 20
FENCES: Final = 20_000
NEAR_M: Final = 250.0

_TOWN: Final = TownSpec(sites=960, depots=25, zones=15, corridors=0, circles=0.0)
_BLOCKS: Final = 100
"""Of a district's streets, each way: 18 km."""
_DISTRICT_DEG: Final = 0.3
"""Of longitude from one district to the next."""
_SOUTH_WEST: Final = Plane(47.02, 8.30)
_NOISE: Final = Noise(offline_rate=0.0, late_phones=0.0, repeated_batches=0.003, repeated_pings=0.0105)
"""Pings are repeated rather than batches: of these there are twenty alike, and it would be chance how many pings."""
_LATE_SHARE: Final = 0.05
_LATE_EVERY_MS: Final = 600_000
_LATE_TAKES_MS: Final = 300
_UNDER_WAY_MS: Final = 1_200_000
"""After so much of the day nobody waits at the depot any more."""
_APART_MS: Final = 31_570
"""No multiple of a rhythm at which phones report and upload: their copies would all do so at once."""


@dataclass(frozen=True, eq=False)
class Load:
    """``day`` holds all devices' pings, every copy in the order of delivery; its town is the first district's."""

    day: Day
    late_devices: Bools

    def __len__(self) -> int:
        return len(self.day.pings)

    @cached_property
    def fences(self) -> dict[str, Any]:
        """All fences as a GeoJSON FeatureCollection."""
        return self.more_fences(FENCES)

    def more_fences(self, count: int) -> dict[str, Any]:
        """All fences, and those of as many more districts further east as make ``count``."""
        district = self.day.fences()["features"]
        districts = range(-(-count // len(district)))
        features = (_moved(feature, number) for number in districts for feature in district)
        return {"type": "FeatureCollection", "features": list(islice(features, count))}

    @cached_property
    def fence_versions(self) -> list[tuple[str, FenceVersion]]:
        """All fences as (fence_id, version)."""
        return read_collection(json.dumps(self.fences))

    def fence_records(self) -> Iterator[FenceRecord]:
        """All fences as records of ``onsite.fences``."""
        for fence_id, version in self.fence_versions:
            yield FenceRecord(fence_id, [version], Instant(self.day.spec.start_ms))

    def pings(self) -> Iterator[Ping]:
        """Pings as the API would have taken them."""
        for delivered_ms, pings in self.day.deliveries():
            for ping in pings:
                ping.received_ms = delivered_ms
                yield ping

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Pings as (key, value) of ``onsite.pings``."""
        encode = msgspec.json.Encoder().encode
        for ping in self.pings():
            yield ping.device_id, encode(ping)

    def figures(self) -> dict[str, float]:
        """What the load really is."""
        columns, sites = self.day.pings, self.day.town.sites
        fences = FenceSet.of(self.fence_versions)
        per_device = np.bincount(columns.device, minlength=len(self.day.devices))
        return {
            "load_pings": len(columns),
            "load_devices": int((per_device > 0).sum()),
            "load_fences": len(fences.fence_ids),
            "load_pings_per_device_p50": float(np.median(per_device)),
            "load_pings_per_device_p95": float(np.percentile(per_device, 95)),
            "load_adjoining_fences_share": sum(site.adjoins for site in sites) / len(sites),
            "load_near_pings_share": len(np.unique(near(fences.packed, columns.lat, columns.lon, NEAR_M).point))
            / len(columns),
            "load_late_devices_share": float(self.late_devices.mean()),
            "load_late_pings_share": float(self.late_devices[columns.device].mean()),
            "load_repeated_pings_share": 1.0 - self.day.distinct_pings / len(columns),
        }


def build_load(devices: int = DEVICES, minutes: float = MINUTES, seed: int = 1) -> Load:
    """Simulate it; the same arguments give the same load. ``devices`` are a multiple of the districts."""
    hours = (_UNDER_WAY_MS + DISTRICTS * _APART_MS + minutes * 60_000) / 3_600_000
    day = side_by_side(build_district(devices // DISTRICTS, hours, _NOISE, seed))
    late_devices = np.zeros(devices, np.bool_)
    late_devices[np.random.default_rng([seed, 1]).permutation(devices)[: round(_LATE_SHARE * devices)]] = True
    columns = _delayed(day.pings, late_devices)
    begins_ms = DAY_STARTS_MS + _UNDER_WAY_MS
    since_ms = columns.delivered_ms - begins_ms
    columns = columns.take((since_ms >= 0) & (since_ms < minutes * 60_000))
    columns = columns.take(np.lexsort((columns.device, columns.delivered_ms)))
    return Load(replace(day, spec=replace(day.spec, start_ms=begins_ms), pings=columns), late_devices)


def build_district(technicians: int, hours: float, noise: Noise, seed: int = 1) -> Day:
    """A day in the district; its fences depend on the seed alone."""
    streets = draw_streets(_BLOCKS, np.random.default_rng([seed, 0]))
    return build_day(DaySpec(technicians, hours, seed, _TOWN, noise), _SOUTH_WEST, streets)


def side_by_side(day: Day, prefix: str = "") -> Day:
    """The devices and pings of all districts, pings by district; the town is still the first one's."""
    names = tuple(f"{prefix}{number:02d}-{device}" for number in range(DISTRICTS) for device in day.devices)
    return replace(day, devices=names, pings=PingColumns.concat([_copy(day, number) for number in range(DISTRICTS)]))


def _copy(day: Day, number: int) -> PingColumns:
    columns, earlier_ms = day.pings, number * _APART_MS
    return replace(
        columns,
        device=columns.device + np.int32(number * len(day.devices)),
        lon=np.round(columns.lon + number * _DISTRICT_DEG, 7),
        ts_ms=columns.ts_ms - earlier_ms,
        sent_ms=columns.sent_ms - earlier_ms,
        delivered_ms=columns.delivered_ms - earlier_ms,
    )


def _delayed(columns: PingColumns, late_devices: Bools) -> PingColumns:
    """What late devices have gathered goes out together, each at its own moment of every ten minutes."""
    own_ms = columns.device.astype(np.int64) * 7_919 % _LATE_EVERY_MS
    upload_ms: Longs = columns.ts_ms + (own_ms - columns.ts_ms) % _LATE_EVERY_MS
    late = late_devices[columns.device]
    return replace(
        columns,
        sent_ms=np.where(late, upload_ms, columns.sent_ms),
        delivered_ms=np.where(late, upload_ms + _LATE_TAKES_MS, columns.delivered_ms),
    )


def _moved(feature: dict[str, Any], number: int) -> dict[str, Any]:
    fence_id = f"{number:02d}-{feature['id']}"
    rings = [
        [[round(lon + number * _DISTRICT_DEG, 7), lat] for lon, lat in ring]
        for ring in feature["geometry"]["coordinates"]
    ]
    return {
        **feature,
        "id": fence_id,
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {**feature["properties"], "fence_id": fence_id},
    }

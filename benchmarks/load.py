"""A load: devices on their rounds among 20,000 polygon fences, as records of ``onsite.pings`` and ``onsite.fences``."""

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.fence import FenceRecord, FenceVersion
from schemas.ping import Ping
from schemas.times import Instant

FENCES: Final = 20_000
VERTICES: Final = 16
SPACING_M: Final = 600.0
RADIUS_M: Final = 25.0
STEP_S: Final = 15.0
DRIVE_MPS: Final = 12.0
MEAN_STAY_S: Final = 600.0
NOISE_M: Final = 6.0
START_MS: Final = 1_772_434_800_000

ORIGIN_LAT: Final = 47.0
ORIGIN_LON: Final = 9.0
METRES_PER_DEGREE: Final = np.array([111_194.9, 111_194.9 * np.cos(np.radians(ORIGIN_LAT + 0.4))])
"""North and east, good enough to lay out a town."""

SIDE: Final = int(np.ceil(np.sqrt(FENCES)))


def fence_records() -> Iterator[FenceRecord]:
    """Fences of 16 vertices on a grid."""
    turn = np.linspace(0.0, 2.0 * np.pi, VERTICES + 1)
    outline = RADIUS_M * np.column_stack([np.sin(turn), np.cos(turn)])
    outline[-1] = outline[0]
    for number in range(FENCES):
        lat_lon = _to_degrees(_centre(np.array([number]))[0] + outline)
        ring = [[lon, lat] for lat, lon in lat_lon.tolist()]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        yield FenceRecord(f"site-{number}", [FenceVersion(1, geometry)], Instant(START_MS))


def pings(devices: int, per_device: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """(key, value) records in time order: every device reports each 15 s, drives, stays, drives on."""
    random = np.random.default_rng(seed)
    names = [f"device-{number}" for number in range(devices)]
    target = random.integers(0, FENCES, devices)
    place = _centre(target) + random.normal(0.0, 2_000.0, (devices, 2))
    stay_s = np.zeros(devices)
    encode = msgspec.json.Encoder().encode
    for step in range(per_device):
        way = _centre(target) - place
        distance_m = np.hypot(*way.T)
        arrived = distance_m < DRIVE_MPS * STEP_S
        stay_s = np.where(arrived & (stay_s <= 0.0), random.exponential(MEAN_STAY_S, devices), stay_s - STEP_S)
        leaving = arrived & (stay_s <= 0.0)
        target = np.where(leaving, (target + random.integers(-3, 4, devices)) % FENCES, target)
        stride_m = np.minimum(distance_m, DRIVE_MPS * STEP_S)
        place = place + way * (stride_m / np.maximum(distance_m, 1e-9))[:, None]
        seen = _to_degrees(place + random.normal(0.0, NOISE_M, (devices, 2)))
        spread_ms = random.integers(0, 1000, devices)
        for device, (lat, lon) in enumerate(seen.tolist()):
            ts_ms = START_MS + round(step * STEP_S * 1000) + int(spread_ms[device])
            speed_mps = 0.0 if arrived[device] else DRIVE_MPS
            ping = Ping(
                names[device], ts_ms, round(lat, 7), round(lon, 7), 8.0, speed_mps, sent_ms=ts_ms, received_ms=ts_ms
            )
            yield names[device], encode(ping)


def _centre(number: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return SPACING_M * np.column_stack([number // SIDE, number % SIDE]).astype(np.float64)


def _to_degrees(metres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    degrees: npt.NDArray[np.float64] = np.array([ORIGIN_LAT, ORIGIN_LON]) + metres / METRES_PER_DEGREE
    return degrees

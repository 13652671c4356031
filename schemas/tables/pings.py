"""The table ``pings``: every position fix once, in a few bytes."""

from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec.structs import astuple

from schemas.ping import Ping
from schemas.tables.table import MOMENT, Table

UNSTATED: Final = 65_535
"""Accuracy and speed of a ping that did not say; as in ``geofence.fixes``."""

COLUMNS: Final = pa.schema(
    [
        ("device_id", pa.string()),
        ("ts", MOMENT),
        ("lat_e7", pa.int32()),
        ("lon_e7", pa.int32()),
        ("copy_rank", pa.uint64()),
        ("bearing_cdeg", pa.uint16()),
        ("altitude_dm", pa.int32()),
        ("battery_permille", pa.uint16()),
        ("sent_at", MOMENT),
        ("received_at", MOMENT),
        ("ping_id", pa.string()),
        ("activity", pa.string()),
        ("source", pa.string()),
    ]
)


def statements(database: str, retention_days: int) -> tuple[str, ...]:
    """The table, and the view ``fixes`` that shows each ping once.

    The sorting key is a ping's identity, so a replayed insert collapses; partitions are months of event time, so that
    all copies of a ping meet in one. Rows age by receive time: a backlog of last year stays as long as today's pings.
    Codecs: docs/decisions/2026-11-23-ping-storage.md.
    """
    return (
        f"""
CREATE TABLE IF NOT EXISTS {database}.pings
(
    device_id LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the phone or vehicle',
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'event time of the fix',
    lat_e7 Int32 CODEC(Delta(4), T64('bit'), ZSTD(1)) COMMENT 'latitude in 1e-7 degrees',
    lon_e7 Int32 CODEC(Delta(4), T64('bit'), ZSTD(1)) COMMENT 'longitude in 1e-7 degrees',
    copy_rank UInt64 CODEC(T64, ZSTD(1))
        COMMENT 'the greatest of a ping''s copies counts: least accuracy_dm, least speed_cm_s, a hash of the rest',
    bearing_cdeg Nullable(UInt16) CODEC(T64, ZSTD(1)) COMMENT 'bearing in 1/100 degree',
    altitude_dm Nullable(Int32) CODEC(Delta(4), T64, ZSTD(1)) COMMENT 'altitude in decimetres',
    battery_permille Nullable(UInt16) CODEC(T64, ZSTD(1)) COMMENT 'battery in 1/1000',
    sent_at Nullable(DateTime64(3, 'UTC')) CODEC(DoubleDelta, ZSTD(1))
        COMMENT 'when the device sent it, by its own clock',
    received_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the server received it',
    ping_id String CODEC(ZSTD(1)) COMMENT 'the client''s own id; empty where unstated',
    activity LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what the device believes it is doing; empty where unstated',
    source LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the app or protocol it came by; empty where unstated',
    lat Float64 ALIAS lat_e7 / 1e7 COMMENT 'latitude in degrees',
    lon Float64 ALIAS lon_e7 / 1e7 COMMENT 'longitude in degrees',
    accuracy_dm UInt16 ALIAS toUInt16({UNSTATED} - bitShiftRight(copy_rank, 48))
        COMMENT '68 % radius in decimetres; {UNSTATED} where unstated',
    accuracy_m Nullable(Float64) ALIAS if(accuracy_dm = {UNSTATED}, NULL, accuracy_dm / 10)
        COMMENT '68 % radius in metres',
    speed_cm_s UInt16 ALIAS toUInt16({UNSTATED} - bitAnd(bitShiftRight(copy_rank, 32), {UNSTATED}))
        COMMENT 'speed in cm/s; {UNSTATED} where unstated',
    speed_mps Nullable(Float64) ALIAS if(speed_cm_s = {UNSTATED}, NULL, speed_cm_s / 100)
        COMMENT 'speed in m/s',
    bearing_deg Nullable(Float64) ALIAS bearing_cdeg / 100 COMMENT 'degrees clockwise from north',
    altitude_m Nullable(Float64) ALIAS altitude_dm / 10 COMMENT 'altitude in metres',
    battery Nullable(Float64) ALIAS battery_permille / 1000 COMMENT '0 to 1'
)
ENGINE = ReplacingMergeTree(copy_rank)
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (device_id, ts)
ORDER BY (device_id, ts, lat_e7, lon_e7)
TTL toDateTime(received_at) + toIntervalDay({retention_days})
COMMENT 'every position fix; read with FINAL, or from the view fixes'
""",
        f"""
CREATE OR REPLACE VIEW {database}.fixes AS
SELECT
    device_id, ts, lat, lon, accuracy_m, speed_mps, bearing_deg, altitude_m, battery,
    sent_at, received_at, ping_id, activity, source
FROM {database}.pings FINAL
""",
    )


def batch(pings: Sequence[Ping]) -> pa.RecordBatch:
    """The rows of pings, each with its ``received_ms``."""
    (
        device_id,
        ts_ms,
        lat,
        lon,
        accuracy_m,
        speed_mps,
        bearing_deg,
        altitude_m,
        battery,
        sent_ms,
        *texts,
        received_ms,
    ) = _columns(pings)
    accuracy_dm = _scaled_or_unstated(accuracy_m, 10.0)
    speed_cm_s = _scaled_or_unstated(speed_mps, 100.0)
    bearing_cdeg, no_bearing = _scaled_or_null(bearing_deg, 100.0)
    altitude_dm, no_altitude = _scaled_or_null(altitude_m, 10.0)
    battery_permille, no_battery = _scaled_or_null(battery, 1_000.0)
    sent_at = pa.array(sent_ms, pa.int64())
    sent = sent_at.fill_null(0).to_numpy()
    rest = _rest_hash(
        len(pings),
        [
            (sent, sent == 0),
            (bearing_cdeg, no_bearing),
            (altitude_dm, no_altitude),
            (battery_permille, no_battery),
        ],
        texts,
    )
    return pa.record_batch(
        [
            pa.array(device_id, pa.string()),
            pa.array(ts_ms, pa.int64()).view(MOMENT),
            pa.array(_in_e7(lat)),
            pa.array(_in_e7(lon)),
            pa.array(copy_rank(accuracy_dm, speed_cm_s, rest)),
            pa.array(bearing_cdeg.astype(np.uint16), mask=no_bearing),
            pa.array(altitude_dm.astype(np.int32), mask=no_altitude),
            pa.array(battery_permille.astype(np.uint16), mask=no_battery),
            sent_at.view(MOMENT),
            pa.array(received_ms, pa.int64()).view(MOMENT),
            *(pa.array(text, pa.string()).fill_null("") for text in texts),
        ],
        schema=COLUMNS,
    )


def _columns(pings: Sequence[Ping]) -> Sequence[tuple[Any, ...]]:
    """A tuple a field, in the order of ``Ping``: one pass over the pings, not one a field."""
    return tuple(zip(*map(astuple, pings), strict=True)) or ((),) * len(Ping.__struct_fields__)


def copy_rank(
    accuracy_dm: npt.NDArray[np.uint16], speed_cm_s: npt.NDArray[np.uint16], rest: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """uint64[n]: of copies of one ping the greatest counts, whatever the order they arrived in.

    The least accuracy radius, then the least speed, stated before unstated, as ``Fixes.in_order`` chooses; what else
    the copies say decides by a hash, so that no two that differ are equal.
    """
    return (
        (np.uint64(UNSTATED) - accuracy_dm.astype(np.uint64)) << np.uint64(48)
        | (np.uint64(UNSTATED) - speed_cm_s.astype(np.uint64)) << np.uint64(32)
        | rest
    )


def _in_e7(degrees: Sequence[float]) -> npt.NDArray[np.int32]:
    return np.rint(np.array(degrees, np.float64) * 1e7).astype(np.int32)


def _scaled_or_unstated(values: Sequence[float | None], scale: float) -> npt.NDArray[np.uint16]:
    """Quantised as ``geofence.fixes`` does it."""
    scaled, unstated = _scaled_or_null(values, scale)
    return np.where(unstated, UNSTATED, np.minimum(scaled, UNSTATED - 1)).astype(np.uint16)


def _scaled_or_null(
    values: Sequence[float | None], scale: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    # None becomes NaN; Arrow reads a column of None in a third of NumPy's time.
    stated = pa.array(values, pa.float64()).to_numpy(zero_copy_only=False)
    unstated = np.isnan(stated)
    return np.rint(np.where(unstated, 0.0, stated) * scale).astype(np.int64), unstated


def _rest_hash(
    count: int,
    numbers: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]],
    texts: Sequence[Sequence[str | None]],
) -> npt.NDArray[np.uint64]:
    """16 bits of what else a copy says, 0 where it says nothing more: two bytes a ping is what a tie-break may cost."""
    sums = [_checksums(text) for text in texts]
    mixed = np.zeros(count, np.uint64)
    for salt, (values, unstated) in enumerate([*numbers, *((each, each == 0) for each in sums)], start=1):
        if not unstated.all():
            mixed ^= np.where(unstated, np.uint64(0), _mix(values.astype(np.uint64) + np.uint64(salt << 56)))
    return mixed >> np.uint64(48)


def _checksums(text: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """0 where the text is unstated or empty."""
    if not any(text):
        return np.zeros(len(text), np.int64)
    return np.fromiter((crc32(value.encode()) + 1 if value else 0 for value in text), np.int64, len(text))


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the result."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


PINGS: Final = Table("pings", statements, Ping, COLUMNS, batch)

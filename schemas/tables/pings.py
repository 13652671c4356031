"""The table ``pings``: every position fix once, in a few bytes."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec.structs import astuple

from schemas.ping import TEXTS, Ping
from schemas.tables.table import MOMENT, Table

UNSTATED: Final = 65_535
"""Accuracy and speed of a ping that did not say; as in ``geofence.fixes``."""

FIELDS: Final = Ping.__struct_fields__

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
    columns = list(zip(*map(astuple, pings), strict=True)) or [()] * len(FIELDS)
    fields = np.full((len(FIELDS), len(pings)), np.nan)
    texts = []
    for field, (name, column) in enumerate(zip(FIELDS, columns, strict=True)):
        if name in TEXTS:
            texts.append(pa.array(column, pa.string()).fill_null(""))
        else:
            # None becomes NaN; Arrow reads a column of None in a third of NumPy's time.
            fields[field] = pa.array(column, pa.float64()).to_numpy(zero_copy_only=False)
    return batch_of_columns(fields, texts)


def batch_of_columns(fields: npt.NDArray[np.float64], texts: Sequence[pa.StringArray]) -> pa.RecordBatch:
    """The rows of pings that are columns already.

    ``fields`` float64[14, n] are those of ``Ping`` in their order, NaN where unstated; where they are text they mean
    nothing, and ``texts`` are those of ``TEXTS``, empty where unstated.
    """
    _, ts_ms, lat, lon, accuracy_m, speed_mps, bearing_deg, altitude_m, battery, sent_ms, _, _, _, received_ms = fields
    device_id, *others = texts
    accuracy_dm = _scaled_or_unstated(accuracy_m, 10.0)
    speed_cm_s = _scaled_or_unstated(speed_mps, 100.0)
    bearing_cdeg, altitude_dm, battery_permille, sent_at = (
        _scaled_or_null(bearing_deg, 100.0),
        _scaled_or_null(altitude_m, 10.0),
        _scaled_or_null(battery, 1_000.0),
        _scaled_or_null(sent_ms, 1.0),
    )
    rest = _rest_hash(len(ts_ms), [sent_at, bearing_cdeg, altitude_dm, battery_permille], others)
    return pa.record_batch(
        [
            device_id,
            pa.array(ts_ms.astype(np.int64)).view(MOMENT),
            pa.array(_in_e7(lat)),
            pa.array(_in_e7(lon)),
            pa.array(copy_rank(accuracy_dm, speed_cm_s, rest)),
            bearing_cdeg.column(np.uint16),
            altitude_dm.column(np.int32),
            battery_permille.column(np.uint16),
            sent_at.column(np.int64).view(MOMENT),
            pa.array(received_ms.astype(np.int64)).view(MOMENT),
            *others,
        ],
        schema=COLUMNS,
    )


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


class _Whole(NamedTuple):
    """Whole numbers int64[n], 0 where ``unstated`` bool[n]."""

    numbers: npt.NDArray[np.int64]
    unstated: npt.NDArray[np.bool_]

    def column(self, dtype: type[np.integer[Any]]) -> pa.Array:
        """As a column with nulls."""
        return pa.array(self.numbers.astype(dtype), mask=self.unstated)


def _in_e7(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.rint(degrees * 1e7).astype(np.int32)


def _scaled_or_unstated(values: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.uint16]:
    """Quantised as ``geofence.fixes`` does it."""
    scaled, unstated = _scaled_or_null(values, scale)
    return np.where(unstated, UNSTATED, np.minimum(scaled, UNSTATED - 1)).astype(np.uint16)


def _scaled_or_null(values: npt.NDArray[np.float64], scale: float) -> _Whole:
    unstated = np.isnan(values)
    return _Whole(np.rint(np.where(unstated, 0.0, values) * scale).astype(np.int64), unstated)


def _rest_hash(count: int, numbers: Sequence[_Whole], texts: Sequence[pa.StringArray]) -> npt.NDArray[np.uint64]:
    """16 bits of what else a copy says, 0 where it says nothing more: two bytes a ping is what a tie-break may cost."""
    sums = [_checksums(text) for text in texts]
    mixed = np.zeros(count, np.uint64)
    for salt, (values, unstated) in enumerate([*numbers, *sums], start=1):
        if not unstated.all():
            mixed ^= np.where(unstated, np.uint64(0), _mix(values.astype(np.uint64) + np.uint64(salt << 56)))
    return mixed >> np.uint64(48)


def _checksums(text: pa.StringArray) -> _Whole:
    """Of each different text one; 0 of empty ones, which are those that were not stated."""
    encoded = text.dictionary_encode()
    different = [crc32(value.encode()) + 1 if value else 0 for value in encoded.dictionary.to_pylist()]
    sums = np.array(different, np.int64)[encoded.indices.to_numpy()] if different else np.zeros(len(text), np.int64)
    return _Whole(sums, sums == 0)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the result."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


PINGS: Final = Table("pings", statements, Ping, COLUMNS, batch)

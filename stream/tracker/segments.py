"""Checkpointed state: the tracks of a partition in segments, each packed into one value of a Faust table."""

import zlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np

from geofence.fixes import Fixes
from geofence.tracks import Anchor, LateSpan, Track
from schemas.times import Instant
from schemas.visit import Visit

SEGMENTS_PER_PARTITION: Final = 64
"""Fewer make larger records, more make more of them; a segment is written whole when one of its devices changed."""


class PackedTrack(msgspec.Struct, array_like=True):
    """A track as it is stored; ``fixes`` are the columns of ``Fixes`` as little-endian bytes, in field order."""

    device_id: str
    fixes: tuple[bytes, bytes, bytes, bytes, bytes]
    kept_from_ms: int
    published: list[Visit]
    late: tuple[int, int] | None
    anchor: Anchor | None
    looked_ms: int
    late_offset: int


def _to_int(value: Any) -> int:
    if isinstance(value, Instant):
        return int(value)
    raise NotImplementedError(f"no packed form for {type(value).__name__}")


def _from_int(kind: type, value: Any) -> Any:
    return kind(value)


_COLUMNS: Final[tuple[np.dtype[Any], ...]] = (
    np.dtype("<i8"),
    np.dtype("<i4"),
    np.dtype("<i4"),
    np.dtype("<u2"),
    np.dtype("<u2"),
)
_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_to_int)
_decoder: Final = msgspec.msgpack.Decoder(list[PackedTrack], dec_hook=_from_int)


def segment_of(device_id: str) -> int:
    """The segment a device belongs to; the same in every process."""
    return zlib.crc32(device_id.encode()) % SEGMENTS_PER_PARTITION


def segment_key(partition: int, segment: int) -> bytes:
    """The table's key."""
    return f"{partition}:{segment}".encode()


def told_key(partition: int) -> bytes:
    """The table's key of the offset up to which the checkpoint knows ``onsite.visits``."""
    return f"{partition}:told".encode()


def partition_of_key(key: bytes) -> int:
    """The partition that a table's key belongs to."""
    return int(key.split(b":")[0])


def pack(tracks: Iterable[tuple[Track, int]]) -> bytes:
    """Pack (track, offset that its late span waits for) pairs."""
    return _encoder.encode(
        [
            PackedTrack(
                track.device_id,
                (
                    track.fixes.ts_ms.astype("<i8").tobytes(),
                    track.fixes.lat_e7.astype("<i4").tobytes(),
                    track.fixes.lon_e7.astype("<i4").tobytes(),
                    track.fixes.accuracy_dm.astype("<u2").tobytes(),
                    track.fixes.speed_cm_s.astype("<u2").tobytes(),
                ),
                track.kept_from_ms,
                list(track.published.values()),
                (track.late.from_ms, track.late.to_ms) if track.late else None,
                track.anchor,
                track.looked_ms,
                late_offset,
            )
            for track, late_offset in tracks
        ]
    )


def unpack(value: bytes) -> list[tuple[Track, int]]:
    """The pairs of ``pack``."""
    return [
        (
            Track(
                packed.device_id,
                # Copied, because the engine is compiled for columns that may be written to.
                Fixes(*(np.frombuffer(data, kind).copy() for data, kind in zip(packed.fixes, _COLUMNS, strict=True))),
                packed.kept_from_ms,
                {visit.visit_id: visit for visit in packed.published},
                LateSpan(*packed.late) if packed.late else None,
                packed.anchor,
                packed.looked_ms,
            ),
            packed.late_offset,
        )
        for packed in _decoder.decode(value)
    ]

"""What a checkpoint record says, packed: a format number, then columns of all its devices together."""

from collections.abc import Container, Iterable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from geofence.changes import Beginning, Changes, LateSpan
from geofence.fixes import Fixes
from geofence.stretches import Ints
from schemas.times import Instant
from schemas.visit import Visit

FORMAT: Final = 2
"""Changed with every change of what is packed or what it means. The records of format 1 did not say so: they begin with
an array of MessagePack, a byte above 127."""


class FormatError(Exception):
    """A record that another build has written."""


PackedVisit: Final = msgspec.defstruct(
    "PackedVisit", [(each.name, each.type) for each in msgspec.structs.fields(Visit)], array_like=True
)


class Packed(msgspec.Struct, array_like=True):
    """``Changes`` as they are stored: columns as little-endian bytes, late spans with the offset they wait for.

    Visits stay packed, as lists of ``PackedVisit``, until it is known whether they are wanted.
    """

    number: int
    whole: bool
    slots: bytes
    size: bytes
    fresh: bytes
    kept_from_ms: bytes
    looked_ms: bytes
    fixes: list[bytes]
    names: dict[int, str]
    revised: dict[int, msgspec.Raw]
    gone: dict[int, list[str]]
    late: dict[int, tuple[int, int, int]]
    beginnings: dict[int, Beginning]


_COUNT: Final = "<u4"
_MOMENT: Final = "<i8"
_FIX_COLUMNS: Final = {"ts_ms": _MOMENT, "lat_e7": "<i4", "lon_e7": "<i4", "accuracy_dm": "<u2", "speed_cm_s": "<u2"}


def _to_int(value: Any) -> int:
    if isinstance(value, Instant):
        return int(value)
    raise NotImplementedError(f"no packed form for {type(value).__name__}")


def _from_int(kind: type, value: Any) -> Any:
    return kind(value)


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_to_int)
_decoder: Final = msgspec.msgpack.Decoder(Packed)
_visits_decoder: Final = msgspec.msgpack.Decoder(list[PackedVisit], dec_hook=_from_int)  # type: ignore[valid-type]


def pack(number: int, changes: Changes, late_offset: dict[int, int]) -> bytes:
    """Pack the ``number``-th changes; ``late_offset`` is what late spans wait for, by slot."""
    packed = Packed(
        number,
        changes.whole,
        _packed(changes.slots, _COUNT),
        _packed(changes.size, _COUNT),
        _packed(changes.fresh, _COUNT),
        _packed(changes.kept_from_ms, _MOMENT),
        _packed(changes.looked_ms, _MOMENT),
        [_packed(getattr(changes.fixes, name), kind) for name, kind in _FIX_COLUMNS.items()],
        changes.names,
        {slot: _packed_visits(visits) for slot, visits in changes.revised.items()},
        changes.gone,
        {slot: (span.from_ms, span.to_ms, late_offset.get(slot, 0)) for slot, span in changes.late.items()},
        changes.beginnings,
    )
    return bytes([FORMAT]) + _encoder.encode(packed)


def read(value: bytes) -> Packed:
    """A record of ``pack``.

    Raises:
        FormatError: It is of another format, or no record at all.
    """
    if value[:1] != bytes([FORMAT]):
        raise FormatError(f"format {value[0] if value else None}, not {FORMAT}")
    try:
        return _decoder.decode(memoryview(value)[1:])
    except msgspec.MsgspecError as error:
        raise FormatError(str(error)) from error


def unpack(packed: Packed, superseded: Container[int] = ()) -> Changes:
    """The changes that were packed, without the visits of slots that are ``superseded``."""
    # Copied, because the engine is compiled for columns that may be written to.
    fixes = (np.frombuffer(data, kind).copy() for data, kind in zip(packed.fixes, _FIX_COLUMNS.values(), strict=True))
    return Changes(
        packed.whole,
        _ints(packed.slots, _COUNT),
        _ints(packed.size, _COUNT),
        _ints(packed.fresh, _COUNT),
        _ints(packed.kept_from_ms, _MOMENT),
        _ints(packed.looked_ms, _MOMENT),
        Fixes(*fixes),
        packed.names,
        {slot: _visits(visits) for slot, visits in packed.revised.items() if slot not in superseded},
        packed.gone,
        {slot: LateSpan(from_ms, to_ms) for slot, (from_ms, to_ms, _) in packed.late.items()},
        packed.beginnings,
    )


def _packed_visits(visits: Iterable[Visit]) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode([PackedVisit(*astuple(visit)) for visit in visits]))


def _visits(packed: msgspec.Raw) -> list[Visit]:
    return [Visit(*astuple(visit)) for visit in _visits_decoder.decode(packed)]


def _packed(column: npt.NDArray[Any], kind: str) -> bytes:
    return column.astype(kind).tobytes()


def _ints(column: bytes, kind: str) -> Ints:
    return np.frombuffer(column, kind).astype(np.int64)

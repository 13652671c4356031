"""Fences: from GeoJSON to records, and from records to the immutable set the kernel reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from geofence.index import FenceIndex
from geofence.kernel import PackedFences, pack
from geofence.shapes import Shape, shape_of
from schemas import wire
from schemas.fence import FenceError, FenceRecord, FenceVersion

UNBOUNDED_PAST_MS: Final = int(np.iinfo(np.int64).min)
UNBOUNDED_FUTURE_MS: Final = int(np.iinfo(np.int64).max)
MAX_FENCE_ID_CHARS: Final = 200
MAX_ERRORS_TOLD: Final = 10

_PROPERTIES: Final = ("name", "kind", "min_on_site_s", "radius_m", "branch", "devices", "valid_from", "valid_to")


def read_feature(feature: object) -> tuple[str, FenceVersion]:
    """A GeoJSON Feature as (fence_id, its version 1).

    Unknown properties are ignored. Raises FenceError that says what is wrong and where.
    """
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise FenceError("not a GeoJSON Feature")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise FenceError("properties is not an object")
    fence_id = _fence_id(properties.get("fence_id", feature.get("id")))
    try:
        return fence_id, _read_version(properties, feature.get("geometry"))
    except FenceError as error:
        raise FenceError(f"fence {fence_id!r}: {error}") from None


def read_collection(data: bytes | str) -> list[tuple[str, FenceVersion]]:
    """A GeoJSON FeatureCollection as (fence_id, version 1) pairs, in its order.

    Raises FenceError that lists the features that are wrong, and why.
    """
    try:
        collection = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise FenceError(f"not JSON: {error}") from None
    if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
        raise FenceError("not a GeoJSON FeatureCollection")
    features = collection.get("features")
    if not isinstance(features, list):
        raise FenceError("a FeatureCollection has a list of features")
    fences: dict[str, FenceVersion] = {}
    wrong: list[str] = []
    for i, feature in enumerate(features):
        try:
            fence_id, version = read_feature(feature)
        except FenceError as error:
            wrong.append(f"feature {i}: {error}")
            continue
        if fence_id in fences:
            wrong.append(f"feature {i}: fence {fence_id!r}: the id appears twice")
        fences[fence_id] = version
    if wrong:
        more = f"; and {len(wrong) - MAX_ERRORS_TOLD} more" if len(wrong) > MAX_ERRORS_TOLD else ""
        raise FenceError("; ".join(wrong[:MAX_ERRORS_TOLD]) + more)
    return list(fences.items())


def _fence_id(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise FenceError("has no fence_id (a property) and no id")
    fence_id = str(value)
    if len(fence_id) > MAX_FENCE_ID_CHARS:
        raise FenceError(f"fence_id has more than {MAX_FENCE_ID_CHARS} characters")
    return fence_id


def _read_version(properties: dict[str, Any], geometry: object) -> FenceVersion:
    stated = {name: properties[name] for name in _PROPERTIES if properties.get(name) is not None}
    if not isinstance(geometry, dict):
        raise FenceError("has no geometry")
    try:
        version = wire.from_builtins(FenceVersion, {"version": 1, "geometry": geometry, **stated})
    except msgspec.ValidationError as error:
        raise FenceError(str(error)) from None
    if version.min_on_site_s is not None and not 0.0 <= version.min_on_site_s < float("inf"):
        raise FenceError(f"min_on_site_s {version.min_on_site_s:g} is not a number of seconds, 0 or more")
    if _or(version.valid_from_ms, UNBOUNDED_PAST_MS) >= _or(version.valid_to_ms, UNBOUNDED_FUTURE_MS):
        raise FenceError("valid_from is not before valid_to")
    shape_of(version.geometry, version.radius_m)
    return version


@dataclass(frozen=True, eq=False)
class FenceSet:
    """Fences at one moment of editing, one row per fence version. Immutable.

    ``fence_of_row`` indexes ``fence_ids``. A row holds in event time from ``valid_from_ms`` (inclusive) to
    ``valid_to_ms`` (exclusive; int64 minimum and maximum = unbounded). ``min_on_site_s``, ``bridge_s``, ``bridge_m``
    and ``prior_weight`` are NaN where the general rule holds (see ``rule_book``); ``width_m`` is twice the inradius;
    ``devices`` None = every device. ``packed`` is for the kernel.
    """

    fence_ids: tuple[str, ...]
    fence_of_row: npt.NDArray[np.int32]
    version: npt.NDArray[np.int32]
    valid_from_ms: npt.NDArray[np.int64]
    valid_to_ms: npt.NDArray[np.int64]
    min_on_site_s: npt.NDArray[np.float64]
    bridge_s: npt.NDArray[np.float64]
    bridge_m: npt.NDArray[np.float64]
    prior_weight: npt.NDArray[np.float64]
    kind: tuple[str, ...]
    area_m2: npt.NDArray[np.float64]
    width_m: npt.NDArray[np.float64]
    devices: tuple[frozenset[str] | None, ...]
    packed: PackedFences

    def __len__(self) -> int:
        return len(self.fence_of_row)

    @classmethod
    def of(cls, versions: Iterable[tuple[str, FenceVersion]]) -> Self:
        """From (fence_id, version) pairs; several versions of one fence share its id. Raises FenceError."""
        return cls.of_rows([FenceRow.of(fence_id, version) for fence_id, version in versions])

    @classmethod
    def of_rows(cls, rows: Sequence["FenceRow"]) -> Self:
        """From rows that are measured already."""
        fence_ids = tuple(dict.fromkeys(row.fence_id for row in rows))
        index_of = {fence_id: i for i, fence_id in enumerate(fence_ids)}
        versions = [row.version for row in rows]
        unset = np.full(len(rows), np.nan)
        return cls(
            fence_ids=fence_ids,
            fence_of_row=np.array([index_of[row.fence_id] for row in rows], np.int32),
            version=np.array([version.version for version in versions], np.int32),
            valid_from_ms=np.array([_or(version.valid_from_ms, UNBOUNDED_PAST_MS) for version in versions], np.int64),
            valid_to_ms=np.array([_or(version.valid_to_ms, UNBOUNDED_FUTURE_MS) for version in versions], np.int64),
            min_on_site_s=np.array([_or(version.min_on_site_s, np.nan) for version in versions], np.float64),
            bridge_s=unset,
            bridge_m=unset,
            prior_weight=unset,
            kind=tuple(version.kind for version in versions),
            area_m2=np.array([row.area_m2 for row in rows], np.float64),
            width_m=np.array([row.width_m for row in rows], np.float64),
            devices=tuple(None if version.devices is None else frozenset(version.devices) for version in versions),
            packed=pack([row.shape for row in rows]),
        )


class FenceBook:
    """The fences as they are edited; ``snapshot`` gives the set as it is now.

    A fence is measured once, when it is put; a change costs one fence, a snapshot one pass over flat arrays.
    """

    def __init__(self, records: Iterable[FenceRecord] = ()) -> None:
        self._rows_of: dict[str, dict[int, FenceRow]] = {}
        self._handles = count()
        for record in records:
            self._rows_of[record.fence_id] = self._measured(record)
        self._index = FenceIndex(
            (handle, row.shape.bounds) for rows in self._rows_of.values() for handle, row in rows.items()
        )
        self._fence_of = {handle: fence_id for fence_id, rows in self._rows_of.items() for handle in rows}

    def __len__(self) -> int:
        return len(self._rows_of)

    def put(self, record: FenceRecord) -> None:
        """Add a fence or replace it, with all its versions. Raises FenceError and changes nothing when one is wrong."""
        rows = self._measured(record)
        self.remove(record.fence_id)
        self._rows_of[record.fence_id] = rows
        for handle, row in rows.items():
            self._index.insert(handle, row.shape.bounds)
            self._fence_of[handle] = record.fence_id

    def remove(self, fence_id: str) -> None:
        """Remove a fence with all its versions, if it is there."""
        for handle, row in self._rows_of.pop(fence_id, {}).items():
            self._index.delete(handle, row.shape.bounds)
            del self._fence_of[handle]

    def nearest(self, lat: float, lon: float, limit: int) -> list[str]:
        """Ids of the fences whose boxes are nearest, nearest first (by degrees: a first choice, not a distance)."""
        handles = self._index.nearest(lat, lon, limit)
        return list(dict.fromkeys(self._fence_of[handle] for handle in handles))[:limit]

    def rows(self) -> list["FenceRow"]:
        """The rows of the set as it is now."""
        return [row for rows in self._rows_of.values() for row in rows.values()]

    def snapshot(self) -> FenceSet:
        """The set as it is now."""
        return FenceSet.of_rows(self.rows())

    def _measured(self, record: FenceRecord) -> dict[int, "FenceRow"]:
        return {next(self._handles): FenceRow.of(record.fence_id, version) for version in record.versions}


@dataclass(frozen=True, eq=False)
class FenceRow:
    """One version of one fence, measured once."""

    fence_id: str
    version: FenceVersion
    shape: Shape
    area_m2: float
    width_m: float

    @classmethod
    def of(cls, fence_id: str, version: FenceVersion) -> Self:
        """Raises FenceError."""
        try:
            shape = shape_of(version.geometry, version.radius_m)
        except FenceError as error:
            raise FenceError(f"fence {fence_id!r} version {version.version}: {error}") from None
        return cls(fence_id, version, shape, shape.area_m2(), shape.width_m())


def _or(value: float | None, default: float) -> float:
    return default if value is None else value

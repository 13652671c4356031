"""Fences: from GeoJSON to records, and from records to the immutable set the kernel reads."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Final, NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt

from geofence.kernel import PackedFences, ShapeArrays, arrays_of, pack_arrays
from geofence.shapes import Shape, shape_of
from schemas import wire
from schemas.fence import FenceError, FenceVersion
from schemas.times import Instant

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


GONE: Final = 0
"""What stands for the version of a row whose fence, or version, was removed: it keeps its number and never holds."""


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

    def without_it(self) -> Self:
        """The row when its version is there no more."""
        never = Instant(0)
        return replace(
            self, version=msgspec.structs.replace(self.version, version=GONE, valid_from_ms=never, valid_to_ms=never)
        )


class Numbering:
    """What fence sets share in which the same row, and the same fence, has the same number."""


@dataclass(frozen=True, eq=False)
class FencePage:
    """Consecutive rows of a set: what an edit does not touch is taken over, columns and all.

    ``fence`` is the number of each row's fence; ``edited`` the edition in which it was last changed.
    """

    rows: tuple[FenceRow, ...]
    fence: tuple[int, ...]
    edited: tuple[int, ...]

    @cached_property
    def columns(self) -> "_Columns":
        """The rows as columns."""
        versions = [row.version for row in self.rows]
        return _Columns(
            fence_of_row=np.array(self.fence, np.int32),
            edited=np.array(self.edited, np.int64),
            version=np.array([version.version for version in versions], np.int32),
            valid_from_ms=np.array([_or(version.valid_from_ms, UNBOUNDED_PAST_MS) for version in versions], np.int64),
            valid_to_ms=np.array([_or(version.valid_to_ms, UNBOUNDED_FUTURE_MS) for version in versions], np.int64),
            min_on_site_s=np.array([_or(version.min_on_site_s, np.nan) for version in versions], np.float64),
            area_m2=np.array([row.area_m2 for row in self.rows], np.float64),
            width_m=np.array([row.width_m for row in self.rows], np.float64),
            kind=tuple(version.kind for version in versions),
            devices=tuple(None if version.devices is None else frozenset(version.devices) for version in versions),
            shapes=arrays_of([row.shape for row in self.rows]),
        )


class _Columns(NamedTuple):
    """Columns of ``FenceSet``, and the shapes."""

    fence_of_row: npt.NDArray[np.int32]
    edited: npt.NDArray[np.int64]
    version: npt.NDArray[np.int32]
    valid_from_ms: npt.NDArray[np.int64]
    valid_to_ms: npt.NDArray[np.int64]
    min_on_site_s: npt.NDArray[np.float64]
    area_m2: npt.NDArray[np.float64]
    width_m: npt.NDArray[np.float64]
    kind: tuple[str, ...]
    devices: tuple[frozenset[str] | None, ...]
    shapes: ShapeArrays


@dataclass(frozen=True, eq=False)
class FenceNames:
    """The ids of fences, by number."""

    ids: tuple[str, ...]

    @cached_property
    def number_of(self) -> dict[str, int]:
        """The number of each."""
        return {fence_id: number for number, fence_id in enumerate(self.ids)}

    @cached_property
    def rank(self) -> npt.NDArray[np.int64]:
        """Where each comes among all in their order: int64[f]."""
        rank = np.empty(len(self.ids), np.int64)
        rank[sorted(range(len(self.ids)), key=self.ids.__getitem__)] = np.arange(len(self.ids))
        return rank


class FencePages(NamedTuple):
    """All rows of a set, page by page, and how their fences are called."""

    names: FenceNames
    pages: tuple[FencePage, ...]
    numbering: Numbering
    edition: int


class SomeFences(NamedTuple):
    """Some fences of a set: their ids, those that are not in it too, and their ``rows`` bool[n]."""

    ids: Collection[str]
    rows: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FenceSet:
    """Fences at one moment of editing, one row per fence version. Immutable.

    ``fence_of_row`` indexes ``names.ids``. A row holds in event time from
    ``valid_from_ms`` (inclusive) to ``valid_to_ms`` (exclusive; int64 minimum and maximum = unbounded); ``version`` is
    ``GONE`` where it does no more. ``min_on_site_s``, ``bridge_s``, ``bridge_m`` and ``prior_weight`` are NaN where the
    general rule holds (see ``rule_book``); ``width_m`` is twice the inradius; ``devices`` None = every device.
    ``packed`` is for the kernel, which finds rows that are gone, too.

    Sets of one ``numbering`` are editions of the same fences: a row that is in two of them has the same shape in both,
    and what else has changed about it since an ``edition`` if its ``edited`` is higher.
    """

    names: FenceNames
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
    edited: npt.NDArray[np.int64]
    edition: int
    numbering: Numbering

    def __len__(self) -> int:
        return len(self.fence_of_row)

    @property
    def fence_ids(self) -> tuple[str, ...]:
        """The ids of the fences, by number."""
        return self.names.ids

    def some(self, fence_ids: Collection[str]) -> SomeFences:
        """Those of these ids."""
        chosen, number_of = np.zeros(len(self.fence_ids), np.bool_), self.names.number_of
        chosen[[number_of[fence_id] for fence_id in fence_ids if fence_id in number_of]] = True
        return SomeFences(fence_ids, chosen[self.fence_of_row])

    @classmethod
    def of(cls, versions: Iterable[tuple[str, FenceVersion]]) -> Self:
        """From (fence_id, version) pairs; several versions of one fence share its id. Raises FenceError."""
        return cls.of_rows([FenceRow.of(fence_id, version) for fence_id, version in versions])

    @classmethod
    def of_rows(cls, rows: Sequence[FenceRow]) -> Self:
        """From rows that are measured already."""
        names = FenceNames(tuple(dict.fromkeys(row.fence_id for row in rows)))
        page = FencePage(tuple(rows), tuple(names.number_of[row.fence_id] for row in rows), (0,) * len(rows))
        return cls.of_pages(FencePages(names, (page,), Numbering(), 0))

    @classmethod
    def of_pages(cls, book: FencePages) -> Self:
        """From pages: those that are new become columns."""
        columns = [page.columns for page in book.pages]

        def joined(name: str) -> npt.NDArray[Any]:
            return np.concatenate([getattr(page, name) for page in columns])

        shapes = [page.shapes for page in columns]
        unset = np.full(sum(len(page.version) for page in columns), np.nan)
        return cls(
            names=book.names,
            fence_of_row=joined("fence_of_row"),
            version=joined("version"),
            valid_from_ms=joined("valid_from_ms"),
            valid_to_ms=joined("valid_to_ms"),
            min_on_site_s=joined("min_on_site_s"),
            bridge_s=unset,
            bridge_m=unset,
            prior_weight=unset,
            kind=tuple(chain.from_iterable(page.kind for page in columns)),
            area_m2=joined("area_m2"),
            width_m=joined("width_m"),
            devices=tuple(chain.from_iterable(page.devices for page in columns)),
            packed=pack_arrays(*map(np.concatenate, zip(*shapes, strict=True))),
            edited=joined("edited"),
            edition=book.edition,
            numbering=book.numbering,
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value

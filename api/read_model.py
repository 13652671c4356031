"""Views of the compacted topics that the API holds in memory, pure."""

import heapq
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from api.http.answers import Device, EtaAnswer
from schemas import wire
from schemas.eta import Eta
from schemas.fence import FenceRecord, FenceVersion
from schemas.live import LiveState

T = TypeVar("T")


def page_of(records: Mapping[str, T], after: str, limit: int) -> tuple[list[T], str | None]:
    """The first ``limit`` values whose key follows ``after``, by key, and the key to go on after (None at the end)."""
    keys = heapq.nsmallest(limit + 1, (key for key in records if key > after))
    return [records[key] for key in keys[:limit]], keys[limit - 1] if len(keys) > limit else None


def device_of(live: LiveState, now_ms: int, unknown_after_s: float) -> Device:
    """The state at ``now_ms``: ``unknown`` once the newest fix is older than ``unknown_after_s``."""
    age_s = max(0.0, (now_ms - live.ts_ms) / 1000)
    fields = msgspec.structs.asdict(live) | {"age_s": age_s}
    if age_s > unknown_after_s and live.state != "off_shift":
        fields["state"] = "unknown"
    return Device(**fields)


def eta_of(eta: Eta, now_ms: int) -> EtaAnswer:
    """The ETA with its age at ``now_ms``."""
    return EtaAnswer(**msgspec.structs.asdict(eta), age_s=max(0.0, (now_ms - eta.computed_at) / 1000))


def is_gone(record: FenceRecord, now_ms: int) -> bool:
    """Whether the fence has ended: deleted, or its last version is over."""
    ends_ms = record.current.valid_to_ms
    return ends_ms is not None and ends_ms <= now_ms


def feature_of(record: FenceRecord, version: FenceVersion) -> dict[str, Any]:
    """One version of a fence as a GeoJSON Feature; put back, it changes nothing."""
    properties = wire.to_builtins(version)
    geometry = properties.pop("geometry")
    return {
        "type": "Feature",
        "id": record.fence_id,
        "geometry": geometry,
        "properties": {
            "fence_id": record.fence_id,
            "kind": version.kind,
            **properties,
            "updated_at": record.updated_at,
        },
    }


def etag_of(record: FenceRecord) -> str:
    """Changes with every change of the fence."""
    return f'"{record.current.version}-{record.updated_at:d}"'

"""A fence: a place with a history. Each version is valid from-to in event time."""

from typing import Any, Literal

import msgspec

from schemas.times import Instant

FenceKind = Literal["site", "depot", "zone", "corridor"]


class FenceError(ValueError):
    """A fence that is refused; the message says what and where."""


class FenceVersion(
    msgspec.Struct, omit_defaults=True, rename={"valid_from_ms": "valid_from", "valid_to_ms": "valid_to"}
):
    """One shape of a fence and the span of event time it holds for (from inclusive, to exclusive; None = unbounded)."""

    version: int
    geometry: dict[str, Any]
    name: str = ""
    kind: FenceKind = "site"
    min_on_site_s: float | None = None
    radius_m: float | None = None
    branch: str | None = None
    devices: list[str] | None = None
    valid_from_ms: Instant | None = None
    valid_to_ms: Instant | None = None


class FenceRecord(msgspec.Struct):
    """The value on the compacted topic ``onsite.fences``, keyed by ``fence_id``: the fence with all its versions.

    The history travels in one record so that compaction keeps it; versions are in ascending order and never overlap.
    """

    fence_id: str
    versions: list[FenceVersion]
    updated_at: Instant

    @property
    def current(self) -> FenceVersion:
        """The newest version."""
        return self.versions[-1]

    def version_at(self, moment_ms: int) -> FenceVersion | None:
        """The version that holds at a moment of event time."""
        for version in reversed(self.versions):
            starts = version.valid_from_ms is None or version.valid_from_ms <= moment_ms
            if starts and (version.valid_to_ms is None or moment_ms < version.valid_to_ms):
                return version
        return None

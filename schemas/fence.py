"""A fence: a place with a history. Each version is valid from-to in event time."""

from typing import Any, Literal

import msgspec

from schemas.times import Instant, format_instant

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


def revise_fence(record: FenceRecord | None, fence_id: str, version: FenceVersion, now_ms: int) -> FenceRecord:
    """The record after ``version`` was put; the very same record when that changes nothing.

    A new shape holds from its own ``valid_from``, else from now, and what held before ends there; a fence's first
    version without ``valid_from`` holds for all time. Versions that were to begin later are superseded: they stay in
    the history with an empty span, since visits may refer to them. The same shape with another ``valid_to`` only
    moves the end of the current version. Raises FenceError when the version would end before it begins.
    """
    if record is None:
        return FenceRecord(fence_id, [msgspec.structs.replace(version, version=1)], Instant(now_ms))
    updated_at = _after(record, now_ms)
    current = record.current
    still_holds = current.valid_to_ms is None or current.valid_to_ms > now_ms
    same_start = version.valid_from_ms is None or version.valid_from_ms == current.valid_from_ms
    if still_holds and same_start and _same_shape(version, current):
        if version.valid_to_ms == current.valid_to_ms:
            return record
        amended = msgspec.structs.replace(current, valid_to_ms=version.valid_to_ms)
        _require_span(fence_id, amended)
        return FenceRecord(fence_id, [*record.versions[:-1], amended], updated_at)
    from_ms = Instant(now_ms) if version.valid_from_ms is None else version.valid_from_ms
    added = msgspec.structs.replace(version, version=current.version + 1, valid_from_ms=from_ms)
    _require_span(fence_id, added)
    ended = [_ended(earlier, from_ms) for earlier in record.versions]
    return FenceRecord(fence_id, [*ended, added], updated_at)


def end_fence(record: FenceRecord, now_ms: int) -> FenceRecord:
    """The record after the fence was deleted: no version holds from now on, the history stays."""
    return FenceRecord(
        record.fence_id, [_ended(version, Instant(now_ms)) for version in record.versions], _after(record, now_ms)
    )


def _ended(version: FenceVersion, at_ms: Instant) -> FenceVersion:
    """The version, ending at ``at_ms`` at the latest; an empty span at its beginning if it begins later."""
    if version.valid_to_ms is not None and version.valid_to_ms <= at_ms:
        return version
    from_ms = version.valid_from_ms
    return msgspec.structs.replace(version, valid_to_ms=at_ms if from_ms is None else Instant(max(from_ms, at_ms)))


def _same_shape(one: FenceVersion, other: FenceVersion) -> bool:
    def shape(version: FenceVersion) -> FenceVersion:
        return msgspec.structs.replace(version, version=0, valid_from_ms=None, valid_to_ms=None)

    return shape(one) == shape(other)


def _require_span(fence_id: str, version: FenceVersion) -> None:
    start, end = version.valid_from_ms, version.valid_to_ms
    if start is not None and end is not None and end <= start:
        raise FenceError(
            f"fence {fence_id!r}: it would end at {format_instant(end)}, not after it begins at {format_instant(start)}"
        )


def _after(record: FenceRecord, now_ms: int) -> Instant:
    """Now, but later than the last change, so that each state of a record has a moment of its own."""
    return Instant(max(now_ms, record.updated_at + 1))

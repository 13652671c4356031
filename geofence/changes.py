"""What must be kept of devices, as records that other processes can read: in fence ids, not in numbers of a fence set.

``tracks`` tells and adopts them; checkpoints hold them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from geofence.fixes import Fixes
from geofence.stretches import Ints
from schemas.visit import Visit


@dataclass(frozen=True)
class LateSpan:
    """Event time touched by fixes that are older than what is kept, both ends inclusive, epoch ms."""

    from_ms: int
    to_ms: int

    def join(self, other: "LateSpan | None") -> "LateSpan":
        """The span that covers both."""
        if other is None:
            return self
        return LateSpan(min(self.from_ms, other.from_ms), max(self.to_ms, other.to_ms))


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """A stay that began before what is kept of a device; fields of ``spells.SPELL``."""

    fence_id: str
    state: int
    reason: int
    touched: bool
    carried: int
    arrived_ms: int
    arrived_earliest_ms: int
    arrived_latest_ms: int


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """Where a device was at the first fix that is kept of it: the fences there, none where it was outside.

    ``scores`` are those of the chain there, of being outside, far, and at the fences of each of ``places``. What had
    departed by ``told_from_ms`` has been told for good.
    """

    fence_ids: tuple[str, ...]
    carried: tuple[Carried, ...]
    places: tuple[tuple[str, ...], ...]
    scores: tuple[int, ...]
    paces: tuple[float, ...]
    told_from_ms: int

    def active(self) -> Iterator[tuple[tuple[str, ...], float, int]]:
        """(fences, pace, score) of each active place."""
        return zip(self.places, self.paces, self.scores[2:], strict=True)


class Beginning(msgspec.Struct, frozen=True, array_like=True):
    """Where the path of a device begins, and what has been settled of it.

    ``anchor`` is None where the fixes begin far from everything, or with the device; ``ended`` are fence and moment
    of carried stays that the store has been asked for: of their last fix when they were closed, of their arrival when
    that was final.
    """

    anchor: Anchor | None
    ended: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Changes:
    """What has changed of some devices since it was last asked for, or all there is of them (``whole``).

    Arrays int64[n], a row each of ``slots``: a device now keeps ``size`` fixes, the last of those it had and then its
    ``fresh`` ones, which follow one another in ``fixes``. They are complete from ``kept_from_ms`` on; its visits were
    last derived as of ``looked_ms``. By slot: ``names`` are the ids of devices that are told for the first time,
    ``revised`` their visits, of each the newest revision, ``gone`` the ids of visits that are left to the store,
    ``late`` their late spans, ``beginnings`` what has changed of these.
    """

    whole: bool
    slots: Ints
    size: Ints
    fresh: Ints
    kept_from_ms: Ints
    looked_ms: Ints
    fixes: Fixes
    names: dict[int, str] = field(default_factory=dict)
    revised: dict[int, list[Visit]] = field(default_factory=dict)
    gone: dict[int, list[str]] = field(default_factory=dict)
    late: dict[int, LateSpan] = field(default_factory=dict)
    beginnings: dict[int, Beginning] = field(default_factory=dict)


class IncompleteError(Exception):
    """Changes that do not add up to the state of devices."""

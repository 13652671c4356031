"""What is kept of a device between two looks, and how new fixes turn into revisions of its visits.

Pure: ``advance(track, fixes, fences, rules) -> revisions``. A track holds the fixes since its last restart point, and
deriving from them gives what deriving from all fixes would. Fixes older than that are *late*: the caller re-derives
the span they touch from the store with ``rederive``, the same function over more fixes.
"""

import weakref
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import Near, near
from geofence.rules import Rules
from geofence.visits import Stay, derive_stays, revise
from geofence.visits.evidence import REACH_M
from schemas.visit import Visit

RECENT_MS: Final = 2 * 3_600_000
RECENT_FIXES: Final = 256
"""Fixes this new, and this many at most, stay in memory even where a restart point would let them go: late fixes
among them need no look-up in the store."""

END_OF_TIME_MS: Final = 2**62


@dataclass(frozen=True)
class LateSpan:
    """Event time touched by fixes that are older than what a track holds, both ends inclusive, epoch ms."""

    from_ms: int
    to_ms: int

    def join(self, other: "LateSpan | None") -> "LateSpan":
        """The span that covers both."""
        if other is None:
            return self
        return LateSpan(min(self.from_ms, other.from_ms), max(self.to_ms, other.to_ms))


@dataclass(frozen=True)
class Surroundings:
    """The rows of a fence set within reach of each fix of a track (``found.point`` is the index of the fix)."""

    fences: weakref.ref[FenceSet]
    found: Near

    @classmethod
    def of(cls, fixes: Fixes, fences: FenceSet) -> Self:
        """Looked up."""
        return cls(weakref.ref(fences), near(fences.packed, fixes.lat, fixes.lon, REACH_M))

    def followed_by(self, found: Near, fixes: int) -> Self:
        """With what was found near the fixes that come after the first ``fixes``."""
        if not len(found.point):
            return self
        known = self.found
        return type(self)(
            self.fences,
            Near(
                np.concatenate((known.point, found.point + np.int32(fixes))),
                np.concatenate((known.row, found.row)),
                np.concatenate((known.distance_m, found.distance_m)),
            ),
        )

    def without(self, fixes: int) -> Self:
        """Without the first so many fixes."""
        known = self.found
        first = int(np.searchsorted(known.point, fixes))
        return type(self)(
            self.fences, Near(known.point[first:] - np.int32(fixes), known.row[first:], known.distance_m[first:])
        )


@dataclass
class Track:
    """One device: its fixes in memory (in order, complete from ``kept_from_ms`` on) and its visit log.

    ``published`` maps visit_id to the newest revision published. ``restart_ms`` is a restart point that fixes may be
    forgotten up to once it is no longer recent. ``reached_ms`` is the event time of the newest fix within reach of a
    fence, ``looked_ms`` the moment that the visits were last derived as of. ``surroundings`` are remembered only to
    spare looking them up again.
    """

    device_id: str
    fixes: Fixes = field(default_factory=Fixes.empty)
    kept_from_ms: int = -END_OF_TIME_MS
    published: dict[str, Visit] = field(default_factory=dict)
    late: LateSpan | None = None
    restart_ms: int | None = None
    reached_ms: int = -END_OF_TIME_MS
    looked_ms: int = -END_OF_TIME_MS
    surroundings: Surroundings | None = None

    @property
    def newest_ms(self) -> int:
        """Event time of the newest fix; there must be one."""
        return int(self.fixes.ts_ms[-1])

    @property
    def quiet(self) -> bool:
        """Whether no fix in memory lies within reach of a fence, so that there is nothing to derive."""
        return not len(self.fixes) or self.reached_ms < int(self.fixes.ts_ms[0])

    @property
    def present(self) -> list[Visit]:
        """Visits that are open or confirmed and not departed."""
        return [visit for visit in self.published.values() if visit.state in ("open", "confirmed")]


def advance(
    track: Track,
    arrived: Fixes,
    fences: FenceSet,
    rules: Rules,
    found: Near | None = None,
    *,
    looking: bool = True,
) -> list[Visit]:
    """Fold fixes into a track; returns the revisions to publish, none when not ``looking``.

    The moment of looking is that of the newest fix: silence counts only once somebody looks (``look``). ``found`` are
    the rows within ``REACH_M`` of each of the fixes, where they are known already; a device that stays far costs no
    derivation. Fixes older than the track holds widen ``track.late`` and change nothing yet.
    """
    if found is None:
        found = near(fences.packed, arrived.lat, arrived.lon, REACH_M)
    late = arrived.ts_ms < track.kept_from_ms
    if late.any():
        span = LateSpan(int(arrived.ts_ms[late].min()), int(arrived.ts_ms[late].max()))
        track.late = span.join(track.late)
        arrived = arrived.take(~late)
        found = near(fences.packed, arrived.lat, arrived.lon, REACH_M)
    reason = ""
    if len(arrived):
        if len(track.fixes) and int(arrived.ts_ms.min()) < track.newest_ms:
            reason = "late_data"
            track.restart_ms = None
        _append(track, arrived, fences, found)
    if track.quiet:
        _forget_quiet(track)
        return []
    return look(track, fences, rules, reason=reason) if looking else []


def look(track: Track, fences: FenceSet, rules: Rules, as_of_ms: int | None = None, reason: str = "") -> list[Visit]:
    """Derive a track's visits anew as of a moment; returns the revisions to publish.

    The default is the moment of its newest fix. As long as fixes come, minor corrections wait until a stay has settled;
    a look at a moment of its own tells everything.
    """
    if not len(track.fixes):
        return []
    patiently = as_of_ms is None
    as_of_ms = max(as_of_ms or track.newest_ms, track.newest_ms)
    found = _surroundings(track, fences).found
    derived = derive_stays(track.device_id, track.fixes, fences, rules, as_of_ms, found=found)
    track.looked_ms = as_of_ms
    revisions = _publish(track, derived.stays, reason, track.kept_from_ms, patiently)
    _forget(track, derived.keep_from)
    return revisions


def look_at_changed(track: Track, fences: FenceSet, rules: Rules, changed: Collection[str]) -> list[Visit]:
    """Derive a track anew after fences have changed, when it has to do with one of them; returns the revisions."""
    if not len(track.fixes):
        return []
    found = _surroundings(track, fences).found
    if len(found.point):
        track.reached_ms = max(track.reached_ms, int(track.fixes.ts_ms[np.max(found.point)]))
    in_reach = {fences.fence_ids[fence] for fence in np.unique(fences.fence_of_row[found.row])}
    visited = {visit.fence_id for visit in track.published.values() if visit.state != "retracted"}
    if in_reach.union(visited).isdisjoint(changed):
        return []
    return look(track, fences, rules, max(track.looked_ms, track.newest_ms), "fence_changed")


def rederive(
    track: Track, stored: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, *, complete: bool
) -> list[Visit] | None:
    """Settle ``track.late`` with the fixes the store holds around it; returns the revisions to publish.

    ``stored`` are the device's fixes from some moment well before the late span on; ``complete`` says that there are
    none before. Returns None when older fixes could still matter: fetch more.
    """
    if track.late is None:
        return []
    everything = Fixes.concat([stored, track.fixes]).in_order()
    if not len(everything):
        track.late = None
        return []
    from_ms = -END_OF_TIME_MS
    if not complete:
        before = everything.take(everything.ts_ms < track.late.from_ms)
        restart = derive_stays(track.device_id, before, fences, rules, track.late.from_ms).keep_from if before else 0
        if restart == 0:
            return None
        from_ms = int(everything.ts_ms[restart])
        everything = everything.take(slice(restart, None))
    derived = derive_stays(track.device_id, everything, fences, rules, max(as_of_ms, int(everything.ts_ms[-1])))
    track.late = None
    return _publish(track, derived.stays, "late_data", from_ms, patiently=False)


def _publish(track: Track, stays: Sequence[Stay], reason: str, from_ms: int, patiently: bool) -> list[Visit]:
    told = list(track.published.values())
    revisions = revise(track.device_id, told, stays, reason, from_ms, END_OF_TIME_MS, patiently=patiently)
    track.published.update((visit.visit_id, visit) for visit in revisions)
    return revisions


def _append(track: Track, arrived: Fixes, fences: FenceSet, found: Near) -> None:
    """Add fixes, ``found`` what is within their reach."""
    known = len(track.fixes)
    if len(found.point):
        track.reached_ms = max(track.reached_ms, int(arrived.ts_ms[found.point].max()))
    following = (not known or track.newest_ms < int(arrived.ts_ms[0])) and _ascends(arrived)
    if following and not known:
        track.fixes = arrived
        track.surroundings = Surroundings(weakref.ref(fences), found)
        return
    track.fixes = Fixes.concat([track.fixes, arrived])
    if not following:
        track.fixes = track.fixes.in_order()
        track.surroundings = None
    elif track.surroundings is not None:
        same = track.surroundings.fences() is fences
        track.surroundings = track.surroundings.followed_by(found, known) if same else None


def _ascends(fixes: Fixes) -> bool:
    return len(fixes) == 1 or bool((fixes.ts_ms[1:] > fixes.ts_ms[:-1]).all())


def _surroundings(track: Track, fences: FenceSet) -> Surroundings:
    if track.surroundings is None or track.surroundings.fences() is not fences:
        track.surroundings = Surroundings.of(track.fixes, fences)
    return track.surroundings


def _drop(track: Track, first: int) -> None:
    """Forget the fixes before the one at ``first``."""
    track.fixes = track.fixes.take(slice(first, None))
    if track.surroundings is not None:
        track.surroundings = track.surroundings.without(first)


def _forget(track: Track, keep_from: int) -> None:
    if track.late is not None:
        return  # what memory lets go must be in the store by the time the late span is settled
    fixes = track.fixes
    recent_from_ms = max(track.newest_ms - RECENT_MS, int(fixes.ts_ms[-RECENT_FIXES:][0]))
    if track.restart_ms is not None and track.restart_ms <= recent_from_ms:
        first = int(np.searchsorted(fixes.ts_ms, track.restart_ms))
        track.kept_from_ms = track.restart_ms
        _drop(track, first)
        track.restart_ms = None
    if track.restart_ms is None and keep_from > 0:
        track.restart_ms = int(fixes.ts_ms[keep_from])


def _forget_quiet(track: Track) -> None:
    """A device that never came near a fence carries no history: only recent fixes are kept, for late ones to join."""
    surplus = len(track.fixes) - RECENT_FIXES
    if track.late is None and surplus > RECENT_FIXES:
        _drop(track, surplus)
        track.kept_from_ms = int(track.fixes.ts_ms[0])
        track.restart_ms = None

"""Scenarios told step by step: what a phone did and reported, and what the log then says."""

import math
from collections.abc import Iterable
from typing import Self

import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import Stay, derive_stays
from schemas.fence import FenceVersion
from schemas.visit import Visit
from tests.geofence.one_track import OneTrack, advance, rederive
from tests.geofence.visits.days import START_MS, degrees

RULES = Rules()
CORRELATION_S = 90.0
"""The errors of a phone resemble each other over about this long."""


class Outing:
    """What one phone does and reports: metres around (0, 0), each step from where and when the one before ended.

    Its errors are a Gauss-Markov process of ``noise_m`` an axis, and ``accuracy_m`` is what it claims (NaN = nothing).
    """

    def __init__(
        self,
        seed: int,
        start: tuple[float, float] = (-2000.0, 40.0),
        noise_m: float = 4.0,
        accuracy_m: float = 8.0,
        states_speed: bool = True,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._error = self._rng.normal(0.0, 1.0, 2)
        self._rows: list[tuple[float, float, float, float, float]] = []
        self._seen_s = 0.0
        self._states_speed = states_speed
        self.noise_m = noise_m
        self.accuracy_m = accuracy_m
        self.at = start
        self.now_s = 0.0

    @property
    def now_ms(self) -> int:
        """Epoch ms."""
        return START_MS + round(self.now_s * 1000.0)

    def fix(
        self, at: tuple[float, float] | None = None, mps: float = math.nan, accuracy_m: float | None = None
    ) -> Self:
        """Report a fix now: where the phone is and its error, or exactly ``at``."""
        kept = math.exp(-(self.now_s - self._seen_s) / CORRELATION_S)
        self._error = kept * self._error + math.sqrt(1.0 - kept * kept) * self._rng.normal(0.0, 1.0, 2)
        self._seen_s = self.now_s
        x, y = at or (self.at[0] + self.noise_m * self._error[0], self.at[1] + self.noise_m * self._error[1])
        x, y = x + self._rng.normal(0.0, 0.5), y + self._rng.normal(0.0, 0.5)
        claimed = self.accuracy_m if accuracy_m is None else accuracy_m
        self._rows.append((self.now_s, x, y, claimed, mps if self._states_speed else math.nan))
        return self

    def drive(self, to: tuple[float, float], mps: float = 10.0, every_s: float = 10.0, *, seen: bool = True) -> Self:
        """Go straight there, reporting on the way (``seen``) but not at its end."""
        start, way_m = self.at, math.dist(self.at, to)
        begins_s, ends_s = self.now_s, self.now_s + way_m / mps
        while self.now_s < ends_s and seen:
            share = (self.now_s - begins_s) / (ends_s - begins_s)
            self.at = (start[0] + share * (to[0] - start[0]), start[1] + share * (to[1] - start[1]))
            self.fix(mps=mps)
            self.now_s += every_s
        self.at, self.now_s = to, ends_s
        return self

    def parked(self, minutes: float, every_s: float = 20.0) -> Self:
        """Stay, reporting zero speed."""
        ends_s = self.now_s + minutes * 60.0
        while self.now_s < ends_s:
            self.fix(mps=0.0)
            self.now_s += every_s
        self.now_s = ends_s
        return self

    def silent(self, minutes: float) -> Self:
        """Stay, reporting nothing."""
        self.now_s += minutes * 60.0
        return self

    def fixes(self) -> Fixes:
        """All that was reported, in order."""
        places = [degrees(x, y) for _, x, y, _, _ in self._rows]
        return Fixes.of_columns(
            [START_MS + round(row[0] * 1000.0) for row in self._rows],
            [lat for _, lat in places],
            [lon for lon, _ in places],
            [row[3] for row in self._rows],
            [row[4] for row in self._rows],
        ).in_order()


def circle(x_m: float, y_m: float, radius_m: float, **fields: object) -> FenceVersion:
    """A fence around a point."""
    point = {"type": "Point", "coordinates": degrees(x_m, y_m)}
    return FenceVersion(**{"version": 1, "geometry": point, "radius_m": radius_m, **fields})


def box(west_m: float, south_m: float, east_m: float, north_m: float, **fields: object) -> FenceVersion:
    """A fence along the axes."""
    corners = [(west_m, south_m), (east_m, south_m), (east_m, north_m), (west_m, north_m), (west_m, south_m)]
    ring = [degrees(*corner) for corner in corners]
    return FenceVersion(**{"version": 1, "geometry": {"type": "Polygon", "coordinates": [ring]}, **fields})


def logged(fixes: Fixes, fences: FenceSet, as_of_ms: int | None = None) -> list[Stay]:
    """The visits a user reads, as of a moment (default: the newest fix)."""
    as_of_ms = int(fixes.ts_ms[-1]) if as_of_ms is None else as_of_ms
    return [stay for stay in derive_stays("van", fixes, fences, RULES, as_of_ms).stays if stay.state != "open"]


class Live:
    """A tracker's view of one phone: frames go in, revisions come out, and the store remembers every fix."""

    def __init__(self, fences: FenceSet) -> None:
        self.fences = fences
        self.track = OneTrack()
        self.stored = Fixes.empty()
        self.revisions: list[Visit] = []

    def receive(self, fixes: Fixes, size: int = 5) -> list[Visit]:
        """Fold fixes in the order given, ``size`` a frame; returns what that published."""
        before = len(self.revisions)
        for first in range(0, len(fixes), size):
            frame = fixes.take(slice(first, first + size))
            self.stored = Fixes.concat([self.stored, frame]).in_order()
            self.revisions += advance(self.track, frame, self.fences, RULES)
            if self.track.late is not None:
                newest_ms = self.track.newest_ms
                self.revisions += rederive(self.track, self.stored, self.fences, RULES, newest_ms, complete=True) or []
        return self.revisions[before:]

    @property
    def log(self) -> list[Visit]:
        """The visits that stand, in order of arrival."""
        standing = (visit for visit in self.track.published.values() if visit.state != "retracted")
        return sorted(standing, key=lambda visit: (visit.arrived_ms, visit.fence_id))


def changes(revisions: Iterable[Visit]) -> list[tuple[str, str]]:
    """Fence and state of each revision that changed the state of its visit: what a user is notified of."""
    state: dict[str, str] = {}
    told = []
    for visit in revisions:
        if state.get(visit.visit_id) != visit.state:
            told.append((visit.fence_id, visit.state))
        state[visit.visit_id] = visit.state
    return told

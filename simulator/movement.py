"""True motion at 1 s: drives with accelerations and red lights, walks, and what people do at a site."""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.plane import Floats
from simulator.roads import Route
from simulator.town import Site

_STEP_M: Final = 5.0
_WALK_MPS: Final = 1.25
_ACCELERATION_MPS2: Final = 1.6
_BRAKING_MPS2: Final = 2.2


class Activity(IntEnum):
    """What a technician does at a moment."""

    DRIVING = 0
    HALTED = 1
    """Standing in traffic: a red light, a queue."""
    PARKED = 2
    """Sitting in the standing van."""
    WALKING = 3
    RESTING = 4
    """On foot, in one place."""


@dataclass(frozen=True, eq=False)
class Track:
    """Where one technician truly is, each second from ``start_ms``.

    ``x``, ``y`` float64[n] metres on the plane; ``activity`` int8[n] of Activity; ``stay`` int32[n], the number of the
    stop the technician is at, -1 on the way.
    """

    start_ms: int
    x: Floats
    y: Floats
    activity: npt.NDArray[np.int8]
    stay: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def speed_mps(self) -> Floats:
        """float64[n], over the second before."""
        return np.hypot(np.diff(self.x, prepend=self.x[:1]), np.diff(self.y, prepend=self.y[:1]))


@dataclass
class Motion:
    """A day under construction: knots of a piecewise linear path in time, and what is done from when on."""

    rng: np.random.Generator
    knots_s: list[Floats] = field(default_factory=list)
    knots_xy: list[Floats] = field(default_factory=list)
    changes: list[tuple[float, Activity, int]] = field(default_factory=list)
    now_s: float = 0.0
    stays: int = 0

    def _begin(self, activity: Activity, stay: int = -1) -> None:
        self.changes.append((self.now_s, activity, stay))

    def _hold(self, where: Floats, for_s: float) -> None:
        self.knots_s.append(np.array([self.now_s, self.now_s + for_s]))
        self.knots_xy.append(np.vstack([where, where]))
        self.now_s += for_s

    def drive(self, route: Route, hour: float, haste: float) -> None:
        """Along a route: speed limits, bends, accelerations, red lights and queues at junctions, the hour's traffic."""
        lengths_m = np.hypot(*np.diff(route.points, axis=0).T)
        moved = np.concatenate([[True], lengths_m > 0.01])
        points, junction = route.points[moved], route.junction[moved]
        if len(points) < 2:
            return
        limit_mps = route.speed_mps[moved[1:]] * haste * traffic_factor(hour)
        along_m = np.concatenate([[0.0], np.cumsum(lengths_m[moved[1:]])])
        s_m = np.unique(np.append(np.arange(0.0, along_m[-1], _STEP_M), along_m[-1]))
        piece = np.clip(np.searchsorted(along_m, s_m, side="right") - 1, 0, len(limit_mps) - 1)
        top_mps = limit_mps[piece]
        for bend in np.flatnonzero(_turns(points) > 0.5) + 1:
            near = np.abs(s_m - along_m[bend]) < 8.0
            top_mps[near] = np.minimum(top_mps[near], 4.5)
        halts = self._halts(along_m[junction], s_m)
        top_mps[[0, -1, *halts]] = 0.0
        speed_mps = _within_limits(s_m, top_mps)
        elapsed_s = np.concatenate(
            [[0.0], np.cumsum(2.0 * np.diff(s_m) / np.maximum(speed_mps[1:] + speed_mps[:-1], 0.5))]
        )
        xy = np.column_stack([np.interp(s_m, along_m, points[:, 0]), np.interp(s_m, along_m, points[:, 1])])
        start = 0
        for halt in [*halts, len(s_m) - 1]:
            self._begin(Activity.DRIVING)
            self.knots_s.append(self.now_s + elapsed_s[start : halt + 1] - elapsed_s[start])
            self.knots_xy.append(xy[start : halt + 1])
            self.now_s += float(elapsed_s[halt] - elapsed_s[start])
            if halt < len(s_m) - 1:
                self._begin(Activity.HALTED)
                self._hold(xy[halt], halts[halt])
            start = halt

    def _halts(self, junctions_m: Floats, s_m: Floats) -> dict[int, float]:
        """Index into ``s_m`` -> seconds: red lights up to 90 s, in a queue up to 45 m before the junction."""
        draws = self.rng.random((len(junctions_m), 3))
        halts: dict[int, float] = {}
        for junction_m, (chance, queue, wait) in zip(junctions_m, draws, strict=True):
            at = int(np.searchsorted(s_m, junction_m - 4.0 - 41.0 * queue * queue))
            if chance < 0.22 and 3 < at < len(s_m) - 3 and at - 3 > max(halts, default=-1):
                halts[at] = 8.0 + 82.0 * wait * wait
        return halts

    def park(self, where: Floats, for_s: float) -> None:
        """Sit in the standing van away from any site."""
        self._begin(Activity.PARKED)
        self._hold(where, for_s)

    def stop_at(self, site: Site, for_s: float) -> None:
        """Stay at a site for about ``for_s``: in from the van, about, out to the van again and off."""
        stay, self.stays = self.stays, self.stays + 1
        end_s = self.now_s + for_s
        self._begin(Activity.PARKED, stay)
        self._hold(site.van, self.rng.uniform(8.0, 50.0))
        here = self._walk(site.van, self._inside(site), stay)
        home_s = math.hypot(*(here - site.van)) / _WALK_MPS
        while (left_s := end_s - self.now_s - home_s) > 1.0:
            self._begin(Activity.RESTING, stay)
            self._hold(here, min(max(self.rng.exponential(420.0), 20.0), left_s))
            left_s = end_s - self.now_s - home_s
            draw = self.rng.random()
            if left_s > 240.0 and draw < 0.12:
                here = self._step_out(here, site.van, self.rng.uniform(15.0, 110.0), stay)
            elif left_s > 240.0 and draw < 0.2:
                outside = site.around[int(self.rng.integers(len(site.around)))]
                here = self._step_out(here, outside, self.rng.uniform(10.0, 120.0), stay)
            if left_s > 30.0:
                here = self._walk(here, self._inside(site), stay)
                home_s = math.hypot(*(here - site.van)) / _WALK_MPS
        self._walk(here, site.van, stay)
        self._begin(Activity.PARKED, stay)
        self._hold(site.van, self.rng.uniform(8.0, 60.0))

    def _inside(self, site: Site) -> Floats:
        return np.asarray(site.inside[int(self.rng.integers(len(site.inside)))])

    def _step_out(self, here: Floats, outside: Floats, for_s: float, stay: int) -> Floats:
        there = self._walk(here, outside, stay)
        self._begin(Activity.RESTING, stay)
        self._hold(there, for_s)
        return there

    def _walk(self, here: Floats, there: Floats, stay: int) -> Floats:
        self._begin(Activity.WALKING, stay)
        took_s = max(math.hypot(*(there - here)) / _WALK_MPS, 0.5)
        self.knots_s.append(np.array([self.now_s, self.now_s + took_s]))
        self.knots_xy.append(np.vstack([here, there]))
        self.now_s += took_s
        return there

    def track(self, start_ms: int, length_s: float) -> Track:
        """The first ``length_s`` seconds of it as a track."""
        knots_s = np.concatenate(self.knots_s)
        knots_xy = np.vstack(self.knots_xy)
        seconds = np.arange(0.0, min(length_s, self.now_s))
        change = np.searchsorted(np.array([at for at, _, _ in self.changes]), seconds, side="right") - 1
        return Track(
            start_ms,
            np.interp(seconds, knots_s, knots_xy[:, 0]),
            np.interp(seconds, knots_s, knots_xy[:, 1]),
            np.array([activity for _, activity, _ in self.changes], np.int8)[change],
            np.array([stay for _, _, stay in self.changes], np.int32)[change],
        )


def traffic_factor(hour: float) -> float:
    """Share of the free speed that is left at an hour of the day: the rush at half past eight and at five."""
    return 1.0 - 0.3 * math.exp(-(((hour - 8.5) / 1.1) ** 2)) - 0.35 * math.exp(-(((hour - 17.0) / 1.4) ** 2))


def _turns(points: Floats) -> Floats:
    """Radians by which the way bends at each inner point."""
    steps = np.diff(points, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    return np.abs((np.diff(heading) + math.pi) % (2.0 * math.pi) - math.pi)


def _within_limits(s_m: Floats, top_mps: Floats) -> Floats:
    """The fastest speeds under ``top_mps`` that accelerations allow: v² may change by 2·a·ds and no more."""
    energy = top_mps**2
    gain = 2.0 * _ACCELERATION_MPS2 * s_m
    energy = np.minimum.accumulate(energy - gain) + gain
    loss = 2.0 * _BRAKING_MPS2 * s_m
    energy = (np.minimum.accumulate((energy + loss)[::-1])[::-1]) - loss
    return np.sqrt(np.maximum(energy, 0.0))

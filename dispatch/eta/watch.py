"""Which devices an ETA is to be asked for now: not at each fix, but when it has grown old, or has turned out wrong."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from dispatch.eta.queries import Floats
from routing.straight_line import distances_m

AGAIN_MS: Final = 10_000
"""Nobody who is off their course is asked about again before this."""

OFF_COURSE: Final = 0.25
OFF_COURSE_M: Final = 300.0
"""Farther away than was expected by this part of it, and by so much: the ETA is wrong."""


class Fix(NamedTuple):
    """Where a device was."""

    ts_ms: int
    lat: float
    lon: float


class Course(NamedTuple):
    """A way that was asked about from a fix: to which place, and when it was to be there."""

    from_ms: int
    from_lat: float
    from_lon: float
    to_lat: float
    to_lon: float
    to_ms: float


@dataclass(slots=True, eq=False)
class Watched:
    """A device: its newest fix, the fix and the moment of which it was asked about last.

    Idle, it waits for a newer fix; otherwise for the end of the time for which an answer is good.
    """

    device_id: str
    fix: Fix
    asked_fix_ms: int = -1
    asked_ms: int = -1
    is_idle: bool = True
    course: Course | None = None


class Watch:
    """``refresh_s``: so old an ETA is asked for anew, at the next fix. All times are epoch ms of one clock."""

    def __init__(self, refresh_s: float) -> None:
        self._refresh_ms = round(1000 * refresh_s)
        self._devices: dict[str, Watched] = {}
        self._resting: list[tuple[int, int, Watched]] = []
        self._rested = 0
        self._ready: dict[str, Watched] = {}
        self._moved: dict[str, Watched] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def see(self, device_id: str, fix: Fix) -> None:
        """A device has been somewhere; fixes older than the newest one say nothing."""
        watched = self._devices.get(device_id)
        if watched is None:
            watched = self._devices[device_id] = Watched(device_id, fix)
        elif fix.ts_ms <= watched.fix.ts_ms:
            return
        watched.fix = fix
        if watched.is_idle:
            self._ready[device_id] = watched
        elif watched.course is not None:
            self._moved[device_id] = watched

    def change(self, device_ids: Iterable[str]) -> None:
        """What there is to be asked about devices is something else now."""
        for device_id in device_ids:
            watched = self._devices.get(device_id)
            if watched is not None:
                self._ready[device_id] = watched

    def set_course(self, device_id: str, fix: Fix, to_lat: float, to_lon: float, to_ms: float) -> None:
        """A device that was asked about is on its way and will be there at a moment."""
        watched = self._devices.get(device_id)
        if watched is not None:
            watched.course = Course(*fix, to_lat, to_lon, to_ms)

    def forget(self, is_gone: Callable[[Watched], bool]) -> list[str]:
        """Watch these no longer; which they were."""
        gone = [device_id for device_id, watched in self._devices.items() if is_gone(watched)]
        for device_id in gone:
            for known in (self._devices, self._ready, self._moved):
                known.pop(device_id, None)
        return gone

    def due(self, now_ms: int, most: int, oldest_ms: int) -> list[Watched]:
        """At most so many devices to be asked about now, which counts as done: each is given once.

        Of a device whose newest fix is from before ``oldest_ms`` nothing is asked.
        """
        self._wake(now_ms)
        self._look_at_courses(now_ms)
        due: list[Watched] = []
        while self._ready and len(due) < most:
            device_id = next(iter(self._ready))
            watched = self._ready.pop(device_id)
            if watched.fix.ts_ms < oldest_ms:
                continue
            watched.asked_fix_ms, watched.asked_ms, watched.course = watched.fix.ts_ms, now_ms, None
            if watched.is_idle:
                watched.is_idle = False
                self._rest(watched)
            due.append(watched)
        return due

    def _rest(self, watched: Watched) -> None:
        self._rested += 1
        heapq.heappush(self._resting, (watched.asked_ms + self._refresh_ms, self._rested, watched))

    def _wake(self, now_ms: int) -> None:
        """Answers have grown old: of some devices there is a newer fix, the others wait for one."""
        while self._resting and self._resting[0][0] <= now_ms:
            _, _, watched = heapq.heappop(self._resting)
            if self._devices.get(watched.device_id) is not watched:
                continue
            if watched.asked_ms + self._refresh_ms > now_ms:  # it was asked about in between
                self._rest(watched)
                continue
            watched.is_idle = True
            if watched.fix.ts_ms > watched.asked_fix_ms:
                self._ready[watched.device_id] = watched

    def _look_at_courses(self, now_ms: int) -> None:
        """Who is farther away than was thought is asked about at once."""
        moved = [
            (watched, watched.course)
            for watched in self._moved.values()
            if watched.course is not None and now_ms - watched.asked_ms >= AGAIN_MS
        ]
        self._moved = {}
        if not moved:
            return
        fixes = np.array([watched.fix for watched, _ in moved], np.float64).T
        courses = np.array([course for _, course in moved], np.float64).T
        is_off = is_off_course(fixes, courses)
        for (watched, _), is_wrong in zip(moved, is_off.tolist(), strict=True):
            if is_wrong:
                self._ready[watched.device_id] = watched


def is_off_course(fixes: Floats, courses: Floats) -> npt.NDArray[np.bool_]:
    """Of columns like ``Fix`` and ``Course``, which fixes are clearly farther away than was to be expected by then."""
    ts_ms, lat, lon = fixes
    from_ms, from_lat, from_lon, to_lat, to_lon, to_ms = courses
    left = 1.0 - (ts_ms - from_ms) / np.maximum(to_ms - from_ms, 1.0)
    expected_m = distances_m(from_lat, from_lon, to_lat, to_lon) * np.clip(left, 0.0, 1.0)
    more_m = distances_m(lat, lon, to_lat, to_lon) - expected_m
    return np.asarray(more_m > np.maximum(OFF_COURSE * expected_m, OFF_COURSE_M))

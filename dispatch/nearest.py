"""Who is near a place: technicians by their live positions, all of them measured for each question.

Positions are unit vectors, so that distances on the globe need no trigonometry, and poles and the antimeridian are
places like any other; the straight line through the globe orders places as the great circle on it does. One pass over
50,000 of them takes less than a look-up in a tree that must follow 1,000 moves a second would cost in moves.
"""

import math
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from dispatch.calendars import Calendars
from geofence.geodesy import MEAN_RADIUS_M
from routing.provider import Ways
from routing.straight_line import NAME as STRAIGHT_LINE
from routing.straight_line import distances_m, travel_s
from schemas.people import Technician

_NEVER_MS: Final = np.iinfo(np.int64).min
_ROUNDING: Final = 1e-9
_SPECK: Final = 1e-15
"""More than two ways to compute a chord of the unit sphere differ: in proportion, and 6 nm on the globe at least."""


class Nearby(NamedTuple):
    """A technician near a place, ``distance_m`` by the straight line. ``travel_s`` is by ``provider``.

    ``at_ms`` is when the technician was at ``lat``, ``lon``. ``free_at_ms`` is when the current job is expected to end,
    never before the moment of asking; None where nobody knows, or where there is no ``job_id``.
    """

    technician_id: str
    distance_m: float
    travel_s: float
    lat: float
    lon: float
    at_ms: int
    on_shift: bool
    job_id: str | None
    free_at_ms: int | None
    provider: str = STRAIGHT_LINE


class _CurrentJob(NamedTuple):
    job_id: str
    ends_ms: int | None


class NearestTechnicians:
    """Technicians by slot, where they are and what they are at. One is where any of the own devices was last."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._slot_of_device: dict[str, int] = {}
        self._technicians: list[Technician | None] = []
        self._jobs: list[_CurrentJob | None] = []
        self._free: list[int] = []
        self._calendars = Calendars()
        self._skilled: dict[str, npt.NDArray[np.bool_]] = {}
        self._of_branch: dict[str | None, npt.NDArray[np.bool_]] = {}
        self._calendar = np.zeros(0, np.int32)
        self._busy = np.zeros(0, np.bool_)
        self._lat, self._lon = np.zeros(0), np.zeros(0)
        self._x, self._y, self._z = np.zeros(0), np.zeros(0), np.zeros(0)
        self._at_ms = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, technician: Technician) -> None:
        """Take a technician's record, new or changed; one with ``removed_at`` is forgotten."""
        if technician.removed_at is not None:
            self.remove(technician.technician_id)
            return
        slot = self._slots.get(technician.technician_id)
        if slot is None:
            slot = self._slots[technician.technician_id] = self._new_slot()
        else:
            self._forget_record(slot)
        self._technicians[slot] = technician
        self._calendar[slot] = self._calendars.take(technician)
        for device_id in technician.device_ids:
            self._slot_of_device[device_id] = slot
        for skill in technician.skills:
            if skill not in self._skilled:
                self._skilled[skill] = np.zeros(len(self._busy), np.bool_)
            self._skilled[skill][slot] = True
        if technician.branch not in self._of_branch:
            self._of_branch[technician.branch] = np.zeros(len(self._busy), np.bool_)
        self._of_branch[technician.branch][slot] = True

    def remove(self, technician_id: str) -> None:
        """Forget a technician, known or not."""
        slot = self._slots.pop(technician_id, None)
        if slot is not None:
            self._forget_record(slot)
            self._technicians[slot], self._jobs[slot] = None, None
            self._at_ms[slot], self._busy[slot] = _NEVER_MS, False
            self._free.append(slot)

    def moved(self, device_id: str, lat: float, lon: float, at_ms: int) -> None:
        """A device was somewhere at a moment; older news than what is known, and devices of nobody, change nothing.

        Raises ValueError for what is no point on the globe.
        """
        slot = self._slot_of_device.get(device_id)
        if slot is None or at_ms <= self._at_ms[slot]:
            return
        self._x[slot], self._y[slot], self._z[slot] = _unit_vector(lat, lon)
        self._lat[slot], self._lon[slot], self._at_ms[slot] = lat, lon, at_ms

    def starts_job(self, technician_id: str, job_id: str, ends_ms: int | None) -> None:
        """A technician is at a job, or on the way to it, until it is expected to end; None: nobody knows when.

        Said again, it replaces what was said before. Unknown technicians change nothing.
        """
        slot = self._slots.get(technician_id)
        if slot is not None:
            self._jobs[slot], self._busy[slot] = _CurrentJob(job_id, ends_ms), True

    def ends_job(self, technician_id: str) -> None:
        """A technician has no job at hand any more."""
        slot = self._slots.get(technician_id)
        if slot is not None:
            self._jobs[slot], self._busy[slot] = None, False

    def nearest(
        self,
        lat: float,
        lon: float,
        *,
        at_ms: int,
        limit: int = 10,
        radius_m: float = math.inf,
        skills: frozenset[str] = frozenset(),
        available: bool = False,
        max_age_s: float = math.inf,
        branches: Collection[str] | None = None,
    ) -> list[Nearby]:
        """The nearest technicians who have all the ``skills``, nearest first, ``limit`` at most.

        ``available``: only those on shift at ``at_ms`` (epoch ms) who are not at a job. ``max_age_s``: only those whose
        position is no older. ``branches``: only those of one of these. Raises ValueError for what is no point on the
        globe, no positive limit, or a radius below 0.
        """
        if limit < 1 or not radius_m >= 0.0:
            raise ValueError(f"the nearest {limit} within {radius_m} m: a limit is at least 1, a radius at least 0")
        x, y, z = _unit_vector(lat, lon)
        works = self._calendars.work_at(at_ms)[self._calendar]
        wanted = self._at_ms > _NEVER_MS
        if max_age_s < math.inf:
            wanted &= self._at_ms >= at_ms - max_age_s * 1000.0
        if available:
            wanted &= works & ~self._busy
        for skill in skills:
            if skill not in self._skilled:
                return []
            wanted &= self._skilled[skill]
        if branches is not None:
            none = np.zeros(len(wanted), np.bool_)
            wanted &= np.logical_or.reduce([none, *(self._of_branch.get(branch, none) for branch in branches)])
        chords = (self._x - x) ** 2 + (self._y - y) ** 2 + (self._z - z) ** 2
        if radius_m < math.pi * MEAN_RADIUS_M:
            wanted &= chords <= _square(2.0 * math.sin(radius_m / (2.0 * MEAN_RADIUS_M)))
        slots = np.flatnonzero(wanted)
        if len(slots) > limit:
            near = chords[slots]
            slots = slots[near <= _square(math.sqrt(np.partition(near, limit - 1)[limit - 1]))]
        found_m = distances_m(np.asarray(lat), np.asarray(lon), self._lat[slots], self._lon[slots])
        order = np.argsort(found_m, kind="stable")
        order = order[found_m[order] <= radius_m][:limit]
        seconds = travel_s(found_m)
        return [
            self._told(int(slots[k]), float(found_m[k]), float(seconds[k]), bool(works[slots[k]]), at_ms) for k in order
        ]

    def _told(self, slot: int, distance_m: float, seconds: float, on_shift: bool, at_ms: int) -> Nearby:
        technician, job = self._technicians[slot], self._jobs[slot]
        assert technician is not None
        return Nearby(
            technician.technician_id,
            distance_m,
            seconds,
            float(self._lat[slot]),
            float(self._lon[slot]),
            int(self._at_ms[slot]),
            on_shift,
            job.job_id if job else None,
            max(job.ends_ms, at_ms) if job and job.ends_ms is not None else None,
        )

    def _forget_record(self, slot: int) -> None:
        technician = self._technicians[slot]
        assert technician is not None
        self._calendars.give_back(int(self._calendar[slot]))
        for device_id in technician.device_ids:
            if self._slot_of_device.get(device_id) == slot:  # it may be somebody else's by now
                del self._slot_of_device[device_id]
        for skill in technician.skills:
            self._skilled[skill][slot] = False
        self._of_branch[technician.branch][slot] = False

    def _new_slot(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._technicians)
        self._technicians.append(None)
        self._jobs.append(None)
        if slot == len(self._busy):
            self._grow(max(64, 2 * slot))
        return slot

    def _grow(self, room: int) -> None:
        more = room - len(self._busy)
        self._calendar = np.pad(self._calendar, (0, more))
        self._busy = np.pad(self._busy, (0, more))
        self._lat, self._lon = np.pad(self._lat, (0, more)), np.pad(self._lon, (0, more))
        self._x, self._y, self._z = (np.pad(column, (0, more)) for column in (self._x, self._y, self._z))
        self._at_ms = np.pad(self._at_ms, (0, more), constant_values=_NEVER_MS)
        self._skilled = {skill: np.pad(has, (0, more)) for skill, has in self._skilled.items()}
        self._of_branch = {branch: np.pad(has, (0, more)) for branch, has in self._of_branch.items()}


def _unit_vector(lat: float, lon: float) -> tuple[float, float, float]:
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        raise ValueError(f"({lat}, {lon}) is no point on the globe")
    up, around = math.radians(lat), math.radians(lon)
    return math.cos(up) * math.cos(around), math.cos(up) * math.sin(around), math.sin(up)


def candidates_for(limit: int) -> int:
    """How many of the nearest by the straight line to look at for so many by road: rivers have few bridges."""
    return max(2 * limit, limit + 10)


def soonest(found: Sequence[Nearby], ways: Ways, limit: int) -> list[Nearby]:
    """Who is there soonest by road, ``limit`` at most; ``ways`` are those of all that were found, to the place."""
    by_road = [
        each._replace(travel_s=float(seconds), provider=provider)
        for each, seconds, provider in zip(found, ways.travel_s, ways.providers, strict=True)
    ]
    return sorted(by_road, key=lambda each: each.travel_s)[:limit]


def _square(chord: float) -> float:
    """Of a chord and a little more, so that none as long as it is left out."""
    return (chord * (1.0 + _ROUNDING) + _SPECK) ** 2

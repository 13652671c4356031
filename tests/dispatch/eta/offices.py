"""A company for the desk: technicians, their devices and jobs, changed as a test likes; and what a provider says."""

from collections.abc import Collection
from typing import Any

import numpy as np

from dispatch.eta.appointments import Appointment
from dispatch.eta.desk import Batch, Desk, Said
from dispatch.eta.engine import EtaEngine
from dispatch.eta.watch import Fix
from dispatch.rules import DispatchRules
from routing.provider import Ways
from routing.straight_line import StraightLine
from schemas.times import parse_instant

NINE_MS = int(parse_instant("2026-03-02T09:00:00Z"))
MINUTE_MS = 60_000
RULES = DispatchRules()
REFRESH_S = 45.0
FRESH_S = 180.0
METRES_NORTH = 1.0 / 111_195.0
"""Degrees of latitude."""


def at(minute: float) -> int:
    """So many minutes after nine, epoch ms."""
    return NINE_MS + round(MINUTE_MS * minute)


def job(job_id: str, north_m: float, *technicians: str, **more: Any) -> Appointment:
    """A job so far north of the depot; ``begins`` and ``ends`` are its window in minutes after nine."""
    begins, ends = more.pop("begins", None), more.pop("ends", None)
    stated = {
        "state": "dispatched",
        "since_ms": at(-30),
        "priority": "normal",
        "created_ms": at(-600),
        "window_from_ms": None if begins is None else at(begins),
        "window_to_ms": None if ends is None else at(ends),
        "duration_s": 1_200.0,
        "job_type": "",
        "branch": None,
        "risk": "none",
    }
    place = {"lat": 47.0 + north_m * METRES_NORTH, "lon": 9.5}
    return Appointment(**{"job_id": job_id, "technician_ids": technicians or ("amina",), **place, **stated, **more})


class Office:
    """A ``Company``. Who holds a device is its name up to the dash."""

    def __init__(self, *jobs: Appointment) -> None:
        self.jobs = {each.job_id: each for each in jobs}
        self.devices: dict[str, list[str]] = {}
        self.headings: dict[str, str] = {}

    def technician_of(self, device_id: str) -> str:
        return device_id.partition("-")[0]

    def devices_of(self, technician_id: str) -> list[str]:
        return self.devices.get(technician_id, [f"{technician_id}-van"])

    def appointments_of(self, technician_id: str) -> Collection[Appointment]:
        return [each for each in self.jobs.values() if technician_id in each.technician_ids]

    def appointment(self, job_id: str) -> Appointment | None:
        return self.jobs.get(job_id)

    def time_zone_of(self, branch: str | None) -> str:
        return "UTC" if branch is None else "Asia/Tokyo"


class Road:
    """A provider that counts what it is asked. ``name`` may change: then it is another."""

    def __init__(self, name: str = "straight_line", factor: float = 1.0) -> None:
        self.name = name
        self.factor = factor
        self.asked = 0

    def ways(self, batch: Batch) -> Ways:
        if not batch.wanted:
            return Ways(np.zeros(0), np.zeros(0), [])
        self.asked += len(batch.wanted)
        found = StraightLine().ways(*batch.columns())
        return Ways(found.travel_s * self.factor, found.distance_m, [self.name] * len(batch.wanted))


def desk_of(office: Office, engine: EtaEngine | None = None, rules: DispatchRules = RULES) -> Desk:
    """A desk that knows technicians by the order in which it meets them."""
    numbers: dict[str, int] = {}
    return Desk(
        office,
        office.headings.get,
        rules,
        engine or EtaEngine(),
        lambda name: numbers.setdefault(name, len(numbers)),
        refresh_s=REFRESH_S,
        fresh_s=FRESH_S,
    )


def turn(desk: Desk, road: Road, now_ms: int) -> Said:
    """All that is due, asked and answered."""
    said = Said()
    while (batch := desk.due(now_ms, road.name)) is not None:
        more = desk.answer(batch, road.ways(batch), now_ms)
        said.etas += more.etas
        said.risks += more.risks
    return said


def north(north_m: float, minute: float) -> Fix:
    """So far north of the depot at a minute."""
    return Fix(at(minute), 47.0 + north_m * METRES_NORTH, 9.5)

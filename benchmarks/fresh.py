"""What it costs the foreman to keep the ETAs of many active jobs fresh, broker and provider left aside."""

import time
from collections.abc import Collection
from typing import Final

import numpy as np

from dispatch.eta.appointments import Appointment
from dispatch.eta.desk import Desk
from dispatch.eta.engine import EtaEngine
from dispatch.eta.watch import Fix
from dispatch.rules import DispatchRules
from routing.provider import Ways
from routing.straight_line import StraightLine
from schemas import wire
from schemas.live import LiveState
from schemas.settings import Settings
from schemas.times import Instant
from stream.foreman.patrol import Sighting

FIX_EVERY_S: Final = 10
NOON_MS: Final = 1_772_452_800_000
SPEED_MPS: Final = 8.0
METRES_PER_DEGREE: Final = 111_195.0
NO_WAYS: Final = Ways(np.zeros(0), np.zeros(0), [])


class Fleet:
    """A technician with a van for each ``jobs_each`` jobs, the first of them under way: a ``Company``."""

    def __init__(self, jobs: int, jobs_each: int) -> None:
        self.size = jobs // jobs_each
        rng = np.random.default_rng(7)
        self._begins_m = rng.uniform(0.0, 5_000.0, self.size).tolist()
        self._jobs: dict[str, dict[str, Appointment]] = {}
        for van in range(self.size):
            places_m = np.cumsum(rng.uniform(2_000.0, 15_000.0, jobs_each)).tolist()
            named = {f"job-{van}-{place}": (place, north_m) for place, north_m in enumerate(places_m)}
            self._jobs[f"van-{van}"] = {
                job_id: Appointment(
                    job_id,
                    47.0 + (10_000 + north_m) / METRES_PER_DEGREE,
                    9.5,
                    "scheduled" if place else "en_route",
                    NOON_MS,
                    (f"van-{van}",),
                    "normal",
                    NOON_MS,
                    NOON_MS + 1_800_000 * place,
                    None,
                    1_200.0,
                    "",
                    None,
                    "none",
                )
                for job_id, (place, north_m) in named.items()
            }
        self._all = {job_id: each for own in self._jobs.values() for job_id, each in own.items()}

    def technician_of(self, device_id: str) -> str:
        """Themselves."""
        return device_id

    def devices_of(self, technician_id: str) -> list[str]:
        """Theirs."""
        return [technician_id]

    def appointments_of(self, technician_id: str) -> Collection[Appointment]:
        """As in the protocol."""
        return self._jobs[technician_id].values()

    def appointment(self, job_id: str) -> Appointment | None:
        """As in the protocol."""
        return self._all.get(job_id)

    def time_zone_of(self, branch: str | None) -> str:  # noqa: ARG002 -- as in the protocol
        """Everywhere the same."""
        return "UTC"

    def states(self, second: int) -> list[bytes]:
        """The live states of a second."""
        ts_ms = Instant(NOON_MS + 1_000 * second)
        return [
            wire.encode(
                LiveState(
                    f"van-{van}",
                    ts_ms,
                    47.0 + (self._begins_m[van] + SPEED_MPS * second) / METRES_PER_DEGREE,
                    9.5,
                    5.0,
                    SPEED_MPS,
                    0.0,
                    None,
                    "moving",
                    [],
                    ts_ms,
                )
            )
            for van in range(second % FIX_EVERY_S, self.size, FIX_EVERY_S)
        ]


def cpu_s_per_s(jobs: int, jobs_each: int, seconds: int) -> float:
    """CPU-seconds a second: live states read, ways by the straight line, ETAs written."""
    fleet = Fleet(jobs, jobs_each)
    desk = Desk(
        fleet,
        lambda _: None,
        DispatchRules(),
        EtaEngine(),
        lambda name: int(name.partition("-")[2]),
        refresh_s=Settings().eta_refresh_s,
        fresh_s=180.0,
    )
    settled = round(Settings().eta_refresh_s) + FIX_EVERY_S
    took_s = 0.0
    for second in range(settled + seconds):
        states = fleet.states(second)
        before_s = time.process_time()
        _turn(desk, states, NOON_MS + 1_000 * second)
        if second >= settled:
            took_s += time.process_time() - before_s
    return took_s / seconds


def _turn(desk: Desk, states: list[bytes], now_ms: int) -> None:
    """A second of the foreman."""
    for value in states:
        seen = wire.decode(Sighting, value)
        desk.see(seen.device_id, Fix(seen.ts_ms, seen.lat, seen.lon))
    while (batch := desk.due(now_ms, StraightLine.name)) is not None:
        ways = StraightLine().ways(*batch.columns()) if batch.wanted else NO_WAYS
        for eta in desk.answer(batch, ways, now_ms).etas:
            wire.encode(eta)

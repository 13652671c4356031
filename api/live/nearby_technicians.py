"""The nearest technicians, kept up with the read models: where their devices are, what they can do, what they are at.

A device that nobody holds stands for a technician of its own name, as it does for jobs.
"""

from collections.abc import Collection
from typing import Final

from dispatch.holders import Holders
from dispatch.lifecycle import Lifecycle
from dispatch.nearest import Nearby, NearestTechnicians
from schemas.job import JobRecord
from schemas.live import LiveState
from schemas.people import Technician

_AT_WORK: Final = frozenset({"en_route", "on_site", "in_progress"})
_AHEAD: Final = "en_route"


class NearbyTechnicians:
    """Call the ``…_changed`` with each change, after ``holders`` has it."""

    def __init__(self, holders: Holders, lifecycle: Lifecycle) -> None:
        self._holders = holders
        self._lifecycle = lifecycle
        self._nearest = NearestTechnicians()
        self._technicians: dict[str, Technician] = {}
        self._positions: dict[str, LiveState] = {}
        self._workers: dict[str, tuple[str, ...]] = {}
        self._at: dict[str, dict[str, int | None]] = {}

    def technician_changed(self, technician_id: str, technician: Technician | None) -> None:
        """A technician is another now, or gone."""
        before = self._technicians.pop(technician_id, None)
        if technician is None or technician.removed_at is not None:
            self._nearest.remove(technician_id)
        else:
            if before is not None and before.device_ids != technician.device_ids:
                self._nearest.remove(technician_id)  # where another's device is says nothing of this one
            self._technicians[technician_id] = technician
            self._nearest.put(technician)
            self._tell_job(technician_id)
        devices = {device_id for each in (before, technician) if each is not None for device_id in each.device_ids}
        for device_id in devices & self._positions.keys():
            self.device_changed(device_id, self._positions[device_id])

    def device_changed(self, device_id: str, live: LiveState | None) -> None:
        """A device has been somewhere, or it is known no more where it was."""
        if live is None:
            self._forget(device_id)
            return
        self._positions[device_id] = live
        stands_for_itself = self._holders.holder_of(device_id) is None
        if stands_for_itself and device_id not in self._technicians:
            self._nearest.put(Technician(technician_id=device_id, name=device_id, device_ids=[device_id]))
            self._tell_job(device_id)
        elif not stands_for_itself and device_id not in self._technicians:
            self._nearest.remove(device_id)
        self._nearest.moved(device_id, live.lat, live.lon, live.ts_ms)

    def _forget(self, device_id: str) -> None:
        """Nobody is where this device was; whoever holds others is where these were seen last."""
        if self._positions.pop(device_id, None) is None:
            return
        holder = self._holders.holder_of(device_id)
        technician = None if holder is None else self._technicians.get(holder.technician_id)
        self._nearest.remove(device_id if technician is None else technician.technician_id)
        if technician is not None:
            self._nearest.put(technician)
            self._tell_job(technician.technician_id)
            for each in technician.device_ids:
                if each in self._positions:
                    self.device_changed(each, self._positions[each])

    def job_changed(self, job_id: str, job: JobRecord | None) -> None:
        """Somebody may have begun a job, or ended one."""
        before = self._workers.pop(job_id, ())
        for technician_id in before:
            self._at[technician_id].pop(job_id, None)
        if job is not None and self._lifecycle.like(job.state) in _AT_WORK:
            self._workers[job_id] = tuple(job.technician_ids)
            for technician_id in job.technician_ids:
                self._at.setdefault(technician_id, {})[job_id] = _ends_ms(job, self._lifecycle)
        for technician_id in {*before, *self._workers.get(job_id, ())}:
            self._tell_job(technician_id)

    def at_hand(self, technician_id: str) -> Collection[str]:
        """The jobs that somebody is on the way to, or at."""
        return self._at.get(technician_id, {}).keys()

    def nearest(
        self,
        lat: float,
        lon: float,
        *,
        at_ms: int,
        limit: int,
        radius_m: float,
        skills: frozenset[str],
        available: bool,
        max_age_s: float,
        branches: Collection[str] | None,
    ) -> list[Nearby]:
        """As ``NearestTechnicians.nearest``."""
        return self._nearest.nearest(
            lat,
            lon,
            at_ms=at_ms,
            limit=limit,
            radius_m=radius_m,
            skills=skills,
            available=available,
            max_age_s=max_age_s,
            branches=branches,
        )

    def name_of(self, technician_id: str) -> str:
        """What people call a technician; the id where nobody has said."""
        technician = self._technicians.get(technician_id)
        return technician_id if technician is None else technician.name

    def _tell_job(self, technician_id: str) -> None:
        """Of several jobs at a time, the one that lasts longest is what somebody waits for."""
        jobs = self._at.get(technician_id)
        if not jobs:
            self._nearest.ends_job(technician_id)
            return
        job_id = max(jobs, key=lambda each: (jobs[each] is None, jobs[each] or 0, each))
        self._nearest.starts_job(technician_id, job_id, jobs[job_id])


def _ends_ms(job: JobRecord, lifecycle: Lifecycle) -> int | None:
    """When a job that has begun is expected to end: its estimate after the arrival; None where nobody knows."""
    arrived = [entry.at for entry in job.log if lifecycle.like(entry.state) in _AT_WORK and entry.state != _AHEAD]
    if not arrived or job.duration_s is None:
        return None
    return int(arrived[0] + round(1000 * job.duration_s))

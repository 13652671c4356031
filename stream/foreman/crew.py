"""Who works where: technicians, branches and the jobs under way, as the compacted topics have them."""

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from dispatch.eta.appointments import Appointment, Done, appointment_of, arrivals_of, done_of
from dispatch.holders import Holders
from dispatch.lifecycle import Lifecycle
from dispatch.rounds import Candidate, candidate_of
from dispatch.rules import DispatchRules
from schemas.job import JobRecord
from schemas.people import Technician
from schemas.places import Branch
from schemas.settings import Settings
from schemas.topics import BRANCHES, FENCES, JOBS, TECHNICIANS
from schemas.wire import decode
from stream.kafka import Follower, follow_all, stop_all


class _Drawn(msgspec.Struct):
    """Of a fence's version what matters here."""

    kind: str = "site"


class _Kinds(msgspec.Struct):
    """Of a fence what matters here."""

    versions: list[_Drawn]


class KnownJob(msgspec.Struct, frozen=True):
    """Of a job what matters here: to visits, to ETAs, and to those who learn from it."""

    candidate: Candidate
    appointment: Appointment | None
    arrivals: tuple[tuple[str, int], ...]
    done: Done | None


class Crew:
    """Follows the topics. ``on_change(technician_id)`` is called when a job or a technician has changed.

    ``on_job`` is called with each job as it was and as it is, whatever has changed. ``job_of`` reads the value of one.
    """

    def __init__(
        self,
        settings: Settings,
        rules: DispatchRules,
        on_change: Callable[[str], None],
        job_of: Callable[[bytes], JobRecord],
    ) -> None:
        self._job_of = job_of
        self._rules = rules
        self._lifecycle: Final[Lifecycle] = rules.lifecycle()
        self._on_change = on_change
        self._holders = Holders()
        self._holders.on_change = lambda device_id: on_change(self.technician_of(device_id))
        self.on_job: Callable[[str, KnownJob | None, KnownJob | None], None] | None = None
        self._jobs: dict[str, KnownJob] = {}
        self._of_technician: dict[str, dict[str, Candidate]] = {}
        self._appointments: dict[str, dict[str, Appointment]] = {}
        self._technicians = Follower(
            settings.kafka, TECHNICIANS, lambda value: decode(Technician, value), self._technician_changed
        )
        self._branches = Follower(settings.kafka, BRANCHES, lambda value: decode(Branch, value))
        self._known = Follower(settings.kafka, JOBS, self._known_job, self._job_changed)
        self._zones = Follower(settings.kafka, FENCES, lambda value: decode(_Kinds, value), self._fence_changed)
        self.areas: set[str] = set()
        """Zones: fences that other places lie in."""
        self._followers = (self._technicians, self._branches, self._known, self._zones)

    async def start(self) -> None:
        """Read all of it."""
        await follow_all(self._followers)

    async def stop(self) -> None:
        """Follow no longer."""
        await stop_all(self._followers)

    def technician_of(self, device_id: str) -> str:
        """Who holds the device; a device that nobody holds stands for a technician of its own name."""
        holder = self._holders.holder_of(device_id)
        return device_id if holder is None else holder.technician_id

    def devices_of(self, technician_id: str) -> list[str]:
        """The devices of a technician, or the device that stands for one of its own name."""
        technician = self._technicians.records.get(technician_id)
        is_gone = technician is None or technician.removed_at is not None
        return [technician_id] if technician is None or is_gone else technician.device_ids or [technician_id]

    def jobs_of(self, technician_id: str) -> Collection[Candidate]:
        """The jobs that are, or were, the technician's."""
        return self._of_technician.get(technician_id, {}).values()

    def appointments_of(self, technician_id: str) -> Collection[Appointment]:
        """The jobs where the technician is awaited or at work."""
        return self._appointments.get(technician_id, {}).values()

    def appointment(self, job_id: str) -> Appointment | None:
        """A job where somebody is awaited or at work."""
        known = self._jobs.get(job_id)
        return None if known is None else known.appointment

    def moves_jobs(self, technician_id: str) -> bool:
        """Whether the technician's visits move jobs on: as the technician has it, else the branch, else the tenant."""
        technician = self._technicians.records.get(technician_id)
        branch = self._branches.records.get((technician.branch if technician else None) or "")
        stated = (technician and technician.auto_logging, branch and branch.auto_logging)
        return bool(next((each for each in stated if each is not None), self._rules.auto_logging))

    def time_zone_of(self, branch: str | None) -> str:
        """The time zone of a branch, else the tenant's."""
        found = self._branches.records.get(branch or "")
        return (found.time_zone if found is not None else None) or self._rules.time_zone

    def _fence_changed(self, fence_id: str, fence: _Kinds | None) -> None:
        self._zones.records.pop(fence_id, None)  # a hundred thousand fences are not kept for the sake of a few
        self.areas.discard(fence_id)
        if fence is not None and fence.versions and fence.versions[-1].kind == "zone":
            self.areas.add(fence_id)

    def _known_job(self, value: bytes) -> KnownJob:
        record = self._job_of(value)
        return KnownJob(
            candidate_of(record, self._lifecycle),
            appointment_of(record, self._lifecycle),
            arrivals_of(record),
            done_of(record, self._lifecycle),
        )

    def _technician_changed(self, technician_id: str, technician: Technician | None) -> None:
        self._holders.technician_changed(technician_id, technician)
        self._on_change(technician_id)

    def _job_changed(self, job_id: str, job: KnownJob | None) -> None:
        self._known.records.pop(job_id, None)  # they are kept here
        before = self._jobs.pop(job_id, None)
        if job is not None:
            self._jobs[job_id] = job
        self._candidate_changed(job_id, *(each.candidate if each else None for each in (before, job)))
        self._appointment_changed(job_id, *(each.appointment if each else None for each in (before, job)))
        if self.on_job is not None and before != job:
            self.on_job(job_id, before, job)

    def _candidate_changed(self, job_id: str, before: Candidate | None, job: Candidate | None) -> None:
        if before == job:
            return
        for technician_id in _technicians_of(before):
            self._of_technician[technician_id].pop(job_id, None)
        for technician_id in _technicians_of(job):
            assert job is not None
            self._of_technician.setdefault(technician_id, {})[job_id] = job
        for technician_id in _technicians_of(before) | _technicians_of(job):
            self._on_change(technician_id)

    def _appointment_changed(self, job_id: str, before: Appointment | None, job: Appointment | None) -> None:
        for technician_id in () if before is None else before.technician_ids:
            self._appointments[technician_id].pop(job_id, None)
        for technician_id in () if job is None else job.technician_ids:
            assert job is not None
            self._appointments.setdefault(technician_id, {})[job_id] = job


def _technicians_of(job: Candidate | None) -> set[str]:
    return set() if job is None else {each.technician_id for each in job.assignments}

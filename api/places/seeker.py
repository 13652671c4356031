"""Addresses that the geocoder could not be asked about are asked about again, until they have a place."""

import asyncio
import contextlib
from typing import Any, Final, cast

import msgspec
import structlog

from api.auth import Principal
from api.background import Background
from api.http.problems import Problem
from api.jobs.commands import new_request_id
from api.jobs.placing import place_changes
from api.places.geocoding import look_up
from api.places.sites import at_place
from api.registers.registry import REGISTERS
from api.registers.writes import write_entry
from api.services import Services
from schemas.found_place import Geocoded
from schemas.job import JobRecord
from schemas.job_command import EditJob, Sender
from schemas.places import Site
from schemas.times import Instant
from schemas.topics import LogUnavailable

EVERY_S: Final = 15.0
_AT_ONCE: Final = 50
_AGAIN: Final = ("unavailable", "no_geocoder")

SEEKER: Final = Principal("system", "geocoder", "the geocoder", "operations_manager")
_SENDER: Final = Sender("system", "system:geocoder", SEEKER.role)

log = structlog.get_logger()


class Unplaced:
    """The jobs and sites that wait for a place; its methods are called with each change of one."""

    def __init__(self) -> None:
        self.jobs: dict[str, None] = {}
        self.sites: dict[str, None] = {}

    def job_changed(self, job_id: str, job: JobRecord | None) -> None:
        """A job has another record."""
        self._note(self.jobs, job_id, None if job is None else job.geocoded)

    def site_changed(self, site_id: str, site: Any) -> None:
        """A site has another record."""
        self._note(self.sites, site_id, None if site is None or site.removed_at is not None else site.geocoded)

    @staticmethod
    def _note(waiting: dict[str, None], key: str, geocoded: Geocoded | None) -> None:
        if geocoded is not None and geocoded.status in _AGAIN:
            waiting[key] = None
        else:
            waiting.pop(key, None)


class PlaceSeeker(Background):
    """Asks again each ``EVERY_S``, for some at a time, and stops at the first that has no answer.

    Several API processes may do so at once: a job is changed only as it was seen, and what they find is the same.
    """

    def __init__(self, unplaced: Unplaced, services: Services) -> None:
        self._unplaced = unplaced
        self._services = services

    async def seek(self) -> None:
        """Ask about those that wait, the ones that were not asked about for the longest time first."""
        if not self._services.geocoder.is_there:
            return
        for waiting, placed in ((self._unplaced.jobs, self._place_job), (self._unplaced.sites, self._place_site)):
            for key in list(waiting)[:_AT_ONCE]:
                waiting.pop(key, None)
                waiting[key] = None  # to the end
                if not await placed(key):
                    return

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.seek()
            except (LogUnavailable, Problem) as error:
                log.warning("addresses are asked about later", reason=str(error))
            except Exception as error:  # noqa: BLE001 -- one that cannot be placed is no reason to look for no other
                log.warning("an address cannot be asked about", error=type(error).__name__)

    async def _place_job(self, job_id: str) -> bool:
        """Whether the geocoder has answered."""
        job = self._services.jobs.records.get(job_id)
        if job is None or self._services.dispatch_rules.lifecycle().is_over(job.state):
            self._unplaced.jobs.pop(job_id, None)
            return True
        changes = await place_changes(job, {}, SEEKER, self._services)
        status = (changes.get("geocoded") or {}).get("status")
        if status in _AGAIN:
            return False
        command = EditJob(
            job_id=job_id,
            sender=_SENDER,
            key=f"place-{job_id}-{job.revision}",
            issued_at=self._services.clock.now_ms(),
            request_id=new_request_id(),
            changes=changes,
            if_revision=job.revision,
        )
        with contextlib.suppress(Problem):  # somebody has changed it meanwhile: it is looked at again
            await self._services.desk.carry_out(command)
        return True

    async def _place_site(self, site_id: str) -> bool:
        """Whether the geocoder has answered."""
        site = cast(Site | None, self._services.registers["sites"].records.get(site_id))
        if site is None or site.address is None:
            self._unplaced.sites.pop(site_id, None)
            return True
        found = await look_up(site.address, site.branch, site.customer_id, self._services)
        if found.geocoded.status in _AGAIN:
            return False
        async with self._services.register_edits:
            before = cast(Site | None, self._services.registers["sites"].records.get(site_id))
            if before is not None and before == site:
                updated_at = Instant(max(self._services.clock.now_ms(), before.updated_at + 1))
                after = msgspec.structs.replace(at_place(before, found), updated_at=updated_at)
                await write_entry(self._services, REGISTERS["sites"], SEEKER, "edited", before, after)
        return True

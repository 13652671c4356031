"""What was done for a customer, or at a site."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Path, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.history.work_history import history_of
from api.http.answers import JSONAnswer
from api.http.paging import page_of, place_after
from api.http.parameters import Cursor
from api.http.problems import Problem, unavailable
from api.jobs.archive import archived_jobs
from api.ports import StoredJobQuery
from api.registers.registry import REGISTERS, Entry, Name
from api.registers.writes import entries_of
from api.services import Reach, Services
from schemas.job import JobRecord
from schemas.places import Site

router = APIRouter()

Reader = Annotated[Scope, Depends(scoped("customers:read"))]
_PAGE: Final = 1_000
"""Archived jobs that are read at a time."""

Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]


@router.get(
    "/v1/customers/{customer_id}/history",
    tags=["customers"],
    summary="What was done for a customer",
    responses=examples.answers(
        200, "Some of it, the newest first", "HistoryPage", examples.jobs.HISTORY, 400, 404, 503
    ),
)
async def customer_history(
    services: Reach,
    scope: Reader,
    customer_id: Annotated[str, Path(description="the customer's id")],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JSONAnswer:
    """Jobs with their states, technicians, times and visits, those to come first; visits at the customer's places that
    were for no job. Of branches that the asker sees. A removed customer has a history too.
    """
    _known("customers", customer_id, scope, services)
    every = cast(Iterable[Site], entries_of(services, REGISTERS["sites"]).values())
    sites = {site.site_id: site for site in every if site.customer_id == customer_id and scope.sees(site.branch)}
    jobs = [job for job in _jobs(scope, services) if job.customer_id == customer_id or job.site_id in sites]
    jobs += await _archived(StoredJobQuery(_PAGE, customer_ids=(customer_id,), site_ids=tuple(sites)), scope, services)
    return await _page(jobs, sites.values(), limit, cursor, scope, services)


@router.get(
    "/v1/sites/{site_id}/history",
    tags=["sites"],
    summary="What was done at a site",
    responses=examples.answers(
        200, "Some of it, the newest first", "HistoryPage", examples.jobs.HISTORY, 400, 404, 503
    ),
)
async def site_history(
    services: Reach,
    scope: Reader,
    site_id: Annotated[str, Path(description="the site's id")],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JSONAnswer:
    """As for a customer: jobs at this site, and visits there that were for no job."""
    site = cast(Site, _known("sites", site_id, scope, services))
    jobs = [job for job in _jobs(scope, services) if job.site_id == site_id]
    jobs += await _archived(StoredJobQuery(_PAGE, site_ids=(site_id,)), scope, services)
    return await _page(jobs, [site], limit, cursor, scope, services)


def _known(name: Name, key: str, scope: Scope, services: Services) -> Entry:
    entry = entries_of(services, REGISTERS[name]).get(key)
    if entry is None or not scope.sees(entry.branch):
        kind = REGISTERS[name].kind
        raise Problem(404, f"unknown_{kind}", f"there is no {kind} {key!r}")
    return entry


def _jobs(scope: Scope, services: Services) -> Iterator[JobRecord]:
    if not services.jobs.is_caught_up:
        raise unavailable("the jobs are still being read")
    return (job for job in services.jobs.records.values() if scope.sees_job(job))


async def _archived(query: StoredJobQuery, scope: Scope, services: Services) -> list[JobRecord]:
    return [job async for job in archived_jobs(query, services) if scope.sees_job(job)]


async def _page(
    jobs: Sequence[JobRecord],
    sites: Iterable[Site],
    limit: int,
    cursor: str | None,
    scope: Scope,
    services: Services,
) -> JSONAnswer:
    named = [each.fence_id for each in sites] + [each.fence_id for each in jobs]
    fence_ids = {each for each in named if each is not None}
    found = await history_of(jobs, fence_ids, place_after(cursor), limit + 1, scope, services)
    return JSONAnswer(page_of(found, limit, lambda item: item.place))

"""The office of a simulated day in a running system: it hires, it plans, and it is asked how the jobs went."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from infra.demo import RunningSystem
from infra.errors import CommandError
from schemas import wire
from schemas.eta import Eta
from schemas.job import Job
from simulator.job_score import JobScore, judge_jobs
from simulator.office import Office

_AT_ONCE: Final = 8
_PAGE: Final = 500
_LOOK_AGAIN_S: Final = 1.0
_SETTLE_S: Final = 20.0
_AHEAD_S: Final = 900


class JobNow(Job, kw_only=True):
    """A job as it is answered: ``eta`` is when somebody will be there, as long as anybody is awaited."""

    eta: Eta | None = None


async def open_office(system: RunningSystem, office: Office) -> None:
    """Make technicians, customers and sites. Raises CommandError where one is refused."""
    await asyncio.gather(
        _post_all(system, "/v1/technicians", office.technicians), _post_all(system, "/v1/customers", office.customers)
    )
    await _post_all(system, "/v1/sites", office.sites)


async def plan(system: RunningSystem, office: Office) -> None:
    """Make the jobs of the day. Raises CommandError where one is refused."""
    await _post_all(system, "/v1/jobs", office.jobs)


async def all_jobs(system: RunningSystem) -> dict[str, JobNow]:
    """Every job as it is now, by id."""
    found: dict[str, JobNow] = {}
    cursor: str | None = None
    while True:
        parameters = {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
        page = (await system.client.get("/v1/jobs", params=parameters)).raise_for_status().json()
        found |= {each["job_id"]: wire.from_builtins(JobNow, each) for each in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def windows_held(system: RunningSystem) -> tuple[int, int]:
    """Of how many arrivals an ETA stood a quarter of an hour before, and how many of these were within its window."""
    rows = (await system.client.get("/v1/reports/eta-accuracy")).raise_for_status().json()["rows"]
    then = [(arrivals, held) for _, _, _, before_s, arrivals, held, *_ in rows if before_s == _AHEAD_S]
    return sum(arrivals for arrivals, _ in then), sum(held for _, held in then)


async def judge_office(system: RunningSystem, office: Office) -> JobScore:
    """How right the logs of jobs are, as soon as two looks agree or nothing is wrong; after 20 s in any case."""
    give_up_s = time.monotonic() + _SETTLE_S
    before: list[str] | None = None
    while True:
        visits = [visit for visit in await system.visits() if visit.state != "open"]
        score = judge_jobs(office.company, await all_jobs(system), visits)
        if not score.wrong or score.wrong == before or time.monotonic() > give_up_s:
            return score
        before = score.wrong
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _post_all(system: RunningSystem, path: str, contents: Sequence[Mapping[str, Any]]) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def post(content: Mapping[str, Any]) -> None:
        async with free:
            answer = await system.client.post(path, json=content)
            while answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                await asyncio.sleep(_LOOK_AGAIN_S)
                answer = await system.client.post(path, json=content)
        if answer.is_error:
            raise CommandError(f"{path} refused {dict(content)}: {answer.text[:300]}")

    await asyncio.gather(*map(post, contents))

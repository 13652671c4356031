"""Three days of a company in its three branches, faster than life, on the whole system: every job's log is the truth.

Phones go silent and upload late, jobs are planned in another order than they are done, given to others, taken on during
the day, ended by a word; two technicians ride together; one in each branch logs by hand. The office and the technicians
have keys of their own, and nobody sees anything of another branch.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.delivery import Delivery
from infra.demo import RunningSystem, deliver, running_system
from infra.grants import Grant
from infra.keys import open_key_ring
from schemas import wire
from schemas.clock import Clock
from schemas.job import Job
from schemas.settings import Settings
from schemas.times import format_instant
from schemas.visit import Visit
from simulator.company import MINUTE_MS, Change, Company, CompanySpec, Order, Word, build_company
from simulator.job_score import JobScore, judge_jobs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]

CLOCK_RATE = 600.0
SETTLE_DEADLINE_S = 120.0
AT_ONCE = 8
TICK_S = 0.1
BLIND_SHARE = 0.03
"""Of the jobs, those whose visits may not be in the log as they were."""


class Keys:
    """A dispatcher's and a manager's key of each branch, and one of each technician."""

    def __init__(self) -> None:
        self.dispatchers: dict[str, str] = {}
        self.managers: dict[str, str] = {}
        self.technicians: dict[str, str] = {}

    async def make(self, settings: Settings, company: Company) -> None:
        async with open_key_ring(settings) as ring:
            for branch in company.spec.branches:
                self.dispatchers[branch] = (await ring.create("office", Grant("dispatcher", [branch]))).token
                self.managers[branch] = (await ring.create("manager", Grant("branch_manager", [branch]))).token
            for technician in company.technicians:
                name = technician["technician_id"]
                granted = Grant("technician", technician_id=name)
                self.technicians[name] = (await ring.create(name, granted)).token


class Office:
    """Hands in jobs and words at their moments; what is refused for now is sent again."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, company: Company, keys: Keys) -> None:
        self._client = client
        self._clock = clock
        self._truths = company.truths
        self._keys = keys
        self._free = asyncio.Semaphore(AT_ONCE)

    async def work(self, company: Company) -> None:
        """Everything that people do, each thing not before its moment."""
        events = iter(company.events())
        following = next(events, None)
        while following is not None:
            async with asyncio.TaskGroup() as due:
                due.create_task(asyncio.sleep(TICK_S))
                one_by_one: dict[str, list[Order | Word | Change]] = {}
                while following is not None and following.sent_ms <= self._clock.now_ms():
                    one_by_one.setdefault(following.job_id, []).append(following)
                    following = next(events, None)
                for of_a_job in one_by_one.values():
                    due.create_task(self._send_all(of_a_job))

    async def _send_all(self, events: list[Order | Word | Change]) -> None:
        for event in events:
            async with self._free:
                answer = await self._send(event)
            assert not answer.is_error, f"{event}: {answer.text}"

    async def _send(self, event: Order | Word | Change) -> httpx.Response:
        path = f"/v1/jobs/{event.job_id}"
        token = self._token_of(event)
        if isinstance(event, Order):
            window = {name: format_instant(event.fields[name]) for name in ("window_from", "window_to")}
            return await self._again(token, "POST", "/v1/jobs", {**event.fields, **window, "job_id": event.job_id})
        if isinstance(event, Change):
            return await self._again(token, "PATCH", path, {"technician_ids": list(event.technician_ids)})
        moved = {"to": event.to, "at": format_instant(event.at_ms)}
        return await self._again(token, "POST", f"{path}/transitions", moved)

    def _token_of(self, event: Order | Word | Change) -> str:
        """Technicians speak for themselves, the dispatcher of the branch does the rest."""
        if isinstance(event, Word) and event.by == "technician":
            return self._keys.technicians[self._truths[event.job_id].technician_ids[0]]
        return self._keys.dispatchers[event.job_id.partition("-")[0]]

    async def _again(self, token: str, method: str, path: str, content: dict[str, Any]) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": hashlib.sha256(f"{method} {path} {content}".encode()).hexdigest(),
        }
        while True:
            answer = await self._client.request(method, path, json=content, headers=headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            await asyncio.sleep(1.0)


async def all_jobs(client: httpx.AsyncClient) -> dict[str, Job]:
    found: dict[str, Job] = {}
    cursor: str | None = None
    while True:
        parameters = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/jobs", params=parameters)).raise_for_status().json()
        found |= {each["job_id"]: wire.from_builtins(Job, each) for each in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def sees_only(client: httpx.AsyncClient, token: str, branch: str) -> None:
    """Everything that a key of a branch is shown belongs to it, by its name."""
    lists = {
        "jobs": "job_id",
        "visits": "device_id",
        "devices": "device_id",
        "technicians": "technician_id",
        "fences": "id",
    }
    for name, key in lists.items():
        shown: list[str] = []
        cursor: str | None = None
        while True:
            parameters = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
            answer = await client.get(f"/v1/{name}", params=parameters, headers={"Authorization": f"Bearer {token}"})
            page = answer.raise_for_status().json()
            shown += [each[key] for each in page.get("items", page.get("features"))]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert shown, f"{branch} sees no {name}"
        assert {each.partition("-")[0] for each in shown} == {branch}, name


async def staff(system: RunningSystem, company: Company) -> None:
    await system.import_fences(company.fences)
    for branch in company.spec.branches:
        (await system.client.post("/v1/branches", json={"branch": branch, "name": branch})).raise_for_status()
    for technician in company.technicians:
        (await system.client.post("/v1/technicians", json=technician)).raise_for_status()


async def settled(system: RunningSystem, company: Company) -> JobScore:
    """The judgement once nothing is wrong any more, or time is up."""
    give_up_s = time.monotonic() + SETTLE_DEADLINE_S
    while True:
        visits: list[Visit] = [visit for visit in await system.visits() if visit.state != "open"]
        score = judge_jobs(company, await all_jobs(system.client), visits)
        if not score.wrong or time.monotonic() > give_up_s:
            return score
        await asyncio.sleep(2.0)


def on_a_company(
    company: Company, folder: Path, check: Callable[[RunningSystem, Keys, JobScore], Awaitable[None]]
) -> None:
    """Let the days of a company pass on a system of its own, then check."""

    async def run() -> None:
        start_ms = company.spec.start_ms - 600 * MINUTE_MS  # time to set up
        async with running_system(folder, CLOCK_RATE, start_ms) as system:
            await staff(system, company)
            clock = await system.read_clock(CLOCK_RATE, company.fences["features"][0])
            keys = Keys()
            await keys.make(Settings(kafka=system.facts["kafka"]), company)
            office = Office(system.client, clock, company, keys)
            delivery = Delivery(system.facts["api"], system.token)
            async with asyncio.TaskGroup() as days:
                days.create_task(office.work(company))
                days.create_task(deliver(company, clock, delivery))
            await delivery.close()
            assert delivery.tally.undelivered == 0
            await check(system, keys, await settled(system, company))

    asyncio.run(run())


def test_every_jobs_log_is_the_truth(tmp_path: Path) -> None:
    company = build_company(CompanySpec())
    assert len(company.orders) / company.spec.days >= 300

    async def check(system: RunningSystem, keys: Keys, score: JobScore) -> None:
        print(f"{score.judged} jobs judged, {len(score.blind)} blind")
        assert not score.wrong, "\n".join(score.wrong)
        assert len(score.blind) <= BLIND_SHARE * len(company.truths), score.blind
        for branch, token in keys.managers.items():
            await sees_only(system.client, token, branch)

    on_a_company(company, tmp_path, check)

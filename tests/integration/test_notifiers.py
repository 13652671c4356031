"""Two notifiers share the jobs: each has its own alone, every customer is told once, one goes on without the other."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.embedded.ports import reserve_free
from infra.supervisor import Command
from infra.system import environment_of
from schemas.times import format_instant
from tests.integration.mailbox import Mailbox
from tests.integration.parts import Parts, until

pytestmark = pytest.mark.integration

RATE = 100.0
JOBS = 24
OVER = 8
TECHNICIAN = {"technician_id": "amina", "name": "Amina"}

RULES = """
[notices]
fresh_min = 60
quiet_from = "00:00"
quiet_to = "00:00"

[[notices.channels]]
name = "mail"
url = "mailto://127.0.0.1:{port}?from=jobs@example.com&to={{email}}&format=text"
"""


@pytest.fixture
def parts(tmp_path: Path, mailbox: Mailbox) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    rules = tmp_path / "dispatch.toml"
    rules.write_text(RULES.format(port=mailbox.port))
    now_ms = time.time_ns() // 1_000_000
    parts.settings = parts.settings.model_copy(
        update={"dispatch": rules, "clock_rate": RATE, "clock_start_ms": now_ms, "clock_origin_ms": now_ms}
    )
    try:
        yield parts
    finally:
        parts.close()


def start_second(parts: Parts) -> None:
    port = parts._metrics["second notifier"] = reserve_free()
    second = Command(
        [sys.executable, "-m", "infra.cli", "notifier"],
        parts.folder / "logs" / "second-notifier.log",
        environment_of(parts.settings) | {"ONSITE_METRICS_PORT": str(port)},
    )
    parts.children["second notifier"] = second
    second.start()


async def add(client: httpx.AsyncClient, name: str, window_from_ms: int) -> None:
    customer = {"customer_id": name, "name": name.title(), "contact": {"email": f"{name}@example.com"}}
    job = {
        "job_id": name,
        "title": "Boiler service",
        "customer_id": name,
        "technician_ids": [TECHNICIAN["technician_id"]],
        "window_from": format_instant(window_from_ms),
        "window_to": format_instant(window_from_ms + 7_200_000),
    }
    for path, content in (("/v1/customers", customer), ("/v1/jobs", job)):
        answer = await client.post(path, json=content)
        assert answer.is_success, answer.text


async def move(client: httpx.AsyncClient, name: str, state: str) -> None:
    assert (await client.post(f"/v1/jobs/{name}/transitions", json={"to": state})).is_success


def test_two_share_the_jobs_and_one_goes_on_alone(parts: Parts, mailbox: Mailbox) -> None:
    names = [f"customer-{number}" for number in range(JOBS)]
    both = ("notifier", "second notifier")

    async def held() -> list[float]:
        return [await parts.counted(each, "onsite_notifier_jobs") for each in both]

    async def told() -> set[int]:
        return {len(mailbox.keys_of(each)) for each in names}

    async def run() -> None:
        await parts.start_all()
        start_second(parts)
        log = parts.folder / "logs" / "second-notifier.log"

        async def has_joined() -> bool:
            return log.exists() and "jobs read" in log.read_text()

        await until(has_joined, "the second has partitions")
        async with parts.client() as client:
            clock = parts.settings.clock()
            assert (await client.post("/v1/technicians", json=TECHNICIAN)).is_success
            for each in names:
                await add(client, each, clock.now_ms() + 86_400_000)
            await until(told, "each customer has an appointment", {1})
            first, second = await held()
            assert first + second == JOBS, "no job is held twice"
            assert min(first, second) > 0
            assert {count for taken in mailbox.taken.values() for count in taken.values()} == {1}

            for each in names[: JOBS // 2]:
                await move(client, each, "dispatched")
            parts.kill("notifier")
            for each in names[JOBS // 2 :]:
                await move(client, each, "dispatched")
            await until(told, "each customer knows that somebody has it", {2})
            assert await parts.counted("second notifier", "onsite_notifier_jobs") == JOBS

            for each in names[:OVER]:
                await move(client, each, "cancelled")
            parts.start("notifier")

            async def cancelled() -> set[int]:
                return {len(mailbox.keys_of(each)) for each in names[:OVER]}

            async def held_by_both() -> float:
                return sum(await held())

            await until(cancelled, "it is told what is cancelled", {3})
            await until(held_by_both, "what is over leaves memory", JOBS - OVER)
            assert {len(mailbox.keys_of(each)) for each in names[OVER:]} == {2}
        assert parts.terminate(*both) == [0, 0]

    asyncio.run(run())

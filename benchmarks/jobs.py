"""Jobs taken from state to state over HTTP, and the nearest technician among 50,000.

Each transition is a request of its own, answered once the job's one writer has carried it out, the broker has it, and
the API has read it back. All CPU time of the API and of the foreman counts, that of the clients, which are here, does
not. ``foreman_transitions_per_cpu_s`` is the writer's share alone. The anchor is the same number of single pings to the
same API: requests that wait for the broker too, and for nobody else. ``nearest_…`` is explained in
``benchmarks.nearest``.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from benchmarks import nearest
from benchmarks.cpu import cpu_s
from infra.embedded.broker import Broker
from infra.embedded.ports import reserve_free
from infra.grants import Grant
from infra.keys import open_key_ring
from infra.migrations import create_topics
from infra.system import environment_of
from schemas.settings import Settings

CONNECTIONS: Final = 256
"""So many wait at a time where 2,000 a second are answered after 130 ms."""
JOBS: Final = 3_000
LIFE: Final = ("scheduled", "dispatched", "en_route", "on_site", "in_progress", "completed", "invoiced")
"""What becomes of each job, step by step."""
START_DEADLINE_S: Final = 90.0
"""The first start compiles."""


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` makes fewer transitions."""
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder)) as broker:
        settings = Settings(kafka=broker.address, data_dir=Path(folder), port=reserve_free(), log_level="error")
        outcome = _measure(settings, JOBS // 4 if quick else JOBS)
    near = nearest.measure(quick)
    outcome["anchors"]["rtree_move_us"] = near.pop("rtree_move_us")
    outcome["figures"] |= near
    return outcome


def _measure(settings: Settings, jobs: int) -> dict[str, dict[str, float]]:
    asyncio.run(create_topics(settings))
    token = asyncio.run(_admin_token(settings))
    with _process(settings, "foreman") as foreman, _process(settings, "api") as api:
        client = _Client(settings, token, jobs)
        asyncio.run(client.create_jobs())
        before_s = cpu_s(api), cpu_s(foreman)
        took_s = asyncio.run(client.move_jobs())
        api_s, foreman_s = cpu_s(api) - before_s[0], cpu_s(foreman) - before_s[1]
        before_ping_s = cpu_s(api)
        asyncio.run(client.post_pings(len(took_s)))
        ping_s = cpu_s(api) - before_ping_s
    rate = len(took_s) / (api_s + foreman_s)
    anchor = len(took_s) / ping_s
    return {
        "figures": {
            "transitions_per_cpu_s": rate,
            "foreman_transitions_per_cpu_s": len(took_s) / foreman_s,
            "api_transitions_per_cpu_s": len(took_s) / api_s,
            "transition_p50_ms": float(np.quantile(took_s, 0.50)) * 1000,
            "transition_p99_ms": float(np.quantile(took_s, 0.99)) * 1000,
            "transitions": len(took_s),
        },
        "anchors": {"single_pings_per_cpu_s": anchor},
        "ratios": {"onsite_vs_single_pings": rate / anchor},
    }


async def _admin_token(settings: Settings) -> str:
    async with open_key_ring(settings) as ring:
        return (await ring.create("benchmark", Grant("admin"))).token


@contextlib.contextmanager
def _process(settings: Settings, role: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", role], env={**os.environ, **environment_of(settings)}
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


class _Client:
    """Requests over connections that are kept, one at a time on each."""

    def __init__(self, settings: Settings, token: str, jobs: int) -> None:
        self._settings = settings
        self._jobs = jobs
        self._head = f"Host: onsite\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"

    async def create_jobs(self) -> None:
        """Wait until the system answers, then make the jobs; all have to be accepted."""
        give_up_s = time.monotonic() + START_DEADLINE_S
        first = self._request("/v1/jobs", {"job_id": "job-0"}, "create-0")
        while True:
            try:
                await self._send_all([first])
                break
            except* (OSError, EOFError, RuntimeError):
                if time.monotonic() > give_up_s:
                    raise
                await asyncio.sleep(0.2)
        await self._send_all(
            [
                self._request("/v1/jobs", {"job_id": f"job-{number}"}, f"create-{number}")
                for number in range(1, self._jobs)
            ]
        )

    async def move_jobs(self) -> list[float]:
        """Take every job through its life, all of them to one state before the next; seconds of each request."""
        took_s: list[float] = []
        for state in LIFE:
            requests = [
                self._request(f"/v1/jobs/job-{number}/transitions", {"to": state}, f"{state}-{number}")
                for number in range(self._jobs)
            ]
            took_s += await self._send_all(requests)
        return took_s

    async def post_pings(self, count: int) -> None:
        """The anchor's requests."""
        now_ms = time.time_ns() // 1_000_000
        await self._send_all(
            [
                self._request(
                    "/v1/pings",
                    {"device_id": f"d{number % self._jobs}", "ts": now_ms - number, "lat": 47.0, "lon": 9.5},
                )
                for number in range(count)
            ]
        )

    def _request(self, path: str, content: dict[str, object], key: str = "") -> bytes:
        body = json.dumps(content).encode()
        idempotency = f"Idempotency-Key: {key}\r\n" if key else ""
        return f"POST {path} HTTP/1.1\r\n{self._head}{idempotency}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _send_all(self, requests: Sequence[bytes]) -> list[float]:
        waiting = iter(requests)
        took_s: list[float] = []

        async def work() -> None:
            reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
            try:
                for request in waiting:
                    began_s = time.perf_counter()
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                    answer = await reader.readexactly(length)
                    if not head.startswith(b"HTTP/1.1 20"):
                        raise RuntimeError(f"{head.decode()}{answer.decode()}")
                    took_s.append(time.perf_counter() - began_s)
            finally:
                writer.close()

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(CONNECTIONS, len(requests))):
                workers.create_task(work())
        return took_s

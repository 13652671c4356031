"""The parts of a system as processes of a test, each to be stopped, killed, held and started again by itself."""

import asyncio
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from infra.embedded.broker import Broker
from infra.embedded.child import Child
from infra.embedded.ports import reserve_free
from infra.embedded.store import Store
from infra.migrations import migrate
from infra.private_files import read_private
from infra.supervisor import Command
from infra.system import ROLES, ensure_admin_key, environment_of
from schemas.ping import Ping
from schemas.settings import Settings

DEADLINE_S = 75.0
STOP_DEADLINE_S = 30.0


async def until(
    condition: Callable[[], Awaitable[Any]], what: str, wanted: Any = True, within_s: float = DEADLINE_S
) -> None:
    """Wait until what a condition comes to is what is wanted; fail with what it came to last."""
    give_up_s = time.monotonic() + within_s
    while (found := await condition()) != wanted:
        assert time.monotonic() < give_up_s, f"not within {within_s:g} s: {what}; instead {found}"
        await asyncio.sleep(0.1)


class Parts:
    """Broker, store, API, tracker and recorder; nobody starts one again but the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        broker, store = Broker(folder), Store(folder)
        self._server = {"broker": broker, "store": store}
        self.settings = Settings(
            kafka=broker.address,
            clickhouse=store.url,
            data_dir=folder / "data",
            port=reserve_free(),
            session_timeout_s=3.0,
        )
        self.api = f"http://127.0.0.1:{self.settings.port}"
        self._metrics = {role: reserve_free() for role in ROLES if role != "api"} | {"api": self.settings.port}
        self.children: dict[str, Child] = dict(self._server)
        self.token = ""

    def start(self, role: str, **environment: str) -> None:
        """Start a part; ``environment`` are settings of Onsite's own processes."""
        if role not in self._server:
            settings = environment_of(self.settings) | {"ONSITE_METRICS_PORT": str(self._metrics[role])} | environment
            argv = [sys.executable, "-m", "infra.cli", role]
            self.children[role] = Command(argv, self.folder / "logs" / f"{role}.log", settings)
        self.children[role].start()

    async def start_server(self, role: str) -> None:
        """Start the broker or the store and wait until it is ready."""
        self.start(role)
        await asyncio.to_thread(self._server[role].wait_ready)

    async def start_all(self, **environments: dict[str, str]) -> None:
        """Start everything and wait until the API is ready; ``environments`` are settings by role."""
        for role in self._server:
            await self.start_server(role)
        await migrate(self.settings)
        for role in ROLES:
            self.start(role, **environments.get(role, {}))
        key = self.folder / "admin.key"
        await ensure_admin_key(self.settings, key)
        self.token = read_private(key)
        async with self.client() as client:
            await until(lambda: is_ready(client), "the API is ready")

    def close(self) -> None:
        """End everything that runs."""
        for child in reversed(list(self.children.values())):
            child.stop(STOP_DEADLINE_S)

    def is_running(self, role: str) -> bool:
        return self.children[role].process.poll() is None

    def terminate(self, *roles: str) -> list[int]:
        """SIGTERM to all, then the exit status of each."""
        for role in roles:
            self.children[role].process.terminate()
        return [self.children[role].process.wait(STOP_DEADLINE_S) for role in roles]

    def kill(self, role: str) -> None:
        self.children[role].process.kill()
        self.children[role].process.wait()

    def hold(self, role: str) -> None:
        """Let it hang: it neither answers nor closes its connections."""
        self.children[role].process.send_signal(signal.SIGSTOP)

    def release(self, role: str) -> None:
        self.children[role].process.send_signal(signal.SIGCONT)

    def limit_files(self, role: str, size_bytes: int) -> None:
        """Refuse every write that would make a file larger, as a full disk would; -1 lifts the limit."""
        pid = self.children[role].process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(base_url=self.api, headers=headers, timeout=30.0)

    async def counted(self, role: str, name: str, **labels: str) -> float:
        """The value of a metric of a process, summed over all labels but these; 0 before it has any, or answers."""
        try:
            async with httpx.AsyncClient(timeout=10.0) as client:
                text = (await client.get(f"http://127.0.0.1:{self._metrics[role]}/metrics")).text
        except httpx.TransportError:
            return 0.0
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def post(client: httpx.AsyncClient, pings: Sequence[Ping]) -> httpx.Response:
    body = msgspec.json.Encoder().encode_lines(pings)
    return await client.post("/v1/pings", content=body, headers={"Content-Type": "application/x-ndjson"})

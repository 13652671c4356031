"""Real parts for the tests that need them: one broker, one store, one whole system a session, in their own folders."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.embedded import processes
from infra.embedded.broker import Broker
from infra.embedded.ports import reserve_free
from infra.embedded.store import Store
from infra.migrations import migrate
from schemas.settings import Settings
from tests.integration.mailbox import Mailbox


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests on real parts run one after the other, in one process, which starts these parts once."""
    for item in items:
        if item.get_closest_marker("integration"):
            item.add_marker(pytest.mark.xdist_group("real parts"))


def until(condition: Callable[[], bool], what: Callable[[], Any], within_s: float = 90.0) -> None:
    """Look until a condition holds; fail with ``what`` there is instead when it does not in time."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, what()
        time.sleep(0.1)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running Kafka without topics, on a free port."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running ClickHouse engine with an empty database, on a free port."""
    with Store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A running mail server."""
    box = Mailbox()
    box.start()
    try:
        yield box
    finally:
        box.stop()


@pytest.fixture(scope="session")
def settings(broker: Broker, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a system on ``broker`` and ``store``: topics created, tables migrated."""
    settings = Settings(
        kafka=broker.address, clickhouse=store.url, data_dir=tmp_path_factory.mktemp("data"), port=reserve_free()
    )
    asyncio.run(migrate(settings))
    return settings


class System:
    """A whole ``onsite up`` on a state folder, with free ports."""

    START_DEADLINE_S = 200.0
    STOP_DEADLINE_S = 90.0

    def __init__(self, state_dir: Path, *arguments: str) -> None:
        self.state_dir = state_dir
        argv = [sys.executable, "-m", "infra.cli", "up", "--state", str(state_dir), "--port", "0", *arguments]
        self.said = state_dir.with_suffix(".out")
        self.process: subprocess.Popen[bytes] = processes.spawn(argv, self.said)

    @property
    def facts(self) -> dict[str, Any]:
        """What ``onsite.json`` says now."""
        facts: dict[str, Any] = json.loads((self.state_dir / "onsite.json").read_text())
        return facts

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by role, now."""
        pids: dict[str, int] = self.facts["pids"]
        return pids

    @property
    def settings(self) -> Settings:
        """Settings with which another process joins the system."""
        return Settings(kafka=self.facts["kafka"], clickhouse=self.facts["sql"], data_dir=self.state_dir / "data")

    def client(self) -> httpx.Client:
        """An administrator's client of the API; paths are relative to its root."""
        token = Path(self.facts["admin_key_file"]).read_text().strip()
        return httpx.Client(base_url=self.facts["api"], headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def sql(self, statement: str) -> str:
        """Run a statement at the SQL endpoint; the answer as text."""
        return httpx.post(self.facts["sql"], content=statement, timeout=60).raise_for_status().text.strip()

    def wait_ready(self) -> None:
        """Return when it says it is ready; fail with what it said when it is not in time."""
        give_up = time.monotonic() + self.START_DEADLINE_S
        while not self._is_ready():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < give_up, self.said.read_text()
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return bool(self.facts["pid"] == self.process.pid)  # one that was killed leaves its file behind
        except FileNotFoundError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status. By force when it does not go in time."""
        self.process.send_signal(how)
        try:
            self.process.wait(self.STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            return processes.reap(self.process)
        return self.process.returncode


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole running system; a test that breaks it starts one of its own."""
    system = System(tmp_path_factory.mktemp("system") / "state")
    try:
        system.wait_ready()
        yield system
    finally:
        system.stop()

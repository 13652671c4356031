"""The whole system on one machine: broker, store and Onsite's own processes under one supervisor.

What others need to know of it stands in ``STATE/onsite.json``, there only while the system is ready.
"""

import asyncio
import fcntl
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from infra.embedded.broker import Broker
from infra.embedded.ports import reserve, reserve_free
from infra.embedded.store import Store
from infra.errors import CommandError
from infra.grants import Grant
from infra.keys import open_key_ring
from infra.private_files import read_private, write_private
from infra.secret import ensure_secret
from infra.supervisor import Command, Supervisor
from schemas.clock import Clock
from schemas.settings import Settings

log = structlog.get_logger()

BROKER_PORT: Final = 9092
STORE_PORT: Final = 8123
API_PORT: Final = 8080
ROLES: Final = ("tracker", "foreman", "recorder", "notifier", "api")
"""Onsite's own processes in the order they are started; each is a command of that name."""

_READY_DEADLINE_S: Final = 120.0
_STOP_DEADLINE_S: Final = 15.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_LOOPBACK_OF: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # nosec B104 -- nothing binds here


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    ``api_port`` None: the usual ports, others where they are taken. 0: free ports for the API, broker and store.
    """

    state_dir: Path
    host: str
    api_port: int | None
    clock: Clock


@contextmanager
def hold(state_dir: Path) -> Iterator[None]:
    """Hold the state folder for this process alone.

    Raises:
        CommandError: another process holds it.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CommandError(
                f"the state folder {state_dir} is in use by process {lock.read().strip() or 'unknown'}; "
                "stop that one, or choose another folder with --state"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


class System:
    """Starts, watches and stops everything. ``say`` is told in a few words what is going on."""

    def __init__(self, wanted: Wanted, say: Callable[[str], None]) -> None:
        self._wanted = wanted
        self._say = say
        self._ready = False
        self._ready_path = wanted.state_dir / "onsite.json"
        self._supervisor = Supervisor(self._pids_changed, say)
        self._broker = Broker(wanted.state_dir, self._port(BROKER_PORT, "the broker"), self._tell_of_download)
        self._store = Store(wanted.state_dir, self._port(STORE_PORT, "the store"))
        clock = wanted.clock
        self.settings = Settings(
            kafka=self._broker.address,
            clickhouse=self._store.url,
            data_dir=wanted.state_dir / "data",
            secret_file=wanted.state_dir / "secret.key",
            host=wanted.host,
            port=self._api_port(),
            clock_rate=clock.rate,
            clock_start_ms=clock.start_ms,
            clock_origin_ms=clock.origin_ms,
            # Who serves this machine alone may be told on it; otherwise it is as the environment says.
            webhook_private_addresses=wanted.host in _LOOPBACK or Settings().webhook_private_addresses,
        )

    @property
    def api_url(self) -> str:
        """Where the API is reached from this machine."""
        return f"http://{_LOOPBACK_OF.get(self._wanted.host, self._wanted.host)}:{self.settings.port}"

    @property
    def admin_key_path(self) -> Path:
        """The file with the local admin key."""
        return self._wanted.state_dir / "admin.key"

    @property
    def logs_dir(self) -> Path:
        """One log a role."""
        return self._wanted.state_dir / "logs"

    def start(self) -> None:
        """Bring everything up and return when the API says it is ready.

        Raises:
            CommandError: something did not start, or is not ready in time.
        """
        self._ready_path.unlink(missing_ok=True)
        if self.settings.rules is not None:  # what is wrong with them is said here, not in the tracker's log
            from infra.inputs import read_rule_book  # slow to import

            read_rule_book(self.settings.rules)
        if self.settings.dispatch is not None:
            from infra.inputs import read_dispatch_rules

            read_dispatch_rules(self.settings.dispatch)
        self.settings.data_dir.mkdir(exist_ok=True)
        ensure_secret(self.settings)
        self._say("starting the store and the broker")
        self._supervisor.start("store", self._store)
        self._supervisor.start("broker", self._broker)
        from infra.migrations import migrate  # slow to import: meanwhile the broker starts

        self._store.wait_ready()
        self._broker.wait_ready()
        self._say("looking after tables and topics")
        asyncio.run(migrate(self.settings))
        self._say(f"starting {', '.join(ROLES)}")
        environment = environment_of(self.settings)
        for role in ROLES:
            argv = [sys.executable, "-m", "infra.cli", role]
            self._supervisor.start(role, Command(argv, self.logs_dir / f"{role}.log", environment), _STOP_DEADLINE_S)
        asyncio.run(ensure_admin_key(self.settings, self.admin_key_path))
        self._wait_until_ready()
        self._ready = True
        self._pids_changed(self._supervisor.pids)

    def watch(self) -> None:
        """Keep everything running, for ever."""
        self._supervisor.watch()

    def stop(self) -> None:
        """Stop everything; afterwards no process is left."""
        self._ready = False
        self._ready_path.unlink(missing_ok=True)
        self._supervisor.stop()

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + _READY_DEADLINE_S
        missing = ""

        def done() -> bool:
            nonlocal missing
            missing = what_is_missing(self.api_url)
            return not missing or time.monotonic() > give_up

        self._supervisor.watch(until=done)
        if missing:
            raise CommandError(
                f"the system is not ready after {_READY_DEADLINE_S:.0f} s: {missing}; the logs are in {self.logs_dir}"
            )

    def _pids_changed(self, pids: dict[str, int]) -> None:
        if not self._ready:
            return
        facts = {
            "api": self.api_url,
            "sql": self._store.url,
            "kafka": self._broker.address,
            "admin_key_file": str(self.admin_key_path),
            "logs": str(self.logs_dir),
            "pid": os.getpid(),
            "pids": pids,
        }
        fresh = self._ready_path.with_suffix(".json.new")
        fresh.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        fresh.replace(self._ready_path)

    def _api_port(self) -> int:
        asked, host = self._wanted.api_port, self._wanted.host
        if not asked:
            return self._port(API_PORT, "the API", host)
        if not reserve(asked, host):
            raise CommandError(f"port {asked} on {host} is taken; choose another with --port, 0 takes any free one")
        return asked

    def _port(self, usual: int, who: str, host: str = "127.0.0.1") -> int:
        if self._wanted.api_port == 0:
            return reserve_free(host)
        if reserve(usual, host):
            return usual
        port = reserve_free(host)
        self._say(f"port {usual} is taken, {who} listens on {port}")
        return port

    def _tell_of_download(self, jars: int) -> None:
        self._say(f"fetching Kafka, {jars} files, this one time (about 45 MB)")


async def ensure_admin_key(settings: Settings, path: Path) -> None:
    """See to it that ``path`` holds a token of an administrator's key that the system knows."""
    async with open_key_ring(settings) as ring:
        known = ring.keys()
        key_id = read_private(path).removeprefix("onsite_").partition("_")[0]
        if not any(key.key_id == key_id and key.revoked_at is None for key in known):
            write_private(path, (await ring.create("local admin", Grant("admin"))).token)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment from which another process reads the same settings."""
    stated = settings.model_dump(exclude_none=True)
    return {f"ONSITE_{name.upper()}": str(value) for name, value in stated.items()}


def what_is_missing(api_url: str) -> str:
    """Why the API is not ready, in a few words; "" when it is."""
    try:
        with urllib.request.urlopen(f"{api_url}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            checks = json.load(error).get("checks", {})
        return ", ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok") or str(error)
    except (OSError, ValueError) as error:
        return f"the API does not answer ({error})"

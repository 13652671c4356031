"""The embedded store: the ClickHouse engine in a process of its own, behind ClickHouse's HTTP interface."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from infra.embedded import ports, processes
from infra.errors import CommandError

_HOST: Final = "127.0.0.1"


class Store:
    """The engine as a child process, its data in ``state_dir/clickhouse``, its log in ``state_dir/logs/store.log``.

    ``port`` 0 takes a free one; the port is kept when the store is started again.
    """

    def __init__(self, state_dir: Path, port: int = 0, database: str = "onsite") -> None:
        self._dir = state_dir.resolve() / "clickhouse" / "data"
        self._log_path = state_dir.resolve() / "logs" / "store.log"
        self._port = port
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """``http://host:port/database``: for ``ONSITE_CLICKHOUSE``, and for curl as it is."""
        return f"http://{_HOST}:{self._port}/{self._database}"

    @property
    def pid(self) -> int:
        """Process id of the engine's process."""
        return self._started().pid

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child itself, for whoever watches it."""
        return self._started()

    def start(self) -> None:
        """Spawn the store without waiting for it."""
        self._port = self._port or ports.reserve_free(_HOST)
        command = [sys.executable, "-m", "infra.embedded.store_server", "--data", str(self._dir)]
        command += ["--port", str(self._port), "--database", self._database]
        self._process = processes.spawn(command, self._log_path)

    def wait_ready(self, deadline_s: float = 60.0) -> None:
        """Return once the store answers.

        Raises:
            CommandError: it ended, or does not answer within ``deadline_s`` seconds.
        """
        process = self._started()
        give_up = time.monotonic() + deadline_s
        while not _answers(f"http://{_HOST}:{self._port}/ping"):
            if process.poll() is not None:
                raise CommandError(
                    f"the store ended while starting ({processes.describe_exit(process.returncode)}): "
                    f"{processes.last_error(self._log_path)}; its log: {self._log_path}"
                )
            if time.monotonic() > give_up:
                raise CommandError(f"the store is not ready after {deadline_s:.0f} s; its log: {self._log_path}")
            time.sleep(0.05)

    def stop(self, deadline_s: float = 20.0) -> None:
        """Shut it down cleanly; by force after ``deadline_s`` seconds."""
        if self._process is not None:
            processes.stop(self._process, deadline_s)
            self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the store was not started")
        return self._process


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False

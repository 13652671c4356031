"""The embedded store: the ClickHouse engine in a process of its own, behind ClickHouse's HTTP interface."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

from infra.embedded.child import Server


class Store(Server):
    """The engine as a child process, its data in ``state_dir/clickhouse``, its log in ``state_dir/logs/store.log``."""

    def __init__(self, state_dir: Path, port: int = 0, database: str = "onsite") -> None:
        super().__init__("store", port, console=state_dir.resolve() / "logs" / "store.log")
        self._dir = state_dir.resolve() / "clickhouse" / "data"
        self._database = database

    @property
    def url(self) -> str:
        """``http://host:port/database``: for ``ONSITE_CLICKHOUSE``, and for curl as it is."""
        return f"http://{self.HOST}:{self._port}/{self._database}"

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "infra.embedded.store_server", "--data", str(self._dir)]
        return [*command, "--port", str(self._port), "--database", self._database]

    def _is_ready(self) -> bool:
        return _answers(f"http://{self.HOST}:{self._port}/ping")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False

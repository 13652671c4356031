"""Tracker processes that share a topic, watched from outside."""

import asyncio
import json
import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Final

import psutil

from benchmarks.cpu import cpu_s
from infra.embedded import processes
from infra.embedded.ports import reserve_free
from infra.system import environment_of
from schemas.settings import Settings

STOP_WITHIN_S: Final = 30.0
_LOOK_S: Final = 0.05
_FOLDED: Final = re.compile(rb"^onsite_tracker_pings_total (\S+)$", re.MULTILINE)


class TrackerProcess:
    """``onsite tracker`` with a folder and a port of its own."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        own = {"data_dir": folder, "metrics_port": reserve_free(), "log_format": "json"}
        self._settings = settings.model_copy(update=own)
        self._log = folder / "tracker.log"
        argv = [sys.executable, "-m", "infra.cli", "tracker"]
        self._process: Popen[bytes] = processes.spawn(argv, self._log, environment_of(self._settings))

    @property
    def cpu_s(self) -> float:
        """CPU seconds up to now."""
        return cpu_s(psutil.Process(self._process.pid))

    def folded(self) -> int:
        """Pings folded up to now, by its metrics."""
        url = f"http://{self._settings.host}:{self._settings.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=STOP_WITHIN_S) as answer:
            found = _FOLDED.search(answer.read())
        return 0 if found is None else int(float(found[1]))

    def partitions(self) -> set[int]:
        """Those that it took over last, by its log."""
        taken: set[int] = set()
        for line in self._log.read_bytes().splitlines():
            if b'"state restored"' in line:
                taken = set(json.loads(line)["partitions"])
        return taken

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """SIGTERM, and wait until it has drained."""
        processes.stop(self._process, STOP_WITHIN_S)


async def until_shared(trackers: Sequence[TrackerProcess], partitions: int, within_s: float) -> None:
    """Wait until each has partitions and together they have all. Raises TimeoutError."""

    def shared() -> bool:
        taken = [tracker.partitions() for tracker in trackers]
        return all(taken) and sorted(each for some in taken for each in some) == list(range(partitions))

    await until(shared, within_s)


async def until(condition: Callable[[], bool], within_s: float) -> None:
    """Look until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 -- what is looked at is in other processes
            await asyncio.sleep(_LOOK_S)

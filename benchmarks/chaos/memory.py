"""How much memory each process takes, and whether it grows."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
import psutil

LOOK_EVERY_S: Final = 2.0
_MB: Final = 1e6
_S_PER_HOUR: Final = 3_600.0


class Memory:
    """Resident memory of the processes of an ``onsite up``, looked at now and then."""

    def __init__(self, ready_file: Path) -> None:
        self._ready_file = ready_file
        self._seen: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
        """(role, pid) -> (seconds since the first look, bytes)."""

    async def watch(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            for role, pid in json.loads(self._ready_file.read_text(encoding="utf-8"))["pids"].items():
                try:
                    rss = psutil.Process(pid).memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                self._seen[role, pid].append((loop.time() - began_s, rss))
            await asyncio.sleep(LOOK_EVERY_S)

    def by_role(self) -> dict[str, tuple[float, float]]:
        """(MB at the end, MB an hour that it grew by) of each role's last process, over the second half of its life.

        The first half fills caches and compiles; of a process that was looked at too seldom there is no slope (NaN).
        """
        found = {}
        for (role, _), looks in self._seen.items():
            seconds, rss = np.array(looks[len(looks) // 2 :]).T
            slope = np.polyfit(seconds, rss, 1)[0] if len(seconds) > 2 else np.nan
            found[role] = (looks[-1][1] / _MB, float(slope) * _S_PER_HOUR / _MB)
        return found

"""A running system with a load's fences, and somebody who listens to what it tells."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cpu import CpuTimes
from benchmarks.feed import append_fences
from benchmarks.listener import Listener, listening
from benchmarks.load import Load
from benchmarks.traffic import Posted, post
from infra.demo import RunningSystem, running_system
from schemas.clock import Clock
from schemas.settings import Settings


@dataclass(frozen=True)
class Stage:
    """``clock`` is the system's."""

    system: RunningSystem
    clock: Clock
    listener: Listener

    @property
    def kafka(self) -> str:
        """The broker's address."""
        return str(self.system.facts["kafka"])

    @property
    def url(self) -> str:
        """The API's."""
        return str(self.system.facts["api"])

    def cpu_times(self) -> CpuTimes:
        """Up to now."""
        return CpuTimes.now(self.system.facts["pids"])

    async def post(self, load: Load) -> Posted:
        """Post a load at the clock's pace."""
        return await post(load, self.clock, self.url, self.system.token)


@asynccontextmanager
async def stage(load: Load, clock_rate: float) -> AsyncIterator[Stage]:
    """``onsite up`` on a clock of its own, stopped at the end whatever happens."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_system(Path(folder), clock_rate, load.day.spec.start_ms) as system:
            await append_fences(Settings(kafka=system.facts["kafka"]), load)
            clock = await system.read_clock(clock_rate, load.fences["features"][0])
            async with listening(system.facts["api"], system.token) as listener:
                yield Stage(system, clock, listener)

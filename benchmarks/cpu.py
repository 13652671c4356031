"""CPU time: of the processes of a running system, of this one, and of everything else on the machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

import psutil

THIS: Final = "generator"
OTHERS: Final = "other_processes"


@dataclass(frozen=True)
class CpuTimes:
    """CPU seconds so far by role, ``THIS`` process, all others together, and the moment."""

    used_s: Mapping[str, float]
    at_s: float

    @classmethod
    def now(cls, pids: Mapping[str, int]) -> Self:
        """Look at the processes of these roles."""
        used_s = {role: cpu_s(psutil.Process(pid)) for role, pid in pids.items()}
        used_s[THIS] = _sum(psutil.Process().cpu_times())
        machine = psutil.cpu_times()
        used_s[OTHERS] = machine.user + machine.system + machine.nice - sum(used_s.values())
        return cls(used_s, monotonic())

    def cores_since(self, before: Self) -> dict[str, float]:
        """How many cores each has had since, as figures."""
        lasted_s = self.at_s - before.at_s
        return {f"{role}_cores": (s - before.used_s[role]) / lasted_s for role, s in self.used_s.items()}


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and its children up to now."""
    return sum(_sum(each.cpu_times()) for each in (process, *process.children(recursive=True)))


def _sum(times: Any) -> float:
    return float(times.user + times.system)

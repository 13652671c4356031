"""Keeps a few child processes running: starts them, sees them die, starts them again, stops them in order."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from infra.embedded import processes
from infra.embedded.child import Child
from infra.errors import CommandError

log = structlog.get_logger()

FIRST_DELAY_S: Final = 0.25
LONGEST_DELAY_S: Final = 15.0
STEADY_AFTER_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.1


class Command(Child):
    """A command as a child; its output goes to ``log_path``."""

    def __init__(self, argv: Sequence[str], log_path: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(log_path, environment)
        self._argv = argv

    def _command(self) -> Sequence[str]:
        return self._argv


@dataclass
class _Kept:
    child: Child
    stop_deadline_s: float
    started_at: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Children by role, in the order they were started. Not thread-safe: use it from the main thread alone.

    ``on_change`` is called with the pids by role whenever they change, ``say`` with a line for people when one died.
    """

    def __init__(
        self,
        on_change: Callable[[dict[str, int]], None] = lambda _pids: None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._kept: dict[str, _Kept] = {}
        self._on_change = on_change
        self._say = say

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run, by role."""
        return {role: kept.child.process.pid for role, kept in self._kept.items() if kept.restart_at is None}

    def start(self, role: str, child: Child, stop_deadline_s: float = 15.0) -> None:
        """Start a child and keep it running from now on."""
        child.start()
        self._kept[role] = _Kept(child, stop_deadline_s, time.monotonic())
        log.info("started", role=role, pid=child.process.pid)
        self._on_change(self.pids)

    def look(self) -> None:
        """Look after every child once: note the dead, start again whose time has come."""
        for role, kept in self._kept.items():
            if kept.restart_at is None:
                if kept.child.process.poll() is not None:
                    self._bury(role, kept)
            elif time.monotonic() >= kept.restart_at:
                self._restart(role, kept)

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Look after the children until ``until()`` is true; for ever without it."""
        while not until():
            self.look()
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """Stop all children, the last started first, each within its deadline."""
        while self._kept:
            role, kept = self._kept.popitem()
            began = time.monotonic()
            kept.child.stop(kept.stop_deadline_s)
            log.info("stopped", role=role, took_s=round(time.monotonic() - began, 2))

    def _bury(self, role: str, kept: _Kept) -> None:
        status = processes.reap(kept.child.process)
        lived_s = time.monotonic() - kept.started_at
        kept.failures = 1 if lived_s >= STEADY_AFTER_S else kept.failures + 1
        self._wait_before_restart(role, kept, processes.describe_exit(status), lived_s)
        self._on_change(self.pids)

    def _restart(self, role: str, kept: _Kept) -> None:
        kept.started_at = time.monotonic()
        try:
            kept.child.start()
        except (CommandError, OSError) as error:
            kept.failures += 1
            self._wait_before_restart(role, kept, str(error), 0.0)
            return
        kept.restart_at = None
        log.info("started again", role=role, pid=kept.child.process.pid)
        self._on_change(self.pids)

    def _wait_before_restart(self, role: str, kept: _Kept, why: str, lived_s: float) -> None:
        delay_s = restart_delay_s(kept.failures)
        kept.restart_at = time.monotonic() + delay_s
        self._say(f"{role} died after {lived_s:.0f} s ({why}), starting it again in {delay_s:g} s")
        log.warning("died", role=role, how=why, lived_s=round(lived_s, 1), restart_in_s=delay_s)


def restart_delay_s(failures: int) -> float:
    """How long to wait before the next start after so many failures in a row: doubling, with a ceiling."""
    return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16)))

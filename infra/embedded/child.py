"""A child process through its life: started, asked whether it is ready, stopped, started again."""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from infra.embedded import ports, processes
from infra.errors import CommandError


class Child(ABC):
    """A child process, its output appended to ``console``; it can be started again after it ended."""

    def __init__(self, console: Path, environment: Mapping[str, str] | None = None) -> None:
        self._console = console
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Prepare what it needs; what to run."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the latest start, for whoever watches it."""
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} was not started")
        return self._process

    def start(self) -> None:
        """Spawn it, without waiting until it is ready."""
        self._process = processes.spawn(self._command(), self._console, self._environment)

    def stop(self, deadline_s: float = 20.0) -> None:
        """End it cleanly; by force after ``deadline_s`` seconds."""
        if self._process is not None:
            processes.stop(self._process, deadline_s)
            self._process = None


class Server(Child):
    """A child that listens on a port of the loopback interface, the same one at every start.

    ``port`` 0 takes a free one. ``log`` is where it says what went wrong, if that is not its output.
    """

    HOST = "127.0.0.1"

    def __init__(self, name: str, port: int, console: Path, log: Path | None = None) -> None:
        super().__init__(console)
        self._name = name
        self._port = port or ports.reserve_free(self.HOST)
        self._log = log or console

    def __enter__(self) -> Self:
        """Started, and ready."""
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def _is_ready(self) -> bool:
        """Does it answer?"""

    def wait_ready(self, deadline_s: float = 120.0) -> None:
        """Return once it answers.

        Raises:
            CommandError: it ended, or does not answer within ``deadline_s`` seconds.
        """
        give_up = time.monotonic() + deadline_s
        while self.process.poll() is None:
            if self._is_ready():
                return
            if time.monotonic() > give_up:
                raise CommandError(f"the {self._name} is not ready after {deadline_s:.0f} s; its log: {self._log}")
            time.sleep(0.05)
        how = processes.describe_exit(self.process.returncode)
        raise CommandError(f"the {self._name} ended while starting ({how}): {self._last_words()}; its log: {self._log}")

    def _last_words(self) -> str:
        return processes.last_error(self._log) or processes.last_error(self._console) or "no word why"

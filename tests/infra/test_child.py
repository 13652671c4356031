import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.embedded.child import Server
from infra.errors import CommandError


class Example(Server):
    """A server made of a line of Python, ready when a file is there."""

    def __init__(self, folder: Path, code: str) -> None:
        super().__init__("example", 0, console=folder / "example.log")
        self._argv = [sys.executable, "-c", code, str(folder / "ready")]
        self._ready = folder / "ready"

    def _command(self) -> Sequence[str]:
        return self._argv

    def _is_ready(self) -> bool:
        return self._ready.exists()


def test_it_is_waited_for_until_it_answers_and_can_be_started_again(tmp_path: Path) -> None:
    server = Example(tmp_path, "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)")
    for _ in range(2):
        server.start()
        try:
            server.wait_ready(60)
            running = server.process
            assert running.poll() is None
        finally:
            server.stop()
        assert running.returncode is not None
        (tmp_path / "ready").unlink()


def test_it_runs_within_a_block_and_no_longer(tmp_path: Path) -> None:
    touches = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    with Example(tmp_path, touches) as server:
        running = server.process
        assert (server._is_ready(), running.poll()) == (True, None)
    assert running.returncode is not None
    (tmp_path / "ready").unlink()
    ends = Example(tmp_path, "raise SystemExit('no such disk')")
    with pytest.raises(CommandError, match="no such disk"), ends:
        pytest.fail("what is not ready is not entered")
    with pytest.raises(RuntimeError, match="not started"):
        ends.process  # noqa: B018 -- it was stopped


def test_one_that_ended_is_not_ready_whoever_answers_in_its_place(tmp_path: Path) -> None:
    server = Example(tmp_path, "raise SystemExit('no such disk')")
    server.start()
    server.process.wait(60)
    (tmp_path / "ready").touch()
    with pytest.raises(CommandError, match=r"the example ended while starting \(exit status 1\): no such disk"):
        server.wait_ready()


def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    server = Example(tmp_path, "import time; time.sleep(600)")
    server.start()
    try:
        with pytest.raises(CommandError, match=r"the example is not ready after 0 s; its log: .*example\.log"):
            server.wait_ready(deadline_s=0.1)
    finally:
        server.stop()


def test_one_that_was_not_started_can_be_stopped_but_has_no_process(tmp_path: Path) -> None:
    server = Example(tmp_path, "")
    server.stop()
    with pytest.raises(RuntimeError, match="Example was not started"):
        _ = server.process

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.embedded import processes
from infra.supervisor import LONGEST_DELAY_S, Command, Supervisor, restart_delay_s

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
DEADLINE_S = 20.0


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def script(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(lines)]


def test_the_delay_doubles_up_to_a_ceiling() -> None:
    delays = [restart_delay_s(failures) for failures in range(1, 12)]
    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert delays == sorted(delays)
    assert restart_delay_s(1_000) == LONGEST_DELAY_S


def test_a_killed_child_is_started_again_and_the_pids_are_told(tmp_path: Path) -> None:
    told: list[dict[str, int]] = []
    supervisor = Supervisor(told.append)
    supervisor.start("sleeper", Command(SLEEPER, tmp_path / "sleeper.log"))
    first = supervisor.pids["sleeper"]
    try:
        os.kill(first, signal.SIGKILL)
        supervisor.watch(until=lambda: supervisor.pids.get("sleeper", first) != first)
        assert is_running(supervisor.pids["sleeper"])
        assert told == [{"sleeper": first}, {}, supervisor.pids]
    finally:
        supervisor.stop()
    assert not is_running(told[-1]["sleeper"])


def test_one_that_keeps_dying_is_started_ever_less_often_and_harms_no_other(tmp_path: Path) -> None:
    started: list[float] = []

    class Counted(Command):
        def start(self) -> None:
            started.append(time.monotonic())
            super().start()

    supervisor = Supervisor()
    supervisor.start("well", Command(SLEEPER, tmp_path / "well.log"))
    supervisor.start("ill", Counted(script("raise SystemExit(3)"), tmp_path / "ill.log"))
    well = supervisor.pids["well"]
    try:
        supervisor.watch(until=lambda: len(started) == 4)
        gaps = [later - earlier for earlier, later in itertools.pairwise(started)]
        assert gaps[0] < gaps[1] < gaps[2]
        assert supervisor.pids["well"] == well
    finally:
        supervisor.stop()


def test_children_stop_in_reverse_order_and_one_that_will_not_is_killed(tmp_path: Path) -> None:
    order = tmp_path / "order"
    notes_its_end = (
        "import signal, sys, time",
        "def end(*_): open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit()",
        "signal.signal(signal.SIGTERM, end)",
        "print('ready', flush=True)",
        "time.sleep(600)",
    )
    stubborn = (
        "import signal, time",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "print('ready', flush=True)",
        "time.sleep(600)",
    )
    supervisor = Supervisor()
    for role in ("first", "second"):
        supervisor.start(role, Command([*script(*notes_its_end), str(order), role], tmp_path / f"{role}.log"))
    supervisor.start("stubborn", Command(script(*stubborn), tmp_path / "stubborn.log"), stop_deadline_s=0.5)
    pids = list(supervisor.pids.values())
    for role in ("first", "second", "stubborn"):
        wait_until(lambda role=role: "ready" in (tmp_path / f"{role}.log").read_text())
    supervisor.stop()
    assert order.read_text() == "second first "
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.parametrize("end_with", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_parent_not_even_grandchildren(tmp_path: Path, end_with: signal.Signals) -> None:
    nested = (
        "import sys, time",
        "from pathlib import Path",
        "from infra.embedded.processes import spawn",
        "folder, depth = Path(sys.argv[1]), int(sys.argv[2])",
        "if depth: child = spawn([*sys.orig_argv[:3], str(folder), str(depth - 1)], folder / 'log')",
        "import os; (folder / str(depth)).write_text(str(os.getpid()))",
        "time.sleep(600)",
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([*script(*nested), str(tmp_path), "2"], cwd=root)
    notes = [tmp_path / str(depth) for depth in range(3)]
    try:
        wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
        pids = [int(note.read_text()) for note in notes]
        parent.send_signal(end_with)
        parent.wait(DEADLINE_S)
        wait_until(lambda: not any(is_running(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()


def test_the_guard_kills_its_command_when_the_pipe_closes(tmp_path: Path) -> None:
    watch, alive = os.pipe()
    note = tmp_path / "pid"
    command = script("import os, sys, time", "open(sys.argv[1], 'w').write(str(os.getpid()))", "time.sleep(600)")
    guard = subprocess.Popen(
        [sys.executable, "-m", "infra.embedded.guard", str(watch), *command, str(note)],
        pass_fds=(watch,),
        cwd=Path(__file__).parents[2],
    )
    os.close(watch)
    wait_until(lambda: note.exists() and note.read_text() != "")
    os.close(alive)
    assert guard.wait(DEADLINE_S) == 128 + signal.SIGKILL
    assert not is_running(int(note.read_text()))


def test_a_guarded_child_is_stopped_as_any_other(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        child = processes._spawn_guarded(SLEEPER, log.fileno(), dict(os.environ))
    wait_until(lambda: len(psutil.Process(child.pid).children()) == 1)
    [grandchild] = psutil.Process(child.pid).children()
    assert processes.stop(child, DEADLINE_S)
    wait_until(lambda: not is_running(grandchild.pid))


@pytest.mark.parametrize(
    ("status", "words"), [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-99, "signal 99")]
)
def test_how_a_process_ended_in_words(status: int, words: str) -> None:
    assert words in processes.describe_exit(status)


def test_the_last_error_of_a_log_is_its_newest_line_that_speaks_of_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert processes.last_error(path) == ""
    path.write_text("INFO fine\nERROR disk is full\n  at java.lang.Thread\nINFO bye\n")
    assert processes.last_error(path) == "ERROR disk is full"
    path.write_text("one\ntwo\n\n")
    assert processes.last_error(path) == "two"

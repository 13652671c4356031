"""Child processes that never outlive their parent, whatever ends it.

Linux kills a child when the thread that started it dies (``PR_SET_PDEATHSIG``, kept across ``exec``, so it holds for a
JVM too); start children from the main thread. Elsewhere a guard process (`infra.embedded.guard`) stands between, which
sees its end of a pipe close. Every child leads a session of its own: Ctrl-C in a terminal reaches the parent alone,
which then stops its children in order.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LOG_ROLL_BYTES: Final = 32 * 1024 * 1024
_TAIL_BYTES: Final = 16 * 1024
_SPEAKS_OF_ERROR: Final = re.compile(r"\bERROR\b|\bFATAL\b|Error\b|Exception\b|\berror\b")


def spawn(argv: Sequence[str], log_path: Path, also: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start ``argv`` with its output appended to ``log_path``; it dies with this process.

    It inherits the environment, ``also`` on top.
    """
    env = {**os.environ, **(also or {})}
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > _LOG_ROLL_BYTES:
        log_path.replace(log_path.with_suffix(log_path.suffix + ".1"))
    with log_path.open("ab") as log:
        if sys.platform == "linux":
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),  # one system call, prepared before the fork
            )
        return _spawn_guarded(argv, log.fileno(), env)


def stop(process: subprocess.Popen[bytes], deadline_s: float) -> bool:
    """SIGTERM, then after ``deadline_s`` SIGKILL to its whole group. True if it went by itself."""
    process.terminate()
    try:
        process.wait(deadline_s)
        in_time = True
    except subprocess.TimeoutExpired:
        in_time = False
    reap(process)
    return in_time


def finished(process: subprocess.Popen[bytes], deadline_s: float) -> bool:
    """Wait for a child that ends by itself. True if it did so in time and with exit status 0."""
    try:
        process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        reap(process)
    return process.returncode == 0


def reap(process: subprocess.Popen[bytes]) -> int:
    """Kill whatever is left of the child's process group; its exit status (negative: the signal)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def is_alive(pid: int) -> bool:
    """Is there a process of this id, by whomever it was started?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def describe_exit(status: int) -> str:
    """``exit status 3`` or ``killed by SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def last_error(log_path: Path) -> str:
    """The newest line of a log that speaks of an error, else its newest line; "" without a log."""
    if not log_path.exists():
        return ""
    with log_path.open("rb") as log:
        log.seek(max(0, log_path.stat().st_size - _TAIL_BYTES))
        lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _SPEAKS_OF_ERROR.search(line)), lines[-1] if lines else "")


def _die_with_parent(parent_pid: int) -> Callable[[], None]:
    """What the child runs between fork and exec. SIGKILL: nothing may be left, so nothing may refuse."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # the parent died before the call above
            os._exit(1)

    return prepare


def _spawn_guarded(argv: Sequence[str], log_fd: int, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    watch, alive = os.pipe()  # `alive` is never closed: the kernel does that when this process ends
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.embedded.guard", str(watch), *argv],
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
            pass_fds=(watch,),
        )
    except OSError:
        os.close(alive)
        raise
    finally:
        os.close(watch)

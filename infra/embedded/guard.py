"""Runs a command and kills it when a pipe closes: ``python -m infra.embedded.guard FD COMMAND…``.

For systems without ``PR_SET_PDEATHSIG``: the parent holds the pipe's other end, so it closes when the parent is gone,
even after SIGKILL.
"""

import os
import signal
import subprocess
import sys
import threading


def main(watch_fd: int, argv: list[str]) -> int:
    """Run ``argv``; its exit status, 128 + signal where one ended it."""
    child = subprocess.Popen(argv)

    def kill_when_closed() -> None:
        while os.read(watch_fd, 1):
            continue
        child.kill()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda received, _frame: child.send_signal(received))
    threading.Thread(target=kill_when_closed, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))

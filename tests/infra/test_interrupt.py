"""Whoever stops ``onsite up`` stops it, also where Python swallows the interrupt."""

import subprocess
import sys

SWALLOWED_ONCE = """
import os, signal, time
from infra.cli.up import _STOPPING, _interrupt

for signum in _STOPPING:
    signal.signal(signum, _interrupt)
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
except KeyboardInterrupt:
    print("swallowed", flush=True)
try:
    time.sleep(30)
except KeyboardInterrupt:
    print("again", flush=True)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_an_interrupt_that_is_swallowed_comes_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED_ONCE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["swallowed", "again"], done.stderr

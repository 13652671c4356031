"""Fill a virtual environment from the lock file and install Onsite into it, editable.

Run by ``make`` with the interpreter to use, before anything is installed: standard library only.
"""

import re
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

WARM_UP = "from geofence.rules import Rules; from stream.tracker.partition import warm_up; warm_up(Rules())"
BAR_CELLS = 30
LINES_OF_A_FAILURE = 15


def made_by_this_python(environment: Path) -> bool:
    """Is there an environment of this interpreter's version?"""
    try:
        written = (environment / "pyvenv.cfg").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    version = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", written, re.MULTILINE)
    return version is not None and version[1] == f"{sys.version_info[0]}.{sys.version_info[1]}"


def packages_in(lock: Path) -> int:
    """How many packages a lock file names."""
    return len(re.findall(r"^[A-Za-z0-9][^ ]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))


def output_of(command: Sequence[str | Path]) -> Iterator[str]:
    """The lines a command prints, as it prints them; leaves with its last lines when it fails."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            yield line
    if process.returncode:
        said = "\n".join(lines[-LINES_OF_A_FAILURE:])
        sys.exit(f"{said}\nonsite: installing failed; what pip said last stands above")


def show(message: str) -> None:
    """Write over the present line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{message}")
        sys.stderr.flush()


def install(environment: Path, lock: Path) -> None:
    """Make the environment where needed, then the locked packages, then Onsite itself, compiled ahead of its use."""
    if not made_by_this_python(environment):
        venv.create(environment, clear=True, with_pip=True)
    pip = (environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install")
    total = packages_in(lock)
    seen = 0
    # The lock names everything, so there is nothing to resolve; byte code is compiled when a module is first imported.
    for line in output_of((*pip, "--require-hashes", "--no-deps", "--no-compile", "-r", lock)):
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            seen = min(seen + 1, total)
            filled = BAR_CELLS * seen // total
            show(f"  {'█' * filled}{'░' * (BAR_CELLS - filled)} {seen} of {total} packages")
        elif line.startswith("Installing collected"):
            show(f"  {'█' * BAR_CELLS} unpacking {total} packages")
    for _ in output_of((*pip, "--no-deps", "--no-build-isolation", "--editable", ".")):
        show("  onsite")
    show("  compiling the geofence kernel and the visit engine, once")
    for _ in output_of((environment / "bin" / "python", "-c", WARM_UP)):
        pass
    show("")


def main() -> None:
    """``install.py ENVIRONMENT LOCK``, from the project's root."""
    environment, lock = Path(sys.argv[1]), Path(sys.argv[2])
    began = time.monotonic()
    version = ".".join(map(str, sys.version_info[:3]))
    sys.stderr.write(f"Installing into {environment} with Python {version} (a few minutes the first time)\n")
    install(environment, lock)
    sys.stderr.write(f"Installed in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()

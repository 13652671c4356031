"""A road network prepared from a map of OpenStreetMap, in a folder that providers read."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

FOLDER_NAME: Final = "roads"
BASE_NAME: Final = "roads.osrm"
"""In the folder of a map: what OSRM reads is this name with endings."""

_LAST_WORDS: Final = 300


class RoadsError(ValueError):
    """Roads that cannot be prepared or read; the message says why."""


class RoadsUnavailableError(RoadsError):
    """OSRM is not installed here."""


def build_roads(source: Path, folder: Path, tell: Callable[[str, int], None]) -> dict[str, Any]:
    """Prepare the roads of an ``.osm.pbf`` for cars, in the stead of those before; gives counts.

    ``tell`` hears of stages. Raises RoadsError, of which RoadsUnavailableError; what was there before is still there.
    """
    profile = _profile()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".roads-", dir=folder) as made:
        copy = Path(made) / f"{BASE_NAME.removesuffix('.osrm')}.osm.pbf"
        try:
            copy.symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, copy)
        said = _run("extract", "-p", str(profile), str(copy))
        tell("reading roads", _counted(said, r"Processed (\d+) edges"))
        _run("contract", str(Path(made) / BASE_NAME))
        tell("ordering roads", _counted(said, r"Processed (\d+) edges"))
        copy.unlink()
        _put_in_place(Path(made), folder / FOLDER_NAME)
    return {"file": str(folder / FOLDER_NAME), "edges": _counted(said, r"Processed (\d+) edges")}


def has_roads(folder: Path) -> bool:
    """Whether the folder of a map has prepared roads."""
    return stamp_of_roads(folder) is not None


def stamp_of_roads(folder: Path) -> tuple[int, int] | None:
    """The same for as long as they are the same roads; None where there are none."""
    try:
        found = (folder / FOLDER_NAME / f"{BASE_NAME}.hsgr").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _profile() -> Path:
    """What OSRM takes roads for when a car drives them. Raises RoadsError where OSRM is not installed."""
    found = find_spec("osrm")
    if found is None or found.origin is None:
        hint = (
            "install Onsite with its extra `road`" if sys.version_info >= (3, 12) else "it needs Python 3.12 or newer"
        )
        raise RoadsUnavailableError(f"roads need OSRM: {hint}")
    return Path(found.origin).parent / "share" / "profiles" / "car.lua"


def _run(step: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "osrm", step, *arguments], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        words = " ".join(said.split())[-_LAST_WORDS:] or f"exit code {done.returncode}"
        raise RoadsError(f"OSRM could not {step} the map: {words}")
    return said


def _counted(said: str, pattern: str) -> int:
    found = re.search(pattern, said)
    return int(found.group(1)) if found else 0


def _put_in_place(made: Path, target: Path) -> None:
    """Whoever reads the files of before keeps them open; whoever comes next finds the new ones."""
    staged, old = target.with_name(f".{target.name}-new"), target.with_name(f".{target.name}-old")
    for each in (staged, old):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(made, staged)
    if target.exists():
        target.rename(old)
    staged.rename(target)
    shutil.rmtree(old, ignore_errors=True)

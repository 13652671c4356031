"""The TypeScript client, made with the tools that its lock file names."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SOURCES: Final = Path(__file__).parents[2] / "sdk" / "typescript"
OLDEST_NODE: Final = (20, 10)
INSTALL_WITHIN_S: Final = 200.0


def build(folder: Path) -> Path:
    """Check the types of the client and its tests and compile them in a copy; skips where there is no Node for it."""
    require_node()
    copy = folder / "typescript"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules", "build"))
    run(copy, "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
    run(copy, "npm", "run", "build")
    return copy


def require_node() -> None:
    """Skip, and say why, where Node or npm is missing or too old."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine: the TypeScript client is not tested")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", said)))
    if version < OLDEST_NODE:
        pytest.skip(f"node {said.strip()} is too old for the TypeScript client, it is not tested")


def run(folder: Path, *argv: str) -> str:
    """What a command prints; fails with it when the command does."""
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout

"""Files for their owner's eyes only: tokens and secrets, a line each."""

import os
from pathlib import Path


def read_private(path: Path) -> str:
    """The line in a file; "" where there is none."""
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def write_private(path: Path, line: str) -> None:
    """Write a line, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{line}\n")
    fresh.replace(path)

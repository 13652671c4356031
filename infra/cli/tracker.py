"""``onsite tracker``: one tracker process."""

import ctypes
import os
from typing import Final

import typer

from schemas.settings import load_settings

MEMORY: Final = {"NUMPY_MADVISE_HUGEPAGE": "0", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""For NumPy and Arrow, before they are imported. The engine's tables grow into fresh memory again and again, and to
find huge pages for it each time took a seventh of its work. Arrow's own pool keeps what long days once took in it."""

_M_MMAP_THRESHOLD: Final = -3
_OWN_PAGES_FROM_BYTES: Final = 1 << 20
"""A block as large as this gets pages of its own, which go back to the system when it is freed. glibc would raise this
with each such block up to 32 MB: tables that have moved then leave holes in its heap, of half as much again."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def tracker() -> None:
        """Turn pings into visits and live states: one worker of the tracker's group.

        Settings come from the environment (ONSITE_KAFKA, ONSITE_CLICKHOUSE, ONSITE_RULES, …). Start as many as there
        are partitions at most; they share the devices among them.

        Example: [bold]ONSITE_KAFKA=broker:9092 ONSITE_CLICKHOUSE=http://store:8123/onsite onsite tracker[/bold]
        """
        os.environ |= MEMORY | os.environ  # what is set stays
        _give_large_blocks_back()
        from infra.inputs import read_rule_book
        from infra.worker import run_worker
        from stream.store import open_store
        from stream.tracker.app import Tracker

        settings = load_settings()
        rules = read_rule_book(settings.rules)
        run_worker(Tracker(settings, settings.clock(), lambda: open_store(settings), rules).app, settings)


def _give_large_blocks_back() -> None:
    """Where the allocator is glibc's."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_FROM_BYTES)

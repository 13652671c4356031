"""Python's cycle collector in a process that handles thousands of short-lived objects at a time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""New objects before the collector looks: some frames' worth. Its own 2,000 makes it look several times a frame."""


def settle() -> None:
    """Call once what stays for the process's life has been made: the collector passes over it from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


@contextmanager
def paused() -> Iterator[None]:
    """While much is made that stays; after it ``settle``."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

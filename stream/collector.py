"""Python's cycle collector in a process that handles thousands of short-lived objects at a time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG_OBJECTS: Final = 5_000
"""New objects before the collector looks, for five milliseconds: at 50,000 frames would wait for fifty."""

LOOKS_AT_ALL: Final = 100
"""So many looks at what has stayed a while before one at all that ever stayed, which takes the longest."""


def settle() -> None:
    """Call once what stays for the process's life has been made: the collector passes over it from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, gc.get_threshold()[1], LOOKS_AT_ALL)


@contextmanager
def paused() -> Iterator[None]:
    """While much is made that stays; after it ``settle``."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

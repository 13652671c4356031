"""Python's cycle collector in a process that handles thousands of short-lived objects at a time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LOOKS_AFTER: Final = (5_000, 2, 500)
"""New objects before the collector looks at them; such looks before one at what has stayed since the last of those;
such before one at all that ever stayed. A look holds everything up for a millisecond or two per thousand objects, and
hardly any is garbage. Python's own first figure, 2,000, is several looks a frame."""


def settle() -> None:
    """Call once what stays for the process's life has been made: the collector passes over it from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*LOOKS_AFTER)


@contextmanager
def paused() -> Iterator[None]:
    """While much is made that stays; after it ``settle``."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

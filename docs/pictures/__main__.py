"""``python -m docs.pictures`` draws the pictures of the docs again, from the traces in ``../shared/data``."""

import sys
from pathlib import Path

from benchmarks.accuracy_sets import DATA
from docs.pictures.visits import draw

if __name__ == "__main__":
    if not DATA.exists():
        sys.exit(f"The recorded traces are expected in {DATA}, as seen from the project's root.")
    draw(Path(__file__).parent)

"""``python -m docs.pictures`` draws the pictures of the docs again, from the traces in ``../shared/data``."""

from pathlib import Path

from docs.pictures.visits import draw

if __name__ == "__main__":
    draw(Path(__file__).parent)

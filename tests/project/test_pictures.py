"""The pictures of the docs: each is shown, each is made by the script, and says what the engine says today."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.accuracy_sets import DATA
from docs.pictures.scenes import Scene
from docs.pictures.visits import PICTURES, draw
from schemas.visit import Visit
from tests.project.test_docs import ROOT, rows_below

FOLDER = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "visits.md"
MOST_BYTES = 150_000

recorded = pytest.mark.skipif(not DATA.exists(), reason=f"the traces in {DATA} are not here")


def words_of(picture: Path) -> list[str]:
    """Everything that is written in an SVG file."""
    texts = ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in texts]


def test_every_picture_is_shown_and_every_picture_shown_is_made_by_the_script():
    shown = re.findall(r"!\[[^\]]+\]\(pictures/(\w+)\.svg\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(PICTURES) == sorted(picture.stem for picture in FOLDER.glob("*.svg"))


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_has_words(name: str):
    picture = FOLDER / f"{name}.svg"
    assert picture.stat().st_size < MOST_BYTES
    assert any("m to the" in words for words in words_of(picture)), "an axis without a unit"


@recorded
def test_the_script_draws_what_is_committed(tmp_path: Path):
    draw(tmp_path)
    for name in PICTURES:
        drawn, committed = (words_of(folder / f"{name}.svg") for folder in (tmp_path, FOLDER))
        assert drawn == committed, f"{name}.svg is not what the engine says: python -m docs.pictures"


@recorded
def test_the_page_quotes_the_explanation_of_its_first_picture():
    page = PAGE.read_text(encoding="utf-8")
    quoted = " ".join(line.removeprefix("> ") for line in page.splitlines() if line.startswith("> "))
    words = Scene.at_library("android-3-081200").evidence.words
    sentences = re.split(r"(?<=\.) (?=[A-Z])", quoted)
    assert len(sentences) > 2
    assert [sentence for sentence in sentences if sentence not in words] == []


def test_the_page_tells_the_meaning_of_every_field_of_a_visit():
    fields = [name for row in rows_below(PAGE, "## What each field means") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(fields) == sorted(Visit.__struct_encode_fields__)

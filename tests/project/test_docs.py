"""The documentation, held against the code it speaks of."""

import re
from pathlib import Path

import pytest
import typer

from infra.cli import COMMANDS, build
from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATIONS = ROOT / "docs" / "operations.md"


def rows_below(page: Path, heading: str) -> list[list[str]]:
    """The body of the first table under a heading, a list of cells a row."""
    section = page.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    table = re.search(r"(?:^\|.*\|\n)+", section, re.MULTILINE)
    assert table is not None, f"no table under {heading!r} in {page.name}"
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_the_settings_table_is_the_settings() -> None:
    expected = [
        [f"`ONSITE_{name.upper()}`", f"`{field.default}`", field.description]
        for name, field in Settings.model_fields.items()
    ]
    shown = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in expected)
    assert rows_below(OPERATIONS, "## Settings") == expected, f"docs/operations.md should say:\n{shown}"


def test_the_command_table_is_the_command_line() -> None:
    commands = typer.main.get_command(build(COMMANDS)).commands  # type: ignore[attr-defined]
    expected = [
        [f"`onsite {name}`", " ".join((commands[name].help or "").split("\n\n")[0].split()).rstrip(".")]
        for name in COMMANDS
    ]
    shown = "\n".join("| " + " | ".join(row) + " |" for row in expected)
    assert rows_below(OPERATIONS, "## Commands") == expected, f"docs/operations.md should say:\n{shown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_in_the_docs_are_real(page: Path) -> None:
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in re.findall(r"^(?:\$ )?(?:.venv/bin/)?onsite (.*)$", block, re.MULTILINE):
            name, *words = line.partition(" #")[0].split()
            assert name in COMMANDS, line
            command = typer.main.get_command(build((name,))).commands[name]  # type: ignore[attr-defined]
            if hasattr(command, "commands") and words:
                command = command.commands[words[0]]
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known, line


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))
        assert named <= targets, page.name


def test_every_decision_is_dated_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for note in sorted(folder.glob("2*.md")):
        assert re.match(r"\d{4}-\d{2}-\d{2}-[a-z]", note.name), note.name
        assert f"]({note.name})" in index, f"{note.name} is not in docs/decisions/README.md"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_the_map_of_the_folders_is_whole() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages | {"sdk", "tests"} == {row[0].strip("`/") for row in rows_below(ROOT / "README.md", "## The house")}

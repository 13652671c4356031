"""The TypeScript client: its types, its own tests under Node, and that it is one file to copy."""

import json
import re
from pathlib import Path

from tests.sdk.typescript import SOURCES, build, run

CLIENT = SOURCES / "onsite-client.ts"


def test_its_types_hold_and_its_own_tests_pass(tmp_path: Path) -> None:
    said = run(build(tmp_path), "npm", "test")
    passed, failed, skipped = (
        int(re.search(rf"^\S+ {word} (\d+)$", said, re.MULTILINE)[1])  # type: ignore[index]
        for word in ("pass", "fail", "skipped")
    )
    assert (failed, skipped) == (0, 0)
    assert passed >= 30


def test_it_is_one_short_file_that_needs_nothing() -> None:
    text = CLIENT.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    assert not re.search(r"^import |\bimport\(|\brequire\(", text, re.MULTILINE)
    assert "dependencies" not in json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))


def test_no_file_names_a_registry() -> None:
    assert "omit-lockfile-registry-resolved=true" in (SOURCES / ".npmrc").read_text(encoding="utf-8").split()
    for name in (".npmrc", "package.json", "package-lock.json"):
        assert "://" not in (SOURCES / name).read_text(encoding="utf-8"), name

"""The lock files: hashed, without addresses, and in step with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES: list[str] = PROJECT["dependencies"]
ROAD: list[str] = PROJECT["optional-dependencies"]["road"]
EXTRAS: list[str] = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
PYTHONS = ("3.11", "3.12", "3.13")


def locked(name: str) -> list[Requirement]:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [Requirement(re.split(r"\s--hash=", line)[0].strip()) for line in text.splitlines() if line.strip()]


def version_for(requirements: list[Requirement], name: str, python: str) -> Version | None:
    """The version that the lock gives a Linux machine with this Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    for requirement in requirements:
        applies = requirement.marker is None or requirement.marker.evaluate(environment)
        if canonicalize_name(requirement.name) == canonicalize_name(name) and applies:
            return Version(str(requirement.specifier).removeprefix("=="))
    return None


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "wanted"),
    [("requirements.lock", DEPENDENCIES + ROAD), ("requirements-dev.lock", DEPENDENCIES + EXTRAS)],
)
def test_every_dependency_is_locked_within_its_bounds(lock: str, wanted: list[str], python: str) -> None:
    pins = locked(lock)
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"python_version": python}):
            continue
        version = version_for(pins, requirement.name, python)
        assert version is not None, f"{requirement.name} is not in {lock}: make lock"
        assert version in requirement.specifier, f"{line} does not allow {version} of {lock}: make lock"


def test_what_developers_test_is_what_is_deployed() -> None:
    assert set(map(str, locked("requirements.lock"))) <= set(map(str, locked("requirements-dev.lock")))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_is_exact_and_hashed(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        assert re.match(r"^[A-Za-z0-9._-]+==\S+( ; .+?)? +--hash=sha256:[0-9a-f]{64}", line), line[:80]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_no_lock_holds_an_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text(encoding="utf-8")

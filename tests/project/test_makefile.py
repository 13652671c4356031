"""Which Python the Makefile takes, tried with pretend interpreters."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICK = ROOT / "infra" / "pick_python.sh"

Interpreter = Callable[..., Path]
Pick = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """Puts a pretend interpreter under ``tmp_path``; ``minor`` None is a shim that fails when it is run."""

    def put(name: str, minor: int | None, venv: bool = True, folder: str = "bin") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        answers = (
            "exit 1" if minor is None else f'case "$2" in *ensurepip*) exit {int(not venv)};; *) echo {minor};; esac'
        )
        path.write_text(f"#!/bin/sh\n{answers}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def pick(tmp_path: Path) -> Pick:
    """Runs the script where only ``tmp_path`` has interpreters."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home")}
        return subprocess.run(
            ["/bin/sh", PICK, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return run


def chosen(result: subprocess.CompletedProcess[str]) -> Path:
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def test_the_newest_on_the_path_wins(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.11", 11)
    newest = interpreter("python3.13", 13)
    interpreter("python3.12", 12)
    assert chosen(pick()) == newest


def test_a_shim_that_fails_when_run_is_passed_over(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.13", None)
    works = interpreter("python3.12", 12)
    assert chosen(pick()) == works


def test_pyenv_has_it_behind_a_failing_shim(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.13", None)
    interpreter("python3.11", 11)
    real = interpreter("python3.13", 13, folder="home/.pyenv/versions/3.13.0/bin")
    assert chosen(pick()) == real


def test_a_free_threaded_build_of_pyenv_is_not_taken(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.13", 13, folder="home/.pyenv/versions/3.13.0t/bin")
    usual = interpreter("python3.12", 12)
    assert chosen(pick()) == usual


def test_plain_python3_counts_when_its_version_fits(interpreter: Interpreter, pick: Pick) -> None:
    plain = interpreter("python3", 12)
    interpreter("python3.11", 11)
    assert chosen(pick()) == plain


def test_one_without_venv_is_passed_over(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.13", 13, venv=False)
    whole = interpreter("python3.11", 11)
    assert chosen(pick()) == whole


@pytest.mark.parametrize("present", [None, 10, 14])
def test_none_that_fits_is_said_in_one_line(present: int | None, interpreter: Interpreter, pick: Pick) -> None:
    if present is not None:
        interpreter("python3", present)
    result = pick()
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "3.11 to 3.13" in result.stderr


def test_only_ones_without_venv_says_what_to_install(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.11", 11, venv=False)
    result = pick()
    assert result.returncode == 1
    assert "python3-venv" in result.stderr


def test_a_named_one_is_used_even_when_a_newer_is_there(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.13", 13)
    named = interpreter("mine", 11, folder="opt")
    assert chosen(pick(named)) == named


def test_a_named_one_that_does_not_fit_is_refused(interpreter: Interpreter, pick: Pick) -> None:
    interpreter("python3.13", 13)
    result = pick(interpreter("old", 9, folder="opt"))
    assert result.returncode == 1
    assert "PYTHON=" in result.stderr


def make(*arguments: str, **variables: str) -> str:
    """What make would run, without running it."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    result = subprocess.run(
        ["make", "-n", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_demo_hands_its_seconds_and_seed_on() -> None:
    assert "onsite demo --seconds 60 --seed 7" in make("demo", "SECONDS=60", "SEED=7")
    assert "--seconds" not in make("demo")


def test_another_interpreter_gets_its_own_installation(tmp_path: Path) -> None:
    installed = tmp_path / "venv"
    assert "infra/install.py" in make("test", f"VENV={installed}")
    installed.mkdir()
    (installed / ".installed-newest").touch()
    assert "infra/install.py" not in make("test", f"VENV={installed}")
    assert "infra/install.py" in make("test", f"VENV={installed}", "PYTHON=/opt/another/python3.11")


def test_help_lists_the_targets() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "check", "lock", "clean", "help"):
        assert f"make {target} " in listed

"""The command line as a whole: help with an example, one clear line for what is asked wrongly."""

import re
import sys
from collections.abc import Callable

import pytest
import typer

from infra.cli import COMMANDS, build, main
from infra.errors import CommandError
from schemas.settings import load_settings

Onsite = Callable[..., tuple[int, str, str]]


@pytest.fixture
def onsite(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Onsite:
    """Runs ``onsite`` in this process: (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["onsite", *arguments])
        load_settings.cache_clear()
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def command_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Makes ``onsite doctor`` do something else."""

    def put(action: Callable[[], None]) -> None:
        class Module:
            @staticmethod
            def register(app: typer.Typer) -> None:
                app.command("doctor")(action)

        monkeypatch.setitem(sys.modules, "infra.cli.doctor", Module)

    return put


def one_line(said: str) -> str:
    lines = said.splitlines()
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


def unframed(helped: str) -> str:
    """Help without its frames and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", helped).split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str, onsite: Onsite) -> None:
    command = typer.main.get_command(build((name,))).commands[name]  # type: ignore[attr-defined]
    for words in [(name, below) for below in getattr(command, "commands", ())] or [(name,)]:
        code, out, _ = onsite(*words, "--help")
        assert code == 0
        assert f"onsite {' '.join(words)}" in unframed(out).partition("Example")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_gives_one_clear_line(name: str, onsite: Onsite) -> None:
    code, out, err = onsite(name, "--no-such-option")
    assert code == 2
    assert out == ""
    assert "--no-such-option" in one_line(err)


def test_every_command_is_listed(onsite: Onsite) -> None:
    code, out, _ = onsite("--help")
    assert code == 0
    for name in COMMANDS:
        assert re.search(rf"^│ {name} ", out, re.MULTILINE), name


def test_no_argument_shows_the_list(onsite: Onsite) -> None:
    assert onsite() == onsite("--help")


def test_every_module_adds_its_own_command_and_no_other() -> None:
    for name in COMMANDS:
        assert list(typer.main.get_command(build((name,))).commands) == [name]  # type: ignore[attr-defined]


def test_an_unknown_command_is_named_and_a_near_one_proposed(onsite: Onsite) -> None:
    code, _, err = onsite("visit")
    assert code == 2
    assert "'visit'" in one_line(err)
    assert "visits" in one_line(err)


def test_a_failure_is_one_line_whatever_it_holds(
    onsite: Onsite, command_that: Callable[[Callable[[], None]], None]
) -> None:
    def fail() -> None:
        raise CommandError("fences.geojson, feature [3]:\nnot closed", exit_code=4)

    command_that(fail)
    code, _, err = onsite("doctor")
    assert code == 4
    assert one_line(err) == "onsite doctor: fences.geojson, feature [3]: not closed"


def test_what_nobody_foresaw_is_one_line_too(
    onsite: Onsite, command_that: Callable[[Callable[[], None]], None]
) -> None:
    def fail() -> None:
        raise RuntimeError("disk full")

    command_that(fail)
    code, _, err = onsite("doctor")
    assert code == 1
    assert one_line(err) == "onsite doctor: RuntimeError: disk full"


def test_ctrl_c_is_no_failure_to_explain(onsite: Onsite, command_that: Callable[[Callable[[], None]], None]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    command_that(interrupt)
    code, _, err = onsite("doctor")
    assert code == 130
    assert err == ""


def test_a_setting_that_cannot_be_read_is_named(onsite: Onsite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONSITE_PORT", "eighty")
    code, _, err = onsite("doctor")
    assert code == 1
    assert one_line(err).startswith("onsite doctor: ONSITE_PORT: ")


@pytest.mark.parametrize(
    "arguments", [(), ("a.ndjson", "--rejected"), ("a.ndjson", "--code", "x"), ("a.ndjson", "--since", "x")]
)
def test_a_replay_is_of_files_or_of_what_was_refused(arguments: tuple[str, ...], onsite: Onsite) -> None:
    code, _, err = onsite("replay", "--url", "http://127.0.0.1:1", "--token", "t", *arguments)
    assert code == 2
    assert "--rejected" in one_line(err)

"""``onsite people erase``: meant, ordered, followed, told; and what is said where it cannot be done."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from infra import erasing
from infra.cli import build, people
from infra.erasing import erase
from infra.errors import CommandError
from schemas.erasure import STEPS

WHERE = ("--url", "http://onsite", "--token", "key")


def state(steps: int, trouble: str = "") -> dict[str, Any]:
    return {
        "erasure_id": "erased-1",
        "kind": "technician",
        "done": dict.fromkeys(STEPS[:steps], 2),
        "next_step": STEPS[steps],
        "trouble": trouble,
        "out_of_reach": steps >= 5,
        "remains": [{"topic": "onsite.pings", "until": "2026-03-10T11:09:30.000Z"}],
    }


class Api:
    """Answers one state after the other; what it was asked is in ``asked``."""

    def __init__(self, *states: dict[str, Any], status: int = 200) -> None:
        self.states, self.status = list(states), status
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        content = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return httpx.Response(self.status, json=content)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "_LOOK_AGAIN_S", 0.0)


def run(api: Api, within_s: float = 5.0) -> tuple[dict[str, Any], list[int]]:
    seen: list[int] = []
    path, transport = "/v1/technicians/amina/data", httpx.MockTransport(api)

    def note(erasure: dict[str, Any]) -> None:
        seen.append(len(erasure["done"]))

    done = erase("http://onsite", "key", path, note, within_s=within_s, transport=transport)
    return asyncio.run(done), seen


def test_it_is_ordered_once_and_followed_to_its_end() -> None:
    api = Api(state(0), state(2), state(3, "waiting for tracker"), state(5))
    erasure, seen = run(api)
    assert (erasure["out_of_reach"], seen) == (True, [0, 2, 3, 5])
    assert api.asked == ["DELETE /v1/technicians/amina/data", *["GET /v1/erasures/erased-1"] * 3]


def test_who_does_not_want_to_wait_is_told_what_it_waits_for() -> None:
    with pytest.raises(CommandError, match=r"waiting for tracker; it goes on .*erased-1"):
        run(Api(state(3, "waiting for tracker")), within_s=0.0)


def test_what_is_refused_is_told() -> None:
    with pytest.raises(CommandError, match="409: 2 jobs are not over"):
        run(Api({"detail": "2 jobs are not over"}, status=409))


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were erased."""
    paths: list[str] = []

    async def erased(url: str, token: str, path: str, show: Any, *, within_s: float) -> dict[str, Any]:
        paths.append(path)
        show(state(5))
        return state(5)

    monkeypatch.setattr(people, "erased", erased)
    return paths


def test_nobody_is_erased_by_mistake(answered: list[str]) -> None:
    asked = CliRunner().invoke(build(["people"]), ["people", "erase", "amina", *WHERE])
    assert asked.exit_code != 0
    assert "say --yes" in str(asked.exception)
    assert answered == []


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ((), "/v1/technicians/a%20b/data"),
        (("--customer",), "/v1/customers/a%20b/data"),
        (("--account",), "/v1/accounts/a%20b/data"),
    ],
)
def test_who_says_yes_is_told_what_was_done(answered: list[str], options: tuple[str, ...], path: str) -> None:
    done = CliRunner().invoke(build(["people"]), ["people", "erase", "a b", "--yes", *options, *WHERE])
    assert done.exit_code == 0, done.output
    assert answered == [path]
    assert "erased-1 stands in the place of a b" in done.output
    assert "the store: 2" in done.output
    assert "2026-03-10" in done.output


def test_for_scripts(answered: list[str]) -> None:
    done = CliRunner().invoke(build(["people"]), ["people", "erase", "amina", "--yes", "--json", *WHERE])
    assert msgspec.json.decode(done.stdout)["erasure_id"] == "erased-1"
    both = CliRunner().invoke(
        build(["people"]), ["people", "erase", "amina", "--yes", "--customer", "--account", *WHERE]
    )
    assert both.exit_code != 0
    assert len(answered) == 1

"""The script of the customer's page, run by node over a document that is made up."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

SCRIPT: Final = Path(__file__).parents[3] / "api" / "pages" / "tracking.js"

HARNESS: Final = """
const { readFileSync } = require("node:fs");
const { runInNewContext } = require("node:vm");
const [script, told] = process.argv.slice(1);
const { answers, hidden } = JSON.parse(told);
const done = [], waits = [], asked = [];
const section = (html, forms) => ({
  innerHTML: html, dataset: { forms }, replaceWith: (next) => { done.push(`shows ${next.innerHTML}`); shown = next; },
});
let shown = section("on the way", "write");
let next;
const context = {
  document: {
    get visibilityState() { return hidden ? "hidden" : "visible"; },
    getElementById: () => shown,
    adoptNode: (node) => node,
  },
  location: {
    pathname: "/t/token", reload: () => done.push("reload"), replace: (where) => done.push(`goes to ${where}`),
  },
  fetch: async (where, how) => {
    asked.push([where, how]);
    const answer = answers.shift();
    if (answer.broken) throw new Error("no network");
    return {
      status: answer.status, ok: answer.status === 200, text: async () => answer,
      headers: { get: () => answer.retry_after ?? null },
    };
  },
  DOMParser: class { parseFromString({ html, forms }) { return { getElementById: () => section(html, forms) }; } },
  setTimeout: (look, wait) => { next = look; waits.push(wait); },
};
(async () => {
  runInNewContext(readFileSync(script, "utf8"), context);
  for (let rounds = answers.length || 1; rounds > 0; rounds--) await next();
  console.log(JSON.stringify({ done, waits, asked }));
})();
"""


def run(*answers: dict[str, Any], hidden: bool = False) -> dict[str, Any]:
    """What the script does when its requests are answered like this."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine: the page's script is not tested")
    told = json.dumps({"answers": answers, "hidden": hidden})
    ran = subprocess.run(
        [node, "-e", HARNESS, str(SCRIPT), told], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def page(html: str, forms: str = "write") -> dict[str, Any]:
    return {"status": 200, "html": html, "forms": forms}


def test_it_looks_each_20_seconds_and_shows_what_has_changed() -> None:
    ran = run(page("on the way"), page("2 km away"), page("2 km away"), page("1 km away"))
    assert ran["done"] == ["shows 2 km away", "shows 1 km away"]
    assert ran["waits"] == [20_000] * 5
    assert ran["asked"][0] == ["/t/token", {"cache": "no-store", "credentials": "omit"}]


def test_where_other_things_can_be_said_it_opens_the_page_anew() -> None:
    ran = run(page("arrived", "write"), page("done", "rate"))
    assert ran["done"] == ["shows arrived", "goes to /t/token"]
    assert len(ran["waits"]) == 2, "it looks no more"


@pytest.mark.parametrize("status", [404, 410])
def test_a_link_that_is_over_is_shown_as_that(status: int) -> None:
    ran = run({"status": status})
    assert (ran["done"], len(ran["waits"])) == (["reload"], 1)


def test_it_waits_longer_where_nobody_answers_or_as_it_is_told() -> None:
    ran = run({"broken": True}, {"broken": True}, page("on the way"), {"status": 429, "retry_after": "45"})
    assert (ran["done"], ran["waits"]) == ([], [20_000, 40_000, 80_000, 20_000, 45_000])


def test_it_does_not_ask_while_nobody_looks() -> None:
    ran = run(hidden=True)
    assert (ran["asked"], ran["waits"]) == ([], [20_000, 20_000])

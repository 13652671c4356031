"""Reports over HTTP; what they count is tried on the real store."""

from datetime import date
from typing import Any

import pytest

from api.http.spreadsheet import guarded
from api.reports.registry import REPORTS
from schemas.places import Branch
from tests.api.conftest import Door
from tests.api.test_pings import is_problem
from tests.fakes import make_key
from tests.project.test_docs import ROOT


def test_the_list_has_every_report_with_its_units(door: Door) -> None:
    items = door.get("/v1/reports", role="accountant").json()["items"]
    assert [each["name"] for each in items] == list(REPORTS)
    units = {column["unit"] for each in items for column in each["columns"]}
    assert units == {"date", "text", "count", "s", "per h", "share", "stars"}


def test_a_wrong_name_is_answered_with_the_right_ones(door: Door) -> None:
    answer = door.get("/v1/reports/profit")
    assert is_problem(answer, 404, "unknown_report")
    assert answer.json()["reports"] == list(REPORTS)


def test_a_report_is_of_the_31_days_up_to_now(door: Door) -> None:
    door.history.reported = [(date(2026, 3, 1), None, "amina", 2, 3600.0, 0.0, 600.0, 1.7)]
    answer = door.get("/v1/reports/productivity").json()
    assert (answer["from"], answer["to"]) == ("2026-01-30T08:15:10.000Z", "2026-03-02T08:15:10.000Z")
    assert answer["rows"] == [["2026-03-01", None, "amina", 2, 3600.0, 0.0, 600.0, 1.7]]
    assert [column["name"] for column in answer["columns"]][:4] == ["day", "branch", "technician_id", "jobs"]
    csv = door.get("/v1/reports/productivity?format=csv")
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.headers["content-disposition"] == 'attachment; filename="productivity.csv"'


@pytest.mark.parametrize(
    "query", ["format=xls", "from=x", "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "within_days=0"]
)
def test_what_cannot_be_is_refused(door: Door, query: str) -> None:
    assert is_problem(door.get(f"/v1/reports/travel?{query}"), 400, "invalid_request")


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("name", REPORTS)
def test_a_store_that_is_away_is_a_problem(door: Door, name: str, form: str) -> None:
    door.history.down = True
    assert is_problem(door.get(f"/v1/reports/{name}?format={form}"), 503, "unavailable")


@pytest.mark.parametrize(
    ("branches", "asked", "seen"),
    [
        (None, "", (1, [])),
        (None, "?branch=north-west", (0, ["liverpool", "north-west"])),
        (["north-west"], "", (0, ["liverpool", "north-west"])),
        (["north-west"], "?branch=hull", (0, [])),
        (["hull"], "?branch=ghost", (0, [])),
    ],
)
def test_a_report_is_of_what_its_reader_sees(door: Door, branches: Any, asked: str, seen: Any) -> None:
    for branch, region in (("north-west", None), ("liverpool", "north-west"), ("hull", None)):
        door.registers["branches"].put(branch, Branch(branch=branch, name=branch, region=region))
    door.keys.records["keyaccountant"] = make_key("accountant", branches=branches)
    for name in REPORTS:
        assert door.get(f"/v1/reports/{name}{asked}", role="accountant").status_code == 200
        _, parameters = door.history.asked[-1]
        assert (parameters["all_branches"], parameters["branches"]) == seen


def test_what_begins_like_a_formula_is_text() -> None:
    for text in ("=1", "+1", "-1", "@x", "\tx", "\rx"):
        assert guarded(text) == f"'{text}"
    for text in ("", "1=", "a-b", "'=1"):
        assert guarded(text) == text


def test_the_page_shows_the_registry() -> None:
    page = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    wanted = "\n".join(
        "\n".join(
            [
                f"### `{report.name}`",
                "",
                report.about,
                "",
                "| column | unit | |",
                "|---|---|---|",
                *(f"| `{each.name}` | {each.unit} | {each.about} |" for each in report.columns),
                "",
            ]
        )
        for report in REPORTS.values()
    )
    assert wanted.strip() in page, f"docs/reports.md should say:\n{wanted}"

"""``python -m benchmarks``: the list, the table, the one JSON line."""

import importlib
import json
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as benchmarks

OUTCOME = {
    "figures": {"points_per_s": 12_345_678.9},
    "anchors": {"shapely_points_per_s": 2_000_000.0},
    "ratios": {"onsite_vs_shapely": 6.17},
}


@pytest.fixture
def one_benchmark(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    asked: list[bool] = []

    def run(quick: bool) -> dict[str, dict[str, float]]:
        asked.append(quick)
        return OUTCOME

    module = SimpleNamespace(__doc__="What it measures.\n\nMore.", run=run)
    monkeypatch.setattr(benchmarks, "MODULES", {"kernel": "benchmarks.kernel"})
    monkeypatch.setattr("importlib.import_module", {"benchmarks.kernel": module}.__getitem__)
    return asked


def test_no_name_lists_them(one_benchmark: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main([]) == 0
    assert capsys.readouterr().out.split() == ["kernel", "What", "it", "measures."]
    assert one_benchmark == []


def test_with_json_the_last_line_is_the_whole_report(
    one_benchmark: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmarks.main(["kernel", "--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(report) == ["name", "machine", "figures", "anchors", "ratios"]
    assert report["name"] == "kernel"
    assert {"cpu", "cores", "memory_gib", "python"} == set(report["machine"])
    assert {section: report[section] for section in OUTCOME} == OUTCOME
    assert one_benchmark == [True]


def test_the_table_shows_every_figure(one_benchmark: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["kernel"]) == 0
    printed = capsys.readouterr().out
    assert "points_per_s" in printed
    assert "12,345,679" in printed
    assert "onsite_vs_shapely" in printed
    assert "{" not in printed
    assert one_benchmark == [False]


def test_an_unknown_name_gives_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["kernels"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert "kernels" in printed.err


@pytest.mark.parametrize("name", benchmarks.MODULES)
def test_every_listed_benchmark_exists_and_says_what_it_measures(name: str) -> None:
    assert benchmarks.purpose_of(name)
    assert callable(importlib.import_module(benchmarks.MODULES[name]).run)

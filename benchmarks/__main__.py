"""``python -m benchmarks NAME [--quick] [--json]``; no name lists them."""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from infra.leave_out import leave_out_pandas

MODULES: Final = {
    "kernel": "benchmarks.kernel",
    "storage": "benchmarks.storage",
    "pipeline": "benchmarks.pipeline",
    "accuracy": "benchmarks.accuracy",
    "ingest": "benchmarks.ingest",
    "edits": "benchmarks.edits",
    "latency": "benchmarks.latency",
    "backlog": "benchmarks.backlog",
    "scaling": "benchmarks.scaling",
    "restart": "benchmarks.restart",
    "track": "benchmarks.track",
    "jobs": "benchmarks.jobs",
    "eta": "benchmarks.eta",
}
"""Name -> module; a module is imported when its benchmark runs."""

SECTIONS: Final = {"figures": "Onsite", "anchors": "anchors, same run", "ratios": "ratios"}


def purpose_of(name: str) -> str:
    """The first line of a benchmark's docstring."""
    return (importlib.import_module(MODULES[name]).__doc__ or "").strip().partition("\n")[0]


def shown(value: float) -> str:
    """Three digits that matter: 12,345,678, 42.1, 0.973."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table_of(name: str, outcome: Mapping[str, Mapping[str, float]]) -> Table:
    """Figures, anchors and ratios one below the other."""
    table = Table("", "", title=f"benchmarks {name}", show_header=False, title_justify="left")
    table.columns[1].justify = "right"
    for section, heading in SECTIONS.items():
        if outcome[section]:
            table.add_section()
            table.add_row(f"[bold]{heading}[/bold]", "")
        for figure, value in outcome[section].items():
            table.add_row(figure, shown(value))
    return table


def list_benchmarks(console: Console) -> None:
    """One line a benchmark."""
    for name in MODULES:
        console.print(f"[bold]{name:10}[/bold] {purpose_of(name)}", highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog="example: python -m benchmarks kernel --quick"
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of: " + ", ".join(MODULES))
    parser.add_argument("--quick", action="store_true", help="the same on less, within 50 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    asked = parser.parse_args(arguments)
    leave_out_pandas()  # as the processes that are measured do
    console = Console()
    if asked.name is None:
        list_benchmarks(console)
        return 0
    if asked.name not in MODULES:
        print(f"benchmarks: there is no {asked.name!r}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    outcome: dict[str, Any] = importlib.import_module(MODULES[asked.name]).run(quick=asked.quick)
    report = {"name": asked.name, "machine": describe_machine(), **{section: outcome[section] for section in SECTIONS}}
    for table in outcome.get("tables") or [table_of(asked.name, outcome)]:
        console.print(table)
    console.print(" · ".join(f"{key} {value}" for key, value in report["machine"].items()), highlight=False)
    if asked.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``onsite doctor``: what is wrong, and how to mend it."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.settings import load_settings

_MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "wrong": "[red]✗[/red]"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        state: Annotated[Path | None, typer.Option(help="Examine the system that runs on this state folder.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Check settings, versions, broker, store, clock and disk. Exit status 1 when something is wrong.

        Without --state it looks at what the environment points to (ONSITE_KAFKA, ONSITE_CLICKHOUSE, …).

        Example: [bold]onsite doctor --state ./state[/bold]
        """
        from infra.doctor import examine, settings_for  # slow to import: not for --help
        from infra.logs import configure_logging

        settings = load_settings()
        configure_logging(settings, quiet=True)
        logging.disable(logging.ERROR)  # what libraries say of a broker that is away, the table says better
        if state is not None:
            state = state.expanduser().resolve()
            settings = settings_for(state)
        findings = asyncio.run(examine(settings, state))
        wrong = [finding for finding in findings if finding.state == "wrong"]
        if as_json:
            typer.echo(json.dumps({"ok": not wrong, "findings": [finding.to_dict() for finding in findings]}))
        else:
            table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
            for finding in findings:
                table.add_row(_MARKS[finding.state], finding.about, escape(finding.found), escape(finding.mend))
            Console(highlight=False).print(table)
        if wrong:
            raise typer.Exit(1)

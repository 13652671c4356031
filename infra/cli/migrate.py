"""``onsite migrate``: the store's tables and the broker's topics."""

import asyncio
from typing import Annotated

import msgspec
import typer

from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def migrate(
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Create or upgrade the ClickHouse tables and the Kafka topics. Can be run twice.

        Example: [bold]ONSITE_CLICKHOUSE=http://store:8123/onsite ONSITE_KAFKA=broker:9092 onsite migrate[/bold]
        """
        from infra.logs import configure_logging
        from infra.migrations import migrate as bring_up_to_date

        settings = load_settings()
        configure_logging(settings, quiet=True)
        done = asyncio.run(bring_up_to_date(settings))
        if as_json:
            typer.echo(msgspec.json.encode({"done": done}))
            return
        for line in done:
            typer.echo(line)
        typer.echo("up to date" if done else "already up to date")

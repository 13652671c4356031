"""``onsite people``: what is held of somebody, for whoever has to tell them."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console

from infra.export import fetch

people = typer.Typer(
    help="Export what is held of a technician or a customer.",
    epilog="Example: onsite people export amina -o amina.ndjson --url http://127.0.0.1:8080 --token KEY",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(people, name="people")


@people.callback()
def root() -> None:
    """Keep `onsite people export` a subcommand while it is the only one."""


@people.command(epilog='Example: onsite people export amina -o amina.ndjson --url http://127.0.0.1:8080 --token "$KEY"')
def export(
    person: Annotated[str, typer.Argument(metavar="ID", help="the technician's id, or with --customer the customer's")],
    output: Annotated[Path, typer.Option("-o", "--output", help="the file to write, for its owner alone to read")],
    url: Annotated[str, typer.Option(help="where the API is, e.g. http://127.0.0.1:8080")],
    token: Annotated[str, typer.Option(help="a key of the role admin or operations_manager")],
    customer: Annotated[bool, typer.Option("--customer", help="of a customer")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="what was written as one JSON object")] = False,
) -> None:
    """Write everything that is held of somebody to a file, one JSON object a line (docs/privacy.md)."""
    path = f"/v1/{'customers' if customer else 'technicians'}/{quote(person, safe='')}/data"
    lines = asyncio.run(fetch(url, token.strip(), path, output))
    if as_json:
        typer.echo(msgspec.json.encode({"file": str(output), "lines": lines}))
    else:
        Console().print(f"{lines} lines in {output}", highlight=False, markup=False, soft_wrap=True)

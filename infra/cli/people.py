"""``onsite people``: what is held of somebody, for whoever has to tell them, or to erase it."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from infra.erasing import erase as erased
from infra.errors import CommandError
from infra.export import fetch

_STEPS: Final = {
    "access": "keys and accounts",
    "jobs": "jobs",
    "registers": "records",
    "tracks": "tracks in memory and checkpoints",
    "store": "the store",
    "log": "the broker's compaction",
}
"""Steps of an erasure, for people."""

_BEFORE_LOG: Final = len(_STEPS) - 1

people = typer.Typer(
    help="Export what is held of a technician or a customer, or erase them.",
    epilog="Example: onsite people export amina -o amina.ndjson --url http://127.0.0.1:8080 --token KEY",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(people, name="people")


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


@people.command(epilog='Example: onsite people erase amina --url http://127.0.0.1:8080 --token "$KEY"')
def erase(
    person: Annotated[str, typer.Argument(metavar="ID", help="the technician's id; with --customer the customer's")],
    url: Annotated[str, typer.Option(help="where the API is, e.g. http://127.0.0.1:8080")],
    token: Annotated[str, typer.Option(help="a key of the role admin or operations_manager")],
    customer: Annotated[bool, typer.Option("--customer", help="a customer")] = False,
    account: Annotated[bool, typer.Option("--account", help="somebody with an account, who is no technician")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask whether that is meant")] = False,
    within_s: Annotated[float, typer.Option(help="wait for so many seconds; it goes on by itself then")] = 3_600.0,
    as_json: Annotated[bool, typer.Option("--json", help="what became of it as one JSON object")] = False,
) -> None:
    """Erase somebody everywhere, for good (docs/privacy.md). Asked for again, it goes on where it was."""
    if customer and account:
        raise CommandError("either --customer or --account")
    register = "customers" if customer else "accounts" if account else "technicians"
    if not yes:
        _require_meant(person, register.removesuffix("s"))
    path = f"/v1/{register}/{quote(person, safe='')}/data"
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("erasing", total=_BEFORE_LOG, what="")

        def show(erasure: dict[str, Any]) -> None:
            what = erasure["trouble"] or _STEPS.get(erasure["next_step"] or "", "")
            bar.update(task, completed=len(erasure["done"]), what=what)

        erasure = asyncio.run(erased(url, token.strip(), path, show, within_s=within_s))
    if as_json:
        typer.echo(msgspec.json.encode(erasure))
        return
    out = Console()
    for step, count in erasure["done"].items():
        out.print(f"{_STEPS[step]}: {count}", highlight=False, markup=False)
    last = max(each["until"] for each in erasure["remains"])
    out.print(
        f"erased; {erasure['erasure_id']} stands in the place of {person}\n"
        f"the broker's disks may hold something until {last} at the latest; by topic: "
        f"GET {url}/v1/erasures/{erasure['erasure_id']}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _require_meant(person: str, kind: str) -> None:
    """Have the id typed again; raises CommandError where nobody can be asked, or it is another."""
    if not sys.stdin.isatty():
        raise CommandError("this cannot be undone, and nobody is there to be asked: say --yes")
    typed = typer.prompt(f"This erases the {kind} {person} for good. Type the id again to go on", default="")
    if typed.strip() != person:
        raise CommandError("another id was typed; nothing is erased")

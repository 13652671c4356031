"""``onsite map``: what Onsite makes of a map of OpenStreetMap."""

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.cli.up import default_state_dir
from infra.errors import CommandError
from schemas.settings import load_settings

maps = typer.Typer(
    help="Load a map: addresses are then found without asking anybody, and ETAs go by road.",
    epilog="Example: onsite map build liechtenstein-latest.osm.pbf --state ./state",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(maps, name="map")


@maps.callback()
def root() -> None:
    """Keep `onsite map build` a subcommand while it is the only one."""


@maps.command(epilog="Example: onsite map build liechtenstein-latest.osm.pbf --state ./state")
def build(
    source: Annotated[Path, typer.Argument(metavar="FILE.osm.pbf", help="an extract of OpenStreetMap")],
    state: Annotated[
        Path | None, typer.Option(help="the state folder of onsite up; default: the platform's data folder")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="the folder to write to; ONSITE_MAP_DIR names it to the API")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="what was made as one JSON object")] = False,
) -> None:
    """Prepare a map for Onsite. A running API takes it up by itself, in the stead of the one before."""
    from infra.map_steps import STEPS
    from routing.addresses.build import MapFileError
    from routing.roads.build import RoadsError

    if not source.is_file():
        raise CommandError(f"{source}: there is no such file")
    folder = _folder(state, output)
    made: dict[str, Any] = {}
    began_s = time.monotonic()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("reading the map", total=None)
            for name, step in STEPS.items():
                made[name] = step(
                    source, folder, lambda stage, count: progress.update(task, description=stage, completed=count)
                )
    except (MapFileError, RoadsError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{folder}: cannot be written: {error.strerror}") from error
    took_s = round(time.monotonic() - began_s, 1)
    if as_json:
        typer.echo(msgspec.json.encode({"made": made, "took_s": took_s}))
        return
    for name, facts in made.items():
        if facts["file"] is None:
            Console().print(f"{name}: none, {facts['missing']}", highlight=False, markup=False, soft_wrap=True)
            continue
        counts = ", ".join(f"{value:,} {what}" for what, value in facts.items() if isinstance(value, int))
        Console().print(f"{name}: {counts} in {facts['file']}", highlight=False, markup=False, soft_wrap=True)


def _folder(state: Path | None, output: Path | None) -> Path:
    """Where an API on the same state will look."""
    if state is not None and output is not None:
        raise CommandError("--state and --output say both where to; name one", exit_code=2)
    if output is not None:
        return output
    settings = load_settings()
    if state is None and settings.map_dir is not None:
        return settings.map_dir
    return (state or default_state_dir()).expanduser() / "data" / "map"

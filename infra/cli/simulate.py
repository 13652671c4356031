"""``onsite simulate``: labelled synthetic days on disk."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from infra.errors import CommandError
from schemas.times import format_instant
from simulator.day import Day, DaySpec, Job, build_day
from simulator.roads import MapError, read_osm
from simulator.truth import Span

_EXAMPLE: Final = "Example: onsite simulate --technicians 20 --hours 8 --seed 7 -o day/"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLE)(simulate)


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="folder to write to; made if absent", show_default=False)],
    technicians: Annotated[int, typer.Option(min=1, help="how many technicians, one phone each")] = 20,
    hours: Annotated[float, typer.Option(min=0.1, max=24.0, help="how long they work")] = 8.0,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="roads of this .osm.pbf instead of a drawn town", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="the same seed makes the same day")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as one JSON object")] = False,
) -> None:
    """Write a labelled day: pings.ndjson in the order of delivery, fences.geojson, jobs.ndjson and truth.ndjson."""
    spec = DaySpec(technicians=technicians, hours=hours, seed=seed)
    console = Console(stderr=True)
    try:
        plane, roads = read_osm(map_file) if map_file else (None, None)
        with Progress(console=console, transient=True, disable=as_json) as progress:
            task = progress.add_task("technicians", total=technicians)
            day = build_day(spec, plane, roads, on_technician=lambda: progress.advance(task))
    except (MapError, ValueError) as error:
        raise CommandError(str(error)) from error
    try:
        summary = write_day(day, out)
    except OSError as error:
        raise CommandError(f"cannot write to {out}: {error.strerror or error}") from error
    if as_json:
        typer.echo(json.dumps(summary))
        return
    console.print(
        f"{summary['pings']:,} pings ({summary['distinct_pings']:,} distinct) of {technicians} technicians, "
        f"{summary['fences']} fences, {summary['jobs']} jobs, {summary['visits']} true visits, "
        f"{summary['passes']} passes in {out}",
        highlight=False,
        soft_wrap=True,
    )


def write_day(day: Day, out: Path) -> dict[str, Any]:
    """The day as files in a folder; returns the counts."""
    out.mkdir(parents=True, exist_ok=True)
    _write_lines(out / "pings.ndjson", (ping for _, pings in day.deliveries() for ping in pings))
    (out / "fences.geojson").write_text(json.dumps(day.fences()) + "\n")
    _write_lines(out / "jobs.ndjson", (_job_record(job) for job in day.jobs))
    _write_lines(out / "truth.ndjson", (_span_record(span) for span in day.spans))
    return {
        "seed": day.spec.seed,
        "pings": len(day.pings),
        "distinct_pings": day.distinct_pings,
        "fences": len(day.town.sites),
        "jobs": len(day.jobs),
        "visits": len(day.visits),
        "passes": sum(span.kind == "pass" for span in day.spans),
        "from": format_instant(day.spec.start_ms),
        "to": format_instant(day.end_ms),
    }


def _write_lines(path: Path, records: Iterable[object]) -> None:
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        file.writelines(encode(record) + b"\n" for record in records)


def _job_record(job: Job) -> dict[str, Any]:
    record = asdict(job)
    record["window_from"] = format_instant(record.pop("window_from_ms"))
    record["window_to"] = format_instant(record.pop("window_to_ms"))
    return record


def _span_record(span: Span) -> dict[str, Any]:
    record = asdict(span)
    record["arrived_at"] = format_instant(record.pop("arrived_ms"))
    departed_ms = record.pop("departed_ms")
    record["departed_at"] = None if departed_ms is None else format_instant(departed_ms)
    return record

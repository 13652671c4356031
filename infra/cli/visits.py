"""``onsite visits``: the visit log of recorded pings, derived at once by the engine that runs live."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.recorded import Recording, read_recorded
from geofence.rule_book import RuleBook
from geofence.visits import Evidence, derive_stays, explain, visit_of
from infra.errors import CommandError
from infra.inputs import read_fences, read_rule_book, warn_of_strangers
from schemas import wire
from schemas.explanation import ExplainedVisit
from schemas.fence import FenceVersion
from schemas.protocols import BodyError, Rejected
from schemas.settings import load_settings
from schemas.times import parse_instant

MAX_BAD_TOLD = 10

EPILOG = """Example: onsite visits --fences fences.geojson monday.ndjson tuesday.csv -o visits.ndjson

A visit is one JSON object a line; only confirmed and closed ones are printed, by device, then arrival."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("visits", epilog=EPILOG)(visits)


def visits(
    pings: Annotated[list[str], typer.Argument(help="files of pings: .ndjson, .csv, .gpx; - reads NDJSON from stdin")],
    fences: Annotated[Path, typer.Option("--fences", help="a GeoJSON FeatureCollection")],
    rules: Annotated[
        Path | None, typer.Option("--rules", help="TOML file of visit rules; default: that of ONSITE_RULES")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="where to write; default: stdout")] = None,
    with_evidence: Annotated[
        bool,
        typer.Option("--explain", help="add to each visit the fixes, the fence and the rules behind it, in words too"),
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="the moment of looking: RFC 3339 or 'now'; default: the newest ping, and nothing follows it"
        ),
    ] = None,
) -> None:
    """Derive the visits in recorded pings: who was where, from when to when."""
    versions = read_fences(fences)
    rule_book = read_rule_book(rules or load_settings().rules)
    warn_of_strangers(rule_book, versions)
    fence_set = rule_book.applied_to(FenceSet.of(versions.items()))
    by_device = _by_device(pings)
    moment_ms = _moment(as_of, by_device)
    ended = as_of is None
    lines = [
        line
        for device_id in sorted(by_device)
        for line in _lines(
            device_id, by_device[device_id], fence_set, rule_book, moment_ms, ended, versions if with_evidence else None
        )
    ]
    if output is None:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.flush()
        return
    try:
        with output.open("wb") as file:
            file.writelines(lines)
    except OSError as error:
        raise CommandError(f"{output}: cannot be written: {error.strerror}") from error


def _lines(
    device_id: str,
    fixes: Fixes,
    fences: FenceSet,
    rule_book: RuleBook,
    as_of_ms: int,
    ended: bool,
    explained_by: dict[str, FenceVersion] | None,
) -> Iterator[bytes]:
    """The visits of one device as lines of NDJSON, with the evidence where ``explained_by`` has the fences by id."""
    stays = derive_stays(device_id, fixes, fences, rule_book.rules, as_of_ms, ended=ended).stays
    visits = [visit_of(device_id, stay) for stay in stays if stay.state != "open"]
    if explained_by is None:
        yield from (wire.encode(visit) + b"\n" for visit in visits)
        return
    evidence = Evidence.read(device_id, fixes, fences, rule_book.rules, as_of_ms)
    for visit in visits:
        version = explained_by[visit.fence_id]
        in_force = rule_book.in_force(visit.fence_id, version.kind, version.min_on_site_s)
        explained = explain(evidence, visit, version, in_force)
        yield wire.encode(ExplainedVisit(**msgspec.structs.asdict(visit), explain=explained)) + b"\n"


def _by_device(names: list[str]) -> dict[str, Fixes]:
    """The fixes of good pings by device, in order; bad ones are told on stderr."""
    recording = Recording()
    stderr = Console(stderr=True)
    for name in names:
        rejected = _read(name, recording)
        told = list(islice(rejected, MAX_BAD_TOLD))
        bad = len(told) + sum(1 for _ in rejected)
        lines = [f"ping {each.index + 1}: {each.reason}" for each in told]
        if bad > MAX_BAD_TOLD:
            lines.append(f"{bad} bad pings in all were left out")
        for line in lines:
            stderr.print(f"{name}: {line}", highlight=False, markup=False, soft_wrap=True)
    return {device_id: fixes.in_order() for device_id, fixes in recording.by_device().items()}


def _read(name: str, recording: Recording) -> Iterator[Rejected]:
    try:
        if name == "-":
            yield from read_recorded("stdin.ndjson", sys.stdin.buffer, recording)
            return
        with Path(name).open("rb") as file:
            yield from read_recorded(name, file, recording)
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}") from error
    except BodyError as error:
        raise CommandError(f"{name}: {error}") from error


def _moment(as_of: str | None, by_device: dict[str, Fixes]) -> int:
    if as_of is None:
        return max((int(fixes.ts_ms[-1]) for fixes in by_device.values()), default=0)
    if as_of == "now":
        return load_settings().clock().now_ms()
    try:
        return parse_instant(as_of)
    except ValueError as error:
        raise CommandError(f"--as-of: {error}") from error

"""``onsite eta``: what the ETA engine would have said of trips that are over, and how good that was."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from dispatch.eta.engine import Answers, EtaEngine
from dispatch.eta.replay import places_of, questions_of, replay
from dispatch.eta.scores import Score, by_horizon, score
from dispatch.eta.windows import LEVEL
from infra.errors import CommandError
from infra.inputs import read_bytes
from routing.provider import Provider
from routing.roads.build import RoadsError
from routing.roads.providers import RoadsInProcess
from routing.straight_line import StraightLine
from schemas import wire
from schemas.times import Instant, parse_instant
from schemas.trip import Prediction, Trip

MAX_BAD_TOLD: Final = 10

EPILOG = """Example: onsite eta last-quarter.ndjson --time-zone Europe/Zurich -o said.ndjson

A trip is one JSON object a line: trip_id, device_id, departed_at, arrived_at, to (lat, lon), points (ts, lat, lon).
Each point is answered with what was known then: only trips that had arrived are learnt from."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eta", epilog=EPILOG)(eta)


def eta(
    trips_file: Annotated[Path, typer.Argument(metavar="TRIPS", help="NDJSON, a trip a line, in any order")],
    map_dir: Annotated[
        Path | None,
        typer.Option("--map", help="folder that onsite map build wrote: ways by road, not as the crow flies"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where to write a prediction a line", show_default=False)
    ] = None,
    time_zone: Annotated[str, typer.Option(help="whose hours the rush follows")] = "UTC",
    level: Annotated[float, typer.Option(min=0.5, max=0.99, help="how many of the windows are to hold")] = LEVEL,
    scored_from: Annotated[
        str | None,
        typer.Option("--from", help="score what is asked from this moment on (RFC 3339); what came before is learnt"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the scores as one JSON object")] = False,
) -> None:
    """Replay past trips through the ETA engine: how often its windows held, and how far off it was, by horizon."""
    zone = _zone(time_zone)
    from_s = -math.inf if scored_from is None else _moment(scored_from) / 1000
    trips = _read_trips(trips_file)
    places = places_of(trips)
    ways = _provider(map_dir).ways(*places)
    queries = questions_of(trips, places, ways.travel_s, zone)
    arrived_s = np.array([trip.arrived_ms for trip in trips], np.float64) / 1000
    answers = replay(queries, arrived_s, EtaEngine(level))
    if output is not None:
        _write(output, _predictions(trips, answers, ways.providers, level))
    scored = queries.ts_s >= from_s
    told = Answers(answers.eta_s[scored], answers.from_s[scored], answers.to_s[scored])
    remaining_s = (arrived_s[queries.trip] - queries.ts_s)[scored]
    engine_s = ways.travel_s[scored]
    scores = {"all": score(told, engine_s, remaining_s), **by_horizon(told, engine_s, remaining_s)}
    if as_json:
        typer.echo(json.dumps({"trips": len(trips), "level": level, "scores": _plain(scores)}))
    else:
        Console(highlight=False).print(_table(scores, level))


def _read_trips(path: Path) -> list[Trip]:
    """The trips of a file; lines that are none are told and passed over. Raises CommandError where none is left."""
    trips: dict[str, Trip] = {}
    bad: list[str] = []
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            trip = wire.decode(Trip, line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            bad.append(f"line {number}: {error}")
            continue
        if trip.trip_id in trips:
            bad.append(f"line {number}: there is a trip {trip.trip_id!r} already")
            continue
        trips[trip.trip_id] = trip
    console = Console(stderr=True)
    for said in bad[:MAX_BAD_TOLD]:
        console.print(f"{path}: {said}", highlight=False, markup=False, soft_wrap=True)
    if len(bad) > MAX_BAD_TOLD:
        console.print(f"{path}: {len(bad) - MAX_BAD_TOLD} more bad lines", highlight=False, soft_wrap=True)
    if not any(trip.points for trip in trips.values()):
        raise CommandError(f"{path}: no trip with a point in it")
    return list(trips.values())


def _provider(map_dir: Path | None) -> Provider:
    try:
        return StraightLine() if map_dir is None else RoadsInProcess(map_dir)
    except RoadsError as error:
        raise CommandError(str(error)) from error


def _predictions(
    trips: Sequence[Trip], answers: Answers, providers: Sequence[str], level: float
) -> Iterator[Prediction]:
    told = zip(answers.eta_s.tolist(), answers.from_s.tolist(), answers.to_s.tolist(), providers, strict=True)
    for trip in trips:
        for point, (eta_s, from_s, to_s, provider) in zip(trip.points, told, strict=False):
            eta, begin, end = (Instant(point.ts_ms + round(1000 * after_s)) for after_s in (eta_s, from_s, to_s))
            yield Prediction(trip.trip_id, point.ts_ms, eta, begin, end, level, provider)


def _write(path: Path, predictions: Iterator[Prediction]) -> None:
    try:
        with path.open("wb") as file:
            file.writelines(wire.encode(each) + b"\n" for each in predictions)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CommandError(f"--time-zone: there is no {name!r}") from error


def _moment(text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise CommandError(f"--from: {error}") from error


def _plain(scores: dict[str, Score]) -> dict[str, dict[str, float | None]]:
    """JSON has no NaN."""
    return {
        name: {key: None if math.isnan(value) else value for key, value in asdict(each).items()}
        for name, each in scores.items()
    }


def _table(scores: dict[str, Score], level: float) -> Table:
    table = Table("time left", "asked", f"held ({level:.0%})", "width", "MAE", "MAPE", "bias", "route's MAE")
    for column in table.columns:
        column.justify, column.no_wrap = ("left" if column.header == "time left" else "right"), True
    for name, each in scores.items():
        if each.asked:
            table.add_row(
                name,
                f"{each.asked:,}",
                f"{each.coverage:.1%}",
                f"{each.width_min:.1f}",
                f"{each.mae_min:.2f}",
                "–" if math.isnan(each.mape) else f"{each.mape:.0%}",
                f"{each.bias_min:+.2f}",
                f"{each.engine_mae_min:.2f}",
            )
    table.caption = "width, errors and bias in minutes; bias: + says too late"
    return table

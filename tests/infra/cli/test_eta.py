import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from infra.cli import eta
from infra.errors import CommandError
from schemas import wire
from schemas.times import parse_instant
from schemas.trip import Prediction
from tests.dispatch.eta.test_replay_of_trips import trips_of


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    eta.register(app)
    return CliRunner().invoke(app, ["eta", *map(str, arguments)])


@pytest.fixture
def trips_file(tmp_path: Path) -> Path:
    path = tmp_path / "trips.ndjson"
    path.write_bytes(b"".join(wire.encode(trip) + b"\n" for trip in trips_of(250, 4)))
    return path


def scores(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_point_is_answered_with_a_window(trips_file: Path, tmp_path: Path) -> None:
    told = scores(trips_file, "-o", tmp_path / "said.ndjson")
    said = [wire.decode(Prediction, line) for line in (tmp_path / "said.ndjson").read_bytes().splitlines()]
    asked = [(trip.trip_id, point.ts_ms) for trip in trips_of(250, 4) for point in trip.points]
    assert [(each.trip_id, each.ts_ms) for each in said] == asked
    assert all(each.ts_ms < each.from_ms <= each.eta <= each.to_ms for each in said)
    assert {(each.level, each.provider) for each in said} == {(0.8, "straight_line")}
    arrived = {trip.trip_id: trip.arrived_ms for trip in trips_of(250, 4)}
    held = sum(each.from_ms <= arrived[each.trip_id] <= each.to_ms for each in said) / len(said)
    assert told["scores"]["all"]["coverage"] == pytest.approx(held, abs=0.01)
    assert told["trips"] == 250


def test_what_is_scored_may_begin_later(trips_file: Path) -> None:
    late = scores(trips_file, "--from", "2026-03-03T00:00:00Z")["scores"]["all"]
    whole = scores(trips_file)["scores"]["all"]
    assert 0 < late["asked"] < whole["asked"]
    assert late["mae_min"] < whole["mae_min"], "what came before was learnt"
    assert late["mae_min"] < 0.6 * late["engine_mae_min"]
    nothing = scores(trips_file, "--from", "2030-01-01T00:00:00Z")["scores"]["all"]
    assert (nothing["asked"], nothing["mae_min"]) == (0, None)


def test_a_higher_level_has_wider_windows(trips_file: Path) -> None:
    usual, high = (scores(trips_file, "--level", level)["scores"]["all"] for level in (0.8, 0.95))
    assert high["width_min"] > 1.2 * usual["width_min"]
    assert high["coverage"] > usual["coverage"]


def test_the_table_names_what_it_tells(trips_file: Path) -> None:
    result = run(trips_file)
    assert result.exit_code == 0
    for words in ("time left", "held (80%)", "bias", "5-10 min", "minutes"):
        assert words in result.stdout


def test_bad_lines_are_told_and_passed_over(trips_file: Path) -> None:
    lines = trips_file.read_bytes().splitlines()
    backwards = json.loads(lines[3])
    backwards["arrived_at"], backwards["trip_id"] = backwards["departed_at"], "backwards"
    nowhere = json.loads(lines[4]) | {"to": {"lat": 100.0, "lon": 0.0}, "trip_id": "nowhere"}
    bad = [b"{", json.dumps(backwards).encode(), json.dumps(nowhere).encode(), lines[0], b"[]"]
    trips_file.write_bytes(b"\n".join([*lines, *bad, b""]))
    result = run(trips_file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["trips"] == 250
    told = result.stderr
    for number, words in (
        (251, "truncated"),
        (252, "arrived_at"),
        (253, "no point on the globe"),
        (254, "already"),
        (255, "object"),
    ):
        assert f"line {number}:" in told
        assert words in told


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, (), "cannot be read"),
        (b"", (), "no trip"),
        (b'{"trip_id": "a"}', (), "no trip"),
        (b"good", ("--time-zone", "Mars/Olympus"), "Mars"),
        (b"good", ("--from", "yesterday"), "--from"),
        (b"good", ("--map", "/nowhere"), "roads"),
        (b"good", ("-o", "/nowhere/at/all"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    tmp_path: Path, trips_file: Path, content: bytes | None, options: tuple[str, ...], words: str
) -> None:
    path = trips_file if content == b"good" else tmp_path / "given.ndjson"
    if content not in (None, b"good"):
        path.write_bytes(content)
    result = run(path, *options)
    assert isinstance(result.exception, CommandError)
    assert words in str(result.exception)


def test_moments_may_be_epoch_milliseconds(tmp_path: Path) -> None:
    start = parse_instant("2026-03-02T08:00:00Z")
    trip = {
        "trip_id": "a",
        "device_id": "van",
        "departed_at": int(start),
        "arrived_at": int(start) + 600_000,
        "to": {"lat": 47.1, "lon": 9.5},
        "points": [{"ts": int(start), "lat": 47.0, "lon": 9.5}],
    }
    path = tmp_path / "trips.ndjson"
    path.write_text(json.dumps(trip))
    assert scores(path)["scores"]["all"]["asked"] == 1

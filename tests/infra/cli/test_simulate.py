import json
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from geofence.fences import read_collection
from infra.cli import simulate
from infra.errors import CommandError
from schemas.ping import check_ping, read_ping


def run(*arguments: str):
    app = typer.Typer()
    app.callback()(lambda: None)
    simulate.register(app)
    return CliRunner().invoke(app, ["simulate", *arguments])


def lines(path: Path) -> list[dict]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_a_day_on_disk_agrees_with_itself(tmp_path):
    result = run("--technicians", "3", "--hours", "2", "--seed", "4", "-o", str(tmp_path / "day"), "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    pings = [read_ping(fields) for fields in lines(tmp_path / "day/pings.ndjson")]
    for ping in pings:
        check_ping(ping, None)
    assert len(pings) == summary["pings"]
    assert len({ping.identity() for ping in pings}) == summary["distinct_pings"] < len(pings)
    fences = dict(read_collection((tmp_path / "day/fences.geojson").read_bytes()))
    assert len(fences) == summary["fences"]
    truth = lines(tmp_path / "day/truth.ndjson")
    assert sum(span["kind"] == "visit" for span in truth) == summary["visits"] > 3
    assert {span["device_id"] for span in truth} == {ping.device_id for ping in pings}
    assert {span["fence_id"] for span in truth} <= fences.keys()
    jobs = lines(tmp_path / "day/jobs.ndjson")
    assert len(jobs) == summary["jobs"] > 0
    assert all(job["fence_id"] in fences and job["window_from"] < job["window_to"] for job in jobs)


def test_the_same_seed_writes_the_same_files(tmp_path):
    for name in ("one", "two"):
        assert run("--technicians", "2", "--hours", "1", "-o", str(tmp_path / name)).exit_code == 0
    for file in ("pings.ndjson", "fences.geojson", "jobs.ndjson", "truth.ndjson"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_map_that_cannot_be_read_is_one_clear_line(tmp_path):
    result = run("--map", str(tmp_path / "absent.osm.pbf"), "-o", str(tmp_path / "day"))
    assert isinstance(result.exception, CommandError)
    assert "absent.osm.pbf" in str(result.exception)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("--technicians", "1", "--hours", "0.2", "-o", str(tmp_path / "file"))
    assert isinstance(result.exception, CommandError)
    assert "cannot write" in str(result.exception)


@pytest.mark.parametrize("arguments", [["--technicians", "0"], ["--hours", "25"], ["--seed", "-1"]])
def test_nonsense_is_refused(tmp_path, arguments):
    assert run(*arguments, "-o", str(tmp_path)).exit_code == 2

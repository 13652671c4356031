import csv
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import typer
from typer.testing import CliRunner

from infra.cli import visits
from infra.errors import CommandError
from schemas.settings import load_settings
from schemas.times import parse_instant
from schemas.visit import Visit
from schemas.wire import decode
from tests.geofence.visits.days import START_MS, degrees, ordinary_day

DATA = Path("../shared/data")
needs_data = pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
MINUTES_3_MS = 180_000


@pytest.fixture
def run():
    app = typer.Typer()
    visits.register(app)

    def invoke(*arguments, input_text=None):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=input_text)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture(autouse=True)
def settings_read_anew():
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def fences(tmp_path):
    feature = {
        "type": "Feature",
        "properties": {"fence_id": "site", "radius_m": 25},
        "geometry": {"type": "Point", "coordinates": degrees(0, 0)},
    }
    path = tmp_path / "fences.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def lines(device_id="d"):
    rows = []
    for s, x, y in ordinary_day():
        lon, lat = degrees(x, y)
        rows.append({"device_id": device_id, "ts": START_MS + round(s * 1000), "lat": lat, "lon": lon, "accuracy_m": 9})
    return [json.dumps(row) for row in rows]


def test_visits_come_by_device_then_arrival_and_bad_lines_lose_nothing(run, fences, tmp_path):
    pings = tmp_path / "pings.ndjson"
    pings.write_text("\n".join([*lines("b"), "{broken", *lines("a")]))
    result = run("--fences", fences, pings)
    found = [decode(Visit, line) for line in result.stdout.splitlines()]
    assert [(visit.device_id, visit.state) for visit in found] == [("a", "closed"), ("b", "closed")]
    assert f"ping {len(lines()) + 1}:" in result.stderr


def test_ten_bad_pings_of_a_file_are_told_as_they_were_written(run, fences):
    bad = json.dumps({"device_id": "d", "ts": "[/b]", "lat": 1, "lon": 2})
    result = run("--fences", fences, "-", input_text="\n".join([*lines(), *[bad] * 12]))
    first = len(lines()) + 1
    told = [f"-: ping {first + at}: bad_time: ts: '[/b]' is not an RFC 3339 time" for at in range(10)]
    assert result.stderr.splitlines() == [*told, "-: 12 bad pings in all were left out"]
    assert len(result.stdout.splitlines()) == 1


def test_explain_names_the_evidence(run, fences):
    result = run("--fences", fences, "--explain", "-", input_text="\n".join(lines()))
    (visit,) = [json.loads(line) for line in result.stdout.splitlines()]
    evidence = visit["explain"]
    assert evidence["fence"]["properties"]["version"] == visit["fence_version"] == 1
    assert sum(fix.get("at_fence", False) for fix in evidence["fixes"]) == visit["fixes"]
    assert evidence["thresholds"]["min_on_site_s"] == {"value": 120.0, "from": "default"}
    assert "2 min make a visit" in evidence["words"]


def test_what_is_wrong_is_said_in_one_line(run, fences, tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.ndjson: cannot be read"):
        run("--fences", fences, tmp_path / "nowhere.ndjson")
    with pytest.raises(CommandError, match="--as-of"):
        run("--fences", fences, "--as-of", "yesterday", "-", input_text=lines()[0])


def test_rules_of_a_file_hold_and_the_evidence_says_so(run, fences, tmp_path, monkeypatch):
    rules = tmp_path / "rules.toml"
    rules.write_text("[kind.site]\nmin_on_site_s = 90\n[fence.shed]\nbridge_s = 5\n")
    result = run("--fences", fences, "--explain", "--rules", rules, "-", input_text="\n".join(lines()))
    (visit,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert visit["explain"]["thresholds"]["min_on_site_s"] == {"value": 90.0, "from": "[kind.site]"}
    assert "a fence 'shed' that is not there" in result.stderr
    rules.write_text("[fence.site]\nmin_on_site_s = 7200\n")
    assert run("--fences", fences, "--rules", rules, "-", input_text="\n".join(lines())).stdout == ""
    monkeypatch.setenv("ONSITE_RULES", str(rules))
    load_settings.cache_clear()
    assert run("--fences", fences, "-", input_text="\n".join(lines())).stdout == ""
    rules.write_text("[fence.site]\nbridges_s = 7200\n")
    with pytest.raises(CommandError, match=r"rules\.toml: \[fence\.site\]: .*did you mean bridge_s"):
        run("--fences", fences, "-", input_text=lines()[0])


@needs_data
def test_phones_los_altos_every_stay_none_invented_none_split(run, tmp_path):
    folder, out = DATA / "phones-los-altos", tmp_path / "out.ndjson"
    run("--fences", folder / "fences.geojson", folder / "pings.ndjson", "-o", out)
    found = [decode(Visit, line) for line in out.read_bytes().splitlines()]
    library = [visit for visit in found if visit.fence_id == "los-altos-library"]
    with (folder / "truth.csv").open() as file:
        truth = list(csv.DictReader(file))
    late_s, covered = [], []
    for stay in truth:
        arrive, depart = parse_instant(stay["arrive"]), parse_instant(stay["depart"])
        (visit,) = [
            v
            for v in library
            if v.device_id == stay["device_id"] and v.arrived_ms < depart and (v.departed_ms or depart) > arrive
        ]
        late_s.append((visit.arrived_ms - parse_instant(stay["first_fix_inside"])) / 1000.0)
        covered.append(visit.arrived_earliest_ms - MINUTES_3_MS <= arrive <= visit.arrived_latest_ms + MINUTES_3_MS)
        assert visit.departed_earliest_ms is not None
        covered.append(visit.departed_earliest_ms - MINUTES_3_MS <= depart <= visit.departed_latest_ms + MINUTES_3_MS)
    assert len(library) == len(truth)
    assert np.median(np.abs(late_s)) <= 20.0
    assert np.mean(covered) >= 0.9


@needs_data
def test_phones_arrive_with_the_first_fix_inside_within_one_sampling_interval(run, tmp_path):
    """The fixes of a stay begin five minutes before it; an interval is the usual gap in the four minutes around."""
    folder, out = DATA / "phones-los-altos", tmp_path / "out.ndjson"
    run("--fences", folder / "fences.geojson", folder / "pings.ndjson", "-o", out)
    library = next(
        shapely.geometry.shape(feature["geometry"])
        for feature in json.loads((folder / "fences.geojson").read_bytes())["features"]
        if feature["id"] == "los-altos-library"
    )
    fixes: dict[str, set[tuple[int, float, float]]] = {}
    for line in (folder / "pings.ndjson").read_bytes().splitlines():
        ping = json.loads(line)
        fixes.setdefault(ping["device_id"], set()).add((parse_instant(ping["ts"]), ping["lon"], ping["lat"]))
    off_s, interval_s = [], []
    for visit in (decode(Visit, line) for line in out.read_bytes().splitlines()):
        if visit.fence_id == "los-altos-library":
            ts_ms, lon, lat = np.array(sorted(fixes[visit.device_id])).T
            inside = shapely.contains_xy(library, lon, lat) & (ts_ms > visit.arrived_ms - 300_000)
            off_s.append(abs(visit.arrived_ms - ts_ms[inside][0]) / 1000.0)
            around = ts_ms[np.abs(ts_ms - visit.arrived_ms) <= 120_000]
            interval_s.append(np.median(np.diff(around)) / 1000.0)
    assert len(off_s) == 26
    assert np.median(off_s) <= np.median(interval_s) <= 1.0


@needs_data
def test_the_long_halts_of_a_bus_in_a_gpx_track_are_visits(run):
    folder = DATA / "bus-limerick"
    result = run("--fences", folder / "stops.geojson", folder / "bus-304.gpx")
    found = [decode(Visit, line) for line in result.stdout.splitlines()]
    with (folder / "limerick_304_halts_seen.csv").open() as file:
        halts = [halt for halt in csv.DictReader(file) if float(halt["seconds"]) >= 140 and int(halt["dist_m"]) <= 40]
    assert halts
    for halt in halts:
        start, end = parse_instant(halt["start"]), parse_instant(halt["end"])
        (visit,) = [v for v in found if v.arrived_ms < end and (v.departed_ms or end) > start]
        assert visit.fence_id == f"stop-{halt['stop_no']}"

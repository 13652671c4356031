"""``onsite backtest`` on the real engine: the same rules change nothing, others say what they would have changed."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays, visit_of
from infra.cli import backtest
from infra.embedded.store import Store
from infra.errors import CommandError
from infra.migrations import migrate_store
from schemas import wire
from schemas.fence import FenceRecord
from schemas.ping import Ping
from schemas.settings import Settings, load_settings
from schemas.tables.fences import FENCES
from schemas.tables.pings import PINGS
from schemas.tables.visits import VISITS
from schemas.times import Instant, format_instant
from schemas.visit import Visit
from stream.store import database_of, open_store
from tests.geofence.visits.days import START_MS, degrees, drive, square, stay_at

pytestmark = pytest.mark.integration

HOUR_S = 3_600.0
NOON_MS = START_MS + 86_400_000
TWO_CALLS = [
    *drive(0, 200, 10, (-2000, 40), (-12, 0)),
    *stay_at(220, 2000, 20, 0, 0),
    *drive(2010, 2080, 10, (10, 0), (120, 0)),
    *stay_at(2100, 2800, 20, 120, 0),
    *drive(2820, 2890, 10, (120, 0), (10, 0)),
    *stay_at(2900, 4700, 20, 0, 0, seed=1),
    *drive(4710, 4910, 10, (12, 0), (2000, 40)),
]
FOUR_DAYS = [
    *drive(0, 200, 10, (-2000, 40), (-12, 0)),
    *stay_at(220, 96 * HOUR_S, 600, 0, 0),
    *drive(96 * HOUR_S + 10, 96 * HOUR_S + 210, 10, (12, 0), (2000, 40)),
    *stay_at(96 * HOUR_S + 300, 97 * HOUR_S, 300, 2000, 40),
]
FENCE = FenceRecord("yard", [square(0, 0, 60, name="the yard", kind="site")], Instant(START_MS))


def pings_of(device_id: str, rows: list[tuple[float, float, float]], start_ms: int) -> list[Ping]:
    places = [degrees(x, y) for _, x, y in rows]
    return [
        Ping(device_id, start_ms + round(s * 1000), lat, lon, accuracy_m=10.0, received_ms=NOON_MS)
        for (s, _, _), (lon, lat) in zip(rows, places, strict=True)
    ]


def log_of(pings: list[Ping], as_of_ms: int) -> list[Visit]:
    fixes, fences = Fixes.of_pings(pings).in_order(), FenceSet.of([("yard", FENCE.current)])
    derived = derive_stays(pings[0].device_id, fixes, fences, Rules(), as_of_ms)
    return [visit_of(pings[0].device_id, stay) for stay in derived.stays]


@pytest.fixture(scope="module")
def recorded(store: Store) -> Iterator[Settings]:
    """A store with what two devices sent, and the visits that were logged of it."""
    settings = Settings(clickhouse=store.url.rpartition("/")[0] + "/backtest", pings_retention_days=4000)
    asyncio.run(migrate_store(settings))
    pings = [pings_of("van", TWO_CALLS, START_MS), pings_of("parked", FOUR_DAYS, START_MS)]
    logged = [visit for each in pings for visit in log_of(each, each[-1].ts_ms + 86_400_000)]
    assert [visit.state for visit in logged] == ["closed"] * 3

    async def record() -> None:
        client = await open_store(settings)
        batches = [("pings", PINGS.batch(each)) for each in pings]
        batches += [("visit_revisions", VISITS.batch(logged)), ("fences", FENCES.batch([FENCE]))]
        for table, batch in batches:
            await client.insert_arrow(table, pa.Table.from_batches([batch]))
        await client.close()

    async def drop() -> None:
        client = await open_store(settings)
        await client.command(f"DROP DATABASE {database_of(settings)}")
        await client.close()

    asyncio.run(record())
    yield settings
    asyncio.run(drop())


Backtest = Callable[..., tuple[list[dict[str, Any]], str]]


@pytest.fixture
def run(recorded: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backtest]:
    """Runs it over the day of the calls: (differences, what it said on stderr)."""
    monkeypatch.setenv("ONSITE_CLICKHOUSE", recorded.clickhouse)
    load_settings.cache_clear()
    app = typer.Typer()
    backtest.register(app)

    def invoke(*arguments: object, to_ms: int = NOON_MS) -> tuple[list[dict[str, Any]], str]:
        span = ["--from", format_instant(START_MS - 60_000), "--to", format_instant(to_ms)]
        result = CliRunner().invoke(app, [*span, "--json", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return [json.loads(line) for line in result.stdout.splitlines()], result.stderr

    yield invoke
    load_settings.cache_clear()


def rules(folder: Path, toml: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(toml, encoding="utf-8")
    return path


def test_the_same_rules_and_fences_change_nothing(run: Backtest) -> None:
    """A stay of four days reaches far beyond the first look-up, and is found to be what it was."""
    assert run() == ([], "2 devices: 0 added, 0 removed, 0 changed, 3 as logged\n")


def test_a_longer_bridge_joins_two_visits(run: Backtest, tmp_path: Path) -> None:
    differences, said = run("--rules", rules(tmp_path, "[fence.yard]\nbridge_s = 1500"))
    assert "0 added, 1 removed, 1 changed, 1 as logged" in said
    changed, removed = sorted(differences, key=lambda each: each["change"])
    assert {changed["device_id"], removed["device_id"]} == {"van"}
    first, second = sorted([changed["before"], removed["before"]], key=lambda each: each["arrived_at"])
    assert changed["after"] == {"arrived_at": first["arrived_at"], "departed_at": second["departed_at"]}
    assert removed["after"] is None


def test_a_longer_minimum_removes_the_short_ones_only(run: Backtest, tmp_path: Path) -> None:
    differences, _ = run("--rules", rules(tmp_path, "min_on_site_s = 7200"))
    assert [(each["device_id"], each["change"]) for each in differences] == [("van", "removed")] * 2


def test_other_fences_add_and_remove(run: Backtest, tmp_path: Path) -> None:
    feature = {
        "type": "Feature",
        "properties": {"fence_id": "shed"},
        "geometry": wire.to_builtins(square(120, 0, 40))["geometry"],
    }
    path = tmp_path / "fences.geojson"
    path.write_bytes(msgspec.json.encode({"type": "FeatureCollection", "features": [feature]}))
    differences, said = run("--fences", path, "--rules", rules(tmp_path, "[fence.yard]\nbridge_s = 1"))
    told = sorted((each["device_id"], each["change"], each["fence_id"]) for each in differences)
    assert told == [("parked", "removed", "yard"), ("van", "added", "shed"), *[("van", "removed", "yard")] * 2]
    assert "a fence 'yard' that is not there" in said


def test_only_visits_that_begin_in_the_span_count(run: Backtest, tmp_path: Path) -> None:
    _, said = run(to_ms=START_MS + 1_000_000)
    assert said == "2 devices: 0 added, 0 removed, 0 changed, 2 as logged\n"


def test_for_people_there_is_a_table(run: Backtest, recorded: Settings, tmp_path: Path) -> None:
    app = typer.Typer()
    backtest.register(app)
    span = ["--from", format_instant(START_MS - 60_000), "--to", format_instant(NOON_MS)]
    arguments = [*span, "--rules", str(rules(tmp_path, "bridge_s = 1500"))]
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments).stdout
    assert "removed" in shown
    assert "changed" in shown
    assert "→ 2026-" in shown


def test_a_store_that_is_away_is_one_clear_line(run: Backtest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONSITE_CLICKHOUSE", "http://someone:secret@127.0.0.1:1/onsite")
    load_settings.cache_clear()
    with pytest.raises(CommandError, match=r"the store did not answer: .*ONSITE_CLICKHOUSE") as caught:
        run()
    assert "secret" not in str(caught.value)


def test_a_span_that_is_none_is_refused(run: Backtest) -> None:
    with pytest.raises(CommandError, match="--from is not before --to"):
        run(to_ms=START_MS - 3_600_000)

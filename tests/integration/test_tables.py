"""The tables on the real engine: what they keep once, what they let go, what a ping costs, what their page says."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from api.history.store import ClickHouseHistory
from api.ports import EtaQuery
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from geofence.fixes import Fixes
from infra.embedded.store import Store
from infra.errors import CommandError
from infra.migrations import MIGRATIONS, create_topics, migrate, migrate_store
from schemas.eta import Eta
from schemas.job import UsedPart
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.settings import Settings
from schemas.tables import etas
from schemas.tables.jobs import JOBS
from schemas.tables.pings import PINGS
from schemas.tables.rejected import REJECTED, SELECTED, of_rows
from schemas.tables.visits import VISITS
from schemas.times import Instant
from schemas.visit import Visit
from stream.decode import decode_pings
from stream.store import database_of, open_store
from tests.api.test_etas import eta
from tests.dispatch.examples import after, approach, create, tell

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PHONES = ROOT / "../shared/data/phones-los-altos/pings.ndjson"
TODAY_MS = 1_790_000_000_000
DAY_MS = 86_400_000


def on(settings: Settings, work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    """What ``work`` answers on a connection to the store."""

    async def connected() -> Any:
        store = await open_store(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(connected())


def ask(settings: Settings, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    async def work(store: AsyncClient) -> Any:
        return (await store.query(sql, parameters=parameters)).result_rows

    return [tuple(row) for row in on(settings, work)]


def insert(settings: Settings, table: str, *batches: pa.RecordBatch) -> None:
    async def work(store: AsyncClient) -> None:
        for batch in batches:
            await store.insert_arrow(table, pa.Table.from_batches([batch]))

    on(settings, work)


def command(settings: Settings, sql: str) -> None:
    on(settings, lambda store: store.command(sql))


@pytest.fixture
def fresh(store: Store, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty database of this test's own, migrated."""
    database = re.sub(r"\W", "_", request.node.name)[:60]
    settings = Settings(clickhouse=store.url.rpartition("/")[0] + f"/{database}", pings_retention_days=400)
    asyncio.run(migrate_store(settings))
    yield settings
    command(settings, f"DROP DATABASE {database}")


def test_migrating_again_does_nothing_and_two_at_once_do_no_harm(store: Store, fresh: Settings) -> None:
    assert asyncio.run(migrate_store(fresh)) == []
    other = fresh.model_copy(update={"clickhouse": fresh.clickhouse + "_two"})

    async def two() -> None:
        await asyncio.gather(migrate_store(other), migrate_store(other))

    asyncio.run(two())
    versions = "SELECT version, name FROM schema_migrations FINAL ORDER BY version"
    assert ask(other, versions) == ask(fresh, versions) == [(version, name) for version, name, _ in MIGRATIONS]
    tables = "SELECT name FROM system.tables WHERE database = {database:String} ORDER BY name"
    assert ask(other, tables, database=database_of(other)) == ask(fresh, tables, database=database_of(fresh))
    command(other, f"DROP DATABASE {database_of(other)}")


def test_retention_follows_the_settings(fresh: Settings) -> None:
    shorter = fresh.model_copy(update={"pings_retention_days": 30})
    done = [f"store: {table} kept for 30 days" for table in ("pings", "rejected", "etas")]
    assert asyncio.run(migrate_store(shorter)) == done
    assert asyncio.run(migrate_store(shorter)) == []


def test_a_broker_with_other_partitions_is_an_error_that_says_so(settings: Settings) -> None:
    assert asyncio.run(migrate(settings)) == []
    more = settings.model_copy(update={"partitions": settings.partitions + 1})
    with pytest.raises(CommandError, match=rf"has {settings.partitions} partitions, ONSITE_PARTITIONS says"):
        asyncio.run(create_topics(more))


def test_a_store_that_is_not_there_is_one_clear_line() -> None:
    nowhere = Settings(clickhouse="http://someone:secret@127.0.0.1:1/onsite")
    with pytest.raises(CommandError) as caught:
        asyncio.run(migrate_store(nowhere))
    assert "http://127.0.0.1:1/onsite" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def conflicting_copies(count: int) -> list[Ping]:
    """Of each identity several copies that differ in the rest."""
    chance = random.Random(5)
    return [
        Ping(
            f"van-{number % 3}",
            TODAY_MS - number // 4 * 40 * DAY_MS,
            47.1,
            9.5,
            accuracy_m=chance.choice([None, 3.0, 3.04, 50.0]),
            speed_mps=chance.choice([None, 0.0, 12.5]),
            battery=chance.choice([None, 0.25, 0.5]),
            source=chance.choice([None, "gps", "network"]),
            received_ms=TODAY_MS,
        )
        for number in range(count)
        for _ in range(4)
    ]


def test_a_ping_is_there_once_and_the_same_copy_counts_whatever_the_order(fresh: Settings) -> None:
    pings = conflicting_copies(60)
    rows = "SELECT device_id, ts, lat, lon, accuracy_m, speed_mps, battery, source FROM pings FINAL ORDER BY ALL"
    insert(fresh, "pings", PINGS.batch(pings))
    first = ask(fresh, rows)
    assert len(first) == len({ping.identity() for ping in pings})
    for seed in range(3):
        shuffled = random.Random(seed).sample(pings, len(pings))
        insert(fresh, "pings", PINGS.batch(shuffled[:100]), PINGS.batch(shuffled[100:]))
        assert ask(fresh, rows) == first
    command(fresh, "OPTIMIZE TABLE pings FINAL")
    assert ask(fresh, rows.replace("FINAL ", "")) == first
    assert ask(fresh, rows.replace("pings FINAL", "fixes")) == first

    for device_id in ("van-0", "van-1", "van-2"):
        in_memory = Fixes.of_pings([ping for ping in pings if ping.device_id == device_id]).in_order()
        columns = "toUnixTimestamp64Milli(ts), lat_e7, lon_e7, accuracy_dm, speed_cm_s"
        sql = f"SELECT {columns} FROM pings FINAL WHERE device_id = {{device:String}} ORDER BY ts, lat_e7, lon_e7"
        assert ask(fresh, sql, device=device_id) == list(
            zip(*(getattr(in_memory, name).tolist() for name in Fixes.__dataclass_fields__), strict=True)
        )


def test_every_field_comes_back_as_it_was_sent(fresh: Settings) -> None:
    full = Ping(
        "van-1", TODAY_MS - 5_000, -47.1234567, 9.7654321, accuracy_m=4.5, speed_mps=13.89, bearing_deg=359.99,
        altitude_m=-12.3, battery=0.875, sent_ms=TODAY_MS - 1_000, ping_id="ü-1", activity="in_vehicle", source="sdk",
        received_ms=TODAY_MS,
    )  # fmt: skip
    bare = Ping("van-2", TODAY_MS, 1.0, 2.0, received_ms=TODAY_MS)
    insert(fresh, "pings", PINGS.batch([full, bare]))
    sql = """
    SELECT device_id, toUnixTimestamp64Milli(ts), lat, lon, accuracy_m, speed_mps, bearing_deg, altitude_m, battery,
        toUnixTimestamp64Milli(sent_at), ping_id, activity, source, toUnixTimestamp64Milli(received_at)
    FROM fixes ORDER BY device_id
    """
    first, second = ask(fresh, sql)
    assert first == msgspec.structs.astuple(full)
    assert second == ("van-2", TODAY_MS, 1.0, 2.0, *[None] * 6, "", "", "", TODAY_MS)


def test_a_backlog_of_every_month_since_2000_is_one_insert(fresh: Settings) -> None:
    months = [
        Ping("old", 946_684_800_000 + month * 30 * DAY_MS, 1.0, 2.0, received_ms=TODAY_MS) for month in range(310)
    ]

    async def work(store: AsyncClient) -> None:
        from stream.recorder import INSERT_SETTINGS

        rows = pa.Table.from_batches([PINGS.batch(months)])
        await store.insert_arrow("pings", rows, settings=INSERT_SETTINGS)

    on(fresh, work)
    assert ask(fresh, "SELECT count() FROM fixes") == [(310,)]


def test_pings_age_by_when_they_were_received(fresh: Settings) -> None:
    [(now_ms,)] = ask(fresh, "SELECT toUnixTimestamp64Milli(now64(3))")
    trace_of_2019 = Ping("kept", 1_564_274_315_500, 37.3, -122.0, received_ms=now_ms)
    of_long_ago = Ping("gone", 1_564_274_315_500, 37.3, -122.0, received_ms=now_ms - 401 * DAY_MS)
    insert(fresh, "pings", PINGS.batch([trace_of_2019, of_long_ago]))
    command(fresh, "OPTIMIZE TABLE pings FINAL")
    assert ask(fresh, "SELECT device_id FROM fixes") == [("kept",)]


def test_what_was_refused_is_there_once_a_moment_and_ages_as_pings_do(fresh: Settings) -> None:
    [(now_ms,)] = ask(fresh, "SELECT toUnixTimestamp64Milli(now64(3))")
    first = RejectedPing("d", "null_island", "null_island: (0, 0)", Instant(now_ms), "json", '{"lat":0}')
    again = msgspec.structs.replace(first, received_at=Instant(now_ms + 1))
    other = msgspec.structs.replace(first, raw="{}", device_id="")
    old = msgspec.structs.replace(first, received_at=Instant(now_ms - 401 * DAY_MS))
    insert(fresh, "rejected", REJECTED.batch([first, again, other]), REJECTED.batch([other, first]))
    columns = f"SELECT {SELECTED} FROM rejected FINAL ORDER BY received_at, device_id"
    assert of_rows(ask(fresh, columns)) == [other, first, again]
    insert(fresh, "rejected", REJECTED.batch([old]))
    command(fresh, "OPTIMIZE TABLE rejected FINAL")
    assert of_rows(ask(fresh, columns.replace("FINAL ", ""))) == [other, first, again]


def test_what_was_said_of_an_arrival_is_there_once_a_moment_and_ages_as_pings_do(fresh: Settings) -> None:
    [(now_ms,)] = ask(fresh, "SELECT toUnixTimestamp64Milli(now64(3))")
    first = eta("j1", in_min=20, computed_at=Instant(now_ms - 60_000))
    newer = eta("j1", in_min=25, computed_at=Instant(now_ms), stops_before=2)
    other = eta("j2", computed_at=Instant(now_ms - 60_000))
    old = eta("j1", computed_at=Instant(now_ms - 401 * DAY_MS))
    insert(fresh, "etas", etas.batch([first, newer, other]), etas.batch([other, first, old]))
    command(fresh, "OPTIMIZE TABLE etas FINAL")
    kept = f"SELECT {etas.SELECTED} FROM etas ORDER BY job_id, computed_at"
    assert etas.of_rows(ask(fresh, kept)) == [first, newer, other]

    async def pages() -> list[list[Eta]]:
        history = ClickHouseHistory(partial(open_store, fresh))
        try:
            page = await history.etas(EtaQuery(2, "van-12"))
            more = await history.etas(EtaQuery(2, "van-12", (int(page[-1].computed_at), page[-1].job_id)))
            return [page, more, await history.etas(EtaQuery(2, "van-13"))]
        finally:
            await history.close()

    assert asyncio.run(pages()) == [[first, other], [newer], []]


@pytest.mark.skipif(not PHONES.exists(), reason="../shared/data/phones-los-altos is not here")
def test_a_real_ping_costs_at_most_ten_bytes_with_every_column(fresh: Settings) -> None:
    values = PHONES.read_bytes().splitlines()
    decoded = decode_pings(values, TODAY_MS)
    assert decoded.bad == []
    insert(
        fresh, "pings", *(PINGS.batch(decoded.pings[first : first + 5_000]) for first in range(0, len(values), 5_000))
    )
    command(fresh, "OPTIMIZE TABLE pings FINAL")
    parts = "FROM system.parts WHERE active AND database = {database:String} AND table = 'pings'"
    sql = f"SELECT sum(rows), sum(bytes_on_disk) {parts}"
    [(rows, bytes_on_disk)] = ask(fresh, sql, database=database_of(fresh))
    assert rows == 36_793
    assert bytes_on_disk / rows <= 10


def test_the_newest_revision_of_a_visit_counts_in_whatever_order_they_came(fresh: Settings) -> None:
    opened = Visit(
        "v", "d", "f", 1, None, "open", 1, *[Instant(TODAY_MS)] * 3, None, None, None, 0, 0, 0, 0.9, "arrived", 1
    )
    earlier = Instant(TODAY_MS - 40 * DAY_MS)
    revised = msgspec.structs.replace(opened, revision=2, state="confirmed", arrived_ms=earlier)
    retracted = msgspec.structs.replace(revised, revision=3, state="retracted")
    insert(fresh, "visit_revisions", VISITS.batch([revised, opened]), VISITS.batch([opened]))
    assert ask(fresh, "SELECT revision, toUnixTimestamp64Milli(arrived_at) FROM visits_now") == [(2, earlier)]
    assert ask(fresh, "SELECT confidence FROM visits FINAL") == [(0.9,)]
    insert(fresh, "visit_revisions", VISITS.batch([retracted]), VISITS.batch([opened]))
    assert ask(fresh, "SELECT count() FROM visits_now") == [(0,)]
    assert ask(fresh, "SELECT revision, state FROM visit_revisions FINAL ORDER BY revision") == [
        (1, "open"),
        (2, "confirmed"),
        (3, "retracted"),
    ]


def test_the_newest_revision_of_a_job_and_its_log(fresh: Settings) -> None:
    book = JobBook(DispatchRules())
    created = after(book, create(branch="north", parts=[UsedPart("filter", 2.0, 4.5)]))
    done = after(
        book, create(branch="north", parts=[UsedPart("filter", 2.0, 4.5)]), tell(approach(50, 70, 100), recorded=101)
    )
    insert(fresh, "jobs", JOBS.batch([done, created]), JOBS.batch([created]))
    assert ask(
        fresh, "SELECT state, branch, on_site_s, visit_ids, JSONExtractFloat(parts, 1, 'unit_cost') FROM jobs FINAL"
    ) == [("completed", "north", 1_800.0, ["visit-70"], 4.5)]
    log = "SELECT state, toUnixTimestamp(at) / 60, source, visit_id FROM job_log WHERE job_id = 'job-1'"
    assert ask(fresh, log) == [
        ("created", 0, "dispatcher", None),
        ("scheduled", 0, "dispatcher", None),
        ("en_route", 50, "automatic", "visit-70"),
        ("on_site", 70, "automatic", "visit-70"),
        ("completed", 100, "automatic", "visit-70"),
    ]


def test_the_page_for_analysts_agrees_with_the_tables(fresh: Settings) -> None:
    page = (ROOT / "docs/data-model.md").read_text()
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    documented = {
        name: re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (.*?) \|$", text, re.MULTILINE)
        for name, text in sections.items()
    }
    tables = "SELECT name FROM system.tables WHERE database = {database:String} AND engine != 'MaterializedView'"
    there = {name for (name,) in ask(fresh, tables, database=database_of(fresh))}
    assert set(documented) == there - {"visits_now", "fixes", "job_log"}
    for name, columns in documented.items():
        assert columns == [(row[0], row[1], row[4]) for row in ask(fresh, f"DESCRIBE TABLE {name}")], name

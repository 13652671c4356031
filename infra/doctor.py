"""Looks at everything Onsite stands on; each finding says what is wrong and how to mend it."""

import asyncio
import json
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.embedded.processes import is_alive
from infra.errors import CommandError
from infra.migrations import MIGRATIONS
from infra.system import what_is_missing
from routing.addresses.book import AddressBook
from routing.addresses.build import MapFileError
from routing.addresses.geocoder import FILE_NAME
from routing.roads.build import FOLDER_NAME, RoadsError, has_roads
from routing.roads.network import RoadNetwork
from schemas.clock import Clock
from schemas.settings import Settings
from schemas.times import format_instant
from schemas.topics import TOPICS
from stream.store import database_of, open_store

State = Literal["ok", "warning", "wrong"]

_PYTHONS: Final = ((3, 11), (3, 14))
_PACKAGES: Final = ("faust-streaming", "aiokafka", "chdb", "clickhouse-connect", "numba", "numpy", "pyarrow")
_FAUST: Final = "0.15.3"
_CLOCKS_APART_MS: Final = 2_000
_FREE_BYTES: Final = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``mend`` says what to do where it is not ok."""

    about: str
    state: State
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, str]:
        """As ``onsite doctor --json`` prints it."""
        return asdict(self)


Check = Callable[[Settings], Awaitable[list[Finding]]]


async def examine(settings: Settings, state_dir: Path | None) -> list[Finding]:
    """All findings, in the order of ``CHECKS``; those about a running system last."""
    found = await asyncio.gather(*[check(settings) for check in CHECKS])
    running = [] if state_dir is None else await asyncio.to_thread(check_running, state_dir)
    return [finding for findings in [*found, running] for finding in findings]


def settings_for(state_dir: Path) -> Settings:
    """The settings of the system that runs on a state folder. Raises CommandError when none does."""
    facts = read_facts(state_dir)
    return Settings(kafka=facts["kafka"], clickhouse=facts["sql"], data_dir=state_dir / "data")


def read_facts(state_dir: Path) -> dict[str, Any]:
    """What ``STATE/onsite.json`` says. Raises CommandError when there is none."""
    path = state_dir / "onsite.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(
            f"no system is ready on {state_dir} ({path.name}: {error}); start it with: onsite up --state {state_dir}"
        ) from error
    return facts


async def check_versions(_: Settings) -> list[Finding]:
    """Python and the packages that Onsite leans on most."""
    low, beyond = _PYTHONS
    fits = low <= sys.version_info[:2] < beyond
    mend = "" if fits else "use Python 3.11, 3.12 or 3.13"
    findings = [Finding("Python", "ok" if fits else "wrong", platform.python_version(), mend)]
    for name in _PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            findings.append(Finding(name, "wrong", "not installed", "install from requirements.lock: make"))
            continue
        wrong = name == "faust-streaming" and found != _FAUST
        mend = f"the framed transport is made for {_FAUST}: pip install faust-streaming=={_FAUST}" if wrong else ""
        findings.append(Finding(name, "wrong" if wrong else "ok", found, mend))
    return findings


async def check_broker(settings: Settings) -> list[Finding]:
    """Does it answer, and has it the topics with as many partitions as the settings say?"""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=5_000)
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        described = await admin.describe_topics([topic.name for topic in TOPICS if topic.name in existing])
    except (KafkaError, OSError) as error:
        mend = "start the broker, or set ONSITE_KAFKA; `onsite up` starts one of its own"
        return [Finding("broker", "wrong", f"{settings.kafka} does not answer ({type(error).__name__})", mend)]
    finally:
        await admin.close()
    findings = [Finding("broker", "ok", settings.kafka)]
    missing = [topic.name for topic in TOPICS if topic.name not in existing]
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in described}
    differing = [f"{name} has {count}" for name, count in partitions.items() if count != settings.partitions]
    if missing:
        findings.append(Finding("topics", "wrong", f"missing: {', '.join(missing)}", "run: onsite migrate"))
    elif differing:
        found = f"partitions: {', '.join(differing)}, the settings say {settings.partitions}"
        findings.append(Finding("topics", "wrong", found, "set ONSITE_PARTITIONS to what the topics have, everywhere"))
    else:
        findings.append(Finding("topics", "ok", f"{len(TOPICS)} topics of {settings.partitions} partitions"))
    return findings


async def check_store(settings: Settings) -> list[Finding]:
    """Does it answer, are the tables up to date, and do its clock and ours agree?"""
    database = database_of(settings)
    try:
        store = await open_store(settings, database="default")
        try:
            engine, now_ms = (await store.query("SELECT version(), toUnixTimestamp64Milli(now64(3))")).result_rows[0]
            applied = await _applied_migrations(store, database)
        finally:
            await store.close()
    except (ClickHouseError, OSError) as error:
        mend = "start ClickHouse, or set ONSITE_CLICKHOUSE; `onsite up` starts one of its own"
        return [Finding("store", "wrong", f"it does not answer ({_brief(error)})", mend)]
    findings = [Finding("store", "ok", f"ClickHouse {engine}, database {database}")]
    missing = [name for number, name, _ in MIGRATIONS if number not in applied]
    if missing:
        findings.append(Finding("tables", "wrong", f"not migrated: {', '.join(missing)}", "run: onsite migrate"))
    else:
        findings.append(Finding("tables", "ok", f"version {max(applied)}"))
    apart_ms = abs(now_ms - Clock().now_ms())
    mend = "" if apart_ms <= _CLOCKS_APART_MS else "synchronise the clocks of both machines (NTP)"
    state: State = "wrong" if mend else "ok"
    return [*findings, Finding("store's clock", state, f"{apart_ms / 1000:.1f} s from this machine's", mend)]


async def _applied_migrations(store: Any, database: str) -> set[int]:
    known = await store.query(
        "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
        parameters={"database": database},
    )
    if not known.result_rows[0][0]:
        return set()
    rows = (await store.query(f"SELECT version FROM {database}.schema_migrations")).result_rows
    return {number for (number,) in rows}


async def check_clock(settings: Settings) -> list[Finding]:
    """What the clock shows; one that runs faster than life is for demos."""
    shown = format_instant(settings.clock().now_ms())
    if settings.clock_rate == 1.0 and settings.clock_origin_ms == settings.clock_start_ms:
        return [Finding("clock", "ok", shown)]
    found = f"{shown}, {settings.clock_rate:g} times as fast as life"
    return [
        Finding("clock", "warning", found, "for demos and tests only: unset ONSITE_CLOCK_RATE, _START_MS, _ORIGIN_MS")
    ]


async def check_disk(settings: Settings) -> list[Finding]:
    """Is there room where local files are kept?"""
    existing = next(
        path for path in [settings.data_dir.absolute(), *settings.data_dir.absolute().parents] if path.exists()
    )
    free = shutil.disk_usage(existing).free
    mend = "" if free >= _FREE_BYTES else "free some space, or set ONSITE_DATA_DIR to another disk"
    return [Finding("disk", "wrong" if mend else "ok", f"{free / 1024**3:.1f} GiB free at {existing}", mend)]


async def check_addresses(settings: Settings) -> list[Finding]:
    """Who finds addresses; a loaded map can be read. A server is not asked."""
    if settings.geocoder:
        return [Finding("addresses", "ok", "nobody is asked" if settings.geocoder == "none" else settings.geocoder)]
    path = settings.map_folder() / FILE_NAME
    book = AddressBook(path)
    if not book.is_there():
        return [Finding("addresses", "ok", "no map is loaded: jobs with an address alone have no place")]
    try:
        book.search("a street")
    except MapFileError as error:
        return [Finding("addresses", "wrong", str(error), "run: onsite map build FILE.osm.pbf")]
    finally:
        book.close()
    return [Finding("addresses", "ok", str(path))]


async def check_routes(settings: Settings) -> list[Finding]:
    """Who knows the ways of ETAs; roads of a loaded map can be read. A server is not asked."""
    if settings.routing:
        return [Finding("routes", "ok", settings.routing)]
    folder = settings.map_folder()
    if not has_roads(folder):
        return [Finding("routes", "ok", "no roads are loaded: ETAs go by the straight line")]
    try:
        RoadNetwork(folder)
    except RoadsError as error:
        return [Finding("routes", "wrong", str(error), "run: onsite map build FILE.osm.pbf")]
    return [Finding("routes", "ok", str(folder / FOLDER_NAME))]


CHECKS: Final[tuple[Check, ...]] = (
    check_versions,
    check_broker,
    check_store,
    check_clock,
    check_disk,
    check_addresses,
    check_routes,
)


def check_running(state_dir: Path) -> list[Finding]:
    """The processes of a system started with ``onsite up``, its API and its key."""
    facts = read_facts(state_dir)
    again = f"see the logs in {facts['logs']}, or restart: onsite up --state {state_dir}"
    findings = [
        Finding(f"process {role}", "ok", f"pid {pid}")
        if is_alive(pid)
        else Finding(f"process {role}", "wrong", f"pid {pid} is gone", again)
        for role, pid in facts["pids"].items()
    ]
    missing = what_is_missing(facts["api"])
    findings.append(Finding("API", "wrong" if missing else "ok", missing or facts["api"], again if missing else ""))
    key = Path(facts["admin_key_file"])
    if not key.exists():
        mend = f"create another: ONSITE_KAFKA={facts['kafka']} onsite keys create"
        findings.append(Finding("admin key", "wrong", f"{key} is missing", mend))
    elif key.stat().st_mode & 0o077:
        findings.append(Finding("admin key", "wrong", f"others can read {key}", f"chmod 600 {key}"))
    else:
        findings.append(Finding("admin key", "ok", str(key)))
    return findings


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

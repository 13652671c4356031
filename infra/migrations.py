"""Versioned set-up of the store and the broker. Everything here can be run twice, and by two at once."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.errors import CommandError
from schemas.settings import Settings
from schemas.tables import (
    audit,
    erasing,
    etas,
    events,
    fences,
    holdings,
    invoices,
    jobs,
    notifications,
    pings,
    ratings,
    registers,
    rejected,
    requests,
    stock_movements,
    visits,
    webhook_deliveries,
)
from schemas.tables.etas import ETAS
from schemas.tables.pings import PINGS
from schemas.tables.rejected import REJECTED
from schemas.topics import MAX_RECORD_BYTES, TOPICS, Topic
from stream.store import database_of, open_store

log = structlog.get_logger()

MIGRATIONS: Final = (
    (1, "pings", pings.statements),
    (2, "visits", visits.statements),
    (3, "fences", fences.statements),
    (4, "rejected", rejected.statements),
    (5, "jobs", jobs.statements),
    (6, "registers", registers.statements),
    (7, "audit", audit.statements),
    (8, "events", events.statements),
    (9, "webhook_deliveries", webhook_deliveries.statements),
    (10, "requests", requests.statements),
    (11, "stock_movements", stock_movements.statements),
    (12, "invoices", invoices.statements),
    (13, "holdings", holdings.statements),
    (14, "erasing", erasing.statements),
    (15, "etas", etas.statements),
    (16, "notifications", notifications.statements),
    (17, "ratings", ratings.statements),
)
"""Version, name, statements(database, retention_days); in order, never edited once released.

A table file shows the table as it is; a change to it is made there and repeated here as a new version with
``ALTER TABLE … ADD COLUMN IF NOT EXISTS`` and the like, so that every statement can be run twice.
"""

_AGEING: Final = {PINGS.name: "received_at", REJECTED.name: "received_at", ETAS.name: "computed_at"}
"""The tables whose rows go ``pings_retention_days`` after a moment, and the column of that."""

_DAY_MS: Final = 86_400_000
_LED_WITHIN_S: Final = 300.0
_BATCH_OVERHEAD_BYTES: Final = 64 * 1024


async def migrate(settings: Settings) -> list[str]:
    """Bring the store and the broker up to date; returns what was done, one line each, nothing when all was there.

    Raises CommandError when one of them cannot be reached or differs from the settings.
    """
    return [*await migrate_store(settings), *await create_topics(settings)]


async def migrate_store(settings: Settings) -> list[str]:
    """Create the database, apply what of ``MIGRATIONS`` it lacks, and set the retention of the tables that age."""
    database = database_of(settings)
    if not database.isidentifier():
        raise CommandError(f"ONSITE_CLICKHOUSE names the database {database!r}; use letters, digits and _ only")
    try:
        store = await open_store(settings, database="default")
        try:
            return await _apply(store, database, settings.pings_retention_days)
        finally:
            await store.close()
    except (ClickHouseError, OSError) as error:
        raise CommandError(
            f"the store at {_without_password(settings.clickhouse)} did not take the tables: {_first_line(error)}; "
            "check ONSITE_CLICKHOUSE and that ClickHouse runs"
        ) from error


async def _apply(store: AsyncClient, database: str, retention_days: int) -> list[str]:
    await store.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    await store.command(f"""
CREATE TABLE IF NOT EXISTS {database}.schema_migrations
(
    version UInt32 COMMENT 'of the migration',
    name String COMMENT 'of the migration',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'by the store''s clock'
)
ENGINE = ReplacingMergeTree
ORDER BY version
COMMENT 'what onsite migrate has done'
""")
    applied = {
        version for (version,) in (await store.query(f"SELECT version FROM {database}.schema_migrations")).result_rows
    }
    done = []
    for version, name, statements in MIGRATIONS:
        if version in applied:
            continue
        for statement in statements(database, retention_days):
            await store.command(statement)
        await store.insert(f"{database}.schema_migrations", [(version, name)], column_names=["version", "name"])
        done.append(f"store: migration {version} ({name})")
    for table, moment in _AGEING.items():
        done += await _retain(store, database, table, moment, retention_days)
    return done


async def _retain(store: AsyncClient, database: str, table: str, moment: str, retention_days: int) -> list[str]:
    """Let a table's retention follow the settings; what is older goes with the next merges."""
    engine = await store.query(
        "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}",
        parameters={"database": database, "table": table},
    )
    interval = f"toIntervalDay({retention_days})"
    if interval in engine.result_rows[0][0]:
        return []
    await store.command(
        f"ALTER TABLE {database}.{table} MODIFY TTL toDateTime({moment}) + {interval}",
        settings={"materialize_ttl_after_modify": 0},
    )
    return [f"store: {table} kept for {retention_days} days"]


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; those that exist stay as they are.

    Raises CommandError when the broker cannot be reached or a topic has another number of partitions than the
    settings say: keys would change partitions, and with them the order of a device's records.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if topic.name not in existing]
        created = await _create(admin, missing, settings)
        _require_partitions(await admin.describe_topics([topic.name for topic in TOPICS]), settings)
        await _until_led(settings)
    except (KafkaError, OSError) as error:
        raise CommandError(
            f"the broker at {settings.kafka} did not take the topics: {_first_line(error)}; "
            "check ONSITE_KAFKA and that Kafka runs"
        ) from error
    finally:
        await admin.close()
    return [f"broker: topic {name}" for name in created]


def _require_partitions(described: Iterable[Mapping[str, Any]], settings: Settings) -> None:
    for topic in described:
        partitions = len(topic["partitions"])
        if topic["error_code"] == 0 and partitions != settings.partitions:
            raise CommandError(
                f"topic {topic['topic']} has {partitions} partitions, ONSITE_PARTITIONS says {settings.partitions}; "
                f"set ONSITE_PARTITIONS={partitions}, the number cannot change once there are records"
            )


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], settings: Settings) -> list[str]:
    if not topics:
        return []
    answer = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                settings.partitions,
                settings.replication,
                topic_configs=topic_configs(topic, settings.compaction_lag_s),
            )
            for topic in topics
        ]
    )
    created = []
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:  # another migrate was faster
            raise error(f"topic {name}")
    return created


async def _until_led(settings: Settings) -> None:
    """Wait until all partitions can be read and written, those too whose making another migrate did not wait for.

    The controller names their leader at once; the broker makes their files one after another, each synced to the
    disk, which takes a busy one a minute for all. Raises KafkaError when it takes longer than ``_LED_WITHIN_S``.
    """
    partitions = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(settings.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, request_timeout_ms=round(_LED_WITHIN_S * 1000))
    try:
        await consumer.start()
        await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()


def topic_configs(topic: Topic, compaction_lag_s: float) -> dict[str, str]:
    """The broker's settings of a topic. Records carry the time they arrived: retention is never by event time.

    Segments end after a day, or the lag: what is over goes with its segment, and only a segment that has ended goes.
    """
    configs = {
        "max.message.bytes": str(MAX_RECORD_BYTES + _BATCH_OVERHEAD_BYTES),
        "message.timestamp.type": "LogAppendTime",
    }
    if topic.compacted:
        return configs | {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.2",
            "max.compaction.lag.ms": str(round(1000 * compaction_lag_s)),
            "delete.retention.ms": str(round(1000 * compaction_lag_s)),
        }
    retention_ms = -1 if topic.retention_days is None else topic.retention_days * _DAY_MS
    return configs | {"cleanup.policy": "delete", "retention.ms": str(retention_ms), "segment.ms": str(_DAY_MS)}


def _without_password(dsn: str) -> str:
    scheme, _, rest = dsn.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

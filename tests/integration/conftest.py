"""Real parts for the tests that need them: one broker and one store a session, each in a folder of its own."""

import asyncio
from collections.abc import Iterator

import pytest

from infra.embedded.broker import Broker
from infra.embedded.ports import free_port
from infra.embedded.store import Store
from infra.migrations import migrate
from schemas.settings import Settings


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running Kafka without topics, on a free port."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    try:
        broker.wait_ready()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running ClickHouse engine with an empty database, on a free port."""
    store = Store(tmp_path_factory.mktemp("store"))
    store.start()
    try:
        store.wait_ready()
        yield store
    finally:
        store.stop()


@pytest.fixture(scope="session")
def settings(broker: Broker, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a system on ``broker`` and ``store``: topics created, tables migrated."""
    settings = Settings(
        kafka=broker.address, clickhouse=store.url, data_dir=tmp_path_factory.mktemp("data"), port=free_port()
    )
    asyncio.run(migrate(settings))
    return settings

"""The store: ClickHouse over HTTP, the embedded one and a cluster alike."""

from typing import Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.settings import Settings

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 60.0

STORE_ERRORS: Final = (ClickHouseError, ClientError, OSError, TimeoutError)
"""What a store that is away, dies in the middle of an answer, or refuses, shows as."""


def database_of(settings: Settings) -> str:
    """The database that the DSN names; ``onsite`` where it names none."""
    return unquote(urlsplit(settings.clickhouse).path.strip("/")) or "onsite"


async def open_store(settings: Settings, database: str | None = None) -> AsyncClient:
    """Connect to ``settings.clickhouse`` (``http[s]://[user[:password]@]host[:port]/database``).

    ``database`` overrides the DSN's. Queries may run side by side: the client keeps no session. Raises one of
    ``STORE_ERRORS`` when the store does not answer.
    """
    dsn = urlsplit(settings.clickhouse)
    return await clickhouse_connect.get_async_client(
        interface=dsn.scheme,
        host=dsn.hostname,
        port=dsn.port or (8443 if dsn.scheme == "https" else 8123),
        username=unquote(dsn.username) if dsn.username else None,
        password=unquote(dsn.password or ""),
        database=database or database_of(settings),
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=ANSWER_TIMEOUT_S,
        autogenerate_session_id=False,
        tz_mode="aware",
    )

"""A load into the topics it belongs to, past the API."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from benchmarks.load import Load
from schemas.settings import Settings
from schemas.topics import FENCES, PINGS, Topic
from schemas.wire import encode
from stream.kafka import KafkaLog

APPEND: Final = 5_000
"""Records of one append."""
APPEND_WITHIN_S: Final = 60.0


async def append_fences(settings: Settings, load: Load) -> None:
    """All fences."""
    log = KafkaLog(settings.kafka, APPEND_WITHIN_S)
    await log.start()
    await append_records(log, FENCES, ((record.fence_id, encode(record)) for record in load.fence_records()))
    await log.stop()


async def append_pings(settings: Settings, records: Iterable[tuple[str, bytes]]) -> None:
    """Pings, as fast as the broker takes them."""
    log = KafkaLog(settings.kafka, APPEND_WITHIN_S)
    await log.start()
    await append_records(log, PINGS, records)
    await log.stop()


async def append_records(log: KafkaLog, topic: Topic, records: Iterable[tuple[str, bytes]]) -> None:
    """Records, as fast as the broker takes them."""
    waiting = iter(records)
    while chunk := list[tuple[str, bytes | None]](islice(waiting, APPEND)):
        await log.append(topic, chunk)

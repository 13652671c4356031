"""A compacted topic, read and appended to by a command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import msgspec

from infra.errors import CommandError
from schemas import wire
from schemas.settings import Settings
from schemas.topics import LogUnavailable, Topic
from stream.kafka import Follower, KafkaLog

_ANSWER_S: Final = 20.0

Record = TypeVar("Record", bound=msgspec.Struct)


@asynccontextmanager
async def open_topic(
    settings: Settings, topic: Topic, kind: type[Record]
) -> AsyncIterator[tuple[KafkaLog, Follower[Record]]]:
    """Connect to the broker and read the records. Raises CommandError when the broker does not answer."""
    log = KafkaLog(settings.kafka)
    follower = Follower(settings.kafka, topic, partial(wire.decode, kind))
    await log.start()
    await follower.start()
    try:
        if not await follower.until(lambda: follower.is_caught_up, _ANSWER_S):
            raise CommandError(f"the broker at {settings.kafka} does not answer (ONSITE_KAFKA); is the system up?")
        yield log, follower
    except LogUnavailable as error:
        raise CommandError(f"the broker at {settings.kafka}: {error}") from error
    finally:
        await follower.stop()
        await log.stop()

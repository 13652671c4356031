"""Whether the store has what is on topics: everything that was there when one asks."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import RECORDER_GROUP, LogUnavailable, Topic
from stream.kafka import acknowledged_by
from stream.log_ends import LogEnds

_LOOK_AGAIN_S: Final = 0.5


class RecorderLag:
    """Asks the broker over connections of its own, made when they are needed."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = range(partitions)

    async def recorded(self, topics: Sequence[Topic], within_s: float) -> bool:
        """Wait until the recorder has come as far as these topics go now; False when it has not in time.

        Raises LogUnavailable when the broker does not answer.
        """
        ends, admin = LogEnds(self._bootstrap), AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            await ends.start()
            await admin.start()
            wanted = {topic.name: await ends.ends(topic.name, self._partitions) for topic in topics}
            give_up_s = time.monotonic() + within_s
            while not await _has_come(admin, wanted):
                if time.monotonic() > give_up_s:
                    return False
                await asyncio.sleep(_LOOK_AGAIN_S)
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"the broker does not say how far the recorder is: {error}") from error
        finally:
            await ends.stop()
            await admin.close()
        return True


async def _has_come(admin: AIOKafkaAdminClient, wanted: dict[str, dict[int, int]]) -> bool:
    for topic, ends in wanted.items():
        done = await acknowledged_by(admin, RECORDER_GROUP, topic)
        if any(done.get(number, 0) < end for number, end in ends.items()):
            return False
    return True

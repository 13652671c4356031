"""Where topics end."""

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition


class LogEnds:
    """Asks the broker over a connection of its own."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """By partition of a topic, the offset that its next record will have."""
        asked = [TopicPartition(topic, number) for number in partitions]
        if not asked:
            return {}
        return {each.partition: end for each, end in (await self._connected().end_offsets(asked)).items()}

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("not started")
        return self._consumer

"""What the foreman answers, followed from now on by every process for itself."""

from collections.abc import Callable
from functools import partial

from aiokafka import AIOKafkaConsumer

from schemas.job_command import Answer
from schemas.topics import JOB_ANSWERS
from schemas.wire import decode
from stream.kafka import TopicReader


class AnswerReader(TopicReader[Answer]):
    """Gives each answer to ``take``. Where the broker was away it goes on from where it was."""

    def __init__(self, bootstrap: str, take: Callable[[Answer], None]) -> None:
        super().__init__(bootstrap, JOB_ANSWERS, partial(decode, Answer))
        self._take = take
        self._positions: dict[int, int] = {}

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        assigned = sorted(consumer.assignment())
        self._positions = {
            each.partition: end for each, end in (await consumer.end_offsets(assigned)).items()
        } | self._positions
        for each in assigned:
            consumer.seek(each, self._positions[each.partition])
        while True:
            for each, messages in (await consumer.getmany(timeout_ms=500)).items():
                for message in messages:
                    answer = self._decoded(message)
                    if answer is not None:
                        self._take(answer)
                self._positions[each.partition] = messages[-1].offset + 1

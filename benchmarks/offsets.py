"""How far the groups have come on a topic."""

from aiokafka import AIOKafkaConsumer

from schemas.topics import Topic
from stream.kafka import acknowledged

Offsets = dict[int, int]
"""By partition, the offset of the next record."""


async def ends_of(kafka: str, topic: Topic) -> Offsets:
    """Where the next record will be written."""
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=kafka)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        return {each.partition: end for each, end in ends.items()}
    finally:
        await consumer.stop()


async def behind(kafka: str, group: str, topic: Topic, ends: Offsets) -> int:
    """How many records before ``ends`` a group has not acknowledged."""
    given = await acknowledged(kafka, group, topic.name)
    return sum(max(0, end - given.get(partition, 0)) for partition, end in ends.items())

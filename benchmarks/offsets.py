"""How far the groups have come on a topic."""

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import Topic

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


async def committed_by(kafka: str, group: str, topic: Topic) -> Offsets:
    """What a group will be given next."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        committed = await admin.list_consumer_group_offsets(group)
        return {each.partition: position.offset for each, position in committed.items() if each.topic == topic.name}
    finally:
        await admin.close()


async def behind(kafka: str, group: str, topic: Topic, ends: Offsets) -> int:
    """How many records before ``ends`` a group has not acknowledged."""
    committed = await committed_by(kafka, group, topic)
    return sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())

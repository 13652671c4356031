"""What trackers have told so far: ``onsite.visits`` itself, read back after a crash so that revisions count on."""

import msgspec
import structlog
from aiokafka.structs import TopicPartition

from schemas.topics import VISITS
from schemas.visit import Visit
from schemas.wire import decode
from stream.log_ends import LogEnds

log = structlog.get_logger()


class ToldVisits(LogEnds):
    """Reads partitions of ``onsite.visits``; they hold the same devices as those of ``onsite.pings``."""

    async def since(self, offsets: dict[int, int]) -> list[tuple[int, Visit]]:
        """(partition, visit) of everything told from these offsets on, in order within a partition."""
        consumer = self._connected()
        ends = {number: end for number, end in (await self.ends(VISITS.name, offsets)).items() if end > offsets[number]}
        if not ends:
            return []
        consumer.assign([TopicPartition(VISITS.name, number) for number in ends])
        for number in ends:
            consumer.seek(TopicPartition(VISITS.name, number), offsets[number])
        told: list[tuple[int, Visit]] = []
        while ends:
            for each, records in (await consumer.getmany(timeout_ms=500)).items():
                told += [(each.partition, visit) for record in records if (visit := _read(record.value)) is not None]
            for number in list(ends):
                if await consumer.position(TopicPartition(VISITS.name, number)) >= ends[number]:
                    del ends[number]
        consumer.unsubscribe()
        return told


def _read(value: bytes | None) -> Visit | None:
    try:
        return decode(Visit, value or b"")
    except msgspec.MsgspecError as error:
        log.warning("unreadable visit skipped", error=str(error))  # not a tracker's: others may write to the topic
        return None

"""That customers have written through their tracking links, and which links are good: of ``onsite.tracking``."""

from typing import Final

import msgspec

from dispatch.notices.facts import Message
from dispatch.tracking import merged
from schemas.tracking import CustomerMessage, TrackingRecord

_UNSAID: Final = ""


class CustomerWords:
    """Of a partition's jobs; what was said is not kept."""

    def __init__(self) -> None:
        self._records: dict[str, TrackingRecord] = {}

    @property
    def jobs(self) -> list[str]:
        """Those of which something is kept."""
        return list(self._records)

    def take(self, record: TrackingRecord) -> None:
        """There is another record of a job; what an earlier one said holds, as several processes write them."""
        before = self._records.get(record.job_id)
        self._records[record.job_id] = _unworded(record if before is None else merged(before, record))

    def delete(self, job_id: str) -> None:
        """Keep nothing of a job."""
        self._records.pop(job_id, None)

    def settle(self, job_id: str) -> None:
        """Keep of a job that is over no more than which of its links are good."""
        record = self._records.pop(job_id, None)
        if record is not None and record.generation:
            self._records[job_id] = TrackingRecord(
                job_id=job_id, updated_at=record.updated_at, generation=record.generation
            )

    def generation_of(self, job_id: str) -> int:
        """That of a job's links."""
        record = self._records.get(job_id)
        return 0 if record is None else record.generation

    def messages_of(self, job_id: str) -> tuple[Message, ...]:
        """That the customer has written, not what."""
        record = self._records.get(job_id)
        return () if record is None else tuple(Message(each.message_id, each.at) for each in record.messages)


def _unworded(record: TrackingRecord) -> TrackingRecord:
    messages = [CustomerMessage(each.message_id, _UNSAID, each.at) for each in record.messages]
    return msgspec.structs.replace(record, comment=None, messages=messages)

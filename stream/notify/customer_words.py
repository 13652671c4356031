"""What customers write through their tracking links, and which links are good: the topic ``onsite.tracking``."""

from collections.abc import Callable
from functools import partial

from dispatch.notices.facts import JobFacts, Message
from dispatch.tracking import TrackingLinks, merged
from schemas.settings import Settings
from schemas.topics import TRACKING
from schemas.tracking import TrackingRecord
from schemas.wire import decode
from stream.kafka import Follower


class CustomerWords:
    """``links`` are None where nobody knows at which address customers reach them.

    ``on_change(job_id)`` is called when something was said or revoked.
    """

    def __init__(self, settings: Settings, links: TrackingLinks | None, on_change: Callable[[str], None]) -> None:
        self._links = links
        self._on_change = on_change
        self._records: dict[str, TrackingRecord] = {}
        self.follower = Follower(settings.kafka, TRACKING, partial(decode, TrackingRecord), self.changed)

    def changed(self, job_id: str, record: TrackingRecord | None) -> None:
        """There is another record of a job; what an earlier one said holds, as several processes write them."""
        before = self._records.pop(job_id, None)
        if record is not None:
            self._records[job_id] = record if before is None else merged(before, record)
        self._on_change(job_id)

    def link_of(self, job: JobFacts) -> str | None:
        """The address of a job's page."""
        if self._links is None:
            return None
        record = self._records.get(job.job_id)
        return self._links.link_of(job, 0 if record is None else record.generation)

    def messages_of(self, job_id: str) -> list[Message]:
        """That the customer has written, not what."""
        record = self._records.get(job_id)
        return [] if record is None else [Message(each.message_id, each.at) for each in record.messages]

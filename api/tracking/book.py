"""The tracking records in memory, and how they are written."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from api.background import Background
from api.ports import EventLog, ReadModel
from dispatch.tracking import merged
from schemas import wire
from schemas.audit import AuditRecord
from schemas.times import Instant
from schemas.topics import AUDIT, TRACKING, LogUnavailable
from schemas.tracking import TrackingRecord

_READ_BACK_S: Final = 10.0
_MEND_EVERY_S: Final = 1.0


class TrackingBook:
    """Call ``changed`` with each change of ``told``.

    Two processes may write at once, and the topic keeps what the last one knew: here what all of them said holds.
    """

    def __init__(self, told: ReadModel[TrackingRecord]) -> None:
        self.torn: set[str] = set()
        """Jobs of which the newest record says less than is known."""
        self._told = told
        self._records: dict[str, TrackingRecord] = {}

    @property
    def records(self) -> Mapping[str, TrackingRecord]:
        """By job."""
        return self._records

    @property
    def is_caught_up(self) -> bool:
        """Whether what was in the topic at the start has been read."""
        return self._told.is_caught_up

    def changed(self, job_id: str, record: TrackingRecord | None) -> None:
        """There is another record of a job, or none any more."""
        self.torn.discard(job_id)
        if record is None:
            self._records.pop(job_id, None)
            return
        before = self._records.get(job_id)
        after = self._records[job_id] = record if before is None else merged(before, record)
        if after != merged(record, record):
            self.torn.add(job_id)

    def of(self, job_id: str) -> TrackingRecord:
        """Of a job; one that says nothing where nothing was said."""
        return self._records.get(job_id) or TrackingRecord(job_id=job_id, updated_at=Instant(0))

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for a condition on the records; False when it does not hold in time."""
        return await self._told.until(condition, timeout_s)

    async def keep(self, record: TrackingRecord, written: AuditRecord, event_log: EventLog) -> None:
        """Write a record, that it is written before it, and return once it is known here; raises LogUnavailable."""
        await event_log.append(AUDIT, [(written.key, wire.encode(written))])
        await event_log.append(TRACKING, [(record.job_id, wire.encode(record))])
        if not await self.until(lambda: self.of(record.job_id).updated_at >= record.updated_at, _READ_BACK_S):
            raise LogUnavailable("it is written, but was not read back in time")


class TrackingMender(Background):
    """Writes again what one process wrote without knowing of another's: a revocation outlives all of them."""

    def __init__(self, book: TrackingBook, event_log: EventLog) -> None:
        self._book = book
        self._log = event_log

    async def mend(self) -> None:
        """Write what is torn, once all is read; raises LogUnavailable."""
        if self._book.is_caught_up and self._book.torn:
            records = [self._book.of(job_id) for job_id in sorted(self._book.torn)]
            await self._log.append(TRACKING, [(each.job_id, wire.encode(each)) for each in records])

    async def _tend(self) -> None:
        while True:
            with contextlib.suppress(LogUnavailable):
                await self.mend()
            await asyncio.sleep(_MEND_EVERY_S)

"""A partition's share of what notices follow from: its jobs, what is known of them, and the notices that there are."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog

from dispatch.notices.facts import JobFacts
from schemas.eta import Eta
from schemas.topics import ETAS, JOBS, TRACKING
from schemas.tracking import TrackingRecord
from schemas.wire import decode
from stream.frames import Frame
from stream.notify.customer_words import CustomerWords
from stream.notify.ledger import Ledger

TAKEN: Final = (JOBS, ETAS, TRACKING)
"""Compacted topics by job: a partition of each has all there is of the jobs of that partition."""

log = structlog.get_logger()


class Share:
    """``notices`` are those written, by id. Jobs of which ``is_past`` says so are not kept."""

    def __init__(self, notices: Mapping[str, bytes], is_past: Callable[[JobFacts], bool]) -> None:
        self.jobs: dict[str, JobFacts] = {}
        self.etas: dict[str, Eta] = {}
        self.words = CustomerWords()
        self.ledger = Ledger(notices)
        self.read_until: dict[str, int] = {}
        """By topic, up to which offset it was read before its frames came."""
        self._is_past = is_past
        self._gone: list[str] = []

    @property
    def known_jobs(self) -> set[str]:
        """Those of which anything is kept that is not put away."""
        return {*self.jobs, *self.words.jobs, *self.ledger.open_jobs}

    def take_frame(self, frame: Frame) -> Iterator[str]:
        """Take note of a frame, unless all of it was read before; gives the jobs that it is about."""
        if frame.last_offset < self.read_until.get(frame.topic, 0):
            return
        deleted = iter(frame.deleted)
        for value in frame.values:
            job_id = self.take(frame.topic, value, next(deleted, None) if value is None else None)
            if job_id is not None:
                yield job_id

    def take(self, topic: str, value: bytes | None, key: bytes | None = None) -> str | None:
        """Take note of a record, or that the one of a key was deleted; returns which job it is about.

        That is None where nobody can read it. A job that is deleted takes all along that was known of it.
        """
        if value is None:
            return None if key is None else self._delete(topic, key.decode(errors="replace"))
        try:
            return self._take(topic, value)
        except (ValueError, RecursionError) as error:
            log.warning("unreadable record skipped", topic=topic, error=str(error))
            return None

    def let_go(self, job_id: str) -> None:
        """A job is over: keep what was told of it, in little room, and which of its links are good."""
        self.jobs.pop(job_id, None)
        self.etas.pop(job_id, None)
        self.words.settle(job_id)
        self.ledger.fold(job_id)

    def take_gone(self) -> list[str]:
        """The ids of notices that went with their jobs since this was last asked."""
        gone, self._gone = self._gone, []
        return gone

    def _take(self, topic: str, value: bytes) -> str:
        if topic == JOBS.name:
            job = decode(JobFacts, value)
            if self._is_past(job):
                self.jobs.pop(job.job_id, None)
            else:
                self.jobs[job.job_id] = job
            return job.job_id
        if topic == ETAS.name:
            eta = decode(Eta, value)
            self.etas[eta.job_id] = eta
            return eta.job_id
        record = decode(TrackingRecord, value)
        self.words.take(record)
        return record.job_id

    def _delete(self, topic: str, job_id: str) -> str:
        if topic == TRACKING.name:
            self.words.delete(job_id)
        else:
            self.etas.pop(job_id, None)
        if topic == JOBS.name:
            self.jobs.pop(job_id, None)
            self.words.delete(job_id)
            self._gone += self.ledger.forget(job_id)
        return job_id

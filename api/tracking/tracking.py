"""All that tracking links need of a process."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from api.tracking.book import TrackingBook
from api.tracking.limits import TrackingLimits
from dispatch.tracking import TrackingLinks


@dataclass(frozen=True)
class Tracking:
    """What was said and revoked, how links are made, how often they may be asked."""

    book: TrackingBook
    links: TrackingLinks
    limits: TrackingLimits = field(default_factory=TrackingLimits)
    locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def lock_of(self, job_id: str) -> asyncio.Lock:
        """A job's record is read, revised and written back by one at a time; others are not waited for."""
        return self.locks.setdefault(job_id, asyncio.Lock())

"""What is told of a partition's jobs, visits and stock: a frame's events, and what to write down once they are told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from dispatch.costing import Rates
from dispatch.events import (
    NOTHING_OF_JOB,
    NOTHING_OF_REQUEST,
    NOTHING_OF_VISIT,
    ToldJob,
    ToldRequest,
    ToldVisit,
    job_events,
    low_stock_event,
    request_events,
    visit_events,
)
from dispatch.stock import Shelf, holders_of, shelved
from schemas import wire
from schemas.event import Event
from schemas.job import JobRecord
from schemas.service_request import ServiceRequest
from schemas.stock import Movement, stock_key
from schemas.times import Instant
from schemas.topics import JOBS, REQUESTS, STOCK, VISITS
from schemas.visit import Visit
from stream.frames import Frame
from stream.notify.places import Places

JOB: Final = "job/"
VISIT: Final = "visit/"
REQUEST: Final = "request/"
SHELF: Final = "shelf/"
MOVEMENT: Final = "movement/"
"""How the keys of what was told begin."""

log = structlog.get_logger()

unreadable = Counter("onsite_notifier_unreadable_records", "Records nobody can read", ["topic"])


class Teller:
    """``told`` has for each job, visit and shelf of the partition what was told of it, as it was written down."""

    def __init__(self, told: Mapping[str, bytes], places: Places, rates: Rates) -> None:
        self._told = dict(told)
        self._places = places
        self._rates = rates
        self._tellers = {
            JOBS.name: self._tell_job,
            VISITS.name: self._tell_visit,
            REQUESTS.name: self._tell_request,
            STOCK.name: self._tell_stock,
        }

    def news_of(self, frame: Frame, moment_of: Callable[[int], Instant]) -> tuple[list[Event], dict[str, bytes | None]]:
        """The events of a frame in their order, and what was told with them, to be written down for ``told``.

        They count as told; of a job that is deleted it is not kept what was. ``moment_of`` gives Onsite's time for the
        broker's.
        """
        events: list[Event] = []
        written: dict[str, bytes | None] = {}
        tell = self._tellers[frame.topic]
        deleted = iter(frame.deleted)
        for value, stamp_ms in zip(frame.values, frame.timestamps_ms.tolist(), strict=True):
            if value is None:
                written |= self._forget(frame.topic, next(deleted, None))
                continue
            try:
                found, now_told = tell(value, moment_of(stamp_ms))
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                unreadable.labels(frame.topic).inc()
                log.warning("unreadable record skipped", topic=frame.topic, error=str(error))
                continue
            events += found
            self._told |= now_told
            written |= now_told
        return events, written

    def _forget(self, topic: str, key: bytes | None) -> dict[str, None]:
        if topic != JOBS.name or key is None:
            return {}
        told_of = JOB + key.decode(errors="replace")
        return {} if self._told.pop(told_of, None) is None else {told_of: None}

    def _tell_job(self, value: bytes, recorded_at: Instant) -> tuple[Sequence[Event], dict[str, bytes]]:
        job = wire.decode(JobRecord, value)
        key = JOB + job.job_id
        before = self._told.get(key)
        told = NOTHING_OF_JOB if before is None else wire.decode(ToldJob, before)
        events, after = job_events(job, told, self._rates, recorded_at)
        return events, {} if after is told else {key: wire.encode(after)}

    def _tell_visit(self, value: bytes, recorded_at: Instant) -> tuple[Sequence[Event], dict[str, bytes]]:
        visit = wire.decode(Visit, value)
        key = VISIT + visit.visit_id
        before = self._told.get(key)
        told = NOTHING_OF_VISIT if before is None else wire.decode(ToldVisit, before)
        branch = self._places.branch_of_device(visit.device_id)
        events, after = visit_events(visit, told, branch, self._places.branch_of_fence(visit.fence_id), recorded_at)
        return events, {} if after is told else {key: wire.encode(after)}

    def _tell_request(self, value: bytes, recorded_at: Instant) -> tuple[Sequence[Event], dict[str, bytes]]:
        request = wire.decode(ServiceRequest, value)
        key = REQUEST + request.request_id
        before = self._told.get(key)
        told = NOTHING_OF_REQUEST if before is None else wire.decode(ToldRequest, before)
        events, after = request_events(request, told, recorded_at)
        return events, {} if after is told else {key: wire.encode(after)}

    def _tell_stock(self, value: bytes, recorded_at: Instant) -> tuple[Sequence[Event], dict[str, bytes]]:
        movement = wire.decode(Movement, value)
        counted = f"{MOVEMENT}{movement.movement_id}\n{movement.sku}"
        if counted in self._told:
            return [], {}
        events, now_told = [], {counted: b"1"}
        for place in holders_of(movement):
            key = SHELF + stock_key(place, movement.sku)
            before = self._told.get(key)
            shelf = Shelf() if before is None else wire.decode(Shelf, before)
            after, low = shelved(shelf, place, movement, self._places.threshold_of(place, movement.sku))
            now_told[key] = wire.encode(after)
            if low is not None:
                events.append(low_stock_event(low, self._places.branch_of_stock(place), recorded_at))
        return events, now_told

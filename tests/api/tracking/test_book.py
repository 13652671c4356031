"""The records of tracking as several processes write them."""

import anyio

from api.tracking.book import TrackingBook, TrackingMender
from schemas import wire
from schemas.times import Instant
from schemas.topics import TRACKING
from schemas.tracking import CustomerMessage, TrackingRecord
from tests.api.conftest import NOW_MS, Door


def test_two_processes_that_write_at_once_lose_nothing(office: Door) -> None:
    """Each knows only its own: what both wrote holds in either, and is written again so that it outlives them."""
    told = office.said
    book = office.tracking.book
    at = Instant(NOW_MS)
    revoked = TrackingRecord(job_id="j1", updated_at=at, generation=1, revoked_at=at)
    wrote = TrackingRecord(job_id="j1", updated_at=at, messages=[CustomerMessage("m", "Ring", at)])
    told.put("j1", revoked)
    assert book.torn == set()
    told.put("j1", wrote)
    assert (book.of("j1").generation, [each.text for each in book.of("j1").messages]) == (1, ["Ring"])
    assert book.torn == {"j1"}
    anyio.run(TrackingMender(book, office.log).mend)
    assert book.torn == set()
    [(key, value)] = office.log.records[TRACKING.name]
    anew = TrackingBook(told)
    anew.changed(key, wire.decode(TrackingRecord, value or b""))
    assert anew.of("j1") == book.of("j1"), "read by who starts later"
    anyio.run(TrackingMender(book, office.log).mend)
    assert len(office.log.records[TRACKING.name]) == 1, "nothing is left to mend"

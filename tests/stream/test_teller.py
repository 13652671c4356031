"""What a frame of jobs or visits is told as: in order, once, whatever else is in it."""

from decimal import Decimal
from typing import Any, cast

import msgspec

from dispatch.costing import Rates
from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.stock import Movement, StockPlace
from schemas.times import Instant
from schemas.topics import JOBS, REQUESTS, STOCK, VISITS
from stream.frames import Frame
from stream.notify.teller import Teller
from tests.dispatch.examples import after, create, move
from tests.dispatch.test_events import visit
from tests.dispatch.test_service_requests import ACCEPTED, RECEIVED
from tests.frames import frame_of


class Known:
    """Every device is of the north, every fence of the south."""

    def branch_of_device(self, device_id: str) -> str:
        return "north"

    def branch_of_fence(self, fence_id: str) -> str:
        return "south"

    def branch_of_stock(self, place: StockPlace) -> str:
        return "west"

    def threshold_of(self, place: StockPlace, sku: str) -> Decimal | None:
        return Decimal(5) if (place, sku) == (VAN, "filter") else None


VAN, DEPOT = StockPlace("van", "amina"), StockPlace("depot", "d")


def teller() -> Teller:
    return Teller({}, cast(Any, Known()), Rates())


def frame(topic: str, *values: bytes | None) -> Frame:
    return frame_of(topic, values, [1_000 * (each + 1) for each in range(len(values))])


JOB = after(JobBook(DispatchRules()), create())
MOVED = after(JobBook(DispatchRules()), create(), move("en_route", 5))


def test_revisions_of_a_frame_follow_each_other() -> None:
    told = teller()
    events, written = told.news_of(frame(JOBS.name, wire.encode(JOB), wire.encode(MOVED)), Instant)
    assert [event.type for event in events] == ["job.created", "job.scheduled", "job.en_route"]
    assert [event.recorded_at for event in events] == [1_000, 1_000, 2_000]
    assert Teller(written, cast(Any, Known()), Rates()).news_of(frame(JOBS.name, wire.encode(MOVED)), Instant) == (
        [],
        {},
    )
    again, _ = teller().news_of(frame(JOBS.name, wire.encode(JOB), wire.encode(MOVED)), Instant)
    assert [event.id for event in again] == [event.id for event in events], "where it was not written down"
    assert told.news_of(frame(JOBS.name, wire.encode(JOB), wire.encode(MOVED)), Instant) == ([], {})


def test_what_was_written_down_is_known_to_the_next_one() -> None:
    _, written = teller().news_of(frame(JOBS.name, wire.encode(JOB)), Instant)
    events, _ = Teller(written, cast(Any, Known()), Rates()).news_of(frame(JOBS.name, wire.encode(MOVED)), Instant)
    assert [event.type for event in events] == ["job.en_route"]


def test_what_nobody_can_read_is_passed_over() -> None:
    values = (b"{", None, b"\xff", wire.encode(JOB), b"[]")
    events, _ = teller().news_of(frame(JOBS.name, *values), Instant)
    assert [event.type for event in events] == ["job.created", "job.scheduled"]


def test_visits_belong_to_two_branches() -> None:
    confirmed = visit(2, "confirmed")
    moved = msgspec.structs.replace(confirmed, revision=3)
    events, _ = teller().news_of(frame(VISITS.name, wire.encode(confirmed), wire.encode(moved)), Instant)
    assert [(event.type, event.branch, event.branch_of_fence) for event in events] == [
        ("visit.confirmed", "north", "south")
    ]


def test_service_requests_are_told_once() -> None:
    told = teller()
    requests = frame(REQUESTS.name, wire.encode(RECEIVED), wire.encode(ACCEPTED))
    events, _ = told.news_of(requests, Instant)
    assert [event.type for event in events] == ["request.received", "request.accepted"]
    assert told.news_of(requests, Instant) == ([], {})


def moved(movement_id: str, quantity: int, from_: StockPlace, to: StockPlace, sku: str = "filter") -> bytes:
    return wire.encode(
        Movement(
            movement_id=movement_id,
            sku=sku,
            quantity=Decimal(quantity),
            from_=from_,
            to=to,
            at=Instant(7),
            recorded_at=Instant(8),
            actor="x",
        )
    )


def test_what_runs_out_is_told_once_a_fall() -> None:
    ledger = [
        moved("in", 7, DEPOT, VAN),
        moved("still enough", 2, VAN, DEPOT),
        moved("low", 1, VAN, DEPOT),
        moved("lower", 1, VAN, DEPOT),
        moved("lower", 1, VAN, DEPOT),
        moved("not yet filled up", 1, DEPOT, VAN),
        moved("low", 1, VAN, DEPOT, sku="pump"),
        moved("filled up", 1, DEPOT, VAN),
        moved("low again", 2, VAN, DEPOT),
    ]
    events, written = teller().news_of(frame(STOCK.name, *ledger), Instant)
    assert [(event.type, event.data["movement_id"], event.data["balance"]) for event in events] == [
        ("stock.low", "low", "4"),
        ("stock.low", "low again", "3"),
    ]
    assert (events[0].subject, events[0].branch, events[0].time, events[0].recorded_at) == (
        "van:amina/filter",
        "west",
        7,
        3_000,
    )
    for cut in range(len(ledger) + 1):
        told = teller()
        first, _ = told.news_of(frame(STOCK.name, *ledger[:cut]), Instant)
        second, _ = told.news_of(frame(STOCK.name, *ledger), Instant)
        assert [event.id for event in (*first, *second)] == [event.id for event in events], "wherever it stopped"
    assert Teller(written, cast(Any, Known()), Rates()).news_of(frame(STOCK.name, *ledger), Instant) == ([], {})


def test_of_a_job_that_is_deleted_is_not_kept_what_was_told() -> None:
    told = teller()
    told.news_of(frame(JOBS.name, wire.encode(JOB)), Instant)
    gone = frame_of(JOBS.name, [None, None], [1, 2], first_offset=1, deleted=[JOB.job_id.encode(), b"another"])
    assert told.news_of(gone, Instant) == ([], {f"job/{JOB.job_id}": None})
    assert told.news_of(gone, Instant) == ([], {})

"""What a notifier keeps of a partition's jobs: as the records of three topics say, in whatever order they come."""

from schemas.eta import Eta
from schemas.times import Instant
from schemas.topics import ETAS, JOBS, TRACKING
from schemas.tracking import CustomerMessage, TrackingRecord
from schemas.wire import encode
from stream.frames import Frame
from stream.notify.share import Share
from tests.api.test_notices import noticed
from tests.dispatch.examples import DISPATCHER, move
from tests.dispatch.notices.cases import eta, job
from tests.frames import frame_of

AT = Instant(5)


def share(*kept: str) -> Share:
    """With a notice of each of these jobs; cancelled ones are past."""
    notices = {f"{each}-1": encode(noticed(each, 1)) for each in kept}
    return Share(notices, lambda facts: facts.state == "cancelled")


def said(text: str, generation: int = 0) -> TrackingRecord:
    messages = [CustomerMessage(f"m-{text}", text, AT)]
    return TrackingRecord(job_id="job-1", updated_at=AT, generation=generation, comment=text, messages=messages)


def frame(topic: str, first_offset: int, *records: object, deleted: tuple[str, ...] = ()) -> Frame:
    values = [None if each is None else encode(each) for each in records]
    return frame_of(topic, values, first_offset=first_offset, deleted=[each.encode() for each in deleted])


def test_the_newest_of_each_counts_and_what_is_deleted_is_gone() -> None:
    ours = share()
    moved = job(move("en_route", 725))
    assert list(ours.take_frame(frame(JOBS.name, 0, job(), moved))) == ["job-1", "job-1"]
    expected: Eta = eta(800, 720)
    taken = frame(ETAS.name, 0, eta(700, 700), None, expected, deleted=("job-1",))
    assert list(ours.take_frame(taken)) == ["job-1"] * 3
    assert (ours.jobs, ours.etas) == ({"job-1": moved}, {"job-1": expected})
    assert list(ours.take_frame(frame(ETAS.name, 3, None, deleted=("job-1",)))) == ["job-1"]
    assert ours.etas == {}
    list(ours.take_frame(frame(JOBS.name, 2, job(move("cancelled", 730, DISPATCHER)))))
    assert ours.jobs == {}, "it is past"


def test_a_frame_of_what_was_read_before_is_passed_over() -> None:
    ours = share()
    moved = job(move("en_route", 725))
    ours.take(JOBS.name, encode(moved))
    ours.read_until[JOBS.name] = 7
    assert list(ours.take_frame(frame(JOBS.name, 5, job(), job()))) == []
    assert ours.jobs == {"job-1": moved}
    assert list(ours.take_frame(frame(JOBS.name, 6, moved, job()))) == ["job-1", "job-1"]
    assert ours.jobs == {"job-1": job()}


def test_what_nobody_can_read_is_passed_over() -> None:
    ours = share()
    values: list[bytes | None] = [b"{", None, encode(job())]
    assert list(ours.take_frame(frame_of(JOBS.name, values, deleted=[None]))) == ["job-1"]


def test_of_what_customers_write_the_words_are_not_kept() -> None:
    ours = share()
    for each in (said("ring twice"), said("the dog is harmless", 3), said("ring twice")):
        ours.take(TRACKING.name, encode(each))
    told = [each.message_id for each in ours.words.messages_of("job-1")]
    assert sorted(told) == ["m-ring twice", "m-the dog is harmless"]
    kept = ours.words._records["job-1"]
    assert (kept.comment, {each.text for each in kept.messages}) == (None, {""})
    assert ours.words.generation_of("job-1") == 3
    ours.take(TRACKING.name, None, b"job-1")
    assert (ours.words.messages_of("job-1"), ours.words.generation_of("job-1")) == ((), 0)


def test_of_a_job_that_is_over_little_stays() -> None:
    ours = share("job-1")
    ours.take(JOBS.name, encode(job(move("on_site", 730), move("completed", 780))))
    ours.take(ETAS.name, encode(eta(770, 720)))
    ours.take(TRACKING.name, encode(said("thanks", 2)))
    assert ours.known_jobs == {"job-1"}
    ours.let_go("job-1")
    assert (ours.jobs, ours.etas, ours.words.messages_of("job-1")) == ({}, {}, ())
    assert [each.notice_id for each in ours.ledger.notices_of("job-1")] == ["job-1-1"]
    assert ours.words.generation_of("job-1") == 2, "a link that was revoked stays so"
    ours.take(TRACKING.name, encode(TrackingRecord(job_id="job-2", updated_at=AT)))
    ours.let_go("job-2")
    assert ours.known_jobs == {"job-1"}
    assert ours.words.jobs == ["job-1"]


def test_a_job_that_is_deleted_takes_along_what_was_known_of_it() -> None:
    ours = share("job-1", "job-2")
    ours.take(JOBS.name, encode(job()))
    ours.take(TRACKING.name, encode(said("thanks", 2)))
    ours.let_go("job-1")
    assert ours.take_gone() == []
    assert ours.take(JOBS.name, None, b"job-1") == "job-1"
    assert ours.take_gone() == ["job-1-1"]
    assert ours.take_gone() == []
    assert (ours.known_jobs, ours.words.jobs) == ({"job-2"}, [])
    assert ours.ledger.notices_of("job-1") == []
    assert ours.take(JOBS.name, None, b"job-1") == "job-1", "as often as it comes"
    assert ours.take_gone() == []

"""The jobs of a partition, as their writer has them: which are to be archived, and in which order."""

import msgspec

from dispatch.job_book import JobBook
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.job import JobRecord
from schemas.job_command import CreateJob, EditJob, MoveJob
from schemas.times import Instant
from stream.foreman.writer import WRITTEN_LATELY, JobPartition, WrittenJobs
from tests.dispatch.examples import DISPATCHER, create, minute, move

KEPT_DAYS = 40
KEPT_MIN = KEPT_DAYS * 24 * 60
BOOK = JobBook(DispatchRules(), KEPT_DAYS)


def carry_out(partition: JobPartition, *commands: CreateJob | MoveJob, at: float) -> None:
    _, records, _ = partition.carry_out(commands, minute(at))
    partition.keep(records, [wire.encode(each) for each in records], minute(at))


def moved(job_id: str, to: str, at: float) -> MoveJob:
    return move(to, at, DISPATCHER, job_id=job_id)


def with_jobs() -> JobPartition:
    """Three are cancelled, c first; one is under way."""
    partition = JobPartition({}, BOOK, minute(0), WrittenJobs())
    carry_out(partition, *(create(each) for each in "abcd"), at=0)
    for at, job_id in enumerate("cab", 10):
        carry_out(partition, moved(job_id, "cancelled", at), at=at)
    return partition


def test_those_that_have_been_over_for_longest_are_archived_first() -> None:
    partition = with_jobs()
    assert partition.to_archive(minute(10 + KEPT_MIN - 1), 9) == []
    assert partition.to_archive(minute(11 + KEPT_MIN), 9) == ["c", "a"]
    assert partition.to_archive(minute(99 + KEPT_MIN), 9) == ["c", "a", "b"]
    assert partition.to_archive(minute(99 + KEPT_MIN), 2) == ["c", "a"]


def test_what_changes_is_archived_later_and_what_goes_on_is_not() -> None:
    partition = with_jobs()
    carry_out(partition, moved("c", "scheduled", 20), at=20)
    carry_out(partition, moved("a", "scheduled", 30), moved("a", "cancelled", 31), at=31)
    assert partition.to_archive(minute(99 + KEPT_MIN), 9) == ["b", "a"]


def test_the_order_is_the_same_when_jobs_are_read_back() -> None:
    records = with_jobs().records
    assert JobPartition(records, BOOK, minute(20), WrittenJobs()).to_archive(minute(99 + KEPT_MIN), 9) == [
        "c",
        "a",
        "b",
    ]


def test_a_job_that_is_let_go_is_not_there_any_more() -> None:
    partition = with_jobs()
    partition.let_go(["c", "a"])
    assert partition.records.keys() == {"b", "d"}
    assert partition.to_archive(minute(99 + KEPT_MIN), 9) == ["b"]
    _, records, [answer] = partition.carry_out(
        [msgspec.structs.replace(moved("a", "created", 99), request_id="r")], minute(99)
    )
    assert records == []
    assert answer.refusal is not None
    assert (answer.refusal.status, answer.refusal.code) == (404, "unknown_job")


def test_a_look_that_changes_nothing_does_not_put_off_the_archive() -> None:
    partition = with_jobs()
    record = wire.decode(JobRecord, partition.records["c"])
    partition.pass_over(record, Instant(minute(12)))
    assert partition.to_archive(minute(10 + KEPT_MIN), 9) == ["c"]


def test_what_is_written_is_not_decoded_again_and_is_what_decoding_gives() -> None:
    written = WrittenJobs()
    partition = JobPartition({}, BOOK, minute(0), written)
    carry_out(partition, create("a"), create("b"), at=0)
    for at, to in enumerate(("scheduled", "dispatched", "en_route", "on_site", "completed"), 1):
        carry_out(partition, moved("a", to, at), at=at)
        for value in partition.records.values():
            assert written.record_of(value) is written.record_of(value)
            assert written.record_of(value) == wire.decode(JobRecord, value)
    assert len(written) == 2, "of each job the newest revision"


def test_commands_whose_revisions_are_not_written_leave_no_trace() -> None:
    written = WrittenJobs()
    partition = JobPartition({}, BOOK, minute(0), written)
    carry_out(partition, create("a"), moved("a", "scheduled", 1), at=1)
    notes = EditJob(job_id="a", sender=DISPATCHER, key="k", issued_at=minute(2), changes={"notes": "ring twice"})
    _, records, _ = partition.carry_out([moved("a", "dispatched", 2), notes], minute(2))
    assert len(records) == 2
    value = partition.records["a"]
    assert wire.encode(written.record_of(value)) == value


def test_what_was_not_written_lately_is_decoded() -> None:
    written = WrittenJobs()
    partition = JobPartition({}, BOOK, minute(0), written)
    carry_out(partition, *(create(f"job-{number}") for number in range(WRITTEN_LATELY + 1)), at=0)
    assert len(written) == WRITTEN_LATELY
    first = partition.records["job-0"]
    assert written.record_of(first) is not written.record_of(first)
    assert written.record_of(first).job_id == "job-0"


def test_people_are_on_record_once_for_what_they_changed_in_the_order_of_it() -> None:
    partition = JobPartition({}, BOOK, minute(0), WrittenJobs())
    steps = [create("a"), moved("a", "dispatched", 1), moved("a", "en_route", 2)]
    again, refused = moved("a", "dispatched", 1), moved("a", "invoiced", 3)
    audit, records, answers = partition.carry_out([*steps, again, refused], minute(3))
    assert [(each.action, (each.after or {})["revision"]) for each in audit] == [
        ("created", 1),
        ("moved", 2),
        ("moved", 3),
    ]
    assert [each.revision for each in records] == [1, 2, 3]
    assert answers == [], "nobody awaits one"

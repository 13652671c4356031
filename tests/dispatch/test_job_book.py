import msgspec
import pytest

from dispatch.job_book import JobBook
from dispatch.lifecycle import OwnState
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.job import JobRecord
from schemas.job_command import EditJob, MoveJob, Refusal, Sender
from tests.dispatch.examples import DISPATCHER, TECHNICIAN, after, approach, create, minute, move, tell, told

BOOK = JobBook(DispatchRules())


def refusal(record: JobRecord | None, command: MoveJob | EditJob, book: JobBook = BOOK) -> Refusal:
    outcome = book.apply(record, command, command.issued_at)
    assert outcome.record is None
    assert outcome.answer.refusal is not None
    return outcome.answer.refusal


def edit(changes: dict[str, object], at: float = 10, if_revision: int | None = None) -> EditJob:
    return EditJob(
        job_id="job-1",
        sender=DISPATCHER,
        key=f"edit-{at}",
        issued_at=minute(at),
        changes=changes,
        if_revision=if_revision,
    )


def test_a_job_that_is_planned_is_scheduled_and_one_that_is_not_is_created() -> None:
    assert after(BOOK, create()).state == "scheduled"
    assert after(BOOK, create(technician_ids=[])).state == "created"


def test_a_day_that_logs_itself() -> None:
    record = after(BOOK, create(), tell(approach(50, 70, 100), recorded=101))
    assert told(record) == [
        ("created", 0, "dispatcher"),
        ("scheduled", 0, "dispatcher"),
        ("en_route", 50, "automatic"),
        ("on_site", 70, "automatic"),
        ("completed", 100, "automatic"),
    ]
    assert (record.travel_s, record.on_site_s, record.waiting_s) == (20 * 60.0, 30 * 60.0, 0.0)
    assert record.visit_ids == ["visit-70"]
    assert record.log[-1].actor == "van-1"
    assert record.log[-1].visit_id == "visit-70"


@pytest.mark.parametrize(("choice", "state"), [("left_incomplete", "left_incomplete"), ("nothing", "on_site")])
def test_what_leaving_means_is_the_tenants_choice(choice: str, state: str) -> None:
    book = JobBook(msgspec.convert({"on_leaving": choice}, DispatchRules))
    assert after(book, create(), tell(approach(50, 70, 100), recorded=101)).state == state


def test_who_comes_back_soon_has_not_left() -> None:
    first = after(BOOK, create(), tell(approach(50, 70, 100), recorded=101))
    assert first.state == "completed"
    back = after(BOOK, create(), tell(approach(50, 70, 100), approach(100, 110, None), recorded=113))
    assert back.state == "on_site"
    assert told(back)[-1] == ("on_site", 70, "automatic")


def test_two_technicians_are_there_until_the_last_has_left() -> None:
    one, other = (
        tell(approach(50, 70, 100), recorded=101),
        tell(approach(55, 75, None), recorded=102, device_id="van-2"),
    )
    assert after(BOOK, create(), one, other).state == "on_site"
    gone = tell(approach(55, 75, 120), recorded=121, device_id="van-2")
    record = after(BOOK, create(), one, other, gone)
    assert told(record)[2:] == [
        ("en_route", 50, "automatic"),
        ("on_site", 70, "automatic"),
        ("completed", 120, "automatic"),
    ]
    assert record.on_site_s == 50 * 60.0


def test_late_data_corrects_times_and_keeps_when_the_rest_was_recorded() -> None:
    early = after(BOOK, create(), tell(approach(50, 70, None), recorded=72))
    late = after(
        BOOK, create(), tell(approach(50, 70, None, "v"), recorded=72), tell(approach(50, 66, 90, "v"), recorded=200)
    )
    assert told(late)[2:] == [
        ("en_route", 50, "automatic"),
        ("on_site", 66, "automatic"),
        ("completed", 90, "automatic"),
    ]
    assert early.log[2].recorded_at == minute(72)
    assert [entry.recorded_at for entry in late.log[2:]] == [minute(72), minute(200), minute(200)]


def test_a_visit_that_is_taken_back_takes_its_entries_back() -> None:
    record = after(BOOK, create(), tell(approach(50, 70, 100), recorded=101), tell(recorded=150))
    assert record.state == "scheduled"
    assert record.visit_ids == []
    assert record.on_site_s is None


@pytest.mark.parametrize("word", ["cancelled", "rejected"])
def test_late_data_never_undoes_a_word(word: str) -> None:
    commands = (create(), move(word, 40, DISPATCHER), tell(approach(50, 70, 100), recorded=300))
    assert after(BOOK, *commands).state == word


def test_a_word_after_an_automatic_departure_stands() -> None:
    working = move("in_progress", 95)
    record = after(
        BOOK, create(), tell(approach(50, 70, None), recorded=72), working, tell(approach(50, 70, 90), recorded=96)
    )
    assert told(record)[-2:] == [("completed", 90, "automatic"), ("in_progress", 95, "technician")]


def test_who_says_done_tells_better_when_than_positions() -> None:
    done = move("completed", 101)
    record = after(
        BOOK, create(), tell(approach(50, 70, None), recorded=72), done, tell(approach(50, 70, 100), recorded=103)
    )
    assert told(record)[-2:] == [("on_site", 70, "automatic"), ("completed", 101, "technician")]


def test_who_says_en_route_when_already_there_does_not_leave_again() -> None:
    late = move("en_route", 71)
    record = after(BOOK, create(), late, tell(approach(50, 70, None), recorded=72))
    assert told(record)[2:] == [
        ("en_route", 50, "automatic"),
        ("en_route", 71, "technician"),
        ("on_site", 70, "automatic"),
    ]
    assert after(BOOK, create(), late, tell(approach(50, 70, 100), recorded=101)).state == "completed"


def test_who_sends_a_job_back_knowing_that_somebody_is_there_is_obeyed() -> None:
    record = after(BOOK, create(), tell(approach(50, 70, None), recorded=72), move("dispatched", 80, DISPATCHER))
    assert record.state == "dispatched"
    assert (
        after(
            BOOK,
            create(),
            tell(approach(50, 70, None), recorded=72),
            move("dispatched", 80, DISPATCHER),
            tell(approach(50, 70, 100), recorded=101),
        ).state
        == "dispatched"
    )


def test_a_technician_may_tell_of_earlier() -> None:
    record = after(BOOK, create(), move("on_site", 65), move("completed", 90))
    late = BOOK.apply(record, move("in_progress", 70, key="late"), minute(95)).record
    assert late is not None
    assert told(late)[2:] == [
        ("on_site", 65, "technician"),
        ("in_progress", 70, "technician"),
        ("completed", 90, "technician"),
    ]


def test_what_was_automatic_can_be_confirmed() -> None:
    record = after(BOOK, create(), tell(approach(50, 70, None), recorded=72), move("on_site", 75))
    assert told(record)[-2:] == [("on_site", 70, "automatic"), ("on_site", 75, "technician")]
    assert refusal(record, move("on_site", 76)).code == "not_allowed"


def test_a_refusal_says_what_is_allowed() -> None:
    refused = refusal(after(BOOK, create()), move("completed", 10))
    assert (refused.status, refused.code) == (409, "not_allowed")
    assert refused.allowed == ("en_route", "on_site", "in_progress", "rejected")
    assert refusal(after(BOOK, create()), move("completed", 10, DISPATCHER)).allowed == (
        "created",
        "dispatched",
        "en_route",
        "on_site",
        "in_progress",
        "rejected",
        "cancelled",
    )
    assert "no state 'melted'" in refusal(after(BOOK, create()), move("melted", 10)).detail


def test_the_same_command_is_done_once() -> None:
    record = after(BOOK, create(), move("en_route", 50, key="k"))
    again = BOOK.apply(record, move("en_route", 50, key="k"), minute(60))
    assert again.record is None
    assert again.answer.refusal is None
    assert again.answer.revision == record.revision
    later = after(BOOK, create(), move("en_route", 50, key="k"), move("on_site", 60))
    assert BOOK.apply(later, move("en_route", 50, key="k"), minute(61)).answer.revision == record.revision
    assert refusal(later, move("completed", 70, key="k")).code == "key_reused"


def test_creating_the_same_again_changes_nothing_and_another_is_refused() -> None:
    record = after(BOOK, create())
    assert BOOK.apply(record, create(key="other"), minute(5)).answer.refusal is None
    refused = BOOK.apply(record, create(key="other", title="another"), minute(5)).answer.refusal
    assert refused is not None
    assert refused.status == 409


def test_a_technician_moves_own_jobs_only() -> None:
    stranger = Sender("technician", "account:bo", "technician", "bo")
    assert refusal(after(BOOK, create()), move("en_route", 10, stranger)).code == "unknown_job"


def test_the_future_cannot_be_told() -> None:
    command = msgspec.structs.replace(move("en_route", 50), issued_at=minute(10))
    assert refusal(after(BOOK, create()), command).code == "in_the_future"


def test_an_edit_is_a_merge_patch_of_the_plan() -> None:
    record = after(BOOK, create(), edit({"title": "Boiler", "window_to": None, "parts": [{"sku": "x", "quantity": 2}]}))
    assert (record.title, record.window_to_ms, record.parts[0].sku) == ("Boiler", None, "x")
    assert BOOK.apply(record, edit({"title": "Boiler"}, at=11), minute(11)).record is None
    assert refusal(record, edit({"duration_s": "long"}, at=12)).code == "invalid_job"
    assert (
        refusal(
            record, edit({"window_from": "2020-01-01T00:00:00Z", "window_to": "2019-01-01T00:00:00Z"}, at=12)
        ).status
        == 400
    )
    assert refusal(record, edit({"title": "x"}, at=13, if_revision=1)).status == 412


def test_a_reassigned_job_keeps_what_the_first_technician_did() -> None:
    record = after(BOOK, create(), edit({"technician_ids": ["bo"]}, at=60))
    assert [(each.technician_id, each.from_ms, each.to_ms) for each in record.assignments] == [
        ("amina", None, minute(60)),
        ("bo", minute(60), None),
    ]


def test_a_tenants_own_state_lies_between() -> None:
    rules = DispatchRules(states={"awaiting_parts": OwnState(("on_site", "in_progress"), ("in_progress", "completed"))})
    book = JobBook(rules)
    commands = (create(), move("on_site", 70), move("awaiting_parts", 80))
    assert after(book, *commands).state == "awaiting_parts"
    assert after(book, *commands, tell(approach(50, 69, 100), recorded=101)).state == "completed"
    with pytest.raises(ValueError, match="no state"):
        DispatchRules(states={"x": OwnState(("nowhere",), ())})


def test_positions_count_time_without_moving_where_logging_is_off() -> None:
    record = after(BOOK, create(), tell(approach(50, 70, 100), recorded=101, moves=False))
    assert record.state == "scheduled"
    assert record.on_site_s == 30 * 60.0


def test_waiting_is_the_time_there_before_work_begins() -> None:
    early = after(BOOK, create(), tell(approach(20, 40, 100), recorded=101))
    assert early.waiting_s == 20 * 60.0
    begun = after(BOOK, create(), tell(approach(20, 40, None), recorded=43), move("in_progress", 45))
    assert begun.waiting_s == 2 * 60.0  # as far as the visit is known


def test_records_travel_unchanged() -> None:
    record = after(BOOK, create(), move("en_route", 50), tell(approach(50, 70, 100), recorded=101))
    assert wire.decode(JobRecord, wire.encode(record)) == record
    assert wire.decode(MoveJob, wire.encode(move("en_route", 50))) == move("en_route", 50)
    assert TECHNICIAN.technician_id == "amina"

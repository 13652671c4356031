"""Which jobs are archived, and from when on."""

from typing import Any

import msgspec
import pytest

from dispatch.archiving import archived_from_ms
from dispatch.job_book import JobBook
from dispatch.lifecycle import BUILT_IN, Lifecycle, OwnState
from dispatch.rules import DispatchRules
from schemas.job import JobRecord
from schemas.settings import Settings
from tests.dispatch.examples import DISPATCHER, after, approach, create, minute, move, tell

BOOK = JobBook(DispatchRules())
DAY_MS = 86_400_000


def done(**plan: Any) -> JobRecord:
    return after(BOOK, create(**plan), tell(approach(50, 70, 100), recorded=101))


def test_a_job_is_archived_so_long_after_its_last_change() -> None:
    job = done()
    assert (job.state, job.updated_at) == ("completed", minute(101))
    assert archived_from_ms(job, BUILT_IN, 400) == minute(101) + 400 * DAY_MS
    invoiced = after(BOOK, create(), tell(approach(50, 70, 100), recorded=101), move("invoiced", 500, DISPATCHER))
    assert archived_from_ms(invoiced, BUILT_IN, 400) == minute(500) + 400 * DAY_MS


@pytest.mark.parametrize(
    ("state", "is_archived"),
    [
        ("created", False),
        ("en_route", False),
        ("on_site", False),
        ("left_incomplete", False),
        ("completed", True),
        ("invoiced", True),
        ("rejected", True),
        ("cancelled", True),
    ],
)
def test_only_what_is_over_is_archived(state: str, *, is_archived: bool) -> None:
    job = msgspec.structs.replace(done(), state=state)
    assert (archived_from_ms(job, BUILT_IN, 31) is not None) is is_archived


def test_a_state_of_ones_own_is_archived_as_the_one_it_is_like() -> None:
    own = Lifecycle.extended_by({"paid": OwnState(from_=("invoiced",), to=(), like="invoiced")})
    job = msgspec.structs.replace(done(), state="paid")
    assert archived_from_ms(job, own, 31) is not None
    assert archived_from_ms(job, BUILT_IN, 31) is None, "a state that nobody knows is not over"


def test_nothing_is_archived_where_jobs_are_kept_for_good() -> None:
    assert archived_from_ms(done(), BUILT_IN, 0) is None


def test_what_others_are_made_of_stays_until_it_is_called_off() -> None:
    series = done(recurrence="FREQ=MONTHLY")
    assert archived_from_ms(series, BUILT_IN, 31) is None
    assert archived_from_ms(msgspec.structs.replace(series, state="cancelled"), BUILT_IN, 31) is not None


@pytest.mark.parametrize(("days", "is_taken"), [(0, True), (1, False), (30, False), (31, True), (4_000, True)])
def test_a_job_is_not_archived_while_late_positions_may_be_for_it(days: int, *, is_taken: bool) -> None:
    if is_taken:
        assert Settings(jobs_kept_days=days).jobs_kept_days == days
    else:
        with pytest.raises(ValueError, match="31 days at least, or 0"):
            Settings(jobs_kept_days=days)

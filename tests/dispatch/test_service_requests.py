"""What becomes of a service request: ids that follow, the job it is made into, events told once."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dispatch.events import NOTHING_OF_REQUEST, request_events
from dispatch.service_requests import as_it_stands, job_fields_of, plan_of, request_id_of
from schemas import wire
from schemas.job import Job, JobPlan
from schemas.service_request import Asker, RequestPlan, ServiceRequest, WishedWindow
from schemas.times import Instant

PLAN = RequestPlan(
    title="No heating",
    external_id="web-1",
    branch="north",
    customer=Asker("Hill"),
    address="1 Strand",
    description="Since Monday",
    wished=[WishedWindow(Instant(3_600_000), Instant(7_200_000)), WishedWindow(Instant(9_000_000), Instant(9_600_000))],
    skills=["gas"],
)
RECEIVED = ServiceRequest(
    **{name: getattr(PLAN, name) for name in RequestPlan.__struct_fields__},
    request_id="r",
    state="received",
    created_at=Instant(1_000),
    updated_at=Instant(1_000),
)
ACCEPTED = msgspec.structs.replace(RECEIVED, state="accepted", job_id="request-r", updated_at=Instant(2_000))
DECLINED = msgspec.structs.replace(RECEIVED, state="declined", reason="too far", updated_at=Instant(2_000))
JOB = Job(job_id="request-r", revision=1, created_at=Instant(1), updated_at=Instant(1), state="created")


def test_the_id_follows_from_the_external_id_within_a_branch_else_from_the_key_of_who_asks() -> None:
    assert request_id_of(PLAN, "a", "1") == request_id_of(PLAN, "b", "2")
    south = msgspec.structs.replace(PLAN, branch="south")
    assert request_id_of(PLAN, "a", "1") != request_id_of(south, "a", "1")
    without = msgspec.structs.replace(PLAN, external_id=None)
    assert request_id_of(without, "a", "1") == request_id_of(without, "a", "1")
    assert len({request_id_of(without, who, key) for who in "ab" for key in "12"}) == 4


def test_a_job_has_what_was_asked_for() -> None:
    job = wire.from_builtins(JobPlan, job_fields_of(RECEIVED))
    assert (job.title, job.notes, job.external_id, job.branch) == ("No heating", "Since Monday", "web-1", "north")
    assert (job.window_from_ms, job.window_to_ms, job.skills) == (3_600_000, 7_200_000, ["gas"])
    assert (job.customer_id, job.lat, job.address) == (None, None, "1 Strand")
    assert plan_of(RECEIVED) == PLAN


def test_a_request_whose_job_is_there_counts_as_accepted() -> None:
    assert as_it_stands(RECEIVED, None) is RECEIVED
    assert as_it_stands(ACCEPTED, JOB) is ACCEPTED
    for before in (RECEIVED, DECLINED):
        stands = as_it_stands(before, JOB)
        assert (stands.state, stands.job_id, stands.reason) == ("accepted", "request-r", None)


@given(st.lists(st.sampled_from([RECEIVED, ACCEPTED]), max_size=6))
def test_events_are_told_once_whatever_was_read_again_or_compacted_away(seen: list[ServiceRequest]) -> None:
    told, events = NOTHING_OF_REQUEST, []
    for request in seen:
        some, told = request_events(request, told, Instant(5_000))
        events += some
    types = [event.type for event in events]
    expected = ["request.received"] if seen else []
    if ACCEPTED in seen:
        expected.append("request.accepted")
    assert types == expected
    assert len({event.id for event in events}) == len(events)


def test_an_event_says_when_and_of_which_branch() -> None:
    received, declined = request_events(DECLINED, NOTHING_OF_REQUEST, Instant(5_000))[0]
    assert (received.time, declined.time, declined.recorded_at) == (1_000, 2_000, 5_000)
    assert (declined.subject, declined.branch, declined.data["request"]["reason"]) == ("r", "north", "too far")
    again = request_events(DECLINED, NOTHING_OF_REQUEST, Instant(6_000))[0]
    assert [event.id for event in again] == [received.id, declined.id]

"""What a customer says of their job: ratings and messages."""

import pytest

from schemas.topics import AUDIT, TRACKING
from schemas.tracking import MAX_MESSAGES, MAX_TEXT_CHARS
from tests.api.conftest import Door
from tests.api.test_pings import is_problem
from tests.api.tracking.office import link, move, track


def test_a_rating_is_left_once_it_is_done_and_can_be_changed(office: Door) -> None:
    token = link(office)
    path = f"/v1/track/{token}/rating"
    for state in ("dispatched", "en_route", "on_site"):
        move(office, state)
        assert is_problem(office.post(path, role=None, json={"rating": 5}), 409, "not_completed")
    move(office, "completed")
    said = {"rating": 2, "comment": " Late,\r\nbut kind\x07. "}
    seen = office.post(path, role=None, json=said).json()
    assert (seen["rating"], seen["comment"]) == (2, "Late,\nbut kind.")
    kept = len(office.log.records[TRACKING.name])
    assert office.post(path, role=None, json=said).status_code == 200
    assert len(office.log.records[TRACKING.name]) == kept, "the same again changes nothing"
    assert office.post(path, role=None, json={"rating": 4}).json()["comment"] is None
    assert track(office, token)["rating"] == 4
    words = office.get("/v1/jobs/j1/customer-words", role="viewer").json()
    assert (words["rating"], words["comment"], words["rated_at"]) == (4, None, "2026-03-02T08:15:10.001Z")
    written = [each for each in office.log.values(AUDIT) if each["action"] == "rated"]
    assert [(each["actor"]["way"], each["role"], each["after"]) for each in written] == [  # type: ignore[index]
        ("link", None, {"rating": 2}),
        ("link", None, {"rating": 4}),
    ]
    assert "Late" not in str(office.log.values(AUDIT))


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"rating": 0}', b'{"rating": 6}', b'{"rating": 3.5}', b'{"rating": "5"}', b"[]", b"\xff", b"",
     b'{"rating": 5, "job_id": "x"}', b'{"rating": 5, "comment": "' + b"x" * 1_001 + b'"}'],
)  # fmt: skip
def test_what_is_no_rating(office: Door, body: bytes) -> None:
    token = link(office)
    for state in ("on_site", "completed"):
        move(office, state)
    assert office.post(f"/v1/track/{token}/rating", role=None, content=body).status_code == 400
    assert TRACKING.name not in office.log.records


def test_messages_are_kept_once_each_until_it_is_over(office: Door) -> None:
    token = link(office)
    path = f"/v1/track/{token}/messages"
    first = office.post(path, role=None, json={"text": "Ring twice"})
    assert first.status_code == 201
    assert office.post(path, role=None, json={"text": " Ring twice\n"}).json() == first.json()
    assert office.post(path, role=None, json={"text": "\x00 "}).status_code == 400
    for number in range(1, MAX_MESSAGES):
        assert office.post(path, role=None, json={"text": f"{number}"}).status_code == 201
    assert is_problem(office.post(path, role=None, json={"text": "more"}), 409, "too_many_messages")
    words = office.get("/v1/jobs/j1/customer-words").json()["messages"]
    assert [each["text"] for each in words] == ["Ring twice", *map(str, range(1, MAX_MESSAGES))]
    assert len({each["message_id"] for each in words}) == MAX_MESSAGES
    assert words == office.log.values(TRACKING)[-1]["messages"]
    move(office, "cancelled")
    assert is_problem(office.post(path, role=None, json={"text": "Hello?"}), 409, "job_over")
    assert "Ring twice" not in str(track(office, token)), "who else has the link does not read it"


def test_a_message_is_no_larger_than_it_may_be(office: Door) -> None:
    path = f"/v1/track/{link(office)}/messages"
    assert office.post(path, role=None, json={"text": "\N{PILE OF POO}" * MAX_TEXT_CHARS}).status_code == 201
    assert office.post(path, role=None, json={"text": "x" * (MAX_TEXT_CHARS + 1)}).status_code == 400
    assert is_problem(office.post(path, role=None, content=b" " * 20_000), 413, "body_too_large")


def test_nothing_is_said_while_the_log_is_away_or_not_read(office: Door) -> None:
    token = link(office)
    office.log.down = True
    assert is_problem(office.post(f"/v1/track/{token}/messages", role=None, json={"text": "x"}), 503, "unavailable")
    assert office.post(f"/t/{token}/messages", role=None, data={"text": "x"}).status_code == 503
    office.log.down = False
    for model in (office.said, office.jobs):
        model.is_caught_up = False
        assert is_problem(office.get(f"/v1/track/{token}", role=None), 503, "unavailable")
        assert office.get(f"/t/{token}", role=None).status_code == 503
        model.is_caught_up = True
    office.said.is_caught_up = False
    for answer in (
        office.post("/v1/jobs/j1/tracking-link"),
        office.delete("/v1/jobs/j1/tracking-link"),
        office.get("/v1/jobs/j1/customer-words"),
    ):
        assert is_problem(answer, 503, "unavailable")

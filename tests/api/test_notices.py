"""Notices as they are listed: the newest first, page after page, of what one sees."""

from typing import Any

import pytest

from schemas.notice import Notice
from schemas.tables.notifications import COLUMNS, NOTIFICATIONS, of_rows
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_pings import is_problem

MINUTE_MS = 60_000


def noticed(job_id: str, minutes: int = 0, **fields: Any) -> Notice:
    """A notice to the customer of a job, so many minutes ago."""
    at = Instant(NOW_MS - minutes * MINUTE_MS)
    stated: dict[str, Any] = {"audience": "customer", "kind": "en_route", "status": "sent", "recipient_id": "weber"}
    stated |= {"notice_id": f"{job_id}-{minutes}", "event_at": at, "created_at": at, "updated_at": at} | fields
    return Notice(job_id=job_id, **stated)


@pytest.fixture
def told(door: Door) -> Door:
    door.history.noticed = [
        noticed("j1", 30, kind="dispatched"),
        noticed("j1", 20, channel="mail", sent_at=Instant(NOW_MS), attempt=2, from_ms=Instant(1), to_ms=Instant(2)),
        noticed("j1", 10, status="suppressed", reason="stale", kind="arrived"),
        noticed("j2", 5, audience="technician", kind="assigned", recipient_id="amina"),
        noticed("j3", 1, audience="dispatcher", kind="at_risk", status="failed", recipient_id=None),
    ]
    return door


def listed(door: Door, **asked: Any) -> list[str]:
    answer = door.get("/v1/notifications", params=asked)
    assert answer.status_code == 200, answer.text
    return [each["notice_id"] for each in answer.json()["items"]]


def test_the_newest_first_and_what_is_asked_for(told: Door) -> None:
    assert listed(told) == ["j3-1", "j2-5", "j1-10", "j1-20", "j1-30"]
    assert listed(told, job="j1") == ["j1-10", "j1-20", "j1-30"]
    assert listed(told, job="j1", status="sent") == ["j1-20", "j1-30"]
    assert listed(told, status="failed") == ["j3-1"]
    assert listed(told, audience="technician") == ["j2-5"]
    assert listed(told, kind="dispatched") == ["j1-30"]
    assert listed(told, recipient="amina") == ["j2-5"]
    assert listed(told, **{"from": NOW_MS - 10 * MINUTE_MS, "to": NOW_MS - MINUTE_MS}) == ["j2-5", "j1-10"]
    assert is_problem(told.get("/v1/notifications?status=lost"), 400, "invalid_request")


def test_page_after_page(told: Door) -> None:
    found, cursor = [], None
    while True:
        page = told.get("/v1/notifications", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [each["notice_id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == listed(told)


def test_what_is_shown_of_one(told: Door) -> None:
    (shown,) = told.get("/v1/notifications?kind=en_route").json()["items"]
    assert shown["window_from"] == "1970-01-01T00:00:00.001Z"
    assert (shown["status"], shown["channel"], shown["attempt"], shown["reason"]) == ("sent", "mail", 2, None)
    assert set(shown) == set(COLUMNS.names)


def test_a_row_says_all_of_a_notice(told: Door) -> None:
    rows = NOTIFICATIONS.batch(told.history.noticed)
    columns = [rows.column(name) for name in COLUMNS.names]
    plain = [column.view("int64") if str(column.type).startswith("timestamp") else column for column in columns]
    assert of_rows(zip(*(column.to_pylist() for column in plain), strict=True)) == told.history.noticed


def test_the_store_is_away(told: Door) -> None:
    told.history.down = True
    assert is_problem(told.get("/v1/notifications"), 503, "unavailable")

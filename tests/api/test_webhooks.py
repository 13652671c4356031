"""Webhooks over HTTP: made, changed, tried, replayed; and their secrets, which are shown once."""

import json
from typing import Any

import msgspec
import pytest

from dispatch.events import test_event as event_for
from schemas import wire
from schemas.event import EVENT_TYPES, OWN_STATE, Event, data_schema
from schemas.places import Branch
from schemas.settings import Settings
from schemas.times import Instant, format_instant
from schemas.topics import AUDIT, WEBHOOK_REPLAYS
from schemas.webhook import Attempted, Delivery, Replay, SigningSecret, WebhookRecord, new_secret
from tests.api.conftest import NOW_MS, Door
from tests.api.test_pings import is_problem

NEW = {"url": "https://erp.example.com/onsite", "events": ["job.*"]}


def hook(webhook_id: str, **changes: Any) -> WebhookRecord:
    fields = {
        "url": "https://erp.example.com",
        "events": ["*"],
        "webhook_id": webhook_id,
        "created_at": Instant(NOW_MS - 5),
        "updated_at": Instant(NOW_MS - 5),
        "signing": [SigningSecret(new_secret())],
    }
    return WebhookRecord(**fields | changes)  # type: ignore[arg-type]


def event(number: int, event_type: str = "job.completed", branch: str | None = None) -> Event:
    made = event_for("w", branch, str(number), Instant(NOW_MS + number))
    return msgspec.structs.replace(made, type=event_type, id=f"e{number}")


def secrets_of(door: Door) -> list[str]:
    return [each.secret for record in door.webhooks.records.values() for each in record.signing]


def test_from_the_beginning_to_the_end(door: Door) -> None:
    answer = door.post("/v1/webhooks", json=NEW)
    assert answer.status_code == 201
    made = answer.json()
    secret = made.pop("secret")
    assert secret == door.webhooks.records[made["webhook_id"]].signing[0].secret
    assert secret.startswith("whsec_")
    path = f"/v1/webhooks/{made['webhook_id']}"
    got = door.get(path)
    assert got.json() == made
    assert door.get(path, headers={"If-None-Match": got.headers["etag"]}).status_code == 304
    assert door.get("/v1/webhooks").json() == {"items": [made], "next_cursor": None}
    stale = door.patch(path, json={"active": False}, headers={"If-Match": '"1"'})
    assert is_problem(stale, 412, "changed")
    changed = door.patch(path, json={"active": False, "description": "invoices"}).json()
    assert (changed["active"], changed["description"], changed["url"]) == (False, "invoices", NEW["url"])
    assert door.delete(path).status_code == 204
    assert is_problem(door.get(path), 404, "unknown_webhook")
    assert door.get("/v1/webhooks").json()["items"] == []
    assert secrets_of(door) == []
    written = [json.loads(value or b"") for _, value in door.log.records[AUDIT.name]]
    assert [each["action"] for each in written] == ["created", "edited", "removed"]
    assert secret not in json.dumps(written)


@pytest.mark.parametrize(
    "content",
    [
        {"events": ["*"]},
        {**NEW, "url": "ftp://x.example"},
        {**NEW, "url": "http://127.0.0.1/x"},
        {**NEW, "url": "http://[::ffff:10.0.0.1]/x"},
        {**NEW, "url": "https://user:password@x.example"},
        {**NEW, "url": "x" * 3000},
        {**NEW, "events": []},
        {**NEW, "events": ["job"]},
        {**NEW, "events": ["j*"]},
        {**NEW, "branch": "ghost"},
        {**NEW, "secret": "whsec_x"},
        {**NEW, "webhook_id": "mine"},
        [],
    ],
)
def test_what_is_no_webhook(door: Door, content: Any) -> None:
    assert door.post("/v1/webhooks", json=content).status_code == 400
    assert not door.webhooks.records


def test_a_private_address_where_the_settings_allow_it() -> None:
    door = Door(settings=Settings(webhook_private_addresses=True))
    assert door.post("/v1/webhooks", json={**NEW, "url": "http://127.0.0.1:9/x"}).status_code == 201


def test_a_new_secret_and_the_one_before_for_a_day(door: Door) -> None:
    first = door.post("/v1/webhooks", json=NEW).json()
    path = f"/v1/webhooks/{first['webhook_id']}"
    second = door.post(f"{path}/secret").json()
    [record] = door.webhooks.records.values()
    assert [each.secret for each in record.signing] == [second["secret"], first["secret"]]
    assert record.signing[1].expires_at == NOW_MS + 86_400_000
    third = door.post(f"{path}/secret").json()
    assert secrets_of(door) == [third["secret"], second["secret"]]
    shown = door.get(path).text + json.dumps([str(value) for _, value in door.log.records[AUDIT.name]])
    assert not any(each["secret"] in shown for each in (first, second, third))


def test_a_webhook_that_was_disabled_is_made_active_again(door: Door) -> None:
    door.webhooks.put("w", hook("w", active=False, disabled_reason="the receiver answered 410 Gone"))
    assert door.get("/v1/webhooks/w").json()["disabled_reason"] == "the receiver answered 410 Gone"
    assert door.patch("/v1/webhooks/w", json={"active": True}).json()["disabled_reason"] is None


def test_it_is_tried_out(door: Door) -> None:
    record = hook("w")
    door.webhooks.put("w", record)
    door.sender.comes = Attempted(status=500, error=None, answer="oh no", duration_s=0.2)
    assert door.post("/v1/webhooks/w/test").json()["status"] == 500
    [(url, signing, sent)] = door.sender.sent
    assert (url, signing, sent.type, sent.subject) == (record.url, record.signing, "webhook.test", "w")


def delivery(number: int, outcome: Any) -> Delivery:
    return Delivery(
        webhook_id="w",
        event_id=f"e{number}",
        event_type="job.completed",
        branch=None,
        at=Instant(NOW_MS + number),
        outcome=outcome,
        attempt=1,
        status=500,
        error=None,
        answer="",
        duration_s=0.1,
        next_at=None,
    )


def test_deliveries_are_listed_newest_first_page_by_page(door: Door) -> None:
    door.webhooks.put("w", hook("w"))
    door.history.delivered = [delivery(number, ("delivered", "failed")[number % 2]) for number in range(6)]
    path = "/v1/webhooks/w/deliveries"
    first = door.get(path, params={"status": "failed", "limit": 2}).json()
    assert [each["event_id"] for each in first["items"]] == ["e5", "e3"]
    rest = door.get(path, params={"status": "failed", "limit": 2, "cursor": first["next_cursor"]}).json()
    assert ([each["event_id"] for each in rest["items"]], rest["next_cursor"]) == (["e1"], None)
    assert door.get(path, params={"status": "lost"}).status_code == 400


def replayed(door: Door) -> list[str]:
    records = door.log.records.pop(WEBHOOK_REPLAYS.name, [])
    return [wire.decode(Replay, value or b"").event.id for _, value in records]


def test_replays(door: Door) -> None:
    door.webhooks.put("w", hook("w", events=["job.*"]))
    door.history.told = [event(0), event(1, "visit.closed"), event(2, "job.late"), event(3)]
    path = "/v1/webhooks/w/replay"
    span = {"from": format_instant(NOW_MS), "to": format_instant(NOW_MS + 3)}
    assert door.post(path, json=span).json() == {"events": 2}
    assert replayed(door) == ["e0", "e2"]
    assert door.post(path, json={**span, "types": ["visit.closed"]}).status_code == 202
    assert replayed(door) == ["e1"]
    assert door.post(path, json={"event_ids": ["e1", "e3", "ghost"]}).json() == {"events": 2}
    assert replayed(door) == ["e1", "e3"]
    last = json.loads(door.log.records[AUDIT.name][-1][1] or b"")
    assert (last["action"], last["after"]["events"]) == ("replayed", 2)


@pytest.mark.parametrize(
    "order",
    [{}, {"from": 1}, {"from": 2, "to": 1}, {"event_ids": []}, {"event_ids": ["x"], "from": 1, "to": 2}, {"all": True}],
)
def test_what_is_no_replay(door: Door, order: Any) -> None:
    door.webhooks.put("w", hook("w"))
    assert is_problem(door.post("/v1/webhooks/w/replay", json=order), 400, "invalid_request")


def test_a_replay_is_of_the_webhooks_branch(door: Door) -> None:
    for branch, region in (("liverpool", "north-west"), ("hull", None)):
        door.registers["branches"].put(branch, Branch(branch=branch, name=branch, region=region))
    door.webhooks.put("w", hook("w", branch="north-west"))
    door.history.told = [event(0, branch="liverpool"), event(1, branch="hull"), event(2, branch="north-west"), event(3)]
    door.post("/v1/webhooks/w/replay", json={"event_ids": ["e0", "e1", "e2", "e3"]})
    assert replayed(door) == ["e0", "e2"]


def test_too_many_events_at_once(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.webhooks.MAX_REPLAYED", 2)
    door.webhooks.put("w", hook("w"))
    door.history.told = [event(number) for number in range(3)]
    answer = door.post("/v1/webhooks/w/replay", json={"event_ids": ["e0", "e1", "e2"]})
    assert is_problem(answer, 400, "too_many_events")
    assert replayed(door) == []


def test_nothing_before_they_are_read(door: Door) -> None:
    door.webhooks.is_caught_up = False
    assert is_problem(door.get("/v1/webhooks"), 503, "unavailable")
    assert is_problem(door.post("/v1/webhooks", json=NEW), 503, "unavailable")


def test_what_events_look_like_is_no_secret(door: Door) -> None:
    listed = door.get("/v1/events/schemas", role=None).json()["items"]
    assert [each["type"] for each in listed] == [*EVENT_TYPES, OWN_STATE]
    for each in listed:
        found = door.get(f"/v1/events/schemas/{each['type']}", role=None).json()
        assert found["schema"]["$id"] == each["dataschema"] == found["example"]["dataschema"]
        assert found["schema"] == data_schema(each["type"])
    unknown = door.get("/v1/events/schemas/job.vanished", role=None)
    assert is_problem(unknown, 404, "unknown_event_type")
    assert "job.completed" in unknown.json()["types"]

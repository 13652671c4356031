"""Everything that is held of a person: all of it, nothing of others, page after page, known to be whole or not."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from api.history import personal_data
from dispatch.holdings import Revision
from infra.errors import CommandError
from infra.export import fetch
from schemas.account import Account
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.times import Instant
from schemas.topics import AUDIT
from tests.api.conftest import NOW_MS, Door
from tests.api.test_devices import live
from tests.api.test_etas import eta
from tests.api.test_notices import noticed
from tests.api.test_pings import is_problem
from tests.api.test_visits import visit
from tests.fakes import make_key, token_of

WINDOW = {"window_from": "2026-03-02T09:00:00Z", "window_to": "2026-03-02T11:00:00Z"}


@pytest.fixture
def furnished(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Amina and Ben, a customer each, and of both everything there can be."""
    monkeypatch.setattr(personal_data, "_PAGE", 3)
    for who in ("amina", "ben"):
        for path, content in (
            ("technicians", {"technician_id": who, "name": who.title(), "device_ids": [f"van-{who}"]}),
            ("customers", {"customer_id": who, "name": who.title()}),
            ("sites", {"site_id": f"site-{who}", "customer_id": who, "lat": 53.4, "lon": -2.9}),
            ("jobs", {"job_id": f"for-{who}", "customer_id": who}),
            ("jobs", {"job_id": f"at-{who}", "site_id": f"site-{who}"}),
            ("jobs", {"job_id": f"by-{who}", "technician_ids": [who], **WINDOW}),
        ):
            assert door.post(f"/v1/{path}", json=content).status_code == 201
        for number in range(4):
            ends = {"from": {"kind": "supplier"}, "to": {"kind": "van", "place_id": who}}
            moved = {"movement_id": f"{who}-{number}", "sku": "filter", "quantity": "1", **ends}
            assert door.post("/v1/stock/movements", json=moved).status_code == 201
        assert door.post(f"/v1/technicians/{who}/calendar").status_code == 201
        door.put_live(live(f"van-{who}"))
        times = range(NOW_MS - 10_000, NOW_MS, 1_000)
        door.history.pings += [Ping(f"van-{who}", ts, 53.4, -2.9, 8.0, battery=0.5, received_ms=NOW_MS) for ts in times]
        for number, state in enumerate(("closed", "closed", "closed", "retracted")):
            stay = visit(f"{who}-{number}", number, device_id=f"van-{who}")
            door.history.log.append(msgspec.structs.replace(stay, state=state))
        told = [noticed(f"for-{who}", recipient_id=who), noticed(f"by-{who}", audience="technician", recipient_id=who)]
        door.history.noticed += told
        for number in range(4):
            refused = RejectedPing(f"van-{who}", "null_island", "x", Instant(NOW_MS), "json", str(number))
            door.history.refused.append(refused)
        for number in range(4):
            said_at = Instant(NOW_MS - 1_000 * number)
            door.history.said.append(eta(f"by-{who}", device_id=f"van-{who}", computed_at=said_at, seen_ms=said_at))
        door.accounts.records[who] = Account(who, "technician", "argon2id of it", Instant(1), technician_id=who)
        door.keys.records[f"key{who}"] = msgspec.structs.replace(
            make_key("device", device_id=f"van-{who}"), key_id=f"key{who}", secret_hash=f"hash of {who}"
        )
    assert door.patch("/v1/jobs/by-ben", json={"technician_ids": ["amina"]}).status_code == 200
    return door


def lines_of(door: Door, path: str) -> list[dict[str, Any]]:
    answer = door.get(path, role="operations_manager")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_technician(furnished: Door) -> None:
    lines = lines_of(furnished, "/v1/technicians/amina/data")
    assert lines[0] == {
        "kind": "export",
        "data": {"of": "technician", "id": "amina", "at": "2026-03-02T08:15:10.000Z", "devices": ["van-amina"]},
    }
    assert lines[-1] == {"kind": "end", "data": {"lines": len(lines) - 1}}
    counted = Counter(line["kind"] for line in lines)
    audited = counted.pop("audit")
    assert counted == {
        "export": 1, "technician": 1, "account": 1, "key": 1, "device": 1, "job": 2, "ping": 10, "visit": 4,
        "eta": 4, "rejected": 4, "stock": 4, "calendar": 1, "notice": 1, "end": 1,
    }  # fmt: skip
    assert audited == 3, "what was written of her and her calendar, and that all of it is read now"
    jobs = {line["data"]["job_id"] for line in lines if line["kind"] == "job"}
    assert jobs == {"by-amina", "by-ben"}
    (first, *_) = [line["data"] for line in lines if line["kind"] == "ping"]
    assert first == {
        "device_id": "van-amina", "ts": "2026-03-02T08:15:00.000Z", "lat": 53.4, "lon": -2.9, "accuracy_m": 8.0,
        "battery": 0.5, "received_at": "2026-03-02T08:15:10.000Z",
    }  # fmt: skip
    text = json.dumps(lines)
    assert "hash of" not in text
    assert "argon2id" not in text
    assert "van-ben" not in text


def test_once_assigned_is_told_for_good(furnished: Door) -> None:
    lines = lines_of(furnished, "/v1/technicians/ben/data")
    assert {line["data"]["job_id"] for line in lines if line["kind"] == "job"} == {"by-ben"}


def test_what_a_device_did_in_other_hands_is_not_theirs(furnished: Door) -> None:
    began_ms, handed_over_ms = NOW_MS - 3_600_000, NOW_MS - 5_000
    furnished.erasure_store.revisions = [
        Revision(began_ms, "ben", ("van-ben", "van-amina")),
        Revision(handed_over_ms, "ben", ("van-ben",)),
    ]
    furnished.clock.moment_ms += 1
    [amina, ben] = [lines_of(furnished, f"/v1/technicians/{who}/data") for who in ("amina", "ben")]
    assert amina[0]["data"]["devices"] == ["van-amina"]
    assert ben[0]["data"]["devices"] == ["van-amina", "van-ben"]

    def fixes(lines: list[dict[str, Any]]) -> Counter[str]:
        return Counter(line["data"]["device_id"] for line in lines if line["kind"] == "ping")

    assert fixes(ben)["van-ben"] == 10
    assert (fixes(amina)["van-amina"], fixes(ben)["van-amina"]) == (0, 5), "hers from the record on, his before"


def test_a_customer(furnished: Door) -> None:
    lines = lines_of(furnished, "/v1/customers/amina/data")
    counted = Counter(line["kind"] for line in lines)
    assert counted == {"export": 1, "customer": 1, "site": 1, "job": 2, "notice": 1, "audit": 3, "end": 1}
    assert {line["data"]["job_id"] for line in lines if line["kind"] == "job"} == {"for-amina", "at-amina"}


def test_that_it_was_read_is_on_record(furnished: Door) -> None:
    lines_of(furnished, "/v1/technicians/amina/data")
    record = furnished.log.values(AUDIT)[-1]
    assert (record["action"], record["kind"], record["id"]) == ("exported", "technician", "amina")
    assert (record.get("before"), record.get("after")) == (None, None)


def test_removed_ones_have_data_too(furnished: Door) -> None:
    assert furnished.delete("/v1/customers/ben").status_code in (204, 409)
    assert lines_of(furnished, "/v1/customers/ben/data")[1]["data"]["customer_id"] == "ben"


def test_what_is_not_known_yet_or_not_there(furnished: Door) -> None:
    assert is_problem(furnished.get("/v1/technicians/ghost/data"), 404, "unknown_technician")
    assert is_problem(furnished.get("/v1/customers/ghost/data"), 404, "unknown_customer")
    furnished.accounts.is_caught_up = False
    assert is_problem(furnished.get("/v1/technicians/amina/data"), 503, "unavailable")
    furnished.accounts.is_caught_up = True
    furnished.history.down = True
    assert is_problem(furnished.get("/v1/technicians/amina/data"), 503, "unavailable")
    furnished.history.down, furnished.log.down = False, True
    assert is_problem(furnished.get("/v1/technicians/amina/data"), 503, "unavailable")


def fetched(transport: httpx.AsyncBaseTransport, output: Path, path: str = "/v1/technicians/amina/data") -> int:
    return anyio.run(fetch, "http://onsite", token_of("admin"), path, output, transport)


def test_it_goes_into_a_file_for_its_owner(furnished: Door, tmp_path: Path) -> None:
    output = tmp_path / "amina.ndjson"
    count = fetched(httpx.ASGITransport(furnished.app), output)
    assert len(output.read_text().splitlines()) == count > 20
    assert output.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("body", [b"", b'{"kind":"export"}\n', b'{"kind":"end","data":{"lines":3}}\n', b"{"])
def test_what_breaks_off_is_no_file(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(CommandError, match="try again"):
        fetched(httpx.MockTransport(lambda _: httpx.Response(200, content=body)), tmp_path / "amina.ndjson")
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_is_told(furnished: Door, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="404: there is no technician 'ghost'"):
        fetched(httpx.ASGITransport(furnished.app), tmp_path / "x", "/v1/technicians/ghost/data")
    with pytest.raises(CommandError, match="cannot be written"):
        fetched(httpx.ASGITransport(furnished.app), tmp_path / "none" / "x")


def test_a_customers_corrected_addresses_and_requests_are_theirs(furnished: Door) -> None:
    by_address = {"job_id": "by-address", "customer_id": "amina", "address": "1 Strand"}
    furnished.post("/v1/jobs", json=by_address)
    furnished.patch("/v1/jobs/by-address", json={"lat": 53.4, "lon": -2.9})
    stated = furnished.post("/v1/requests", json={"title": "x", "customer_id": "amina"}).json()
    furnished.post("/v1/requests", json={"title": "x", "customer_id": "ben"})
    new = furnished.post("/v1/requests", json={"title": "y", "customer": {"name": "Cleo"}}).json()
    made = furnished.post(f"/v1/requests/{new['request_id']}/accept", json={}).json()["job"]["customer_id"]

    def told(customer_id: str, kind: str) -> list[dict[str, Any]]:
        lines = furnished.get(f"/v1/customers/{customer_id}/data").text.splitlines()
        return [line["data"] for line in map(json.loads, lines) if line["kind"] == kind]

    assert [each["address"] for each in told("amina", "place")] == ["1 Strand"]
    assert [each["request_id"] for each in told("amina", "request")] == [stated["request_id"]]
    assert [each["customer"]["name"] for each in told(made, "request")] == ["Cleo"]
    kinds = {(each["kind"], each["action"]) for each in told("amina", "audit")}
    assert {("place", "corrected"), ("request", "received")} <= kinds


def test_what_was_said_through_a_link_is_held_of_the_customer_and_of_who_was_there(furnished: Door) -> None:
    token = furnished.post("/v1/jobs/for-amina/tracking-link").json()["token"]
    assert furnished.post(f"/v1/track/{token}/messages", role=None, json={"text": "Ring twice"}).status_code == 201
    said = [line["data"] for line in lines_of(furnished, "/v1/customers/amina/data") if line["kind"] == "tracking"]
    assert [(each["job_id"], each["messages"][0]["text"]) for each in said] == [("for-amina", "Ring twice")]
    assert not [line for line in lines_of(furnished, "/v1/technicians/ben/data") if line["kind"] == "tracking"]
    assert furnished.patch("/v1/jobs/for-amina", json={"technician_ids": ["ben"]}).status_code == 200
    assert [line for line in lines_of(furnished, "/v1/technicians/ben/data") if line["kind"] == "tracking"]

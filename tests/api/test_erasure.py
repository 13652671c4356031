"""Erasing over in-memory ports: step after step, each of which may be done again, and nothing of the person after."""

import json
from typing import Any

import anyio
import msgspec
import pytest

from api.erasure import eraser as erasing
from api.erasure.eraser import Eraser
from api.erasure.statements import mutations
from dispatch.holdings import Revision
from schemas import topics, wire
from schemas.account import Account
from schemas.calendar import new_feed
from schemas.erasure import STEPS, ErasedSpan, Erasure, Honoured, Subject, mark_of
from schemas.remembered_place import RememberedPlace
from schemas.tables import TABLES
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_devices import live
from tests.api.test_etas import eta
from tests.api.test_fences import circle
from tests.api.test_pings import GOOD, is_problem
from tests.fakes import make_key, token_of

HOUR_MS = 3_600_000
HER = {
    "technician_id": "amina",
    "name": "Amina Okafor",
    "device_ids": ["van-1", "phone-1"],
    "contact": {"phone": "+44 1", "email": "amina@example.com"},
}


@pytest.fixture
def company(door: Door) -> Door:
    """Amina and Ben at work; a customer with a site and a fence of their own."""
    assert door.post("/v1/technicians", json=HER).status_code == 201
    door.post("/v1/technicians", json={"technician_id": "ben", "name": "Ben", "device_ids": ["van-2"]})
    door.put("/v1/fences/home", json=circle("home"))
    door.put("/v1/fences/shared", json=circle("shared"))
    door.post("/v1/customers", json={"customer_id": "weber", "name": "Weber", "contact": {"phone": "0151 1"}})
    for site, fence in (("weber-home", "home"), ("weber-shop", "shared")):
        door.post("/v1/sites", json={"site_id": site, "customer_id": "weber", "fence_id": fence})
    door.post("/v1/sites", json={"site_id": "mall", "fence_id": "shared"})
    for job_id, who in (("hers", ["amina"]), ("bens", ["ben"])):
        door.post("/v1/jobs", json={"job_id": job_id, "technician_ids": who, "notes": "Amina Okafor knows"})
    door.post("/v1/jobs", json={"job_id": "webers", "site_id": "weber-home", "customer_id": "weber"})
    door.accounts.records["amina"] = Account("amina", "technician", "x", Instant(1), technician_id="amina")
    door.accounts.records["office"] = Account("office", "dispatcher", "x", Instant(1))
    for key_id, device_id in (("keyhers", "phone-1"), ("keybens", "van-2")):
        token = make_key("device", device_id=device_id)
        door.keys.records[key_id] = msgspec.structs.replace(token, key_id=key_id)
    for device_id in ("van-1", "van-2", "phone-1"):
        door.put_live(live(device_id))
    for job_id, device_id, who in (("hers", "van-1", "amina"), ("bens", "van-2", "ben")):
        door.etas.put(job_id, eta(job_id, device_id=device_id, technician_id=who))
    door.erasure_store.revisions = [
        Revision(NOW_MS - 8 * HOUR_MS, "amina", ("van-1", "van-2")),
        Revision(NOW_MS - 4 * HOUR_MS, "amina", ("van-1", "phone-1")),
        Revision(NOW_MS - 4 * HOUR_MS, "ben", ("van-2",)),
    ]
    door.clock.moment_ms += 1_000
    return door


def eraser_of(door: Door) -> Eraser:
    return Eraser(door.services, door.erasure_book, door.erasure_store, door.erasure_store)


def go_on(door: Door, erasure_id: str) -> Erasure:
    async def run() -> Erasure:
        return await eraser_of(door).go_on(door.erasures.records[erasure_id])

    return anyio.run(run)


def honour(door: Door, erasure_id: str) -> None:
    """Trackers and foremen have forgotten."""
    for number in range(door.settings.partitions):
        for part in ("tracker", "foreman"):
            word = Honoured(erasure_id, part, number)  # type: ignore[arg-type]
            door.honoured.put(word.key, word)


def ordered(door: Door, path: str) -> dict[str, Any]:
    answer = door.delete(path)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/erasures/{answer.json()['erasure_id']}"
    content: dict[str, Any] = answer.json()
    return content


def erased(door: Door, path: str) -> str:
    erasure_id: str = ordered(door, path)["erasure_id"]
    honour(door, erasure_id)
    assert go_on(door, erasure_id).is_out_of_reach
    return erasure_id


def test_a_technician(company: Door) -> None:
    erasure_id = erased(company, "/v1/technicians/amina/data")
    shown = company.get(f"/v1/erasures/{erasure_id}").json()
    assert (list(shown["done"]), shown["next_step"], shown["out_of_reach"]) == (list(STEPS[:-1]), "log", True)
    for path in ("technicians/amina", "technicians/amina/data", "devices/van-1", "devices/phone-1"):
        assert company.get(f"/v1/{path}").status_code == 404, path
    assert company.get("/v1/devices/van-2").status_code == 200
    assert set(company.etas.records) == {"bens"}
    assert set(company.accounts.records) == {"office"}
    assert "keyhers" not in company.keys.records
    assert "keybens" in company.keys.records
    job = company.get("/v1/jobs/hers").json()
    assert (job["technician_ids"], job["notes"]) == ([], "[erased] knows")
    job = company.get("/v1/jobs/bens").json()
    assert (job["technician_ids"], job["notes"]) == (["ben"], "[erased] knows")


def test_spans_are_those_in_which_she_held_a_device(company: Door) -> None:
    erasure = company.erasures.records[ordered(company, "/v1/technicians/amina/data")["erasure_id"]]
    now_ms, handed_over_ms = company.clock.moment_ms + 1, NOW_MS - 4 * HOUR_MS
    assert {(each.device, int(each.from_ms), int(each.to_ms)) for each in erasure.spans} == {
        (mark_of("device", "van-1"), 0, now_ms),
        (mark_of("device", "van-2"), 0, handed_over_ms),
        (mark_of("device", "phone-1"), 0, now_ms),
    }


def test_what_is_asked_of_the_store_is_bound_and_whole(company: Door) -> None:
    company.erasure_store.words = ["Amina Smith", "Amina", "x"]
    erased(company, "/v1/technicians/amina/data")
    by_table = {statement.split()[2]: (statement, bound) for statement, bound in company.erasure_store.carried_out}
    assert set(by_table) == {
        "pings", "rejected", "visits", "visit_revisions", "jobs", "technicians", "holdings", "audit", "events",
        "webhook_deliveries", "stock_movements", "etas", "notifications", "ratings",
    }  # fmt: skip
    said = json.dumps(company.erasure_store.carried_out).lower()
    assert not [each for each in ("amina", "van-1", "phone-1", "keyhers", "+44") if each in said], "the store keeps it"
    looked_up: dict[str, list[str]] = {}
    for name, value, _ in company.erasure_store.values:
        looked_up.setdefault(name, []).append(value)
    assert looked_up["word"] == ["+44 1", "Amina", "Amina Okafor", "Amina Smith", "amina@example.com"]
    assert '"amina"' in looked_up["needle"]
    assert "Amina" not in looked_up["needle"], "there may be others of that name"
    revisions = {value: number for name, value, number in company.erasure_store.values if name == "job_id"}
    assert revisions == {each: company.jobs.records[each].revision for each in ("bens", "hers")}, "hers, and of her"


def test_no_table_and_no_topic_is_forgotten() -> None:
    """Whoever adds one says here what becomes of people in it."""
    subject = Subject("x", device_ids=["d"])
    concerned = set()
    for kind in ("technician", "customer"):
        erasure = Erasure(
            erasure_id="e", kind=kind, person="x", at=Instant(0),
            spans=[ErasedSpan(mark_of("device", "d"), Instant(0), Instant(1))],
        )  # fmt: skip
        concerned |= {each.table for each in mutations(erasure, subject)}
    of_nobody = {"branches", "depots", "invoices"}
    assert {table.name for table in TABLES.values()} <= concerned | of_nobody


def test_what_was_erased_does_not_come_in_again_and_what_is_of_others_does(company: Door) -> None:
    erasure_id = ordered(company, "/v1/technicians/amina/data")["erasure_id"]

    def posted(device_id: str, at_ms: int) -> list[str]:
        body = [{**GOOD, "device_id": device_id, "ts": at_ms}]
        told = company.post("/v1/pings", json=body).json()["rejected"]
        return [each["reason"].partition(":")[0] for each in told]

    assert posted("van-2", NOW_MS - 5 * HOUR_MS) == ["erased"]
    assert posted("van-2", NOW_MS - 3 * HOUR_MS) == []
    assert posted("phone-1", NOW_MS - HOUR_MS) == ["erased"]
    assert posted("van-1", company.clock.moment_ms + 5) == []
    app = company.get("/v1/ingest/osmand", params={"id": "van-1", "lat": 1, "lon": 2, "timestamp": NOW_MS // 1000 - 60})
    assert app.headers["onsite-rejected"] == "erased"
    company.clock.moment_ms += 10
    go_on(company, erasure_id)
    assert posted("van-1", company.clock.moment_ms - 5) == ["erased"], "up to when she was struck from the register"
    assert posted("van-1", company.clock.moment_ms + 5) == []
    assert 'onsite_pings_rejected_total{code="erased"} 4.0' in company.get("/metrics").text
    company.erasures.is_caught_up = False
    assert is_problem(company.post("/v1/pings", json=[GOOD]), 503, "unavailable")


def test_it_is_on_record_without_saying_of_whom(company: Door) -> None:
    before = len(company.log.values(topics.AUDIT))
    erasure_id = erased(company, "/v1/technicians/amina/data")
    (record,) = company.log.values(topics.AUDIT)[before:]
    assert (record["action"], record["kind"], record["id"]) == ("erased", "technician", erasure_id)
    assert "amina" not in json.dumps(record).lower()


def test_it_waits_for_trackers_and_says_so(company: Door) -> None:
    erasure_id = ordered(company, "/v1/technicians/amina/data")["erasure_id"]
    waiting = go_on(company, erasure_id)
    assert (waiting.next_step, waiting.trouble.partition(":")[0]) == ("tracks", "waiting for foreman and tracker")
    honour(company, erasure_id)
    company.erasure_store.down = True
    assert go_on(company, erasure_id).trouble == "waiting for the recorder: not everything is in the store yet"
    company.erasure_store.down = False
    assert go_on(company, erasure_id).is_out_of_reach
    assert company.honoured.records == {}, "the words of trackers and foremen are not needed any more"


@pytest.mark.parametrize("step", STEPS[:-1])
def test_whoever_dies_in_a_step_is_followed(company: Door, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """What a step has done is done again by another process; the outcome is the same."""
    erasure_id = ordered(company, "/v1/technicians/amina/data")["erasure_id"]
    honour(company, erasure_id)
    dying = eraser_of(company)
    carry_out = dying._steps[step]  # type: ignore[index]

    async def die(erasure: Erasure, subject: Any) -> int:
        await carry_out(erasure, subject)
        raise KeyboardInterrupt

    monkeypatch.setitem(dying._steps, step, die)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        anyio.run(dying.go_on, company.erasures.records[erasure_id])
    honour(company, erasure_id)
    assert go_on(company, erasure_id).is_out_of_reach
    assert company.get("/v1/technicians/amina").status_code == 404
    assert company.jobs.records["hers"].erasures == [erasure_id]


def test_asked_for_again_it_is_the_same(company: Door) -> None:
    first = ordered(company, "/v1/technicians/amina/data")["erasure_id"]
    assert company.delete("/v1/technicians/amina/data").json()["erasure_id"] == first
    honour(company, first)
    go_on(company, first)
    assert company.delete("/v1/technicians/amina/data").json()["erasure_id"] == first
    assert company.post("/v1/technicians", json=HER).status_code == 201, "the id is free again"
    again = company.delete("/v1/technicians/amina/data")
    assert again.json()["erasure_id"] != first


def test_at_last_the_broker_is_brought_to_compact_and_nobody_is_named(company: Door) -> None:
    erasure_id = erased(company, "/v1/technicians/amina/data")
    revision = company.jobs.records["hers"].revision
    apart_ms = round(1000 * (company.settings.compaction_lag_s + erasing.CLEANER_S))
    for number in range(1, 4):
        kept = go_on(company, erasure_id)
        assert (kept.compactions, kept.finished_at) == (number - 1, None), "not before it is time"
        company.clock.moment_ms += apart_ms
        kept = go_on(company, erasure_id)
        assert (kept.compactions, kept.subject) == (number, None)
    assert kept.finished_at is not None
    assert company.jobs.records["hers"].revision == revision + 1, "written again, so that what was before goes"
    nudged = [key for key, value in company.log.records[topics.TECHNICIANS.name] if value is None]
    assert sum(key.startswith(".nudge-") for key in nudged) == 3 * 128
    last = company.log.records[topics.ERASURES.name][-4][1]
    assert last is None or "amina" not in last.decode()
    assert "amina" not in wire.encode(company.erasures.records[erasure_id]).decode()


def test_a_customer_goes_when_their_jobs_are_over(company: Door) -> None:
    answer = company.delete("/v1/customers/weber/data")
    assert is_problem(answer, 409, "open_jobs")
    assert "webers" in answer.json()["detail"]
    cancelled = company.post("/v1/jobs/webers/transitions", json={"to": "cancelled"}, headers={"Idempotency-Key": "x"})
    assert cancelled.status_code == 200
    erasure_id = erased(company, "/v1/customers/weber/data")
    assert company.registers["customers"].records == {}
    assert set(company.registers["sites"].records) == {"mall"}
    assert set(company.fences.records) == {"shared"}, "a fence that others use stays"
    job = company.get("/v1/jobs/webers").json()
    assert (job["customer_id"], job["site_id"]) == (erasure_id, None)


def test_what_a_customer_asked_for_goes_and_what_others_did_stays(company: Door) -> None:
    ours, others = (
        company.post("/v1/requests", json={"title": "Leak", "customer_id": "weber"}).json()["request_id"],
        company.post(
            "/v1/requests", json={"title": "Leak", "customer": {"name": "Mall"}, "address": "1 Strand"}
        ).json()["request_id"],
    )
    at = Instant(NOW_MS)
    for place_id, customer_id in (("p1", "weber"), ("p2", "mall")):
        place = RememberedPlace(
            place_id=place_id, address=place_id, words=[place_id], lat=53.4, lon=-2.9, job_id="webers", updated_at=at,
            customer_id=customer_id,
        )  # fmt: skip
        company.places.put(place_id, place)
    company.post("/v1/jobs/webers/transitions", json={"to": "cancelled"})
    erased(company, "/v1/customers/weber/data")
    assert company.requests.records.keys() == {others}
    assert company.places.records.keys() == {"p2"}
    statements = [statement for statement, _ in company.erasure_store.carried_out if " requests " in statement]
    assert len(statements) == 1
    assert ("request_id", ours, 0) in company.erasure_store.values


def test_what_was_said_through_links_goes_and_the_stars_stay(company: Door) -> None:
    for job_id in ("hers", "webers"):
        token = company.post(f"/v1/jobs/{job_id}/tracking-link").json()["token"]
        assert company.post(f"/v1/track/{token}/messages", role=None, json={"text": "Ring twice"}).status_code == 201
        for state in ("on_site", "completed"):
            assert company.post(f"/v1/jobs/{job_id}/transitions", json={"to": state}).status_code == 200
        said = {"rating": 4, "comment": "Amina is kind"}
        assert company.post(f"/v1/track/{token}/rating", role=None, json=said).status_code == 200
    erased(company, "/v1/technicians/amina/data")
    words = company.get("/v1/jobs/hers/customer-words").json()
    assert (words["rating"], words["comment"], words["messages"]) == (4, None, [])
    assert company.get("/v1/jobs/webers/customer-words").json()["comment"] == "Amina is kind"
    assert company.get(f"/v1/track/{token}", role=None).status_code == 200
    erased(company, "/v1/customers/weber/data")
    words = company.get("/v1/jobs/webers/customer-words").json()
    assert (words["rating"], words["comment"], words["messages"]) == (4, None, [])
    assert is_problem(company.get(f"/v1/track/{token}", role=None), 404, "unknown_link"), "nobody's any more"
    again = company.post("/v1/jobs/webers/tracking-link").json()["token"]
    assert is_problem(company.get(f"/v1/track/{again}", role=None), 404, "unknown_link")


def test_her_calendar_goes_with_a_technician(company: Door) -> None:
    for technician_id in ("amina", "ben"):
        company.calendars.put(technician_id, new_feed(technician_id, Instant(NOW_MS))[0])
    erased(company, "/v1/technicians/amina/data")
    assert company.calendars.records.keys() == {"ben"}


def test_an_account(company: Door) -> None:
    assert is_problem(company.delete("/v1/accounts/amina/data"), 409, "of_a_technician")
    erased(company, "/v1/accounts/office/data")
    assert set(company.accounts.records) == {"amina"}
    assert is_problem(company.delete("/v1/accounts/ghost/data"), 404, "unknown_account")


def test_what_is_not_known_yet_or_not_there(company: Door) -> None:
    assert is_problem(company.delete("/v1/technicians/ghost/data"), 404, "unknown_technician")
    assert is_problem(company.get("/v1/erasures/ghost"), 404, "unknown_erasure")
    company.jobs.is_caught_up = False
    assert is_problem(company.delete("/v1/technicians/amina/data"), 503, "unavailable")
    company.jobs.is_caught_up = True
    company.erasure_store.down = True
    assert is_problem(company.delete("/v1/technicians/amina/data"), 503, "unavailable")
    assert company.get("/v1/technicians/amina", headers={"Authorization": f"Bearer {token_of('admin')}"}).is_success

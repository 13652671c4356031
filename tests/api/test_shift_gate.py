"""Privacy by shift: what is taken outside one is dropped at every door, by when it was taken, and leaves no trace."""

import json
from typing import Any

import msgspec
import pytest

from dispatch.rules import DispatchRules, read_rules_of_dispatch
from schemas.people import Technician
from schemas.times import format_instant
from schemas.topics import PINGS, PINGS_REJECTED
from tests.api.conftest import NOW_MS, Door
from tests.api.test_devices import live
from tests.api.test_ingest import SENT
from tests.api.test_pings import GOOD, NDJSON, is_problem
from tests.fakes import make_key

WEEKLY = {"from": "09:00", "to": "16:00", "weekly": ["mon"], "time_zone": "Europe/London"}
"""NOW_MS is a Monday, 08:15:10 in London: the margin of half an hour begins in a quarter of an hour."""

INSIDE = ("2026-02-23T08:30:00Z", "2026-02-23T12:00:00Z", "2026-02-23T16:29:59.999Z")
OUTSIDE = ("2026-02-23T08:29:59.999Z", "2026-02-23T16:30:00Z", "2026-02-24T12:00:00Z", "2026-03-02T08:15:00Z")
MINUTE_MS = 60_000


def employ(door: Door, technician_id: str, *devices: str, shifts: list[dict[str, Any]] | None = None) -> None:
    content = {"technician_id": technician_id, "name": "A", "device_ids": list(devices), "shifts": shifts or []}
    assert door.post("/v1/technicians", json=content).status_code == 201


@pytest.fixture
def at_work(door: Door) -> Door:
    """A door that knows somebody who works on Mondays and holds the devices of all examples."""
    employ(door, "amina", "van-12", "jane-phone", "48241179", shifts=[WEEKLY])
    return door


def posted(door: Door, times: tuple[str, ...], device_id: str = "van-12") -> dict[str, Any]:
    body = [{**GOOD, "device_id": device_id, "ts": ts} for ts in times]
    answer = door.post("/v1/pings", json=body)
    assert answer.status_code == 202
    content: dict[str, Any] = answer.json()
    return content


def test_a_fix_counts_by_when_it_was_taken(at_work: Door) -> None:
    assert posted(at_work, INSIDE) == {"accepted": 3, "rejected": []}
    answer = posted(at_work, OUTSIDE)
    assert (answer["accepted"], [each["index"] for each in answer["rejected"]]) == (0, [0, 1, 2, 3])
    assert {each["reason"].partition(":")[0] for each in answer["rejected"]} == {"off_shift"}
    assert len(at_work.log.records[PINGS.name]) == 3
    assert PINGS_REJECTED.name not in at_work.log.records
    metrics = at_work.get("/metrics").text
    assert 'onsite_pings_rejected_total{code="off_shift"} 4.0' in metrics
    assert "onsite_pings_accepted_total 3.0" in metrics


def test_the_index_is_that_of_the_body_among_good_and_bad_ones(at_work: Door) -> None:
    good, off = {**GOOD, "ts": INSIDE[0]}, {**GOOD, "ts": OUTSIDE[0]}
    lines = [good, {**off, "lat": 95}, off, good, off, {"device_id": "other", "ts": 1}]
    answer = at_work.post("/v1/pings", content="\n".join(map(json.dumps, lines)), headers=NDJSON).json()
    assert answer["accepted"] == 2
    told = [(each["index"], each["reason"].partition(":")[0]) for each in answer["rejected"]]
    assert told == [(1, "lat_out_of_range"), (2, "off_shift"), (4, "off_shift"), (5, "missing_field")]


@pytest.mark.parametrize(("protocol", "method", "sent", "answered", "device_id"), SENT)
def test_every_door_drops_and_answers_as_if_all_was_well(
    at_work: Door, protocol: str, method: str, sent: dict[str, Any], answered: bytes, device_id: str
) -> None:
    answer = at_work.request(method, f"/v1/ingest/{protocol}", "device", **sent)
    assert (answer.status_code, answer.content) == (200, answered)
    assert (answer.headers["onsite-accepted"], answer.headers["onsite-rejected"]) == ("0", "off_shift")
    assert not at_work.log.records.keys() & {PINGS.name, PINGS_REJECTED.name}


def test_who_is_not_judged(door: Door) -> None:
    employ(door, "always", "van-12")
    assert posted(door, OUTSIDE)["accepted"] == 4
    assert posted(door, OUTSIDE, "nobodys")["accepted"] == 4
    employ(door, "amina", "van-13", shifts=[WEEKLY])
    assert posted(door, OUTSIDE, "van-13")["accepted"] == 0


def test_a_change_of_shifts_counts_at_once(at_work: Door) -> None:
    assert posted(at_work, OUTSIDE)["accepted"] == 0
    longer = [{**WEEKLY, "from": "07:00"}]
    assert at_work.patch("/v1/technicians/amina", json={"shifts": longer}).status_code == 200
    assert posted(at_work, OUTSIDE)["accepted"] == 2
    assert at_work.patch("/v1/technicians/amina", json={"shifts": None}).status_code == 200
    assert posted(at_work, OUTSIDE)["accepted"] == 4


def test_a_tenant_may_have_it_otherwise() -> None:
    door = Door(rules=read_rules_of_dispatch(b"store_off_shift = true"))
    employ(door, "amina", "van-12", shifts=[WEEKLY])
    door.registers["technicians"].is_caught_up = False
    assert posted(door, OUTSIDE)["accepted"] == 4
    assert door.post("/v1/pings", json={**GOOD, "lat": 95}).json()["accepted"] == 0
    assert '"lat":95' in str(door.log.values(PINGS_REJECTED)[0]["raw"])


def test_the_margin_is_the_tenants() -> None:
    door = Door(rules=DispatchRules(shift_margin_s=0.0))
    employ(door, "amina", "van-12", shifts=[WEEKLY])
    assert posted(door, ("2026-02-23T08:59:59Z", "2026-02-23T09:00:00Z"))["accepted"] == 1
    for margin_s in (-1, 86_400, float("nan")):
        with pytest.raises(ValueError, match="shift_margin_s"):
            DispatchRules(shift_margin_s=margin_s)


def test_nothing_comes_in_before_it_is_known_who_works_when(door: Door) -> None:
    door.registers["technicians"].is_caught_up = False
    assert is_problem(door.post("/v1/pings", json=GOOD), 503, "unavailable")
    protocol, method, sent, *_ = SENT[0]
    assert is_problem(door.request(method, f"/v1/ingest/{protocol}", "device", **sent), 503, "unavailable")
    assert not door.log.records


REFUSED: list[dict[str, Any]] = [
    {**GOOD, "ts": "2026-03-02T09:15:00Z"},
    {**GOOD, "ts": "yesterday"},
    {**GOOD, "lat": -122.9916, "lon": 53.4084},
]


@pytest.mark.parametrize("bad", REFUSED)
def test_of_what_is_refused_nothing_is_kept_that_may_have_been_said_off_shift(at_work: Door, bad: Any) -> None:
    answer = at_work.post("/v1/pings", json=[bad, {**bad, "device_id": "nobodys"}])
    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    kept, of_nobody = at_work.log.values(PINGS_REJECTED)
    assert kept["device_id"] == "van-12"
    assert kept["raw"] == ""
    assert not any(digits in json.dumps(kept) for digits in ("4084", "9916"))
    assert "4084" in str(of_nobody["raw"])


def test_what_may_be_anybodys_is_kept_only_where_nobody_works_in_shifts(door: Door) -> None:
    torn = json.dumps(GOOD)[:-12]
    body = f"{torn}\n{json.dumps({**GOOD, 'device_id': 'nobodys'})}"
    assert door.post("/v1/pings", content=body, headers=NDJSON).status_code == 202
    assert door.log.values(PINGS_REJECTED)[-1]["raw"] == torn
    employ(door, "amina", "van-12", shifts=[WEEKLY])
    assert door.post("/v1/pings", content=body, headers=NDJSON).status_code == 202
    assert door.log.values(PINGS_REJECTED)[-1]["raw"] == ""
    door.keys.records["keydevice"] = make_key("device", device_id="nobodys")
    assert door.post("/v1/pings", role="device", content=body, headers=NDJSON).status_code == 202
    assert door.log.values(PINGS_REJECTED)[-1]["raw"] == torn, "the token says whose it is"
    door.registers["technicians"].put("amina", None)  # type: ignore[arg-type]
    assert door.post("/v1/pings", content=body, headers=NDJSON).status_code == 202
    assert door.log.values(PINGS_REJECTED)[-1]["raw"] == torn


def test_a_backlog_of_many_days(at_work: Door) -> None:
    times = tuple(format_instant(NOW_MS - day * 86_400_000) for day in range(1, 150))
    employ(at_work, "ben", "van-14", shifts=[{**WEEKLY, "from": "07:00"}])
    assert posted(at_work, times, "van-14")["accepted"] == sum(day % 7 == 0 for day in range(1, 150))


@pytest.mark.parametrize(
    ("at", "shown"), [("08:15", "off_shift"), ("08:30", "on_site"), ("16:29", "on_site"), ("16:30", "off_shift")]
)
def test_a_device_shows_that_its_holder_is_off_shift(at_work: Door, at: str, shown: str) -> None:
    hours, minutes = map(int, at.split(":"))
    at_work.clock.moment_ms = NOW_MS - NOW_MS % 86_400_000 + (hours * 60 + minutes) * MINUTE_MS
    for device_id in ("van-12", "nobodys"):
        at_work.put_live(msgspec.structs.replace(live(device_id), ts_ms=at_work.clock.now_ms()))
    listed = {each["device_id"]: each["state"] for each in at_work.get("/v1/devices").json()["items"]}
    assert listed == {"van-12": shown, "nobodys": "on_site"}
    assert at_work.get("/v1/devices/van-12").json()["state"] == shown


def test_off_shift_is_shown_though_everything_is_stored() -> None:
    door = Door(rules=DispatchRules(store_off_shift=True))
    employ(door, "amina", "van-12", shifts=[WEEKLY])
    door.put_live(live("van-12"))
    assert door.get("/v1/devices/van-12").json()["state"] == "off_shift"


def test_who_leaves_holds_nothing(at_work: Door) -> None:
    gone = msgspec.structs.replace(
        Technician(technician_id="amina", name="A", device_ids=["van-12"]), removed_at=at_work.clock.now_ms()
    )
    at_work.registers["technicians"].put("amina", gone)
    assert posted(at_work, OUTSIDE)["accepted"] == 4

"""What was refused is posted again, through the door it came by, and what becomes of it is told."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from infra.delivery import Delivery
from infra.errors import CommandError
from infra.redelivery import NOT_WHOLE, Redelivery
from schemas import wire
from schemas.key import Role
from schemas.rejected import RejectedPing, text_of
from schemas.times import Instant, format_instant
from schemas.topics import PINGS, PINGS_REJECTED
from tests.api.conftest import NOW_MS, Door
from tests.fakes import token_of
from tests.schemas.test_app_protocols import GPSLOGGER, TRACCAR_QUERY
from tests.schemas.test_rejected import OWNTRACKS, as_json, overland_at, traccar_at

AHEAD_MS = (NOW_MS // 1000 + 3_600) * 1000
AHEAD = format_instant(AHEAD_MS)
GOOD = {"device_id": "van-12", "ts": "2026-03-02T08:15:00Z", "lat": 53.4084, "lon": -2.9916}
CSV = {"Content-Type": "text/csv"}


def record_refusals(door: Door) -> None:
    """What the recorder does."""
    kept = [wire.decode(RejectedPing, value or b"") for _, value in door.log.records.get(PINGS_REJECTED.name, [])]
    door.history.refused = kept


class Recorded(httpx.ASGITransport):
    """The API, with a recorder that has always just caught up; the paths that were posted to."""

    def __init__(self, door: Door) -> None:
        super().__init__(door.app)
        self.posted: list[str] = []
        self._door = door

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        record_refusals(self._door)
        if request.method == "POST":
            self.posted.append(request.url.path)
        return await super().handle_async_request(request)


def redeliver(
    door: Door, role: Role = "admin", filters: Mapping[str, str] | None = None
) -> tuple[Redelivery, Delivery, list[str]]:
    async def run() -> tuple[Redelivery, Delivery, list[str]]:
        transport = Recorded(door)
        delivery = Delivery("http://onsite", token_of(role), transport)
        redelivery = Redelivery(delivery, filters or {}, lambda: None)
        try:
            await redelivery.run()
        finally:
            await delivery.close()
        return redelivery, delivery, transport.posted

    return asyncio.run(run())


CAME: list[tuple[str, dict[str, Any]]] = [
    ("/v1/pings", {"json": [GOOD, {**GOOD, "ts": AHEAD}]}),
    ("/v1/pings", {"content": f"ts,lat,lon,device_id\n{AHEAD},53.4084,-2.9916,van-12\n", "headers": CSV}),
    ("/v1/ingest/osmand", {"params": {**TRACCAR_QUERY, "timestamp": AHEAD_MS // 1000}}),
    ("/v1/ingest/osmand", {"json": {"location": traccar_at(AHEAD)}, "params": {"device_id": "van-12"}}),
    ("/v1/ingest/owntracks", {"json": {**OWNTRACKS, "tst": AHEAD_MS // 1000}, "headers": {"X-Limit-U": "jane"}}),
    ("/v1/ingest/overland", {"json": {"locations": [overland_at(AHEAD)]}, "params": {"device_id": "van-12"}}),
    ("/v1/ingest/gpslogger", {"data": {**GPSLOGGER, "time": AHEAD}}),
]


@pytest.mark.parametrize(("path", "sent"), CAME)
def test_what_was_in_the_future_is_taken_when_its_time_has_come(path: str, sent: dict[str, Any]) -> None:
    door = Door()
    assert door.post(path, **sent).status_code in (200, 202)
    (refused,) = door.log.values(PINGS_REJECTED)
    before = len(door.log.values(PINGS))
    door.clock.moment_ms += 3_600_000
    redelivery, delivery, posted = redeliver(door)
    assert (redelivery.sent, delivery.tally.accepted, delivery.tally.rejected) == (1, 1, {})
    assert posted == [path]
    (taken,) = door.log.values(PINGS)[before:]
    assert (taken["ts"], taken["device_id"]) == (AHEAD_MS, refused["device_id"])
    assert taken["received_at"] == NOW_MS + 3_600_000


def test_what_is_refused_again_is_told_and_read_no_second_time() -> None:
    door = Door()
    bad = [{**GOOD, "lat": 91}, {**GOOD, "lat": 0, "lon": 0}, {**GOOD, "lat": 0, "lon": 0, "battery": 0.5}]
    assert door.post("/v1/pings", json=bad).status_code == 202
    door.post("/v1/ingest/owntracks", json={"_type": "encrypted", "data": "x"})
    for _ in range(3):
        door.clock.moment_ms += 1_000
        redelivery, delivery, _ = redeliver(door)
        assert (redelivery.sent, delivery.tally.accepted) == (4, 0)
        assert delivery.tally.rejected == {"lat_out_of_range": 1, "null_island": 2, "encrypted": 1}
    # Each run leaves what it was refused; each item is one all the same.
    assert len(door.log.values(PINGS_REJECTED)) == 4 * 4


def test_a_clock_that_was_set_back_brings_it_to_an_end_as_well() -> None:
    door = Door()
    door.post("/v1/pings", json=[{**GOOD, "lat": 91, "battery": number / 1_000} for number in range(150)])
    door.post("/v1/pings", json=[{**GOOD, "lat": 91, "battery": number / 1_000} for number in range(150, 300)])
    door.clock.moment_ms -= 60_000
    redelivery, _, _ = redeliver(door)
    assert redelivery.sent == 300


def test_a_torn_line_is_refused_and_what_was_no_text_is_left_alone() -> None:
    door = Door()
    lines = as_json(GOOD) + b"\n{\n" + as_json({**GOOD, "device_id": "van-"}).replace(b"van-", b"van-\xff")
    door.post("/v1/pings", content=lines, headers={"Content-Type": "application/x-ndjson"})
    redelivery, delivery, _ = redeliver(door)
    assert (redelivery.sent, redelivery.unposted) == (1, {NOT_WHOLE: 1})
    assert (delivery.tally.accepted, delivery.tally.rejected) == (0, {"malformed_body": 1})


def test_a_record_that_nobody_could_read_goes_through_onsite_s_own_door() -> None:
    door = Door()
    raw = text_of(as_json({**GOOD, "ts": AHEAD}))
    seen = RejectedPing("", "ts_in_future", "ts_in_future: …", Instant(NOW_MS), "kafka", raw)
    door.log.records[PINGS_REJECTED.name] = [("", wire.encode(seen))]
    door.clock.moment_ms += 3_600_000
    _, delivery, posted = redeliver(door)
    assert (delivery.tally.accepted, posted) == (1, ["/v1/pings"])


def test_only_what_is_asked_for() -> None:
    door = Door()
    door.post("/v1/pings", json=[{**GOOD, "lat": 91}, {**GOOD, "ts": AHEAD}])
    door.clock.moment_ms += 3_600_000
    redelivery, delivery, _ = redeliver(door, filters={"code": "ts_in_future"})
    assert (redelivery.sent, delivery.tally.accepted) == (1, 1)
    redelivery, _, _ = redeliver(door, filters={"from": format_instant(NOW_MS + 1)})
    assert redelivery.sent == 0


@pytest.mark.parametrize("role", ["viewer", "device"])
def test_a_key_that_may_not_is_an_error_that_says_so(role: Role) -> None:
    with pytest.raises(CommandError, match=r"403 Forbidden: the role .* permission rejected:read"):
        redeliver(Door(), role)

"""The live feed: what a reader is told, at whatever pace."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import msgspec
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from api.live.bounding_box import read_bounding_box
from api.live.feed import Subscription
from schemas.key import Role
from schemas.live import LiveState
from schemas.times import Instant
from schemas.visit import Visit, VisitState
from tests.api.conftest import NOW_MS, Door
from tests.api.test_etas import eta
from tests.api.test_jobs import created
from tests.api.test_pings import is_problem
from tests.api.test_sessions import add_account, cookie_of, sign_in
from tests.fakes import key_id_of, make_key, token_of

DEADLINE_S = 10.0
LIVERPOOL = "-3.1,53.3,-2.8,53.5"


def live(device_id: str, lat: float = 53.4, lon: float = -2.9, visits: tuple[str, ...] = ()) -> LiveState:
    at = Instant(NOW_MS)
    return LiveState(device_id, at, lat, lon, 8.0, 0.0, None, 0.5, "stopped", list(visits), at)


def visit(visit_id: str, device_id: str, state: VisitState = "open", revision: int = 1) -> Visit:
    at = Instant(NOW_MS)
    gone = at if state == "closed" else None
    return Visit(
        visit_id,
        device_id,
        "hq",
        1,
        None,
        state,
        revision,
        at,
        at,
        at,
        gone,
        gone,
        gone,
        0.0,
        0.0,
        0.0,
        0.9,
        "arrived",
        3,
    )


def follow(door: Door, bbox: str | None, check: Callable[[Subscription], Awaitable[None]]) -> None:
    """Run a check on a subscription, with a deadline."""

    async def run() -> None:
        box = None if bbox is None else read_bounding_box(bbox)
        with door.feed.subscribe(box) as subscription:
            async with asyncio.timeout(DEADLINE_S):
                await check(subscription)

    asyncio.run(run())


def told(message: bytes | None) -> tuple[list[str], list[tuple[str, int]], list[str]]:
    """Devices, visits with their revisions, and who has left."""
    assert message is not None
    content = json.loads(message)
    devices = [device["device_id"] for device in content["devices"]]
    visits = [(visit["visit_id"], visit["revision"]) for visit in content["visits"]]
    return devices, visits, content.get("left", [])


@pytest.mark.parametrize(
    ("bbox", "lat", "lon", "inside"),
    [
        (LIVERPOOL, 53.4, -2.9, True),
        (LIVERPOOL, 53.5, -3.1, True),
        (LIVERPOOL, 53.6, -2.9, False),
        (LIVERPOOL, 53.4, -2.7, False),
        ("-180,-90,180,90", 90.0, 180.0, True),
        ("-180,-90,180,90", -90.0, -180.0, True),
        ("170,-20,-170,-10", -15.0, 175.0, True),
        ("170,-20,-170,-10", -15.0, -175.0, True),
        ("170,-20,-170,-10", -15.0, 180.0, True),
        ("170,-20,-170,-10", -15.0, 0.0, False),
        ("170,-20,-170,-10", -15.0, -169.9, False),
        ("170,-20,180,-10", -15.0, -180.0, True),
    ],
)
def test_a_bounding_box(bbox: str, lat: float, lon: float, inside: bool) -> None:
    assert read_bounding_box(bbox).holds(lat, lon) is inside


@pytest.mark.parametrize(
    ("bbox", "why"),
    [
        ("", "four numbers"),
        ("1,2,3", "four numbers"),
        ("1,2,3,4,5", "four numbers"),
        ("a,b,c,d", "four numbers"),
        ("-181,0,0,1", "longitudes"),
        ("nan,0,0,1", "longitudes"),
        ("0,0,1,91", "latitudes"),
        ("0,-inf,1,1", "latitudes"),
        ("0,2,1,1", "greater than north"),
    ],
)
def test_a_bad_bounding_box(door: Door, client: TestClient, bbox: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_bounding_box(bbox)
    with pytest.raises(WebSocketDenialResponse) as refused, connect(client, f"?bbox={bbox}"):
        pass
    assert is_problem(refused.value, 400, "invalid_request")
    assert why in refused.value.json()["detail"]


def test_a_slow_reader_is_told_the_newest_of_each(door: Door) -> None:
    async def check(subscription: Subscription) -> None:
        await subscription.snapshot()
        for turn in range(1_000):
            for number in range(3):
                door.put_live(live(f"d{number}", lat=turn / 100))
            door.visits.take(visit("v", "d0", revision=turn + 1))
        message = await subscription.changes()
        assert told(message) == (["d0", "d1", "d2"], [("v", 1_000)], [])
        assert {device["lat"] for device in json.loads(message or b"")["devices"]} == {9.99}

    follow(door, None, check)


def test_readers_do_not_wait_for_each_other(door: Door) -> None:
    async def check(slow: Subscription) -> None:
        await slow.snapshot()
        with door.feed.subscribe(None) as quick:
            await quick.snapshot()
            for turn in range(3):
                door.put_live(live(f"d{turn}"))
                assert told(await quick.changes()) == ([f"d{turn}"], [], [])
        door.put_live(live("d0"))
        assert told(await slow.changes()) == (["d0", "d1", "d2"], [], [])

    follow(door, None, check)


def test_the_snapshot_is_what_is_in_the_box(door: Door) -> None:
    door.put_live(live("here"))
    door.put_live(live("there", lon=5.0))
    door.visits.take(visit("v1", "here"))
    door.visits.take(visit("v2", "there", "confirmed"))
    door.visits.take(visit("v3", "here", "closed"))

    async def check(subscription: Subscription) -> None:
        devices, visits, _ = told(await subscription.snapshot())
        assert (devices, visits) == (["here"], [("v1", 1)])

    follow(door, LIVERPOOL, check)


def test_a_device_comes_with_its_visits_and_leaves(door: Door) -> None:
    async def check(subscription: Subscription) -> None:
        await subscription.snapshot()
        door.put_live(live("van", lon=5.0))
        door.visits.take(visit("v", "van"))
        door.put_live(live("other"))
        assert told(await subscription.changes()) == (["other"], [], [])
        door.put_live(live("van", visits=("v",)))
        assert told(await subscription.changes()) == (["van"], [("v", 1)], [])
        door.put_live(live("van", lon=5.0))
        assert told(await subscription.changes()) == ([], [], ["van"])
        door.visits.take(visit("v", "van", "closed", 2))  # was told, so its end is
        assert told(await subscription.changes()) == ([], [("v", 2)], [])
        door.visits.take(visit("v", "van", "closed", 3))
        door.put_live(live("other"))
        assert told(await subscription.changes()) == (["other"], [], [])

    follow(door, LIVERPOOL, check)


def test_without_a_box_a_visit_is_told_before_its_device_is_known(door: Door) -> None:
    async def check(subscription: Subscription) -> None:
        await subscription.snapshot()
        door.visits.take(visit("v", "new"))
        assert told(await subscription.changes()) == ([], [("v", 1)], [])

    follow(door, None, check)


def test_a_deleted_device_has_left(door: Door) -> None:
    door.put_live(live("van"))

    async def check(subscription: Subscription) -> None:
        await subscription.snapshot()
        del door.live.records["van"]
        door.feed.device_changed("van", None)
        assert told(await subscription.changes()) == ([], [], ["van"])

    follow(door, None, check)


def test_the_open_visits_of_the_store_and_then_the_revisions(door: Door) -> None:
    door.history.log = [
        visit("v1", "a"),
        visit("v2", "b"),
        visit("v2", "b", "confirmed", 2),
        visit("v3", "c", "closed"),
    ]
    anyio.run(door.visits.begin)
    assert {each: kept.revision for each, kept in door.visits.records.items()} == {"v1": 1, "v2": 2}
    door.visits.take(visit("v2", "b", "open", 1))  # told again
    door.visits.take(visit("v1", "a", "closed", 2))
    assert {each: kept.revision for each, kept in door.visits.records.items()} == {"v2": 2}


def told_etas(message: bytes | None) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Jobs, the ETAs of jobs, and jobs that have none any more."""
    assert message is not None
    content = json.loads(message)
    jobs = [job["job_id"] for job in content["jobs"]]
    return jobs, [(each["job_id"], each["eta"]) for each in content["etas"]], content.get("etas_over", [])


def test_etas_are_told_the_newest_of_each_until_nobody_is_awaited(door: Door) -> None:
    created(door, technician_ids=[])
    door.etas.put("j1", eta("j1", in_min=20))

    async def check(subscription: Subscription) -> None:
        snapshot = await subscription.snapshot()
        assert told_etas(snapshot) == (["j1"], [("j1", "2026-03-02T08:35:10.000Z")], [])
        assert json.loads(snapshot)["etas"][0]["age_s"] == 12.0
        for in_min in range(21, 30):
            door.etas.put("j1", eta("j1", in_min=in_min))
        door.etas.put("unheard-of", eta("unheard-of", in_min=5))
        expected = [("j1", "2026-03-02T08:44:10.000Z"), ("unheard-of", "2026-03-02T08:20:10.000Z")]
        assert told_etas(await subscription.changes()) == ([], expected, [])
        door.etas.put("j1", eta("j1", in_min=30))
        door.etas.remove("j1")
        door.etas.remove("never-told")
        assert told_etas(await subscription.changes()) == ([], [], ["j1"])
        door.etas.remove("j1")
        door.put_live(live("van"))
        assert told_etas(await subscription.changes()) == ([], [], [])

    follow(door, None, check)


def test_an_eta_is_told_where_its_job_is_and_comes_and_goes_with_it(door: Door) -> None:
    for job_id, lon in (("here", -2.9), ("there", 5.0)):
        created(door, job_id=job_id, lat=53.4, lon=lon, technician_ids=[])
        door.etas.put(job_id, eta(job_id, in_min=20))
    at = "2026-03-02T08:35:10.000Z"

    def move(job_id: str, lon: float) -> None:
        record = door.jobs.records[job_id]
        door.jobs.records[job_id] = msgspec.structs.replace(record, lon=lon)
        door.feed.job_changed(job_id, door.jobs.records[job_id])

    async def check(subscription: Subscription) -> None:
        assert told_etas(await subscription.snapshot()) == (["here"], [("here", at)], [])
        door.etas.put("there", eta("there", in_min=20))
        door.etas.put("unheard-of", eta("unheard-of", in_min=20))
        move("there", -2.95)
        assert told_etas(await subscription.changes()) == (["there"], [("there", at)], [])
        move("here", 6.0)
        assert told_etas(await subscription.changes()) == ([], [], ["here"])
        door.etas.put("here", eta("here", in_min=25))
        door.etas.remove("there")
        assert told_etas(await subscription.changes()) == ([], [], ["there"])

    follow(door, LIVERPOOL, check)


def test_the_eta_of_a_job_that_is_heard_of_later_comes_with_it(door: Door) -> None:
    async def check(subscription: Subscription) -> None:
        await subscription.snapshot()
        door.etas.put("j1", eta("j1"))
        door.put_live(live("van"))
        assert told_etas(await subscription.changes()) == ([], [], [])
        record = elsewhere.jobs.records["j1"]
        door.jobs.records["j1"] = record
        door.feed.job_changed("j1", record)
        assert told_etas(await subscription.changes()) == (["j1"], [("j1", "2026-03-02T08:35:10.000Z")], [])

    elsewhere = Door()
    created(elsewhere, lat=53.4, lon=-2.9, technician_ids=[])
    follow(door, LIVERPOOL, check)


def add(door: Door, path: str, **content: Any) -> None:
    assert door.post(f"/v1/{path}", json={"name": "x", **content}).status_code == 201


@pytest.fixture
def regions(door: Door) -> Door:
    """Behind the door there are Liverpool and Hull with a van each, a third that nobody holds, and a visit of each."""
    add(door, "branches", branch="north-west")
    add(door, "branches", branch="liverpool", region="north-west")
    add(door, "branches", branch="hull")
    for branch in ("liverpool", "hull"):
        add(door, "technicians", technician_id=branch, branch=branch, device_ids=[f"van-{branch}"])
    for name in ("liverpool", "hull", "loose"):
        door.put_live(live(f"van-{name}"))
        door.visits.take(visit(f"v-{name}", f"van-{name}"))
    for branch in ("liverpool", "hull"):
        created(door, job_id=branch, lat=53.4, lon=-2.9, branch=branch, technician_ids=[])
        door.etas.put(branch, eta(branch))
    return door


@pytest.mark.parametrize(
    ("role", "sees", "query", "shown"),
    [
        ("viewer", None, "", ["liverpool", "hull", "loose"]),
        ("viewer", ["liverpool"], "", ["liverpool"]),
        ("viewer", ["north-west"], "", ["liverpool"]),
        ("viewer", ["north-west", "hull"], "?branch=hull", ["hull"]),
        ("viewer", ["north-west"], "?branch=hull", []),
        ("viewer", [], "", []),
        ("viewer", None, "?branch=north-west", ["liverpool"]),
        ("operations_manager", ["hull"], "", ["liverpool", "hull", "loose"]),
        ("viewer", ["hull"], f"?bbox={LIVERPOOL}", ["hull"]),
    ],
)
def test_a_reader_is_told_of_the_branches_it_sees(
    regions: Door, client: TestClient, role: Role, sees: list[str] | None, query: str, shown: list[str]
) -> None:
    regions.keys.records[key_id_of(role)] = make_key(role, branches=sees)
    with connect(client, query, role) as socket:
        snapshot = socket.receive_text()
        devices, visits, _ = told(snapshot)
        assert devices == [f"van-{name}" for name in shown]
        assert visits == [(f"v-{name}", 1) for name in shown]
        assert [job_id for job_id, _ in told_etas(snapshot)[1]] == [name for name in shown if name != "loose"]
        for name in ("hull", "liverpool", "loose"):
            call(client, regions.put_live, live(f"van-{name}"))
            call(client, regions.visits.take, visit(f"v-{name}", f"van-{name}", revision=2))
        if shown:
            seen: set[str] = set()
            while len(seen) < 2 * len(shown):
                devices, visits, left = told(socket.receive_text())
                assert left == []
                seen |= {*devices, *(f"{visit_id} {revision}" for visit_id, revision in visits)}
            assert seen == {f"van-{name}" for name in shown} | {f"v-{name} 2" for name in shown}


def test_a_visit_of_anothers_device_at_a_fence_of_ones_own_is_told(regions: Door, client: TestClient) -> None:
    fence = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-2.9, 53.4]}}
    regions.put("/v1/fences/hq", json={**fence, "properties": {"radius_m": 50, "branch": "liverpool"}})
    regions.keys.records["keyviewer"] = make_key("viewer", branches=["liverpool"])
    with connect(client) as socket:
        devices, visits, _ = told(socket.receive_text())
    assert devices == ["van-liverpool"]
    assert [visit_id for visit_id, _ in visits] == ["v-liverpool", "v-hull", "v-loose"]


def test_a_device_that_comes_to_the_branch_is_told_and_one_that_goes_ends_the_feed(
    regions: Door, client: TestClient
) -> None:
    regions.keys.records["keyviewer"] = make_key("viewer", branches=["liverpool"])

    def hold(*devices: str) -> None:
        technician = regions.registers["technicians"].records["liverpool"]
        held = msgspec.structs.replace(technician, device_ids=list(devices))
        regions.registers["technicians"].put("liverpool", held)

    with connect(client) as socket:
        assert told(socket.receive_text())[0] == ["van-liverpool"]
        call(client, hold, "van-liverpool", "van-loose")
        assert "van-loose" in told(socket.receive_text())[0]
        call(client, hold, "van-loose")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert (closed.value.code, closed.value.reason) == (1001, "branches have changed")


def test_another_region_ends_the_feed_of_those_who_see_some_branches(regions: Door, client: TestClient) -> None:
    regions.keys.records["keyviewer"] = make_key("viewer", branches=["north-west"])

    def move() -> None:
        branch = regions.registers["branches"].records["liverpool"]
        regions.registers["branches"].put("liverpool", msgspec.structs.replace(branch, region=None))

    with connect(client, role="admin") as everything, connect(client) as some:
        assert len(told(everything.receive_text())[0]) == 3
        assert told(some.receive_text())[0] == ["van-liverpool"]
        call(client, move)
        with pytest.raises(WebSocketDisconnect) as closed:
            some.receive_text()
        call(client, regions.put_live, live("van-loose"))
        assert told(everything.receive_text())[0] == ["van-loose"]
    assert closed.value.code == 1001


@pytest.fixture
def client(door: Door) -> Iterator[TestClient]:
    with TestClient(door.app) as client:
        yield client


def connect(client: TestClient, query: str = "", role: Role | None = "viewer", **more: Any) -> Any:
    headers = {} if role is None else {"Authorization": f"Bearer {token_of(role)}"}
    return client.websocket_connect(f"/v1/live{query}", headers=headers, **more)


def call(client: TestClient, change: Callable[..., None], *arguments: object) -> None:
    """On the event loop of the app."""
    assert client.portal is not None
    client.portal.call(change, *arguments)


def test_a_snapshot_then_changes(door: Door, client: TestClient) -> None:
    door.put_live(live("van"))
    with connect(client) as socket:
        snapshot = socket.receive_json()
        assert snapshot["type"] == "snapshot"
        assert snapshot["devices"] == door.get("/v1/devices").json()["items"]
        assert snapshot["visits"] == []
        call(client, door.visits.take, visit("v", "van", "confirmed"))
        changes = socket.receive_json()
        assert (changes["type"], changes["devices"], changes["left"]) == ("changes", [], [])
        assert changes["visits"][0]["arrived_at"] == "2026-03-02T08:15:10.000Z"
        assert "onsite_live_readers 1.0" in door.get("/metrics", role=None).text
        assert "onsite_live_messages_total 2.0" in door.get("/metrics", role=None).text
    assert "onsite_live_readers 0.0" in door.get("/metrics", role=None).text


@pytest.mark.parametrize(("role", "status", "code"), [(None, 401, "unauthorized"), ("device", 403, "forbidden")])
def test_who_may_not_read_is_refused(client: TestClient, role: Role | None, status: int, code: str) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, connect(client, role=role):
        pass
    assert is_problem(refused.value, status, code)


def test_a_browser_sends_the_key_as_a_subprotocol(client: TestClient) -> None:
    offered = ["onsite.live", f"bearer.{token_of('viewer')}"]
    with connect(client, role=None, subprotocols=offered) as socket:
        assert socket.accepted_subprotocol == "onsite.live"
        assert socket.receive_json()["type"] == "snapshot"
    with pytest.raises(WebSocketDenialResponse), connect(client, role=None, subprotocols=["onsite.live", "bearer.x"]):
        pass


@pytest.mark.parametrize("model", ["live", "visits", "jobs", "etas"])
def test_not_before_everything_is_read(door: Door, client: TestClient, model: str) -> None:
    getattr(door, model).is_caught_up = False
    with pytest.raises(WebSocketDenialResponse) as refused, connect(client):
        pass
    assert is_problem(refused.value, 503, "unavailable")


def test_nothing_is_told_to_a_key_that_was_revoked(door: Door, client: TestClient) -> None:
    with connect(client) as socket:
        socket.receive_json()
        door.keys.records["keyviewer"] = make_key("viewer", revoked_at=Instant(1))
        call(client, door.put_live, live("van"))
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1008, "the key was revoked")


def test_a_person_reads_it_from_a_page_of_our_own_until_they_sign_out(door: Door, client: TestClient) -> None:
    add_account(door)
    signed_in = cookie_of(sign_in(door))

    def from_page(origin: str) -> Any:
        return client.websocket_connect("/v1/live", headers={**signed_in, "Origin": origin})

    with pytest.raises(WebSocketDenialResponse) as refused, from_page("http://elsewhere.example"):
        pass
    assert is_problem(refused.value, 403, "foreign_origin")
    with from_page("http://testserver") as socket:
        assert socket.receive_json()["type"] == "snapshot"
        assert door.delete("/v1/sessions", role=None, headers=signed_in).status_code == 204
        call(client, door.put_live, live("van"))
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1008, "the session is over")


def test_the_server_says_when_it_stops(door: Door, client: TestClient) -> None:
    with connect(client) as socket:
        socket.receive_json()
        call(client, door.feed.close)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1001

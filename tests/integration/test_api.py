"""``onsite api``, ``keys`` and ``replay`` as processes, on a real broker and store."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx
import msgspec
import pyarrow as pa
import pytest

from api.history.store import ClickHouseHistory
from api.ports import VisitQuery
from infra.embedded.ports import reserve_free
from infra.system import environment_of
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.tables import TABLES
from schemas.tables.table import Table
from schemas.times import Instant, format_instant, parse_instant
from schemas.topics import PINGS, VISITS
from schemas.visit import Visit
from stream.store import open_store

pytestmark = pytest.mark.integration

READY_S = 60.0
CLIENTS_KEEP_S = 5.0  # an idle connection: httpx's `keepalive_expiry`, and that of others
STRANGE = "a'; DROP TABLE pings; --\t\\n\n{x:String}\u00e9\U0001f600"
T0 = int(parse_instant("2026-03-02T08:00:00Z"))


def onsite(settings: Settings, *arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments],
        env={**os.environ, **environment_of(settings)},
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done


def wait_for(condition: Callable[[], bool], deadline_s: float = READY_S) -> None:
    give_up = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up, "the condition did not hold in time"
        time.sleep(0.05)


@contextlib.contextmanager
def serving(settings: Settings, said: IO[bytes] | None = None) -> Iterator[str]:
    """The URL of an API that runs until the end, and then stops as it should; what it says goes to a file."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "api"],
        env={**os.environ, **environment_of(settings)},
        stdout=said,
        stderr=said,
    )
    url = f"http://{settings.host}:{settings.port}"

    def ready() -> bool:
        assert process.poll() is None, "the API ended"
        try:
            return httpx.get(f"{url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(ready)
        yield url
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[str]:
    """The URL of a running API."""
    with serving(settings) as url:
        yield url


@pytest.fixture(scope="module")
def admin(settings: Settings, api: str) -> Iterator[httpx.Client]:
    """A client with an admin key that `onsite keys` has made."""
    made = json.loads(onsite(settings, "keys", "create", "--name", "tests", "--role", "admin", "--json").stdout)
    with httpx.Client(base_url=api, headers={"Authorization": f"Bearer {made['token']}"}, timeout=30) as client:
        wait_for(lambda: client.get("/v1/devices").status_code == 200)
        yield client


def test_an_idle_connection_outlives_what_clients_keep_of_theirs(api: str) -> None:
    # closed at the moment that its client sends again, it would take that request with it
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=READY_S)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        connection.sock.settimeout(CLIENTS_KEEP_S + 1)
        with pytest.raises(TimeoutError):  # a closed one would say at once that nothing more comes
            connection.sock.recv(1)


def test_keys_are_made_listed_and_revoked(settings: Settings, api: str) -> None:
    token = onsite(settings, "keys", "create", "--name", "van-12", "--role", "device").stdout.strip()
    key_id = token.split("_")[1]
    headers = {"Authorization": f"Bearer {token}"}
    wait_for(lambda: httpx.post(f"{api}/v1/pings", json=[], headers=headers).status_code == 202)
    listed = onsite(settings, "keys", "list", "--json").stdout
    assert [json.loads(line)["name"] for line in listed.splitlines() if key_id in line] == ["van-12"]
    assert token.split("_", 2)[2] not in listed
    onsite(settings, "keys", "revoke", key_id)
    wait_for(lambda: httpx.post(f"{api}/v1/pings", json=[], headers=headers).status_code == 401, 5.0)
    assert "there is no key 'ghost'" in onsite(settings, "keys", "revoke", "ghost", fails=True).stderr


def test_the_last_use_of_a_key_is_listed_and_its_revocation_stays(settings: Settings) -> None:
    def made(name: str) -> dict[str, str]:
        return json.loads(onsite(settings, "keys", "create", "--name", name, "--role", "viewer", "--json").stdout)  # type: ignore[no-any-return]

    used, revoked, unused = made("used"), made("revoked"), made("unused")
    began_at = format_instant(settings.clock().now_ms())
    elsewhere = settings.model_copy(update={"port": reserve_free()})
    with serving(elsewhere) as url:
        for key in (used, revoked):
            headers = {"Authorization": f"Bearer {key['token']}"}
            wait_for(lambda headers=headers: httpx.get(f"{url}/v1/devices", headers=headers).status_code == 200)  # type: ignore[misc]
        onsite(settings, "keys", "revoke", revoked["key_id"])
    listed = map(json.loads, onsite(settings, "keys", "list", "--json").stdout.splitlines())
    keys = {key["key_id"]: key for key in listed}
    assert began_at <= keys[used["key_id"]]["last_used_at"]
    assert began_at <= keys[revoked["key_id"]]["last_used_at"] <= keys[revoked["key_id"]]["revoked_at"]
    assert keys[used["key_id"]]["revoked_at"] is None
    assert keys[unused["key_id"]]["last_used_at"] is None


def test_fences_are_read_back_by_whoever_wrote_them(admin: httpx.Client) -> None:
    fence = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [-2.9, 53.4]},
        "properties": {"radius_m": 60},
    }
    features = [{**fence, "properties": {"fence_id": f"many-{i:04d}", "radius_m": 60}} for i in range(2_000)]
    answer = admin.post("/v1/fences/import", json={"type": "FeatureCollection", "features": features})
    assert answer.json() == {"imported": 2_000, "unchanged": 0, "rejected": []}
    assert admin.get("/v1/fences/many-1999").status_code == 200
    etag = admin.put("/v1/fences/hq", json=fence).headers["etag"]
    assert admin.get("/v1/fences/hq").headers["etag"] == etag
    assert admin.delete("/v1/fences/hq", headers={"If-Match": etag}).status_code == 204
    assert admin.get("/v1/fences/hq").status_code == 410


def test_replay(settings: Settings, api: str, admin: httpx.Client, tmp_path: Path) -> None:
    pings = [Ping("replayed", T0 + i * 1_000, 53.4, -2.9 + i * 1e-5) for i in range(2_500)]
    good = tmp_path / "day.ndjson"
    good.write_bytes(msgspec.json.Encoder().encode_lines(pings) + b'{"device_id": "torn')
    token = admin.headers["Authorization"].removeprefix("Bearer ")
    arguments = ["replay", str(good), "--url", api, "--token", token, "--speed", "0", "--json"]
    summary = json.loads(onsite(settings, *arguments, "--shuffle", "7", "--duplicate", "0.1").stdout)
    assert summary["unreadable"] == {"malformed_json": 1}
    assert summary["rejected"] == {}
    assert summary["undelivered"] == 0
    assert 2_600 < summary["sent"] == summary["accepted"] < 2_900
    refused = onsite(settings, "replay", str(good), "--url", api, "--token", "onsite_x_y", "--speed", "0", fails=True)
    assert "401 Unauthorized: the key is not known" in refused.stderr


def test_history(settings: Settings) -> None:
    async def check() -> None:
        store = await open_store(settings)
        history = ClickHouseHistory(lambda: open_store(settings))
        try:
            await insert(store, TABLES[PINGS.name], [ping(i) for i in (2, 0, 1, 1, 3)])
            track = await history.track("h-van", T0, T0 + 3_000, 10)
            assert [(each.ts_ms, each.lat, each.lon, each.accuracy_m, each.speed_mps) for each in track] == [
                (T0 + i * 1_000, 53.4084 + i, -2.9916, None if i == 1 else 8.5, None) for i in range(3)
            ]
            assert len(await history.track("h-van", T0, T0 + 3_000, 2)) == 2
            await insert(store, TABLES[PINGS.name], [msgspec.structs.replace(ping(0), device_id=STRANGE)])
            assert len(await history.track(STRANGE, T0, T0 + 3_000, 2)) == 1

            log = [visit("a", 0), visit("b", 10, "open"), visit("b", 11, "closed", 2), visit("c", 5, "retracted")]
            await insert(store, TABLES[VISITS.name], log)
            of = "h-van"
            assert await history.visits(VisitQuery(10, of)) == [log[0], log[2]]
            assert await history.visits(VisitQuery(10, of, state="retracted")) == [log[3]]
            assert await history.visits(VisitQuery(10, of, state="open")) == []
            assert await history.visits(VisitQuery(10, of, "elsewhere")) == []
            assert await history.visits(VisitQuery(10, of, "h-site", ("a", log[2].visit_id))) == [log[0], log[2]]
            assert await history.visits(VisitQuery(10, visit_ids=(log[2].visit_id,))) == [log[2]]
            assert await history.visits(VisitQuery(10, of, to_ms=T0 + 1)) == [log[0]]
            assert await history.visits(VisitQuery(10, of, from_ms=T0 + 600_000)) == [log[2]]
            assert await history.visits(VisitQuery(1, of, after=(T0, "a"))) == [log[2]]
            assert await history.revisions("b") == [log[1], log[2]]
            assert await history.revisions("ghost") == []
        finally:
            await history.close()
            await store.close()

    asyncio.run(check())


def ping(second: int) -> Ping:
    accuracy_m = None if second == 1 else 8.5
    return Ping("h-van", T0 + second * 1_000, 53.4084 + second, -2.9916, accuracy_m, received_ms=T0)


def visit(visit_id: str, minute: int, state: str = "closed", revision: int = 1) -> Visit:
    at = Instant(T0 + minute * 60_000)
    gone = Instant(at + 600_000) if state == "closed" else None
    times = (at, at, at, gone, gone, gone)
    return Visit(visit_id, "h-van", "h-site", 1, "h-job", state, revision, *times, 1.5, 1.25, 2.0, 0.93, "late", 6)  # type: ignore[arg-type]


async def insert(store: object, table: Table, records: list[Ping] | list[Visit]) -> None:
    await store.insert_arrow(table.name, pa.Table.from_batches([table.batch(records)]))  # type: ignore[attr-defined]

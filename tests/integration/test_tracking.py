"""A customer's link on the real parts: followed through a drive, answered, counted in the report, revoked for good."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from infra.secret import ensure_secret
from infra.tracking_links import open_links
from schemas import wire
from schemas.eta import Eta
from schemas.job import JobRecord
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.times import Instant, format_instant
from schemas.topics import ETAS
from stream.kafka import KafkaLog
from tests.integration.parts import Parts, is_ready, post, until
from tests.integration.test_rejected import sql

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

HOME: Final = (53.4084, -2.9916)
PUBLIC: Final = "https://track.example.com"


class Customer:
    """Nobody but who has the link."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._path = f"/v1/track/{token}"

    async def sees(self) -> dict[str, Any]:
        answer = await self._client.get(self._path)
        assert answer.status_code == HTTPStatus.OK, answer.text
        content: dict[str, Any] = answer.json()
        return content

    async def status(self) -> int:
        return (await self._client.get(self._path)).status_code

    async def says(self, what: str, **content: Any) -> httpx.Response:
        return await self._client.post(f"{self._path}/{what}", json=content)

    def of(self, name: str) -> Callable[[], Awaitable[Any]]:
        """What of all they see."""

        async def look() -> Any:
            return (await self.sees())[name]

        return look


def driving(now_ms: int, from_m: int, to_m: int) -> list[Ping]:
    """Fixes each 2 s, up to now, north of the customer."""
    count = 10
    return [
        Ping(
            "van-12",
            now_ms - 2_000 * (count - number),
            HOME[0] + (from_m + (to_m - from_m) * number / count) / 111_200,
            HOME[1],
            8.0,
            speed_mps=10.0,
        )
        for number in range(count + 1)
    ]


async def moved(admin: httpx.AsyncClient, state: str) -> None:
    answer = await admin.post("/v1/jobs/j1/transitions", json={"to": state})
    assert answer.status_code == HTTPStatus.OK, answer.text


async def expect(parts: Parts, minutes: float) -> None:
    """An ETA as a foreman tells it."""
    log = KafkaLog(parts.settings.kafka)
    await log.start()
    now_ms = parts.settings.clock().now_ms()
    at = Instant(now_ms + round(60_000 * minutes))
    eta = Eta(
        job_id="j1",
        eta=at,
        from_ms=Instant(at - 300_000),
        to_ms=Instant(at + 600_000),
        level=0.8,
        provider="straight_line",
        computed_at=now_ms,
        distance_m=2_600.0,
        device_id="van-12",
        technician_id="tech-77",
        seen_ms=now_ms,
    )
    try:
        await log.append(ETAS, [("j1", wire.encode(eta))])
    finally:
        await log.stop()


async def scenario(folder: Path) -> None:
    parts = Parts(folder)
    now_ms = time.time_ns() // 1_000_000
    settings = parts.settings = parts.settings.model_copy(
        update={
            "secret_file": folder / "secret",
            "public_url": PUBLIC,
            "recorder_flush_s": 0.1,
            "clock_rate": 10.0,
            "clock_start_ms": now_ms,
            "clock_origin_ms": now_ms,
        }
    )
    ensure_secret(settings)
    try:
        await parts.start_all()
        async with parts.client() as admin, httpx.AsyncClient(base_url=parts.api, timeout=30.0) as anybody:
            await add_job(parts, admin)
            made = (await admin.post("/v1/jobs/j1/tracking-link")).json()
            customer = Customer(anybody, made["token"])
            require_same_link(made["url"], await job_of(admin), settings, 0)
            await follow(parts, admin, customer)
            await rate(parts, admin, customer)
            await restart_api(parts, admin)
            assert (await customer.sees())["rating"] == 2
            assert (await admin.delete("/v1/jobs/j1/tracking-link")).status_code == HTTPStatus.NO_CONTENT
            assert await customer.status() == HTTPStatus.NOT_FOUND
            await restart_api(parts, admin)
            assert await customer.status() == HTTPStatus.NOT_FOUND, "revoked for good"
            again = (await admin.post("/v1/jobs/j1/tracking-link")).json()
            assert (await Customer(anybody, again["token"]).sees())["rating"] == 2
    finally:
        await asyncio.to_thread(parts.close)


async def add_job(parts: Parts, admin: httpx.AsyncClient) -> None:
    now_ms = parts.settings.clock().now_ms()
    technician = {"technician_id": "tech-77", "name": "Amina Okafor", "device_ids": ["van-12"], "branch": "liverpool"}
    job = {
        "job_id": "j1",
        "title": "Boiler",
        "branch": "liverpool",
        "lat": HOME[0],
        "lon": HOME[1],
        "technician_ids": ["tech-77"],
        "window_from": format_instant(now_ms),
        "window_to": format_instant(now_ms + 3_600_000),
    }
    for path, content in (
        ("/v1/branches", {"branch": "liverpool", "name": "Mersey Heating"}),
        ("/v1/technicians", technician),
        ("/v1/jobs", job),
    ):
        answer = await admin.post(path, json=content)
        assert answer.status_code == HTTPStatus.CREATED, answer.text


async def job_of(admin: httpx.AsyncClient) -> JobRecord:
    """As a notifier would read it, as far as it matters here."""
    answer = (await admin.get("/v1/jobs/j1")).json()
    return wire.from_builtins(JobRecord, {name: answer[name] for name in answer if name != "sla"})


def require_same_link(url: str, job: JobRecord, settings: Settings, generation: int) -> None:
    """The link that another process makes without the API is the very same."""
    links = open_links(settings)
    assert links is not None
    assert links.link_of(job, generation) == url
    assert url.startswith(f"{PUBLIC}/t/")


async def follow(parts: Parts, admin: httpx.AsyncClient, customer: Customer) -> None:
    """From the plan to the end of the work: where the van is shows on the way to this customer, and then alone."""
    seen = await customer.sees()
    assert (seen["state"], seen["technician"], seen["company"]) == ("scheduled", "Amina", "Mersey Heating")
    now_ms = parts.settings.clock().now_ms
    assert (await post(admin, driving(now_ms(), 6_000, 5_000))).status_code == HTTPStatus.ACCEPTED

    async def live() -> int:
        return (await admin.get("/v1/devices/van-12")).status_code

    await until(live, "the van is seen", HTTPStatus.OK)
    assert (await customer.sees())["position"] is None, "not before somebody is on the way"
    assert (await customer.says("messages", text="The gate is open")).status_code == HTTPStatus.CREATED
    await moved(admin, "en_route")
    await expect(parts, 20)
    await until(customer.of("state"), "it is told", "on_the_way")

    async def is_shown() -> bool:
        await asyncio.sleep(1.0)  # a link may be asked once a second
        await post(admin, driving(now_ms(), 3_000, 3_000))
        return (await customer.sees())["position"] is not None

    await until(is_shown, "the van is shown on its way")
    seen = await customer.sees()
    assert 2_500 < seen["position"]["distance_m"] < 3_500
    assert seen["position"]["bearing_deg"] in (0, 359, 360)
    assert seen["eta"] is not None
    assert not [secret for secret in ("Okafor", "van-12", "tech-77") if secret in str(seen)]
    await moved(admin, "on_site")
    await until(customer.of("state"), "they are there", "arrived")
    seen = await customer.sees()
    assert (seen["position"], seen["eta"], seen["technician"]) == (None, None, "Amina")
    assert (await customer.says("rating", rating=5)).status_code == HTTPStatus.CONFLICT
    await moved(admin, "completed")
    await until(customer.of("state"), "it is done", "completed")
    await post(admin, driving(now_ms(), 200, 2_000))
    seen = await customer.sees()
    assert (seen["position"], seen["technician"]) == (None, None)


async def rate(parts: Parts, admin: httpx.AsyncClient, customer: Customer) -> None:
    """What is said is counted, the newest word alone."""
    assert (await customer.says("rating", rating=5)).status_code == HTTPStatus.OK
    said = await customer.says("rating", rating=2, comment="Late")
    assert (said.status_code, said.json()["rating"]) == (HTTPStatus.OK, 2)
    statement = "SELECT job_id, rating, comment FROM ratings FINAL"
    await until(lambda: sql(parts, statement), "the rating is stored", [["j1", "2", "Late"]])

    async def reported() -> list[list[Any]]:
        answer = await admin.get("/v1/reports/satisfaction?branch=liverpool")
        assert answer.status_code == HTTPStatus.OK, answer.text
        return [row[1:] for row in answer.json()["rows"]]

    await until(reported, "the report has it", [["liverpool", "tech-77", 1, 2.0, 0.0, 1, "j1: Late"]])
    words = (await admin.get("/v1/jobs/j1/customer-words")).json()
    assert [each["text"] for each in words["messages"]] == ["The gate is open"]
    written = "SELECT action, actor_way, actor_id FROM audit FINAL WHERE kind = 'tracking' ORDER BY at, audit_id"
    on_record = [["linked", "key"], ["written", "link"], ["rated", "link"], ["rated", "link"]]

    async def audited() -> list[list[str]]:
        return [row[:2] for row in await sql(parts, written)]

    await until(audited, "all of it is on record", on_record)


async def restart_api(parts: Parts, admin: httpx.AsyncClient) -> None:
    parts.kill("api")
    parts.start("api")
    await until(lambda: is_ready(admin), "the API is back")

    async def is_known() -> bool:
        return (await admin.get("/v1/jobs/j1/customer-words")).status_code == HTTPStatus.OK

    await until(is_known, "what was said is read")


def test_a_customer_follows_their_job(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))

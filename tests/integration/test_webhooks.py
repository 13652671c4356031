"""Webhooks on the real broker and store: signed, tried again, given up, replayed; the notifier killed in the middle."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from infra.embedded.ports import reserve_free
from tests.integration.parts import Parts, until

pytestmark = pytest.mark.integration

QUICK = {
    "ONSITE_WEBHOOK_PRIVATE_ADDRESSES": "true",
    "ONSITE_WEBHOOK_RETRIES_S": "0.2,0.4,0.8",
    "ONSITE_WEBHOOK_TIMEOUT_S": "1",
}
ATTEMPTS = 4


class Receivers:
    """One that is well, one that fails twice for each event, one that is broken, one that hangs, one that is gone."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.asked: dict[str, Counter[str]] = defaultdict(Counter)
        """By receiver, how often each event has come."""
        self.events: dict[str, dict[str, Any]] = {}
        self.is_mended = False

    async def take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = await request.read()
        content = Verifier(self.secrets[name]).verify(body, dict(request.headers))  # raises: 500
        event_id = request.headers["webhook-id"]
        assert content["id"] == event_id
        assert request.content_type == "application/cloudevents+json"
        self.asked[name][event_id] += 1
        self.events[event_id] = content
        if name == "hang":
            await asyncio.sleep(30)
        if name == "gone":
            return web.Response(status=410)
        fails = (name == "flaky" and self.asked[name][event_id] <= 2) or (name == "broken" and not self.is_mended)
        return web.Response(status=500 if fails else 204, text="out of order" if fails else None)


@asynccontextmanager
async def receivers(port: int) -> AsyncIterator[Receivers]:
    found = Receivers()
    app = web.Application()
    app.router.add_post("/{name}", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield found
    finally:
        await runner.cleanup()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    try:
        yield parts
    finally:
        parts.close()


async def add(client: httpx.AsyncClient, found: Receivers, name: str, url: str) -> str:
    answer = await client.post("/v1/webhooks", json={"url": f"{url}/{name}", "events": ["job.*"]})
    assert answer.status_code == 201, answer.text
    found.secrets[name] = answer.json()["secret"]
    return str(answer.json()["webhook_id"])


async def stored(parts: Parts) -> dict[str, str]:
    """The types of the events in the store, by id."""
    sql = "SELECT event_id, type FROM events FINAL FORMAT TSV"
    async with httpx.AsyncClient() as client:
        text = (await client.post(parts.settings.clickhouse, content=sql)).raise_for_status().text
    rows = [line.split("\t") for line in text.splitlines()]
    return {row[0]: row[1] for row in rows}


async def more_than(seen: Counter[str], count: int) -> bool:
    return len(seen) > count


async def failed(client: httpx.AsyncClient, webhook_id: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/webhooks/{webhook_id}/deliveries", params={"status": "failed", "limit": 1000})
    items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return items


def test_every_event_arrives_and_what_does_not_is_a_dead_letter(parts: Parts) -> None:
    jobs, port = 24, reserve_free()

    async def run() -> None:
        await parts.start_all(notifier=QUICK, api=QUICK)
        async with receivers(port) as found, parts.client() as client:
            url = f"http://127.0.0.1:{port}"
            ids = {name: await add(client, found, name, url) for name in ("well", "flaky", "broken", "hang", "gone")}
            tried = await client.post(f"/v1/webhooks/{ids['well']}/test")
            assert (tried.json()["status"], tried.json()["error"]) == (204, None)
            assert found.events.popitem()[1]["type"] == "webhook.test"
            found.asked.clear()
            await until(lambda: parts.counted("notifier", "onsite_notifier_webhooks"), "they are known", 5.0)
            for number in range(jobs):
                await client.post("/v1/jobs", json={"job_id": f"j{number}", "title": "x"})
                await client.post(f"/v1/jobs/j{number}/transitions", json={"to": "dispatched"})
                if number % 8 == 7:
                    seen = len(found.asked["flaky"])
                    await until(lambda seen=seen: more_than(found.asked["flaky"], seen), "deliveries are under way")
                    parts.kill("notifier")
                    parts.start("notifier", **QUICK)

            async def kinds() -> dict[str, int]:
                return dict(Counter((await stored(parts)).values()))

            await until(kinds, "every event is stored once", {"job.created": jobs, "job.dispatched": jobs})
            told = set(await stored(parts))

            async def came(name: str, times: int) -> bool:
                return all(found.asked[name][each] >= times for each in told)

            await until(lambda: came("well", 1), "every event has arrived")
            await until(lambda: came("flaky", 3), "every event is tried until it arrives")
            assert set(found.asked["well"]) == told, "what comes again comes under the same id"
            assert {(each["subject"], each["type"]) for each in found.events.values()} == {
                (f"j{number}", kind) for number in range(jobs) for kind in ("job.created", "job.dispatched")
            }
            gone = (await client.get(f"/v1/webhooks/{ids['gone']}")).json()
            assert (gone["active"], gone["disabled_reason"]) == (False, "the receiver answered 410 Gone")

            async def dead() -> set[str]:
                return {each["event_id"] for each in await failed(client, ids["broken"])}

            await until(dead, "all of them are dead letters", told)
            letters = await failed(client, ids["broken"])
            assert {(each["status"], each["attempt"], each["answer"]) for each in letters} == {
                (500, ATTEMPTS, "out of order")
            }
            hung = (await client.get(f"/v1/webhooks/{ids['hang']}/deliveries")).json()["items"]
            assert {each["error"] for each in hung} == {"no answer within 1 s"}
            found.is_mended = True
            before = found.asked["broken"].copy()
            answer = await client.post(f"/v1/webhooks/{ids['broken']}/replay", json={"event_ids": sorted(told)})
            assert answer.json() == {"events": len(told)}

            async def again() -> bool:
                return all(found.asked["broken"][each] > before[each] for each in told)

            await until(again, "the replay has arrived, under the same ids")
            await until(dead, "none is a dead letter any more", set())
            spans = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
            for more, count in (({}, len(told)), ({"types": ["job.created"]}, jobs), ({"types": ["visit.*"]}, 0)):
                answer = await client.post(f"/v1/webhooks/{ids['broken']}/replay", json=spans | more)
                assert answer.json() == {"events": count}
            await client.post("/v1/branches", json={"branch": "north", "name": "North"})
            assert (await client.patch(f"/v1/webhooks/{ids['broken']}", json={"branch": "north"})).status_code == 200
            answer = await client.post(f"/v1/webhooks/{ids['broken']}/replay", json=spans)
            assert answer.json() == {"events": 0}, "of the webhook's branch alone"
            assert parts.terminate("notifier") == [0]
            assert "whsec_" not in json.dumps(
                [(await client.get(path)).json() for path in ("/v1/audit", "/v1/webhooks")]
            )

    asyncio.run(run())
    assert "whsec_" not in "".join(path.read_text() for path in (parts.folder / "logs").glob("*.log"))


def test_two_share_the_work_and_one_goes_on_alone(parts: Parts) -> None:
    jobs, port = 60, reserve_free()

    async def run() -> None:
        await parts.start_all(notifier=QUICK, api=QUICK)
        async with receivers(port) as found, parts.client() as client:
            await add(client, found, "well", f"http://127.0.0.1:{port}")
            await until(lambda: parts.counted("notifier", "onsite_notifier_webhooks"), "it is known", 1.0)
            for number in range(jobs):
                await client.post("/v1/jobs", json={"job_id": f"j{number}", "title": "x"})
                if number == jobs // 4:
                    parts.children["first notifier"] = parts.children["notifier"]
                    parts.start("notifier", **QUICK, ONSITE_METRICS_PORT="0")
                if number % 10 == 0:
                    await asyncio.sleep(1)  # partitions change hands meanwhile

            async def subjects() -> int:
                return len({found.events[each]["subject"] for each in found.asked["well"]})

            await until(subjects, "every job is told", jobs)
            assert parts.is_running("first notifier")
            parts.kill("first notifier")
            for number in range(jobs):
                await client.patch(f"/v1/jobs/j{number}", json={"title": "y"})

            async def edited() -> int:
                return sum(event["type"] == "job.edited" for event in found.events.values())

            await until(edited, "what the other one had is told as well", jobs)
            assert parts.is_running("notifier")

    asyncio.run(run())

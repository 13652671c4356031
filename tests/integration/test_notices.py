"""A late afternoon, from phones to a mail server and a webhook receiver, the notifier killed in it.

Traffic slows, one phone goes silent, one uploads hours later, one customer wants no notices and another one no more of
them. Everybody is told each thing once, by its key; nobody anything stale.
"""

import asyncio
import contextlib
import itertools
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.embedded.ports import reserve_free
from schemas.ping import Ping
from schemas.times import format_instant, parse_instant
from stream.kafka import partition_of
from tests.integration.mailbox import Mailbox
from tests.integration.parts import Parts, post, until
from tests.integration.test_webhooks import Receivers, receivers

pytestmark = pytest.mark.integration

RATE = 100.0
FRESH_MIN = 60.0
"""36 s of the machine's: so long the notifier may be away."""

RULES = """
[notices]
company = "Mersey Heating"
fresh_min = 60
arriving_soon_min = 50
quiet_from = "00:00"
quiet_to = "00:00"

[[notices.channels]]
name = "mail"
url = "mailto://127.0.0.1:{port}?from=jobs@example.com&to={{email}}&format=text"

[[notices.channels]]
name = "crm"
audiences = ["customer", "dispatcher"]
webhook = true
"""

MINUTE_MS = 60_000
METRES_PER_DEGREE = 111_320.0
HERE = 53.4, -2.98

ALL = ("appointment_set", "dispatched", "en_route", "delayed", "arriving_soon", "arrived", "completed")


@pytest.fixture
def parts(tmp_path: Path, mailbox: Mailbox) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    rules = tmp_path / "dispatch.toml"
    rules.write_text(RULES.format(port=mailbox.port))
    parts.settings = parts.settings.model_copy(
        update={
            "dispatch": rules,
            "clock_rate": RATE,
            "clock_start_ms": int(parse_instant("2026-03-02T15:00:00Z")),
            "clock_origin_ms": time.time_ns() // 1_000_000,
            "notice_retries_s": "0.5,1,2,4,8",
            "webhook_private_addresses": True,
        }
    )
    try:
        yield parts
    finally:
        parts.close()


class Afternoon:
    """Customers, their jobs, and what happens to these."""

    def __init__(self, parts: Parts, client: httpx.AsyncClient, chance: random.Random) -> None:
        self.parts = parts
        self.client = client
        self.clock = parts.settings.clock()
        self._chance = chance
        self.kills = 0
        self.places: dict[str, tuple[float, float]] = {}

    async def customer(self, name: str, ends_min: float = 400, **more: Any) -> None:
        """Who has a job today, promised until then, and a technician for it."""
        customer = {"customer_id": name, "name": name.title(), "contact": {"email": f"{name}@example.com"}} | more
        await self._post("/v1/customers", customer)
        await self._post(
            "/v1/technicians", {"technician_id": f"t-{name}", "name": "Amina", "device_ids": [f"van-{name}"]}
        )
        now_ms = self.clock.now_ms()
        self.places[name] = HERE[0] + 0.05 * len(self.places), HERE[1]
        job = {
            "job_id": name,
            "title": "Boiler service",
            "customer_id": name,
            "technician_ids": [f"t-{name}"],
            "lat": self.places[name][0],
            "lon": self.places[name][1],
            "window_from": format_instant(now_ms + 60 * MINUTE_MS),
            "window_to": format_instant(now_ms + round(ends_min * MINUTE_MS)),
        }
        await self._post("/v1/jobs", job)

    async def move(self, job_id: str, state: str) -> None:
        await self._post(f"/v1/jobs/{job_id}/transitions", {"to": state})

    async def eta_ms(self, job_id: str) -> int | None:
        """When somebody will be there; None where that is not known."""
        answer = await self.client.get(f"/v1/jobs/{job_id}/eta")
        return int(parse_instant(answer.json()["eta"])) if answer.is_success else None

    async def kill(self) -> None:
        """The notifier, some moment after what has just happened."""
        await asyncio.sleep(self._chance.uniform(0.0, 0.5))
        self.parts.kill("notifier")
        self.parts.start("notifier")
        self.kills += 1

    async def standing(self, job_id: str) -> dict[str, str]:
        """Of the notices to a customer, what became of each kind: why it was suppressed, else its status."""
        answer = await self.client.get("/v1/notifications", params={"job": job_id, "audience": "customer"})
        items = answer.raise_for_status().json()["items"]
        assert len({each["kind"] for each in items}) == len(items), "each kind once"
        return {each["kind"]: each["reason"] if each["status"] == "suppressed" else each["status"] for each in items}

    async def until_told(self, job_id: str, kind: str, became: str = "sent") -> None:
        async def found() -> str | None:
            return (await self.standing(job_id)).get(kind)

        await until(found, f"{kind} of {job_id}", became)

    async def _post(self, path: str, content: dict[str, Any]) -> None:
        answer = await self.client.post(path, json=content)
        assert answer.is_success, answer.text


class Phone:
    """On the way to a job at a speed that changes; a fix about every half minute. ``left_m`` is how far it still is.

    It comes no nearer than ``nearest_m``, however long a test waits for something else.
    """

    def __init__(self, day: Afternoon, job_id: str, left_m: float, nearest_m: float = 0.0) -> None:
        self.left_m = left_m
        self.nearest_m = nearest_m
        self.speed_mps = 12.0
        self._day = day
        self._job_id = job_id
        self._driving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Phone":
        self._driving = asyncio.create_task(self._drive())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._driving is not None
        self._driving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._driving

    async def until_near(self, left_m: float) -> None:
        """It is so far away, or less."""

        async def is_near() -> bool:
            return self.left_m <= left_m

        await until(is_near, f"{self._job_id} is within {left_m} m")

    async def _drive(self) -> None:
        lat, lon = self._day.places[self._job_id]
        before_ms = self._day.clock.now_ms()
        for number in itertools.count():
            now_ms = self._day.clock.now_ms()
            self.left_m = max(self.nearest_m, self.left_m - self.speed_mps * (now_ms - before_ms) / 1000)
            before_ms = now_ms
            north = self.left_m / METRES_PER_DEGREE + number % 7 * 1e-6
            fix = Ping(f"van-{self._job_id}", int(now_ms), lat + north, lon, 8.0)
            assert (await post(self._day.client, [fix])).is_success
            await asyncio.sleep(30 / RATE)


def stay(device_id: str, place: tuple[float, float], from_ms: int) -> list[Ping]:
    """On the way there for ten minutes, there for half an hour, gone for half an hour; a fix every 15 s."""
    pings = []
    for number in range(4 * 70):
        minute = number / 4
        is_there = 10 <= minute < 40
        away = 0.0 if is_there else 0.02
        ts_ms = from_ms + number * 15_000
        pings.append(Ping(device_id, ts_ms, place[0] + away, place[1], 8.0))
    return pings


def behind(key: str, partitions: int) -> str:
    """Another key in the same partition: what is written of it now is read after what was written of the first."""
    return next(
        each
        for each in map("marker-{}".format, itertools.count())
        if partition_of(each, partitions) == partition_of(key, partitions)
    )


def test_a_late_afternoon(parts: Parts, mailbox: Mailbox) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    port = reserve_free()

    async def run() -> None:
        await parts.start_all()
        async with receivers(port) as found, parts.client() as client:
            day = Afternoon(parts, client, random.Random(seed))
            answer = await client.post(
                "/v1/webhooks", json={"url": f"http://127.0.0.1:{port}/crm", "events": ["notice.*"]}
            )
            found.secrets["crm"] = answer.json()["secret"]
            await until(lambda: parts.counted("notifier", "onsite_notifier_webhooks"), "it is known", 1.0)
            await afternoon(day, mailbox, found)
        assert parts.terminate("notifier") == [0]

    asyncio.run(run())
    logged = "".join(path.read_text() for path in (parts.folder / "logs").glob("notifier.log"))
    assert "@example.com" not in logged, "no log says whom it was sent to"
    assert "Amina" not in logged


async def afternoon(day: Afternoon, mailbox: Mailbox, found: Receivers) -> None:
    await day.customer("uploads")
    began_ms = day.clock.now_ms()
    await day.customer("slow", ends_min=170)
    await day.customer("silent", ends_min=900)
    await day.customer("leaves")
    await day.customer("never", opt_out=True)
    await day.customer("hook", contact={"phone": "+44 151"})
    await day.kill()
    for name in ("slow", "silent", "leaves", "uploads", "hook"):
        await day.until_told(name, "appointment_set")
    await day.until_told("never", "appointment_set", "opted_out")

    # One phone is silent from here on.
    await day.move("silent", "en_route")
    async with Phone(day, "silent", 90_000.0):
        await day.until_told("silent", "en_route")

        async def is_expected() -> bool:
            return await day.eta_ms("silent") is not None

        await until(is_expected, "it is known when they will be there")
    silent_ms = await day.eta_ms("silent")
    assert silent_ms is not None

    # One customer has heard enough: nothing after that is known.
    assert (await day.client.patch("/v1/customers/leaves", json={"opt_out": True})).is_success
    before = mailbox.keys_of("leaves")
    marker = behind("leaves", day.parts.settings.partitions)
    await day.customer(marker, opt_out=True)
    await day.until_told(marker, "appointment_set", "opted_out")  # who knows this has read what was written before it
    for state in ("dispatched", "en_route", "on_site"):
        await day.move("leaves", state)
        await day.move("never", state)
    await day.move("hook", "cancelled")

    # Traffic slows; then it flows again.
    await day.move("slow", "dispatched")
    await day.until_told("slow", "dispatched")
    await day.move("slow", "en_route")
    async with Phone(day, "slow", 25_000.0, nearest_m=12_000.0) as slow:
        await day.kill()
        await day.until_told("slow", "en_route")
        slow.speed_mps = 0.5
        await day.until_told("slow", "delayed")
        slow.speed_mps, slow.nearest_m = 25.0, 8_000.0
        await slow.until_near(8_000.0)
        await day.kill()
        await day.until_told("slow", "arriving_soon")
        slow.nearest_m = 0.0
        await day.until_told("slow", "arrived")
        slow.speed_mps = -15.0
        await day.kill()
        await day.until_told("slow", "completed")
    for kind in ("dispatched", "en_route", "arrived"):
        suppressed = {"dispatched": ("opted_out", "overtaken"), "en_route": ("opted_out", "overtaken")}
        for name in ("leaves", "never"):
            became = (await day.standing(name)).get(kind)
            assert became in suppressed.get(kind, ("opted_out",)) or became is None, (name, kind)
    assert mailbox.keys_of("leaves") == before
    await day.until_told("hook", "cancelled")

    # One uploads its afternoon hours later.
    late_ms = began_ms + round((75 + FRESH_MIN) * MINUTE_MS)

    async def reached(moment_ms: int) -> bool:
        return day.clock.now_ms() >= moment_ms

    await until(lambda: reached(late_ms), "it is later")
    assert (await post(day.client, stay("van-uploads", day.places["uploads"], began_ms))).is_success
    await day.until_told("uploads", "arrived", "stale")
    await day.until_told("uploads", "completed", "stale")

    # Whoever is silent is not nearly there, though the ETA said so.
    await until(lambda: reached(silent_ms - 45 * MINUTE_MS), "the ETA is near")
    await day.kill()
    await day.customer("last")
    await day.until_told("last", "appointment_set")  # all that there was has been looked at anew by then

    sent = {name: await day.standing(name) for name in ("slow", "silent", "uploads", "leaves", "never", "hook", "last")}
    assert day.kills >= 5
    assert sent["slow"] == dict.fromkeys(ALL, "sent")
    assert sent["silent"] == {"appointment_set": "sent", "en_route": "sent"}
    assert {kind for kind, became in sent["uploads"].items() if became == "sent"} == {"appointment_set"}
    told = {name: mailbox.keys_of(name) for name in sent}
    assert {name: len(keys) for name, keys in told.items()} == {
        "slow": len(ALL),
        "silent": 2,
        "uploads": 1,
        "leaves": 1,
        "never": 0,
        "hook": 0,
        "last": 1,
    }
    assert len(set().union(*told.values())) == sum(map(len, told.values())), "a key is one customer's"
    told_of = [each["data"]["notice"] for each in found.events.values()]
    hooked = {(each["job_id"], each["kind"]) for each in told_of if each["audience"] == "customer"}
    assert hooked == {("hook", "appointment_set"), ("hook", "cancelled")}
    about = [(each["job_id"], each["kind"], each["audience"]) for each in told_of]
    assert len(set(about)) == len(about), "what comes again comes under the same id"
    repeated = {name: dict(taken) for name, taken in mailbox.taken.items() if any(each > 1 for each in taken.values())}
    print(f"sent again under the same key: {repeated}")

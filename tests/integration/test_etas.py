"""ETAs on a real broker: they come, are right in the end, go with the arrival, teach, and outlive the foreman."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.embedded.broker import Broker
from infra.embedded.ports import reserve_free
from infra.migrations import create_topics
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.job import JobPlan
from schemas.job_command import CreateJob
from schemas.learnt_trip import LearntTrip
from schemas.live import LiveState
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import ETAS, LIVE, TRIPS
from schemas.wire import decode, encode
from stream.kafka import Follower, KafkaLog
from tests.integration.test_foreman import NOON_MS, OFFICE, Foreman, Office, at, move, office, visit

pytestmark = pytest.mark.integration

DEADLINE_S = 60.0
RATE = 60.0
"""A minute a second."""
SPEED_MPS = 10.0
DEGREES_PER_M = 1.0 / 111_195.0
SITE_A, SITE_B, FAR = 47.0 + 9_000 * DEGREES_PER_M, 47.0 + 12_000 * DEGREES_PER_M, 47.0 + 15_000 * DEGREES_PER_M


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of its own, and a clock that shows noon now."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        settings = Settings(
            kafka=broker.address,
            data_dir=tmp_path_factory.mktemp("data"),
            session_timeout_s=3.0,
            log_format="json",
            routing="straight_line",
            metrics_port=reserve_free(),
            clock_rate=RATE,
            clock_start_ms=NOON_MS,
        )
        asyncio.run(create_topics(settings))
        yield settings.model_copy(update={"clock_origin_ms": time.time_ns() // 1_000_000})


def planned(job_id: str, device_id: str, lat: float, begins: float, ends: float) -> CreateJob:
    plan = JobPlan(
        technician_ids=[device_id],
        fence_id=f"site-{job_id}",
        lat=lat,
        lon=9.5,
        window_from_ms=at(begins),
        window_to_ms=at(ends),
    )
    return CreateJob(job_id=job_id, sender=OFFICE, key=job_id, issued_at=at(0), request_id=job_id, plan=plan)


class Vans:
    """Live states of vans that leave the depot at a minute and drive north, up to where they are told to stay."""

    def __init__(self, clock: Clock, log: KafkaLog) -> None:
        self.clock = clock
        self.log = log
        self.left_ms: dict[str, Instant] = {}
        self.to_m: dict[str, float] = {}

    async def drive(self) -> None:
        while True:
            now_ms = self.clock.now_ms()
            states = []
            for device_id, left_ms in self.left_ms.items():
                north_m = min(self.to_m[device_id], SPEED_MPS * max(0, now_ms - left_ms) / 1000)
                lat, open_visits = 47.0 + north_m * DEGREES_PER_M, [] if north_m else ["depot"]
                states.append(
                    LiveState(device_id, now_ms, lat, 9.5, 5.0, None, None, None, "moving", open_visits, now_ms)
                )
            await self.log.append(LIVE, [(each.device_id, encode(each)) for each in states])
            await asyncio.sleep(0.2)


class Town:
    """The office, the vans and what is told of both."""

    def __init__(self, desk: Office, vans: Vans, etas: Follower[Eta], trips: Follower[LearntTrip]) -> None:
        self.desk = desk
        self.vans = vans
        self.etas = etas
        self.trips = trips

    async def until_told(self, what: Callable[[dict[str, Eta]], bool]) -> dict[str, Eta]:
        """The ETAs once they are so."""
        assert await self.etas.until(lambda: what(self.etas.records), DEADLINE_S), self.etas.records
        return dict(self.etas.records)


@asynccontextmanager
async def town(settings: Settings) -> AsyncIterator[Town]:
    etas = Follower(settings.kafka, ETAS, partial(decode, Eta))
    trips = Follower(settings.kafka, TRIPS, partial(decode, LearntTrip))
    async with office(settings) as desk:
        vans = Vans(settings.clock(), desk.log)
        driving = asyncio.create_task(vans.drive())
        await etas.start()
        await trips.start()
        try:
            yield Town(desk, vans, etas, trips)
        finally:
            driving.cancel()
            await trips.stop()
            await etas.stop()


async def learnt(settings: Settings) -> float:
    """How many trips the foreman that runs has learnt from."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{settings.metrics_port}/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return next(each.value for each in samples if each.name == "onsite_foreman_trips_learnt_total")


def minute_of(moment: int) -> float:
    return (moment - NOON_MS) / 60_000


def test_etas_of_a_day(settings: Settings, tmp_path: Path) -> None:
    foremen = [Foreman(settings, tmp_path / "foreman.log")]

    async def run() -> None:
        async with town(settings) as world:
            desk, vans, clock = world.desk, world.vans, settings.clock()
            await desk.ask(planned("nobody-s", "nobody", FAR, 0, 60))  # the foreman is there
            base = minute_of(clock.now_ms())
            for command in (
                planned("a", "van-a", SITE_A, base, base + 240),
                planned("b", "van-a", SITE_B, base + 60, base + 300),
                planned("tight", "van-b", FAR, base, base + 12),
            ):
                assert (await desk.ask(command)).refusal is None
            # Both leave the depot in a minute; of one of them the visit tells so.
            for device_id, to_m in (("van-a", 9_000.0), ("van-b", 15_000.0)):
                vans.left_ms[device_id], vans.to_m[device_id] = Instant(clock.now_ms() + 60_000), to_m
            left = minute_of(vans.left_ms["van-a"])
            await desk.visit(visit("depot", "van-a", "depot", 1, left - 60, left))
            told = await world.until_told(lambda etas: {"a", "b", "tight"} <= etas.keys())
            assert told["b"].stops_before == 1
            assert told["b"].eta >= at(base + 60) - 1
            assert (told["a"].provider, told["a"].technician_id, told["a"].device_id) == (
                "straight_line",
                "van-a",
                "van-a",
            )
            assert told["a"].from_ms <= told["a"].eta <= told["a"].to_ms

            assert await desk.jobs.until(lambda: desk.jobs.records["tight"].risk == "at_risk", DEADLINE_S)
            assert clock.now_ms() < at(base + 12), "before it is late"
            assert await desk.jobs.until(lambda: desk.jobs.records["tight"].risk == "late", DEADLINE_S)
            assert desk.jobs.records["tight"].revision == 3, "created, at risk, late, whatever ETAs there were"

            arrived = left + 9_000 / SPEED_MPS / 60
            await desk.until_state("a", "en_route")
            close = await world.until_told(
                lambda etas: etas["a"].seen_ms >= at(arrived - 2) and etas["a"].computed_at >= etas["a"].seen_ms
            )
            assert minute_of(close["a"].eta) == pytest.approx(arrived, abs=4)
            assert close["a"].stops_before == 0

            await desk.visit(visit("v1", "van-a", "site-a", 1, arrived, None))
            await desk.until_state("a", "on_site")
            told = await world.until_told(lambda etas: "a" not in etas and etas["b"].computed_at >= at(arrived))
            assert told["b"].stops_before == 1
            assert await world.trips.until(lambda: "van-a" in world.trips.records, DEADLINE_S)
            trip = world.trips.records["van-a"]
            assert (trip.job_id, trip.arrived_ms, trip.technician_id) == ("a", at(arrived), "van-a")
            assert 2 <= len(trip.points) <= 8
            assert all(point.ts_ms <= trip.arrived_ms for point in trip.points)

            foremen[0].kill()
            killed_ms = clock.now_ms()
            await desk.send(move("tight", "cancelled", minute_of(killed_ms)))
            foremen.append(Foreman(settings, tmp_path / "again.log"))
            told = await world.until_told(lambda etas: "tight" not in etas and etas["b"].computed_at > killed_ms)
            assert "a" not in told
            assert await learnt(settings) == 1.0

            await desk.visit(visit("v1", "van-a", "site-a", 2, arrived, arrived + 8))
            vans.left_ms["van-a"] = Instant(at(minute_of(clock.now_ms())) - 900_000)
            vans.to_m["van-a"] = 12_000.0
            told = await world.until_told(lambda etas: etas["b"].stops_before == 0)
            assert (await desk.ask(move("b", "cancelled", minute_of(clock.now_ms())))).refusal is None
            await world.until_told(lambda etas: not etas)

    try:
        asyncio.run(run())
        assert foremen[-1].stop() == 0
    finally:
        for each in foremen:
            each.kill()

"""The foreman's ETAs without a broker: a provider that fails or is slow is in nobody's way, one foreman takes back."""

import asyncio
import threading
import time
from collections.abc import Sequence

import msgspec
import pytest

from dispatch.erased import ErasedSpans
from dispatch.rules import DispatchRules
from routing.provider import Floats, Ways
from routing.straight_line import StraightLine
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.job_command import TellEta, read_command
from schemas.learnt_trip import LearntTrip
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import ETAS, JOB_COMMANDS, TRIPS, Topic
from schemas.wire import decode
from stream.foreman.crew import KnownJob
from stream.foreman.etas import Etas
from stream.foreman.patrol import Sighting
from stream.kafka import partition_of
from tests.dispatch.eta.offices import METRES_NORTH, NINE_MS, Office, at, job

EVERYWHERE = range(8)
NOTHING_ERASED = ErasedSpans()


class Log:
    """Notes what is appended."""

    def __init__(self) -> None:
        self.appended: list[tuple[Topic, str, bytes | None]] = []

    async def append_patiently(self, topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        self.appended += [(topic, key, value) for key, value in records]

    def etas(self) -> dict[str, Eta | None]:
        """What was told last of each job."""
        return {key: value and decode(Eta, value) for topic, key, value in self.appended if topic == ETAS}


class Crew(Office):
    """Who works where; who listens is told by ``edit``."""

    on_job = None

    def edit(self, job_id: str, **changes: object) -> None:
        before = self.jobs[job_id]
        self.jobs[job_id] = msgspec.structs.replace(before, **changes)
        assert self.on_job is not None
        self.on_job(job_id, known(before), known(self.jobs[job_id]))


class Roads:
    """A provider that waits until it may answer, or fails."""

    name = "osrm"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.may_answer = threading.Event()
        self.threads: set[int] = set()

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        assert self.may_answer.wait(20.0)
        found = StraightLine().ways(lat, lon, to_lat, to_lon)
        return Ways(found.travel_s, found.distance_m, [self.name] * len(lat))

    def close(self) -> None:
        pass


def known(appointment: object, arrivals: tuple[tuple[str, int], ...] = ()) -> KnownJob:
    return KnownJob(None, appointment, arrivals, None)  # type: ignore[arg-type] # who visits what is of no matter


def etas_of(crew: Crew, log: Log, roads: Roads | StraightLine) -> Etas:
    """At nine, when the clock stands still."""
    clock = Clock(1e-9, NINE_MS, time.time_ns() // 1_000_000)
    etas = Etas(Settings(), clock, DispatchRules(), crew, log, crew.headings.get)  # type: ignore[arg-type]
    etas._provider = roads
    return etas


def seen(device_id: str, north_m: float = 0.0, minute: float = 0.0) -> Sighting:
    return Sighting(device_id, Instant(at(minute)), 47.0 + north_m * METRES_NORTH, 9.5, [])


def test_where_the_provider_fails_the_straight_line_stands_in() -> None:
    log = Log()
    etas = etas_of(Crew(job("a", 9_000)), log, Roads(RuntimeError("no more roads")))
    etas.see([seen("amina-van")])
    asyncio.run(etas.turn(EVERYWHERE, NOTHING_ERASED))
    told = log.etas()["a"]
    assert told is not None
    assert told.provider == "straight_line"


def test_nobody_waits_for_a_route_and_what_has_changed_meanwhile_counts() -> None:
    log, roads = Log(), Roads()
    crew = Crew(job("a", 9_000), job("b", 12_000), job("c", 9_000, "berit"))
    etas = etas_of(crew, log, roads)

    async def run() -> None:
        etas.see([seen("amina-van"), seen("berit-van")])
        asking = asyncio.create_task(etas.turn(EVERYWHERE, NOTHING_ERASED))
        async with asyncio.timeout(20.0):
            while not roads.threads:  # noqa: ASYNC110 -- filled by another thread
                await asyncio.sleep(0.005)
        etas.see([seen("amina-van", 10.0, 0.1)])
        crew.edit("a", state="on_site")
        crew.edit("c", technician_ids=("amina",))
        assert not asking.done()
        roads.may_answer.set()
        await asking

    asyncio.run(run())
    assert threading.get_ident() not in roads.threads
    told = log.etas()
    assert "a" not in told, "somebody has come"
    assert {job_id: eta.technician_id for job_id, eta in told.items() if eta is not None} == {
        "b": "amina",
        "c": "amina",
    }


def test_who_has_the_job_takes_its_eta_back_and_nobody_else() -> None:
    log, crew = Log(), Crew(job("a", 9_000))
    etas = etas_of(crew, log, StraightLine())
    etas.see([seen("amina-van")])
    asyncio.run(etas.turn(EVERYWHERE, NOTHING_ERASED))
    crew.edit("a", state="on_site")
    own = partition_of("a", Settings().partitions)
    asyncio.run(etas.turn([each for each in EVERYWHERE if each != own], NOTHING_ERASED))
    assert log.etas()["a"] is not None
    crew.edit("a", since_ms=at(0))
    for _ in range(2):
        asyncio.run(etas.turn([own], NOTHING_ERASED))
    assert [value for topic, _, value in log.appended if topic == ETAS][1:] == [None]


def test_an_eta_of_somebody_else_that_nobody_is_awaited_for_goes_too() -> None:
    log = Log()
    etas = etas_of(Crew(), log, StraightLine())
    stale = Eta(
        job_id="gone", eta=Instant(1), from_ms=Instant(0), to_ms=Instant(2), level=0.8, provider="osrm",
        computed_at=Instant(0), distance_m=1.0, device_id="x", technician_id="x", seen_ms=Instant(0),
    )  # fmt: skip
    etas._told("gone", stale)
    asyncio.run(etas.turn(EVERYWHERE, NOTHING_ERASED))
    assert log.etas() == {"gone": None}


def test_what_changes_the_risk_is_told_to_the_job_and_a_way_that_is_over_to_everybody() -> None:
    log, crew = Log(), Crew(job("a", 9_000, state="en_route", ends=5))
    etas = etas_of(crew, log, StraightLine())
    etas.see([seen("amina-van", minute=-1)])
    asyncio.run(etas.turn(EVERYWHERE, NOTHING_ERASED))
    (command,) = [read_command(value or b"") for topic, _, value in log.appended if topic == JOB_COMMANDS]
    assert isinstance(command, TellEta)
    assert (command.job_id, command.eta.to_ms > at(5)) == ("a", True)
    assert crew.on_job is not None
    crew.on_job("a", None, known(crew.jobs["a"], (("amina-van", at(20)),)))
    asyncio.run(etas.turn(EVERYWHERE, NOTHING_ERASED))
    ((device_id, value),) = [(key, value) for topic, key, value in log.appended if topic == TRIPS]
    trip = decode(LearntTrip, value or b"")
    assert (device_id, trip.job_id, trip.arrived_ms, len(trip.points)) == ("amina-van", "a", at(20), 1)
    assert trip.points[0].eta_s == pytest.approx(1_440, rel=0.1)


def test_of_devices_that_are_anothers_nothing_is_told() -> None:
    log = Log()
    etas = etas_of(Crew(job("a", 9_000), job("b", 9_000, "berit")), log, StraightLine())
    etas.see([seen("amina-van"), seen("berit-van")])
    own = partition_of("berit-van", Settings().partitions)
    assert own != partition_of("amina-van", Settings().partitions)
    etas.keep_only([own])
    asyncio.run(etas.turn([own], NOTHING_ERASED))
    assert log.etas().keys() == {"b"}


def test_time_takes_an_eta_back_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.foreman.etas.LOOKED_OVER", 2)
    log, jobs = Log(), [job(f"j{number}", 9_000, ends=60) for number in range(6)]
    etas = etas_of(Crew(*jobs), log, StraightLine())
    etas.see([seen("amina-van")])

    async def run() -> None:
        await etas.turn(EVERYWHERE, NOTHING_ERASED)
        etas._clock = Clock(1e-9, at(20 * 60), time.time_ns() // 1_000_000)
        for count in (2, 4, 6):
            await etas.turn(EVERYWHERE, NOTHING_ERASED)
            assert list(log.etas().values()).count(None) == count

    asyncio.run(run())

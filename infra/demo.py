"""The demo: a simulated working day posted to a whole running system, and the judgement of what it made of it."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from geofence.fences import FenceSet, read_collection
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays
from infra.delivery import BATCH_PINGS, Delivery
from infra.embedded import processes
from infra.errors import CommandError
from schemas import wire
from schemas.clock import Clock
from schemas.notice import Notice
from schemas.ping import Ping
from schemas.times import format_instant, parse_instant
from schemas.visit import Visit
from simulator.day import Day
from simulator.score import LoggedStay, Score, score

START_DEADLINE_S: Final = 240.0
"""The first start fetches Kafka."""
STOP_DEADLINE_S: Final = 60.0
SETTLE_DEADLINE_S: Final = 90.0
MIN_F1: Final = 0.95

_TICK_S: Final = 0.2
_REQUESTS_AT_ONCE: Final = 6
_PAGE: Final = 500
_NOTICES: Final = 50

LogEntry = tuple[str, str, str, int, int, int, int | None, int | None, int | None]
"""What must agree of a visit: device, fence, state, arrival and departure with their intervals."""


@dataclass(frozen=True)
class RunningSystem:
    """A child ``onsite up``, as its ``onsite.json`` describes it."""

    facts: dict[str, Any]
    token: str
    """The local admin key."""
    client: httpx.AsyncClient

    async def sql(self, statement: str) -> str:
        """The answer of the SQL endpoint as text."""
        answer = await self.client.post(self.facts["sql"], content=statement)
        if answer.is_error:
            raise CommandError(f"the SQL endpoint refused {statement!r}: {answer.text.strip()}")
        return answer.text.strip()

    async def import_fences(self, collection: dict[str, Any]) -> None:
        """Put every feature. Raises CommandError when one is refused."""
        answer = await self.client.post("/v1/fences/import", json=collection)
        if answer.is_error or answer.json().get("rejected"):
            raise CommandError(f"the fences were not imported: {answer.text[:300]}")

    async def read_clock(self, rate: float, feature: dict[str, Any]) -> Clock:
        """The system's clock, read off the edit of a new fence: never ahead of it, behind by one request at most."""
        answer = await self.client.put(f"/v1/fences/{feature['id']}", json=feature)
        origin_ms = time.time_ns() // 1_000_000
        if answer.is_error:
            raise CommandError(f"the fence {feature['id']} was not put: {answer.text[:300]}")
        return Clock(rate, parse_instant(answer.json()["properties"]["updated_at"]), origin_ms)

    async def visits(self) -> list[Visit]:
        """The newest revision of every visit that is not retracted."""
        found: list[Visit] = []
        cursor: str | None = None
        while True:
            parameters = {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
            answer = await self.client.get("/v1/visits", params=parameters)
            answer.raise_for_status()
            page = answer.json()
            found.extend(wire.from_builtins(Visit, each) for each in page["items"])
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    async def notices(self) -> list[Notice]:
        """What customers were told last, the newest first."""
        asked = {"audience": "customer", "status": "sent", "limit": str(_NOTICES)}
        answer = await self.client.get("/v1/notifications", params=asked)
        answer.raise_for_status()
        return [wire.from_builtins(Notice, each) for each in answer.json()["items"]]


@asynccontextmanager
async def running_system(
    state_dir: Path, clock_rate: float, clock_start_ms: int, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningSystem]:
    """Start ``onsite up`` on free ports, wait until it is ready, and stop it at the end whatever happens.

    ``environment`` is what it is told besides this process's own. Raises CommandError when it does not come up, or
    not in time.
    """
    said = state_dir / "up.out"
    arguments = ["--port", "0", "--clock-rate", repr(clock_rate), "--clock-start", str(clock_start_ms)]
    argv = [sys.executable, "-m", "infra.cli", "up", "--state", str(state_dir), *arguments]
    child = processes.spawn(argv, said, environment)
    try:
        ready_path = state_dir / "onsite.json"
        give_up_s = time.monotonic() + START_DEADLINE_S
        while not ready_path.exists():
            if child.poll() is not None or time.monotonic() > give_up_s:
                raise CommandError(f"the system did not start: {processes.last_error(said)} (all of it in {said})")
            await asyncio.sleep(0.1)
        facts, token = _read_facts(ready_path)
        async with httpx.AsyncClient(
            base_url=facts["api"], headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(60.0)
        ) as client:
            yield RunningSystem(facts, token, client)
    finally:
        processes.stop(child, STOP_DEADLINE_S)


def _read_facts(ready_path: Path) -> tuple[dict[str, Any], str]:
    facts = json.loads(ready_path.read_text(encoding="utf-8"))
    return facts, Path(facts["admin_key_file"]).read_text(encoding="utf-8").strip()


class Delivering(Protocol):
    """A day, or several: what phones deliver when."""

    def deliveries(self) -> Iterator[tuple[int, list[Ping]]]:
        """(delivered_ms, pings of one device), in order of time."""


async def deliver(
    day: Delivering, clock: Clock, delivery: Delivery, on_posted: Callable[[int], object] = lambda _: None
) -> None:
    """Post the day's deliveries, each not before its moment of ``clock``: what is due of a device is one request.

    ``on_posted`` is told how many pings went out. A device's requests follow each other; several devices post at once.
    """
    free = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def post(pings: list[Ping]) -> None:
        for start in range(0, len(pings), BATCH_PINGS):
            async with free:
                batch = pings[start : start + BATCH_PINGS]
                await delivery.post(batch)
                on_posted(len(batch))

    deliveries = day.deliveries()
    following = next(deliveries, None)
    while following is not None:
        now_ms, due = clock.now_ms(), dict[str, list[Ping]]()
        while following is not None and following[0] <= now_ms:
            due.setdefault(following[1][0].device_id, []).extend(following[1])
            following = next(deliveries, None)
        try:
            async with asyncio.TaskGroup() as posts:
                posts.create_task(asyncio.sleep(_TICK_S))
                for pings in due.values():
                    posts.create_task(post(pings))
        except* CommandError as group:
            raise group.exceptions[0] from None


@dataclass(frozen=True)
class Verdict:
    """Whether the system may be believed, and what differs where it may not."""

    accepted: int
    """Copies of pings that the API accepted."""
    distinct: int
    stored: int
    visits: int
    score: Score
    differences: tuple[str, ...]

    @property
    def may_be_believed(self) -> bool:
        """Every ping stored once, the live log that of the pure function, and the log right."""
        return not self.differences


async def judge(system: RunningSystem, day: Day, clock: Clock, delivery: Delivery) -> Verdict:
    """Wait until pings and visits have settled, at most ``SETTLE_DEADLINE_S``, and compare.

    The live log is read until it equals what the engine derives from the same pings and fences as of that moment:
    silence goes on being evidence while the last figures travel.
    """
    give_up_s = time.monotonic() + SETTLE_DEADLINE_S
    distinct, stored = day.distinct_pings, 0
    while stored != distinct and time.monotonic() < give_up_s:
        stored = int(await system.sql("SELECT count() FROM pings FINAL"))
        await asyncio.sleep(_TICK_S)
    while True:
        derived = await asyncio.to_thread(derived_log, day, clock.now_ms())
        live = [(visit.device_id, visit) for visit in await system.visits()]
        differing = disagreements(live, derived)
        if not differing or time.monotonic() > give_up_s:
            break
        await asyncio.sleep(1.0)
    told = [(device_id, visit) for device_id, visit in live if visit.state != "open"]
    result = score(day.spans, told, day.end_ms)
    tally = delivery.tally
    differences = [f"refused: {count} pings, {code}" for code, count in sorted(tally.rejected.items())]
    if tally.undelivered:
        differences.append(f"not delivered: {tally.undelivered} pings, {tally.last_failure}")
    if stored != distinct:
        differences.append(f"stored: {stored} pings, accepted: {distinct} distinct ones")
    differences.extend(differing)
    if result.f1 < MIN_F1:
        differences.append(f"F1 is {result.f1:.3f}, at least {MIN_F1} is wanted")
    return Verdict(tally.accepted, distinct, stored, len(told), result, tuple(differences))


def derived_log(day: Day, as_of_ms: int) -> list[tuple[str, LoggedStay]]:
    """What ``onsite visits`` derives from the day's pings as of a moment, open stays too."""
    fences = FenceSet.of(read_collection(json.dumps(day.fences())))
    columns = day.pings
    log: list[tuple[str, LoggedStay]] = []
    for number, device_id in enumerate(day.devices):
        mine = columns.take(columns.device == number)
        fixes = Fixes.of_columns(mine.ts_ms, mine.lat, mine.lon, mine.accuracy_m, mine.speed_mps).in_order()
        stays = derive_stays(device_id, fixes, fences, Rules(), as_of_ms).stays
        log.extend((device_id, stay) for stay in stays)
    return log


def disagreements(live: Sequence[tuple[str, Any]], derived: Sequence[tuple[str, Any]]) -> list[str]:
    """What one log has and the other has not: device, fence, state, arrival and departure with their intervals."""
    seen, wanted = Counter(map(_entry, live)), Counter(map(_entry, derived))
    surplus = [f"only in the live log: {_told(entry)}" for entry in sorted((seen - wanted).elements(), key=str)]
    return surplus + [f"only derived: {_told(entry)}" for entry in sorted((wanted - seen).elements(), key=str)]


def _entry(logged: tuple[str, Any]) -> LogEntry:
    device_id, stay = logged
    return (
        device_id,
        stay.fence_id,
        stay.state,
        int(stay.arrived_ms),
        int(stay.arrived_earliest_ms),
        int(stay.arrived_latest_ms),
        stay.departed_ms,
        stay.departed_earliest_ms,
        stay.departed_latest_ms,
    )


def _told(entry: LogEntry) -> str:
    device_id, fence_id, state, *moments = entry
    shown = [None if moment is None else format_instant(moment) for moment in moments]
    arrival, departure = " / ".join(map(str, shown[:3])), " / ".join(map(str, shown[3:]))
    return f"{device_id} at {fence_id}, {state}, arrived {arrival}, departed {departure}"

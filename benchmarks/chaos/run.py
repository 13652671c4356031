"""One run: start the system, let phones post and processes die, wait until all is settled, say what is wrong."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka.errors import KafkaError

from benchmarks.chaos.evidence import Stored, Truth, identity_of, published_visits, wrong_events, wrong_log, wrong_pings
from benchmarks.chaos.faults import FAULTS_A_ROUND, Killer, rounds_of_faults
from benchmarks.chaos.memory import Memory
from benchmarks.offsets import behind, ends_of
from infra.delivery import Delivery
from infra.demo import RunningSystem, deliver, running_system
from infra.errors import CommandError
from schemas.clock import Clock
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.topics import PINGS, RECORDER_GROUP, TRACKER_GROUP
from simulator.day import Day, DaySpec, build_day
from stream.store import STORE_ERRORS, open_store

FASTEST_RATE: Final = 240.0
_HASTE: Final = {"ONSITE_SESSION_TIMEOUT_S": "3", "ONSITE_CHECKPOINT_S": "1"}
"""As the clock: what takes seconds in life is quicker here, so that more happens between two kills."""
LONGEST_DAY_H: Final = 24.0
SERVICE_ERRORS: Final = (*STORE_ERRORS, KafkaError)
_SETTLE_LOOK_S: Final = 1.0
_PROGRESS_WITHIN_S: Final = 60.0
_PROGRESS_LOOK_S: Final = 0.2
_OUTAGES_COST: Final = 3.0
"""So many times longer than the day lasts its delivery may take."""
_LEAD_MS: Final = 500
_ATTEMPTS: Final = 1_000
_PATIENCE_S: Final = 3.0
"""A simulated phone tries again this soon at the latest: the outages here take seconds."""


@dataclass(frozen=True)
class Spec:
    """How long pings are posted, which day and which faults, by how many phones, and how long all may take to settle.

    ``rounds`` of faults are as many as ``seconds`` allow where it is None; with 0 nothing is killed: a soak. Of several
    ``days`` each is like the one before.
    """

    seed: int
    seconds: float
    rounds: int | None = None
    technicians: int = 12
    days: int = 1
    settle_within_s: float = 120.0


@dataclass(frozen=True)
class Outcome:
    """What happened, and what is wrong: nothing where ``findings`` is empty."""

    findings: tuple[str, ...]
    kills: Counter[str]
    accepted: int
    """Copies of pings that got a 202."""
    distinct: int
    repeated: int
    """Posts that were not answered with a 202."""
    visits: int
    events: int
    memory: dict[str, tuple[float, float]]
    """Of each process: MB at the end, MB an hour that it grew by."""
    longest_recovery_s: float
    posted_s: float
    settled_s: float


class Phones(Delivery):
    """Posts until it gets a 202, and remembers what did."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token, attempts=_ATTEMPTS, longest_wait_s=_PATIENCE_S)
        self.accepted: list[Ping] = []

    async def post(self, pings: Sequence[Ping]) -> bool:
        """Deliver a batch."""
        delivered = await super().post(pings)
        if delivered:
            self.accepted += pings
        return delivered


async def run(state_dir: Path, spec: Spec) -> Outcome:
    """The whole run, in an empty folder. Raises CommandError where it could not be held at all."""
    rate = min(FASTEST_RATE, spec.days * LONGEST_DAY_H * 3600 / spec.seconds)
    day = build_day(DaySpec(spec.technicians, spec.seconds * rate / 3600 / spec.days, spec.seed))
    # What is posted and the time it takes to settle end about now: nothing that is stored lies in the future.
    start_ms = time.time_ns() // 1_000_000 - round((spec.seconds + spec.settle_within_s) * rate * 1000)
    async with running_system(state_dir, rate, start_ms, _HASTE) as system:
        clock = await system.read_clock(rate, day.fences()["features"][0])
        await system.import_fences(day.fences())
        day = day.shifted(clock.now_ms() + round(_LEAD_MS * rate) - day.spec.start_ms)
        phones = Phones(system.facts["api"], system.token)
        memory = Memory(state_dir / "onsite.json")
        killer = Killer(state_dir / "onsite.json", partial(_works, system))
        began_s = time.monotonic()
        async with _meanwhile(memory.watch()), _meanwhile(_strike(killer, spec)) as striking:
            await _post_all(day, clock, phones, spec)
            if spec.rounds is not None or striking.done():
                await striking
        posted_s = time.monotonic() - began_s
        settled = await _settle(system, Truth(phones.accepted, day.fences()), clock, spec.settle_within_s)
        return Outcome(
            findings=(*_wrong_posts(phones), *settled.findings),
            kills=killer.kills,
            accepted=len(phones.accepted),
            distinct=len({identity_of(ping) for ping in phones.accepted}),
            repeated=phones.tally.repeated,
            visits=settled.visits,
            events=settled.events,
            memory=memory.by_role(),
            longest_recovery_s=killer.longest_recovery_s,
            posted_s=posted_s,
            settled_s=time.monotonic() - began_s - posted_s,
        )


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Something that goes on beside what is done in here, and ends with it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _post_all(day: Day, clock: Clock, phones: Phones, spec: Spec) -> None:
    within_s = _OUTAGES_COST * spec.seconds + spec.settle_within_s
    day_ms = round(day.spec.hours * 3_600_000)
    try:
        async with asyncio.timeout(within_s):
            for number in range(spec.days):
                await deliver(day.shifted(number * day_ms), clock, phones)
    except TimeoutError:
        failure = phones.tally.last_failure
        raise CommandError(f"pings were still refused after {within_s:.0f} s: {failure}") from None
    finally:
        await phones.close()


async def _strike(killer: Killer, spec: Spec) -> None:
    faults = rounds_of_faults(spec.seed)
    if spec.rounds is not None:
        faults = islice(faults, spec.rounds * FAULTS_A_ROUND)
    over_s = time.monotonic() + spec.seconds
    for fault in faults:
        if spec.rounds is None and time.monotonic() > over_s:
            return  # what waits at the phones is posted in peace
        await killer.strike(fault)


async def _works(system: RunningSystem) -> bool:
    """Whether the API is ready, and the tracker and the recorder come as far as the pings are now."""
    kafka = system.facts["kafka"]
    try:
        answer = await system.client.get("/readyz")
        if answer.status_code != HTTPStatus.OK:
            return False
        ends = await ends_of(kafka, PINGS)
        give_up_s = time.monotonic() + _PROGRESS_WITHIN_S
        while any([await behind(kafka, group, PINGS, ends) for group in (TRACKER_GROUP, RECORDER_GROUP)]):
            if time.monotonic() > give_up_s:
                return False
            await asyncio.sleep(_PROGRESS_LOOK_S)
    except (httpx.HTTPError, *SERVICE_ERRORS):
        return False
    return True


def _wrong_posts(phones: Phones) -> Iterator[str]:
    for code, count in sorted(phones.tally.rejected.items()):
        yield f"{count} pings rejected: {code}"
    if phones.tally.undelivered:
        yield f"{phones.tally.undelivered} pings never accepted: {phones.tally.last_failure}"


@dataclass(frozen=True)
class _Settled:
    findings: list[str]
    visits: int = 0
    events: int = 0


async def _settle(system: RunningSystem, truth: Truth, clock: Clock, within_s: float) -> _Settled:
    """Look until nothing is wrong, or time is up: then what is still wrong."""
    settings = Settings(kafka=system.facts["kafka"], clickhouse=system.facts["sql"])
    give_up_s = time.monotonic() + within_s
    while True:
        try:
            settled = await _look(settings, truth, clock)
        except SERVICE_ERRORS as error:
            settled = _Settled([f"broker or store not back: {error}"])
        if not settled.findings or time.monotonic() > give_up_s:
            return settled
        await asyncio.sleep(_SETTLE_LOOK_S)


async def _look(settings: Settings, truth: Truth, clock: Clock) -> _Settled:
    store = await open_store(settings)
    try:
        stored = await Stored.read(store)
    finally:
        await store.close()
    wrong = wrong_pings(truth.identities, stored.pings)
    if wrong:
        return _Settled(wrong)
    published = await published_visits(settings.kafka)
    derived = await asyncio.to_thread(truth.visits, clock.now_ms())
    logged = [visit for visit in stored.visits if visit.state != "retracted"]
    return _Settled([*wrong_log(derived, logged), *wrong_events(published, stored)], len(logged), len(published))

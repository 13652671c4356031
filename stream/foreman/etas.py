"""The foreman's ETAs: live states and jobs in, ways asked of the provider in a thread, ETAs and what is learnt out."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import count
from typing import Final

import numpy as np
import structlog
from prometheus_client import Counter, Gauge, Histogram

from dispatch.erased import ErasedSpans
from dispatch.eta.desk import Batch, Desk, Said
from dispatch.eta.engine import REMEMBERED_TRIPS, EtaEngine
from dispatch.eta.lessons import Learning
from dispatch.eta.watch import Fix
from dispatch.rules import DispatchRules
from routing.opening import open_provider
from routing.provider import Provider, Ways
from routing.straight_line import StraightLine
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.job import EtaWindow
from schemas.job_command import Sender, TellEta
from schemas.learnt_trip import LearntTrip
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import ETAS, JOB_COMMANDS, TRIPS
from schemas.wire import decode, encode
from stream.foreman.crew import Crew, KnownJob
from stream.foreman.patrol import Sighting
from stream.kafka import Follower, KafkaLog, partition_of
from stream.recent import Recent

EVERY_S: Final = 1.0
"""What is due is asked together, so often by the clock on the wall."""

LOOKED_OVER: Final = 1_000
"""So many ETAs a turn, in their turn: time takes some of them back."""

FRESH_S: Final = 180.0
"""A fix older than this is of a backlog, or of a phone that is out of reach: nothing is made of it."""
LATENCY_S: Final = 2.0
"""By the clock on the wall, so long a fix may be on its way here."""

EXPECTING: Final = Sender("automatic", "eta")

log = structlog.get_logger()

routes = Counter("onsite_foreman_eta_routes", "Ways asked about, by who knew them", ["provider"])
batch_seconds = Histogram(
    "onsite_foreman_eta_batch_seconds", "Time of a batch of ways, waiting for the provider included"
)
etas_told = Counter("onsite_foreman_etas_told", "ETAs told, those taken back left aside")
etas_standing = Gauge("onsite_foreman_etas_standing", "Jobs that have an ETA, of all foremen")
devices_seen = Gauge("onsite_foreman_eta_devices", "Devices that are being seen")
trips_learnt = Counter("onsite_foreman_trips_learnt", "Trips learnt from, of all foremen")
errors = Histogram(
    "onsite_foreman_eta_error_seconds",
    "How far ETAs of ways that have arrived were off",
    buckets=(15, 30, 60, 120, 180, 300, 450, 600, 900, 1_800, 3_600),
)
windows = Counter("onsite_foreman_eta_windows", "Windows of ways that have arrived, by whether they held", ["held"])


class Etas:
    """Wires the desk to Kafka and to the provider. ``heading_of`` is what the rounds of a device say."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        rules: DispatchRules,
        crew: Crew,
        kafka: KafkaLog,
        heading_of: Callable[[str], str | None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._crew = crew
        self._log = kafka
        engine = EtaEngine()
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._learning = Learning(engine, numbers.__getitem__)
        self._desk = Desk(
            crew,
            heading_of,
            rules,
            engine,
            numbers.__getitem__,
            refresh_s=settings.eta_refresh_s,
            fresh_s=FRESH_S + LATENCY_S * clock.rate,
        )
        self._trips = Recent(settings.kafka, TRIPS, partial(decode, LearntTrip), REMEMBERED_TRIPS)
        self._standing = Follower(settings.kafka, ETAS, partial(decode, Eta), self._told)
        self._provider: Provider = StraightLine()
        # Held while the engine learns, which it does in a thread, or answers.
        self._thinking = asyncio.Lock()
        self._doubtful: set[str] = set()
        self._to_look_over: list[str] = []
        self._learnt: list[LearntTrip] = []
        crew.on_job = self._job_changed

    async def start(self) -> None:
        """Read what was learnt and what stands. The crew is known by now."""
        self._provider = open_provider(self._settings)
        await self._trips.start()
        await self._standing.start()
        await self._trips.caught_up()
        await self._standing.caught_up()

    async def stop(self) -> None:
        """Follow no longer; end what knows the ways."""
        await self._standing.stop()
        await self._trips.stop()
        await asyncio.to_thread(self._provider.close)

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Devices have been somewhere."""
        for each in sightings:
            self._desk.see(each.device_id, Fix(each.ts_ms, each.lat, each.lon))

    def change(self, device_ids: Iterable[str]) -> None:
        """Who holds these devices, or which way they are on, is something else now."""
        self._desk.change(device_ids)

    def keep_only(self, partitions: Collection[int]) -> None:
        """Devices of other partitions are another foreman's; of these jobs all ETAs are looked over."""
        self._desk.forget(lambda device_id, _: partition_of(device_id, self._settings.partitions) not in partitions)
        self._doubtful |= self._desk.standing.keys()

    async def erase(self, partitions: Collection[int], spans: ErasedSpans) -> None:
        """Let go of what was erased, and take back what was told of it."""
        self._desk.forget(spans.covers)
        self._learnt = [each for each in self._learnt if not _is_erased(each, spans)]
        async with self._thinking:
            await asyncio.to_thread(self._learning.forget, partial(_is_erased, spans=spans))
        self._doubtful |= self._desk.standing.keys()
        await self._take_back(partitions, spans)

    async def turn(self, partitions: Collection[int], spans: ErasedSpans) -> None:
        """Tell what is due. ``partitions``: of jobs and devices, those that are this foreman's."""
        await self._learn(spans)
        await self._take_back(partitions, spans)
        while (batch := self._desk.due(self._clock.now_ms(), self._provider.name)) is not None:
            with batch_seconds.time():
                found = await asyncio.to_thread(self._ways, batch)
                async with self._thinking:
                    said = self._desk.answer(batch, found, self._clock.now_ms())
            for name in found.providers:
                routes.labels(name).inc()
            await self._tell(said)
        devices_seen.set(len(self._desk))
        etas_standing.set(len(self._desk.standing))

    async def _learn(self, spans: ErasedSpans) -> None:
        """Tell what was learnt, and learn what was told."""
        learnt, self._learnt = self._learnt, []
        await self._log.append_patiently(TRIPS, [(each.device_id, encode(each)) for each in learnt])
        told = [each for each in self._trips.take() if not _is_erased(each, spans)]
        if told:
            async with self._thinking:
                trips_learnt.inc(await asyncio.to_thread(self._learning.take, told))

    async def _take_back(self, partitions: Collection[int], spans: ErasedSpans) -> None:
        """A job's ETA is taken back by whoever has the job: one process, whoever has told it."""
        self._to_look_over = self._to_look_over or list(self._desk.standing)
        doubtful = self._doubtful.union(self._to_look_over[-LOOKED_OVER:])
        self._doubtful = set()
        del self._to_look_over[-LOOKED_OVER:]
        ours = [each for each in doubtful if partition_of(each, self._settings.partitions) in partitions]
        gone = self._desk.taken_back(ours, self._clock.now_ms(), spans)
        await self._log.append_patiently(ETAS, [(job_id, None) for job_id in gone])

    def _ways(self, batch: Batch) -> Ways:
        """What the provider says; called in a thread, since it may take its time."""
        columns = batch.columns()
        if not columns.size:
            return Ways(np.zeros(0), np.zeros(0), [])
        try:
            return self._provider.ways(*columns)
        except Exception as error:  # noqa: BLE001 -- whatever it is, jobs and visits go on
            log.warning("the ETA provider failed, the straight line stands in", error=repr(error)[:200])
            return StraightLine().ways(*columns)

    async def _tell(self, said: Said) -> None:
        now_ms = self._clock.now_ms()
        await self._log.append_patiently(
            JOB_COMMANDS, [(job_id, encode(_expecting(job_id, window, now_ms))) for job_id, window in said.risks]
        )
        await self._log.append_patiently(ETAS, [(each.job_id, encode(each)) for each in said.etas])
        etas_told.inc(len(said.etas))

    def _told(self, job_id: str, eta: Eta | None) -> None:
        self._standing.records.pop(job_id, None)  # the desk keeps them
        self._desk.stands(job_id, eta)
        self._doubtful.add(job_id)

    def _job_changed(self, job_id: str, before: KnownJob | None, job: KnownJob | None) -> None:
        was, now = (None if each is None else each.appointment for each in (before, job))
        if was != now:
            concerned = {each for side in (was, now) if side is not None for each in side.technician_ids}
            self._desk.change(device for each in concerned for device in self._crew.devices_of(each))
            self._doubtful.add(job_id)
        if job is not None and job.arrivals and (before is None or job.arrivals != before.arrivals):
            self._arrived(self._desk.arrived(job_id, job.arrivals))
        if job is not None and job.done is not None and (before is None or before.done is None):
            self._desk.durations.learn(job.done.job_type, job.done.estimate_s, job.done.actual_s)

    def _arrived(self, trips: Iterable[LearntTrip]) -> None:
        for trip in trips:
            self._learnt.append(trip)
            for point in trip.points:
                took_s = (trip.arrived_ms - point.ts_ms) / 1000
                errors.observe(abs(point.eta_s - took_s))
                windows.labels(str(point.from_s <= took_s <= point.to_s).lower()).inc()


def _is_erased(trip: LearntTrip, spans: ErasedSpans) -> bool:
    return spans.covers(trip.device_id, trip.arrived_ms)


def _expecting(job_id: str, window: EtaWindow, now_ms: Instant) -> TellEta:
    return TellEta(job_id=job_id, sender=EXPECTING, key=f"eta@{int(now_ms)}", issued_at=now_ms, eta=window)

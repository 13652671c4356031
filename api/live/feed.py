"""The live feed: what changes among devices, visits, jobs and ETAs, told to each reader at the reader's own pace.

A reader that is not ready holds one entry for each device, visit, job or ETA that has changed since its last message,
the newest one; all readers share it, encoded once. So a slow reader costs no more than there are devices and jobs, and
delays nobody.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from api.auth.scope import Scope
from api.jobs.index import JobIndex
from api.live.bounding_box import BoundingBox
from api.live.open_visits import UNDER_WAY, OpenVisits
from api.ports import ReadModel
from api.read_model import device_of, eta_of
from dispatch.lifecycle import Lifecycle
from schemas import wire
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.job import JobRecord, job_of
from schemas.live import LiveState
from schemas.places import Branch
from schemas.visit import Visit

T = TypeVar("T")

_GAP_S: Final = 0.01
"""Between two messages to one reader; what changes meanwhile goes together."""
_ANEW: Final = "branches have changed"
_TURN: Final = 1_000
"""Records of a snapshot that are encoded before others have their turn."""


class Snapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    """The first message: all devices, the visits that are open or confirmed, the jobs that are not over, all ETAs."""

    devices: list[msgspec.Raw]
    visits: list[msgspec.Raw]
    jobs: list[msgspec.Raw]
    etas: list[msgspec.Raw]


class Changes(msgspec.Struct, tag_field="type", tag="changes"):
    """What has changed since the message before.

    ``left`` are ids of devices that are not to be shown any more, ``etas_over`` those of jobs without an ETA from now
    on.
    """

    devices: list[msgspec.Raw]
    visits: list[msgspec.Raw]
    jobs: list[msgspec.Raw]
    etas: list[msgspec.Raw]
    left: list[str]
    etas_over: list[str]

    def are_some(self) -> bool:
        """Whether there is anything to tell."""
        return any((self.devices, self.visits, self.jobs, self.etas, self.left, self.etas_over))


@dataclass(frozen=True, slots=True)
class _Told(Generic[T]):
    record: T
    json: msgspec.Raw


class LiveFeed:
    """Call the ``…_changed`` on the event loop's thread, after the read models have it."""

    def __init__(
        self,
        devices: ReadModel[LiveState],
        visits: OpenVisits,
        jobs: ReadModel[JobRecord],
        etas: ReadModel[Eta],
        job_index: JobIndex,
        lifecycle: Lifecycle,
        clock: Clock,
        unknown_after_s: float,
    ) -> None:
        self.devices = devices
        self.visits = visits
        self.jobs = jobs
        self.etas = etas
        self._job_index = job_index
        self._lifecycle = lifecycle
        self._clock = clock
        self._unknown_after_s = unknown_after_s
        self._subscriptions: set[Subscription] = set()
        self._regions: dict[str, str | None] = {}

    @property
    def is_ready(self) -> bool:
        """Whether a snapshot would be complete."""
        return all(each.is_caught_up for each in (self.devices, self.visits, self.jobs, self.etas))

    @contextmanager
    def subscribe(self, box: BoundingBox | None, scope: Scope | None = None) -> Iterator["Subscription"]:
        """Everything that changes from here on, or what concerns a part of the map, or some branches."""
        subscription = Subscription(self, box, None if scope is None or scope.is_whole else scope)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def device_changed(self, device_id: str, live: LiveState | None) -> None:
        """A device has a new state, or is deleted."""
        if self._subscriptions:
            told = None if live is None else _Told(live, self.device_json(live))
            for subscription in self._subscriptions:
                subscription.put_device(device_id, told)

    def visit_changed(self, visit: Visit) -> None:
        """A visit has a new revision."""
        if self._subscriptions:
            told = _Told(visit, self.visit_json(visit))
            for subscription in self._subscriptions:
                subscription.put_visit(told)

    def job_changed(self, job_id: str, job: JobRecord | None) -> None:
        """A job has a new revision; one that is deleted is not told of."""
        if self._subscriptions and job is not None:
            told = _Told(job, job_json(job))
            for subscription in self._subscriptions:
                subscription.put_job(job_id, told)

    def eta_changed(self, job_id: str, eta: Eta | None) -> None:
        """A job has a new ETA, or none any more."""
        if self._subscriptions:
            told = None if eta is None else _Told(eta, self.eta_json(eta))
            for subscription in self._subscriptions:
                subscription.put_eta(job_id, told)

    def holder_changed(self, device_id: str) -> None:
        """A device may belong to another branch now."""
        live = self.devices.records.get(device_id)
        if live is None:
            return
        told = _Told(live, self.device_json(live))
        for subscription in self._subscriptions:
            subscription.put_holder(told)

    def branch_changed(self, key: str, branch: Branch | None) -> None:
        """Where a branch is within another region now, those who do not see everything are to begin anew."""
        region = None if branch is None else branch.region
        if self._regions.get(key) != region:
            self._regions[key] = region
            for subscription in self._subscriptions:
                if not subscription.is_whole:
                    subscription.end(_ANEW)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            subscription.end("the server is stopping")

    def device_json(self, live: LiveState) -> msgspec.Raw:
        """A device as ``GET /v1/devices`` shows it now."""
        return msgspec.Raw(wire.encode(device_of(live, self._clock.now_ms(), self._unknown_after_s)))

    def visit_json(self, visit: Visit) -> msgspec.Raw:
        """A visit as ``GET /v1/visits`` shows it."""
        return msgspec.Raw(wire.encode(self._job_index.of_its_job(visit)))

    def eta_json(self, eta: Eta) -> msgspec.Raw:
        """An ETA as ``GET /v1/jobs/{id}/eta`` shows it now."""
        return msgspec.Raw(wire.encode(eta_of(eta, self._clock.now_ms())))

    def is_under_way(self, job: JobRecord) -> bool:
        """Whether something more is expected of a job."""
        return not self._lifecycle.is_over(job.state)


def job_json(job: JobRecord) -> msgspec.Raw:
    """A job as ``GET /v1/jobs`` shows it."""
    return msgspec.Raw(wire.encode(job_of(job)))


class Subscription:
    """What one reader is still to be told. A visit is told while its device is in the box, and then to its end; an ETA
    while its job is.

    With a ``scope``, only of the branches it sees. ``over`` says why nothing more is told; empty until then.
    """

    def __init__(self, feed: LiveFeed, box: BoundingBox | None, scope: Scope | None) -> None:
        self.over = ""
        self._feed = feed
        self._box = box
        self._scope = scope
        self._devices: dict[str, _Told[LiveState] | None] = {}
        self._visits: dict[str, _Told[Visit]] = {}
        self._jobs: dict[str, _Told[JobRecord]] = {}
        self._etas: dict[str, _Told[Eta] | None] = {}
        self._shown_devices: set[str] = set()
        self._shown_visits: set[str] = set()
        self._shown_etas: set[str] = set()
        self._waiting = asyncio.Event()

    @property
    def is_whole(self) -> bool:
        """Whether every branch is told of."""
        return self._scope is None

    def put_device(self, device_id: str, told: _Told[LiveState] | None) -> None:
        """A device has changed."""
        self._devices[device_id] = told
        self._waiting.set()

    def put_holder(self, told: _Told[LiveState]) -> None:
        """A device may belong to another branch; whoever may not see it any more begins anew, without its visits."""
        device_id = told.record.device_id
        if self._scope is None:
            return
        if device_id in self._shown_devices and not self._scope.sees_device(device_id):
            self.end(_ANEW)
        else:
            self.put_device(device_id, told)

    def put_visit(self, told: _Told[Visit]) -> None:
        """A visit has changed."""
        self._visits[told.record.visit_id] = told
        self._waiting.set()

    def put_job(self, job_id: str, told: _Told[JobRecord]) -> None:
        """A job has changed."""
        self._jobs[job_id] = told
        self._waiting.set()

    def put_eta(self, job_id: str, told: _Told[Eta] | None) -> None:
        """An ETA has changed, or is over."""
        self._etas[job_id] = told
        self._waiting.set()

    def end(self, why: str) -> None:
        """Nothing more is told."""
        self.over = why
        self._waiting.set()

    async def snapshot(self) -> bytes:
        """The first message."""
        snapshot = Snapshot([], [], [], [])
        for number, device_id in enumerate(list(self._feed.devices.records), 1):
            live = self._feed.devices.records.get(device_id)
            if live is not None and self._holds(live):
                self._shown_devices.add(device_id)
                snapshot.devices.append(self._feed.device_json(live))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        for number, visit in enumerate(list(self._feed.visits.records.values()), 1):
            if self._tells(visit):
                snapshot.visits.append(self._feed.visit_json(visit))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        for number, job in enumerate(list(self._feed.jobs.records.values()), 1):
            if self._feed.is_under_way(job) and self._tells_job(job):
                snapshot.jobs.append(job_json(job))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        for number, eta in enumerate(list(self._feed.etas.records.values()), 1):
            if self._tells_of_job(eta.job_id):
                self._shown_etas.add(eta.job_id)
                snapshot.etas.append(self._feed.eta_json(eta))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return wire.encode(snapshot)

    async def changes(self) -> bytes | None:
        """The next message, as soon as there is something to tell; None when it is over."""
        while True:
            await asyncio.sleep(_GAP_S)
            await self._waiting.wait()
            if self.over:
                return None
            self._waiting.clear()
            changes = self._take()
            if changes.are_some():
                return wire.encode(changes)

    def _take(self) -> Changes:
        devices, self._devices = self._devices, {}
        visits, self._visits = self._visits, {}
        jobs, self._jobs = self._jobs, {}
        etas, self._etas = self._etas, {}
        changes = Changes([], [], [], [], [], [])
        for device_id, told in devices.items():
            if told is not None and self._holds(told.record):
                changes.devices.append(told.json)
                if device_id not in self._shown_devices:
                    self._shown_devices.add(device_id)
                    self._add_open_visits(told.record, visits)
            elif device_id in self._shown_devices:
                self._shown_devices.remove(device_id)
                changes.left.append(device_id)
        changes.visits = [told.json for told in visits.values() if self._tells(told.record)]
        changes.jobs = [told.json for told in jobs.values() if self._tells_job(told.record)]
        self._add_etas_of(jobs, etas)
        for job_id, eta in etas.items():
            if eta is not None and self._tells_of_job(job_id):
                changes.etas.append(eta.json)
                self._shown_etas.add(job_id)
            elif job_id in self._shown_etas:
                self._shown_etas.remove(job_id)
                changes.etas_over.append(job_id)
        return changes

    def _add_open_visits(self, live: LiveState, visits: dict[str, _Told[Visit]]) -> None:
        """A device that comes into the box brings its visits with it."""
        for visit_id in live.open_visits:
            visit = self._feed.visits.records.get(visit_id)
            if visit is not None and visit_id not in visits:
                visits[visit_id] = _Told(visit, self._feed.visit_json(visit))

    def _add_etas_of(self, jobs: Iterable[str], etas: dict[str, _Told[Eta] | None]) -> None:
        """A job that comes into the box or the scope brings its ETA with it; one that goes takes it along."""
        for job_id in jobs:
            eta = self._feed.etas.records.get(job_id)
            is_told = eta is not None and self._tells_of_job(job_id)
            if job_id not in etas and is_told != (job_id in self._shown_etas):
                etas[job_id] = None if eta is None else _Told(eta, self._feed.eta_json(eta))

    def _holds(self, live: LiveState) -> bool:
        inside = self._box is None or self._box.holds(live.lat, live.lon)
        return inside and (self._scope is None or self._scope.sees_device(live.device_id))

    def _tells_job(self, job: JobRecord) -> bool:
        """Whether a job is in the box, which one without a point is not, and of the scope."""
        if self._box is not None and (job.lat is None or job.lon is None or not self._box.holds(job.lat, job.lon)):
            return False
        return self._scope is None or self._scope.sees_job(job)

    def _tells_of_job(self, job_id: str) -> bool:
        """The same of a job by its id; who is told of everything need not know it yet."""
        if self._box is None and self._scope is None:
            return True
        job = self._feed.jobs.records.get(job_id)
        return job is not None and self._tells_job(job)

    def _tells(self, visit: Visit) -> bool:
        """Whether a revision is to be told; notes that its visit is."""
        tells = self._box is None or visit.device_id in self._shown_devices or visit.visit_id in self._shown_visits
        tells = tells and (self._scope is None or self._scope.sees_visit(visit))
        if tells and visit.state in UNDER_WAY:
            self._shown_visits.add(visit.visit_id)
        else:
            self._shown_visits.discard(visit.visit_id)
        return tells

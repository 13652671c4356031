"""The API over in-memory ports, and clients of each role."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, get_args

import anyio
import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from api.app import create_app
from api.auth.passwords import Passwords
from api.auth.people import People
from api.auth.sessions import Sessions
from api.auth.sign_in import SignIn
from api.erasure.book import ErasureBook
from api.ingest.enrolment import EnrolmentLinks
from api.ingest.shift_gate import ShiftGate
from api.jobs.desk import JobDesk
from api.jobs.index import JobIndex
from api.live.feed import LiveFeed
from api.live.nearby_technicians import NearbyTechnicians
from api.live.open_visits import OpenVisits
from api.live.states import LiveStates
from api.places.remembered import RememberedPlaces
from api.plans.solver import Solver
from api.registers.registry import REGISTERS, Entry, Name
from api.roads import Roads
from api.services import Services
from api.stock.ledger import StockLedger
from api.stock.stock import Stock
from api.tracking.book import TrackingBook
from api.tracking.limits import TrackingLimits
from api.tracking.tracking import Tracking
from dispatch.holders import Holders
from dispatch.lifecycle import BUILT_IN
from dispatch.rules import DispatchRules
from dispatch.tracking import TrackingLinks
from routing.addresses.geocoder import Geocoder, NoGeocoder
from schemas.account import Account, SessionsEnded
from schemas.calendar import CalendarFeed
from schemas.erasure import Erasure, Honoured
from schemas.eta import Eta
from schemas.fence import FenceRecord
from schemas.invoice import Invoice
from schemas.job import JobRecord
from schemas.key import ApiKey, Role
from schemas.live import LiveState
from schemas.people import Technician
from schemas.remembered_place import RememberedPlace
from schemas.service_request import ServiceRequest
from schemas.settings import Settings
from schemas.stock import Movement, Threshold
from schemas.times import parse_instant
from schemas.topics import (
    ACCOUNTS,
    CALENDARS,
    ERASURES,
    ERASURES_HONOURED,
    ETAS,
    FENCES,
    INVOICES,
    JOB_COMMANDS,
    KEYS,
    LIVE,
    PLACES,
    REQUESTS,
    SESSIONS_ENDED,
    STOCK,
    STOCK_THRESHOLDS,
    TRACKING,
    WEBHOOKS,
)
from schemas.tracking import TrackingRecord
from schemas.webhook import WebhookRecord
from tests.fakes import (
    FixedClock,
    MemoryErasureStore,
    MemoryForeman,
    MemoryHistory,
    MemoryLog,
    MemoryModel,
    MemorySender,
    key_id_of,
    make_key,
    token_of,
)

NOW_MS = int(parse_instant("2026-03-02T08:15:10Z"))

CHEAP_PASSWORDS = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))

SOLVING = ThreadPoolExecutor(1)
"""In the stead of a process of its own."""

_built: list[FastAPI] = []


@dataclass
class Door:
    """An app and everything behind it."""

    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW_MS))
    keys: MemoryModel[ApiKey] = field(
        default_factory=lambda: MemoryModel({key_id_of(role): make_key(role) for role in get_args(Role)})
    )
    fences: MemoryModel[FenceRecord] = field(default_factory=MemoryModel)
    registers: dict[Name, MemoryModel[Entry]] = field(
        default_factory=lambda: {name: MemoryModel() for name in REGISTERS}
    )
    jobs: MemoryModel[JobRecord] = field(default_factory=MemoryModel)
    etas: MemoryModel[Eta] = field(default_factory=MemoryModel)
    job_index: JobIndex = field(default_factory=JobIndex)
    ledger: StockLedger = field(default_factory=StockLedger)
    movements: MemoryModel[Movement] = field(default_factory=MemoryModel)
    thresholds: MemoryModel[Threshold] = field(default_factory=MemoryModel)
    invoices: MemoryModel[Invoice] = field(default_factory=MemoryModel)
    calendars: MemoryModel[CalendarFeed] = field(default_factory=MemoryModel)
    webhooks: MemoryModel[WebhookRecord] = field(default_factory=MemoryModel)
    places: MemoryModel[RememberedPlace] = field(default_factory=MemoryModel)
    requests: MemoryModel[ServiceRequest] = field(default_factory=MemoryModel)
    said: MemoryModel[TrackingRecord] = field(default_factory=MemoryModel)
    remembered: RememberedPlaces = field(default_factory=RememberedPlaces)
    geocoder: Geocoder = field(default_factory=NoGeocoder)
    roads: Roads = field(default_factory=Roads)
    sender: MemorySender = field(default_factory=MemorySender)
    live: MemoryModel[LiveState] = field(default_factory=MemoryModel)
    accounts: MemoryModel[Account] = field(default_factory=MemoryModel)
    sessions_ended: MemoryModel[SessionsEnded] = field(default_factory=MemoryModel)
    erasures: MemoryModel[Erasure] = field(default_factory=MemoryModel)
    honoured: MemoryModel[Honoured] = field(default_factory=MemoryModel)
    erasure_store: MemoryErasureStore = field(default_factory=MemoryErasureStore)
    settings: Settings = field(default_factory=lambda: Settings(max_batch_pings=200, jobs_kept_days=400))
    rules: DispatchRules = field(default_factory=DispatchRules)
    history: MemoryHistory = field(init=False)
    log: MemoryLog = field(init=False)
    visits: OpenVisits = field(init=False)
    desk: JobDesk = field(init=False)
    foreman: MemoryForeman = field(init=False)
    tracking: Tracking = field(init=False)
    feed: LiveFeed = field(init=False)
    nearby: NearbyTechnicians = field(init=False)
    erasure_book: ErasureBook = field(init=False)
    services: Services = field(init=False)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.log = MemoryLog(
            {
                FENCES: (self.fences, FenceRecord),
                KEYS: (self.keys, ApiKey),
                SESSIONS_ENDED: (self.sessions_ended, SessionsEnded),
                WEBHOOKS: (self.webhooks, WebhookRecord),
                PLACES: (self.places, RememberedPlace),
                REQUESTS: (self.requests, ServiceRequest),
                TRACKING: (self.said, TrackingRecord),
                STOCK: (self.movements, Movement),
                STOCK_THRESHOLDS: (self.thresholds, Threshold),
                INVOICES: (self.invoices, Invoice),
                CALENDARS: (self.calendars, CalendarFeed),
                ACCOUNTS: (self.accounts, Account),
                LIVE: (self.live, LiveState),
                ETAS: (self.etas, Eta),
                ERASURES: (self.erasures, Erasure),
                ERASURES_HONOURED: (self.honoured, Honoured),
            }
            | {each.topic: (self.registers[name], each.record) for name, each in REGISTERS.items()}
        )
        self.history = MemoryHistory(
            self.registers["technicians"].records, self.fences.records, self.log, self.registers["depots"].records
        )
        self.places.on_change = self.remembered.changed
        links = TrackingLinks(b"a secret", self.settings.public_url)
        self.tracking = Tracking(TrackingBook(self.said), links, TrackingLimits(self._now_s))
        self.said.on_change = self.tracking.book.changed
        self.movements.on_change = self.ledger.moved
        self.desk = JobDesk(self.log, self.jobs)
        self.foreman = MemoryForeman(self.jobs, self._job_changed, self.log, self.clock.now_ms)
        self.foreman.answer = self.desk.take
        self.log.readers[JOB_COMMANDS.name] = self.foreman.read
        self.visits = OpenVisits(self.history)
        self.visits.is_caught_up = True
        self.feed = LiveFeed(
            self.live,
            self.visits,
            self.jobs,
            self.etas,
            self.job_index,
            BUILT_IN,
            self.clock,  # type: ignore[arg-type]
            self.settings.unknown_after_s,
        )
        self.visits.on_change = self.feed.visit_changed
        self.etas.on_change = self.feed.eta_changed
        holders = Holders()
        shift_gate = ShiftGate(self.rules, holders, self.registers["technicians"])
        self.nearby = NearbyTechnicians(holders, BUILT_IN)

        def technician_changed(technician_id: str, technician: Technician | None) -> None:
            holders.technician_changed(technician_id, technician)
            self.nearby.technician_changed(technician_id, technician)

        self.registers["technicians"].on_change = technician_changed  # type: ignore[assignment]
        self.registers["branches"].on_change = self.feed.branch_changed  # type: ignore[assignment]
        holders.on_change = self.feed.holder_changed
        self.erasure_book = ErasureBook(self.erasures, self.honoured)
        self.erasures.on_change = self.erasure_book.changed
        self.erasure_book.on_change = lambda: self.visits.forget(self.erasure_book.spans)
        self.live.on_change = self._live_changed
        services = self.services = Services(
            settings=self.settings,
            clock=self.clock,  # type: ignore[arg-type]
            log=self.log,
            keys=self.keys,
            fences=self.fences,
            registers=self.registers,
            jobs=self.jobs,
            job_index=self.job_index,
            desk=self.desk,
            etas=self.etas,
            stock=Stock(self.movements, self.ledger, self.thresholds),
            invoices=self.invoices,
            calendars=self.calendars,
            webhooks=self.webhooks,
            places=self.places,
            requests=self.requests,
            tracking=self.tracking,
            sender=self.sender,
            live=LiveStates(self.live, shift_gate, self.clock),  # type: ignore[arg-type]
            visits=self.visits,
            feed=self.feed,
            holders=holders,
            shift_gate=shift_gate,
            nearby=self.nearby,
            history=self.history,
            people=People(
                SignIn(self.accounts, CHEAP_PASSWORDS, self._now_s),
                Sessions(self.settings, b"a secret", self.accounts, self.sessions_ended, self._now_s),
                self.sessions_ended,
                self.accounts,
            ),
            enrolment_links=EnrolmentLinks(b"a secret"),
            erasures=self.erasure_book,
            erasure_store=self.erasure_store,
            dispatch_rules=self.rules,
            solver=Solver(SOLVING),
            remembered=self.remembered,
            geocoder=self.geocoder,
            roads=self.roads,
        )
        # Routes take a while to build and hold no state: every test shares them, over services of its own.
        if not _built:
            _built.append(create_app(services))
        self.app = _built[0]
        self.app.state.services = services

    def _job_changed(self, job_id: str, job: JobRecord) -> None:
        self.job_index.changed(job_id, job)
        self.feed.job_changed(job_id, job)
        self.nearby.job_changed(job_id, job)
        self.desk.see(job_id, job)

    def _live_changed(self, device_id: str, live: LiveState | None) -> None:
        self.feed.device_changed(device_id, live)
        self.nearby.device_changed(device_id, live)

    def _now_s(self) -> float:
        return self.clock.moment_ms / 1000

    def request(self, method: str, path: str, role: Role | None = "admin", **more: Any) -> httpx.Response:
        """One request, with the token of a role (None: without)."""
        headers = dict(more.pop("headers", {}))
        if role is not None:
            headers.setdefault("Authorization", f"Bearer {token_of(role)}")

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://onsite") as client:
                return await client.request(method, path, headers=headers, **more)

        return anyio.run(send)

    def put_live(self, live: LiveState) -> None:
        """A live state, as a tracker tells it."""
        self.live.records[live.device_id] = live
        self.feed.device_changed(live.device_id, live)
        self.nearby.device_changed(live.device_id, live)

    def archive(self, job_id: str) -> JobRecord:
        """A job is let go; only the store has it."""
        job = self.history.stored_jobs[job_id] = self.jobs.records.pop(job_id)
        for changed in (self.job_index.changed, self.feed.job_changed, self.nearby.job_changed, self.desk.see):
            changed(job_id, None)
        return job

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PUT", path, **more)

    def patch(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PATCH", path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.request("DELETE", path, **more)


@pytest.fixture
def door() -> Door:
    return Door()

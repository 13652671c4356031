"""What a request can reach: made once at start-up, handed to every route."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from weakref import WeakValueDictionary

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from api.auth.key_uses import KeyUses
from api.auth.oidc import Issuer
from api.auth.people import People
from api.erasure.book import ErasureBook
from api.history.explanation import Explainer
from api.http.rates import Rates
from api.ingest.admission import Backlogs
from api.ingest.enrolment import EnrolmentLinks
from api.ingest.shift_gate import ShiftGate
from api.jobs.desk import JobDesk
from api.jobs.index import JobIndex
from api.live.feed import LiveFeed
from api.live.nearby_technicians import NearbyTechnicians
from api.live.open_visits import OpenVisits
from api.metrics import Metrics
from api.places.remembered import RememberedPlaces
from api.plans.solver import Solver
from api.ports import EventLog, History, ReadModel, StoreOfErasures, WebhookSender
from api.registers.registry import Entry, Name
from api.roads import Roads
from api.stock.stock import Stock
from api.tracking.tracking import Tracking
from dispatch.holders import Holders
from dispatch.rules import DispatchRules
from geofence.rule_book import RuleBook
from routing.addresses.geocoder import Geocoder, NoGeocoder
from schemas.calendar import CalendarFeed
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.fence import FenceRecord
from schemas.invoice import Invoice
from schemas.job import JobRecord
from schemas.key import ApiKey
from schemas.live import LiveState
from schemas.remembered_place import RememberedPlace
from schemas.service_request import ServiceRequest
from schemas.settings import Settings
from schemas.webhook import WebhookRecord


@dataclass(frozen=True)
class Services:
    """The outside world of the API, and its own counters."""

    settings: Settings
    clock: Clock
    log: EventLog
    keys: ReadModel[ApiKey]
    fences: ReadModel[FenceRecord]
    registers: Mapping[Name, ReadModel[Entry]]
    jobs: ReadModel[JobRecord]
    job_index: JobIndex
    desk: JobDesk
    etas: ReadModel[Eta]
    stock: Stock
    invoices: ReadModel[Invoice]
    calendars: ReadModel[CalendarFeed]
    webhooks: ReadModel[WebhookRecord]
    places: ReadModel[RememberedPlace]
    requests: ReadModel[ServiceRequest]
    tracking: Tracking
    sender: WebhookSender
    live: ReadModel[LiveState]
    visits: OpenVisits
    feed: LiveFeed
    holders: Holders
    shift_gate: ShiftGate
    nearby: NearbyTechnicians
    history: History
    people: People
    enrolment_links: EnrolmentLinks
    erasures: ErasureBook
    erasure_store: StoreOfErasures
    metrics: Metrics = field(default_factory=Metrics)
    backlogs: Backlogs = field(default_factory=Backlogs)
    explainer: Explainer = field(default_factory=lambda: Explainer(RuleBook()))
    fence_edits: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A fence's record is read, revised and written back: one edit at a time."""
    register_edits: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The same for all registers at once: their entries refer to each other."""
    invoice_edits: asyncio.Lock = field(default_factory=asyncio.Lock)
    key_uses: KeyUses = field(default_factory=KeyUses)
    rates: Rates = field(default_factory=Rates)
    issuer: Issuer | None = None
    dispatch_rules: DispatchRules = field(default_factory=DispatchRules)
    solver: Solver = field(default_factory=Solver)
    request_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    remembered: RememberedPlaces = field(default_factory=RememberedPlaces)
    geocoder: Geocoder = field(default_factory=NoGeocoder)
    roads: Roads = field(default_factory=Roads)

    def lock_of_request(self, request_id: str) -> asyncio.Lock:
        """A service request is decided by one at a time; others are not waited for."""
        return self.request_locks.setdefault(request_id, asyncio.Lock())


def services_of(connection: HTTPConnection) -> Services:
    """The services of the app that got the request."""
    services: Services = connection.app.state.services
    return services


async def _reach(request: Request) -> Services:
    return services_of(request)  # asynchronous, because FastAPI sends what is not to a thread


Reach = Annotated[Services, Depends(_reach)]

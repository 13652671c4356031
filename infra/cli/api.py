"""``onsite api``: the HTTP API as a process."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import structlog
import typer
import uvicorn

from api.app import create_app
from api.auth.key_uses import KeyUses, KeyUseTeller
from api.auth.oidc import Issuer
from api.auth.passwords import Passwords
from api.auth.people import People
from api.auth.sessions import Sessions
from api.auth.sign_in import SignIn
from api.erasure.book import ErasureBook
from api.erasure.eraser import Eraser
from api.erasure.store import ErasureStore
from api.history.explanation import Explainer
from api.history.store import ClickHouseHistory
from api.http.rates import Rates
from api.ingest.admission import Backlogs
from api.ingest.enrolment import EnrolmentLinks
from api.ingest.shift_gate import ShiftGate
from api.jobs.desk import JobDesk
from api.jobs.index import JobIndex
from api.live.feed import LiveFeed
from api.live.nearby_technicians import NearbyTechnicians
from api.live.open_visits import OpenVisits
from api.live.states import LiveStates
from api.places.remembered import RememberedPlaces
from api.places.seeker import PlaceSeeker, Unplaced
from api.registers.registry import REGISTERS, Name
from api.roads import Roads
from api.services import Services
from api.stock.ledger import StockLedger
from api.stock.stock import Stock
from api.tracking.book import TrackingBook, TrackingMender
from api.tracking.tracking import Tracking
from dispatch.holders import Holders
from dispatch.tracking import TrackingLinks
from infra.errors import CommandError
from infra.http import BoundedHttp
from infra.inputs import read_dispatch_rules, read_rule_book
from infra.logs import configure_logging
from infra.secret import read_secret
from infra.websocket import BoundedWebSocket
from routing.addresses.geocoder import open_geocoder
from routing.opening import open_provider
from schemas import wire
from schemas.account import Account, SessionsEnded
from schemas.calendar import CalendarFeed
from schemas.erasure import Erasure, Honoured
from schemas.eta import Eta
from schemas.fence import FenceRecord
from schemas.invoice import Invoice
from schemas.job import JobRecord
from schemas.key import ApiKey
from schemas.live import LiveState
from schemas.remembered_place import RememberedPlace
from schemas.service_request import ServiceRequest
from schemas.settings import Settings, load_settings
from schemas.stock import Movement, Threshold
from schemas.topics import (
    ACCOUNTS,
    CALENDARS,
    ERASURES,
    ERASURES_HONOURED,
    ETAS,
    FENCES,
    INVOICES,
    JOBS,
    KEYS,
    LIVE,
    PLACES,
    RECORDER_GROUP,
    REQUESTS,
    SESSIONS_ENDED,
    STOCK,
    STOCK_THRESHOLDS,
    TRACKING,
    VISITS,
    WEBHOOKS,
)
from schemas.tracking import TrackingRecord
from schemas.visit import Visit
from schemas.webhook import WebhookRecord
from stream.answers import AnswerReader
from stream.collector import settle
from stream.kafka import Follower, KafkaLog
from stream.notify.sender import Sender
from stream.recorder_lag import RecorderLag
from stream.store import open_store
from stream.tail import Tail

_KEEP_ALIVE_S: Final = 75
"""An idle connection stays open longer than clients keep it (5 s many of them): what one sends while it is being closed
would be lost."""
_DRAIN_S: Final = 10
_BACKLOG: Final = 2048
_MAX_SAID_BYTES: Final = 4096
"""Of a message from a client; nothing is asked of them."""

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: ONSITE_KAFKA=broker:9092 ONSITE_HOST=0.0.0.0 onsite api")
    def api() -> None:
        """Serve the HTTP API: pings in, state out.

        Settings come from the environment (ONSITE_KAFKA, ONSITE_CLICKHOUSE, ONSITE_HOST, ONSITE_PORT, …). It starts
        while the broker or the store is away and says so at /readyz. SIGTERM lets open requests finish.
        """
        settings = load_settings()
        configure_logging(settings)
        with _listen(settings) as listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(settings, listener))


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT."""
    clock = settings.clock()
    explainer = Explainer(read_rule_book(settings.rules))
    event_log = KafkaLog(settings.kafka)
    keys = Follower(settings.kafka, KEYS, partial(wire.decode, ApiKey))
    fences = Follower(settings.kafka, FENCES, partial(wire.decode, FenceRecord))
    registers: dict[Name, Follower[Any]] = {
        name: Follower(settings.kafka, register.topic, partial(wire.decode, register.record))
        for name, register in REGISTERS.items()
    }
    job_index = JobIndex()
    jobs = Follower(settings.kafka, JOBS, partial(wire.decode, JobRecord))
    desk = JobDesk(event_log, jobs)
    etas = Follower(settings.kafka, ETAS, partial(wire.decode, Eta))
    ledger = StockLedger()
    movements = Follower(settings.kafka, STOCK, partial(wire.decode, Movement), ledger.moved)
    thresholds = Follower(settings.kafka, STOCK_THRESHOLDS, partial(wire.decode, Threshold))
    invoices = Follower(settings.kafka, INVOICES, partial(wire.decode, Invoice))
    calendars = Follower(settings.kafka, CALENDARS, partial(wire.decode, CalendarFeed))
    webhooks = Follower(settings.kafka, WEBHOOKS, partial(wire.decode, WebhookRecord))
    sender = Sender(settings, clock)
    live = Follower(settings.kafka, LIVE, partial(wire.decode, LiveState))
    accounts = Follower(settings.kafka, ACCOUNTS, partial(wire.decode, Account))
    sessions_ended = Follower(settings.kafka, SESSIONS_ENDED, partial(wire.decode, SessionsEnded))
    secret = read_secret(settings.secret_file)
    sessions = Sessions(settings, secret, accounts, sessions_ended)
    erasures = Follower(settings.kafka, ERASURES, partial(wire.decode, Erasure))
    honoured = Follower(settings.kafka, ERASURES_HONOURED, partial(wire.decode, Honoured))
    erasure_book = ErasureBook(erasures, honoured)
    erasures.on_change = erasure_book.changed
    erasure_store = ErasureStore(partial(open_store, settings))
    history = ClickHouseHistory(partial(open_store, settings))
    visits = OpenVisits(history)
    visits_told = Tail(settings.kafka, VISITS, RECORDER_GROUP, partial(wire.decode, Visit), visits)
    rules = read_dispatch_rules(settings.dispatch)
    feed = LiveFeed(live, visits, jobs, etas, job_index, rules.lifecycle(), clock, settings.unknown_after_s)
    holders = Holders()
    shift_gate = ShiftGate(rules, holders, registers["technicians"])
    nearby = NearbyTechnicians(holders, rules.lifecycle())
    etas.on_change = feed.eta_changed
    live.on_change, visits.on_change = _each(feed.device_changed, nearby.device_changed), feed.visit_changed
    unplaced = Unplaced()
    jobs.on_change = _each(job_index.changed, feed.job_changed, nearby.job_changed, unplaced.job_changed, desk.see)
    registers["sites"].on_change = unplaced.site_changed
    remembered = RememberedPlaces()
    places = Follower(settings.kafka, PLACES, partial(wire.decode, RememberedPlace), remembered.changed)
    requests = Follower(settings.kafka, REQUESTS, partial(wire.decode, ServiceRequest))
    said = Follower(settings.kafka, TRACKING, partial(wire.decode, TrackingRecord))
    tracking = Tracking(TrackingBook(said), TrackingLinks(secret, settings.public_url))
    said.on_change = tracking.book.changed
    geocoder = open_geocoder(settings)
    provider = open_provider(settings)
    registers["technicians"].on_change = _each(holders.technician_changed, nearby.technician_changed)
    holders.on_change = feed.holder_changed
    erasure_book.on_change = partial(visits.forget, erasure_book.spans)
    registers["branches"].on_change = feed.branch_changed
    key_uses = KeyUses()
    services = Services(
        settings,
        clock,
        event_log,
        keys,
        fences,
        registers,
        jobs,
        job_index,
        desk,
        etas,
        Stock(movements, ledger, thresholds),
        invoices,
        calendars,
        webhooks,
        places,
        requests,
        tracking,
        sender,
        LiveStates(live, shift_gate, clock),
        visits,
        feed,
        holders,
        shift_gate,
        nearby,
        history,
        People(SignIn(accounts, Passwords()), sessions, sessions_ended, accounts),
        EnrolmentLinks(secret),
        erasure_book,
        erasure_store,
        explainer=explainer,
        backlogs=Backlogs(settings.backlog_bytes_per_s),
        key_uses=key_uses,
        rates=Rates.stated_by(settings),
        issuer=Issuer(settings) if settings.oidc_issuer else None,
        dispatch_rules=rules,
        remembered=remembered,
        geocoder=geocoder,
        roads=Roads(provider),
    )
    app = create_app(services)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_DRAIN_S,
            http=BoundedHttp,
            ws=BoundedWebSocket,
            ws_max_size=_MAX_SAID_BYTES,
            ws_per_message_deflate=False,  # compressing a snapshot would hold up everybody else
        )
    )

    def ask_to_exit() -> None:
        feed.close()
        server.ask_to_exit()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_exit)
    followers: list[Follower[Any]] = [
        keys,
        accounts,
        sessions_ended,
        fences,
        *registers.values(),
        jobs,
        etas,
        webhooks,
        live,
        places,
        requests,
        said,
        movements,
        thresholds,
        invoices,
        calendars,
        erasures,
        honoured,
    ]
    eraser = Eraser(services, erasure_book, erasure_store, RecorderLag(settings.kafka, settings.partitions))
    answers = AnswerReader(settings.kafka, desk.take)
    teller = KeyUseTeller(key_uses, event_log)
    parts: list[Any] = [event_log, sender, *followers, visits_told, answers, teller, eraser]
    parts += [PlaceSeeker(unplaced, services), TrackingMender(tracking.book, event_log)]
    for part in parts:
        await part.start()
    host, port = listener.getsockname()[:2]
    settle()
    log.info("serving", host=host, port=port)
    try:
        await server.serve(sockets=[listener])
    finally:
        for part in reversed(parts):
            await part.stop()
        services.solver.close()
        services.roads.close()
        await asyncio.to_thread(provider.close)
        await geocoder.close()
        await history.close()
        log.info("stopped")


def _each(*readers: Callable[[str, Any], object]) -> Callable[[str, Any], None]:
    """What calls several readers of changes, in this order."""

    def changed(key: str, record: Any) -> None:
        for reader in readers:
            reader(key, record)

    return changed


class _Server(uvicorn.Server):
    """Uvicorn that leaves the signals to us: its own handling ends the process before the log is flushed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def ask_to_exit(self) -> None:
        """Finish open requests, then return from ``serve``; asked twice, do not wait for them."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CommandError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror} (ONSITE_HOST, ONSITE_PORT)"
        ) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.new_event_loop

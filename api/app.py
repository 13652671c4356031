"""The HTTP API, put together."""

from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import openapi, problems
from api.metrics import RequestTimer
from api.ports import EventLog, History, ReadModel
from api.routes import ROUTERS
from api.services import Services
from schemas.clock import Clock
from schemas.fence import FenceRecord
from schemas.key import ApiKey
from schemas.live import LiveState
from schemas.settings import Settings


def create_app(
    settings: Settings,
    clock: Clock,
    log: EventLog,
    keys: ReadModel[ApiKey],
    fences: ReadModel[FenceRecord],
    live: ReadModel[LiveState],
    history: History,
) -> FastAPI:
    """The app over what it needs from outside; starting and stopping those is the caller's."""
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="Onsite",
        version=version("onsite"),
        description="Pings in; arrivals, on-site time and ETAs out.",
    )
    app.state.services = Services(settings, clock, log, keys, fences, live, history)
    app.add_middleware(RequestTimer, metrics=app.state.services.metrics)
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    openapi.install(app)
    return app

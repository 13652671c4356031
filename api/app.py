"""The HTTP API, put together."""

from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import openapi
from api.auth.renewal import SessionRenewal
from api.http import problems
from api.http.direct_route import DirectRoutes
from api.http.headers import SecurityHeaders
from api.metrics import RequestTimer
from api.routes import ROUTERS
from api.services import Services


def create_app(services: Services) -> FastAPI:
    """The app over what it needs from outside; starting and stopping that is the caller's."""
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="Onsite",
        version=version("onsite"),
        description="Pings in; arrivals, on-site time and ETAs out.",
        # What is measured stands in /metrics; nothing is sent elsewhere, whatever the environment says.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_middleware(SessionRenewal)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestTimer)
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    openapi.install(app)
    app.middleware_stack = DirectRoutes(app, ROUTERS, app.build_middleware_stack())
    return app

"""The routes, one file a resource."""

from typing import Final

from api.routes import devices, fences, health, ingest, live, pings, sessions, visits

ROUTERS: Final = (
    pings.router,
    ingest.router,
    devices.router,
    fences.router,
    visits.router,
    live.router,
    sessions.router,
    health.router,
)

"""The routes, one file a resource."""

from typing import Final

from api.routes import devices, fences, health, ingest, live, pings, rejected, visits

ROUTERS: Final = (
    pings.router,
    ingest.router,
    rejected.router,
    devices.router,
    fences.router,
    visits.router,
    live.router,
    health.router,
)

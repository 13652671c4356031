"""The routes, one file a resource."""

from typing import Final

from api.routes import devices, fences, health, live, pings, visits

ROUTERS: Final = (pings.router, devices.router, fences.router, visits.router, live.router, health.router)

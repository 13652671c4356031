"""The routes, one file a resource."""

from typing import Final

from api.routes import (
    audit,
    devices,
    enrolments,
    erasures,
    fences,
    health,
    ingest,
    jobs,
    live,
    personal_data,
    pings,
    plans,
    registers,
    rejected,
    sessions,
    visits,
    webhooks,
)

ROUTERS: Final = (
    pings.router,
    ingest.router,
    rejected.router,
    devices.router,
    enrolments.router,
    fences.router,
    visits.router,
    jobs.router,
    plans.router,
    *registers.ROUTERS,
    personal_data.router,
    erasures.router,
    webhooks.router,
    audit.router,
    live.router,
    sessions.router,
    health.router,
)

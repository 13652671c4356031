"""The routes, one file a resource."""

from typing import Final

from api.routes import (
    audit,
    devices,
    enrolments,
    fences,
    health,
    ingest,
    jobs,
    live,
    personal_data,
    pings,
    places,
    plans,
    registers,
    rejected,
    service_requests,
    sessions,
    transitions,
    visits,
    webhooks,
    work_history,
)

ROUTERS: Final = (
    pings.router,
    ingest.router,
    transitions.router,
    rejected.router,
    devices.router,
    enrolments.router,
    fences.router,
    visits.router,
    jobs.router,
    places.router,
    service_requests.router,
    plans.router,
    *registers.ROUTERS,
    work_history.router,
    personal_data.router,
    webhooks.router,
    audit.router,
    live.router,
    sessions.router,
    health.router,
)

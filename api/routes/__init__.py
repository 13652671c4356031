"""The routes, one file a resource."""

from typing import Final

from api.routes import (
    audit,
    calendars,
    devices,
    enrolments,
    fences,
    health,
    ingest,
    invoices,
    jobs,
    live,
    personal_data,
    pings,
    plans,
    registers,
    rejected,
    reports,
    sessions,
    stock,
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
    stock.router,
    invoices.router,
    reports.router,
    plans.router,
    *registers.ROUTERS,
    calendars.router,
    personal_data.router,
    webhooks.router,
    audit.router,
    live.router,
    sessions.router,
    health.router,
)

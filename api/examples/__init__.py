"""Examples for the OpenAPI document: of every body and every answer. FastAPI drops nulls, so there are none."""

from api.examples import (
    devices,
    fences,
    jobs,
    notices,
    people,
    pings,
    plans,
    reports,
    requests,
    sessions,
    stock,
    system,
    tracking,
    visits,
    webhooks,
)
from api.examples.describing import BY_SESSION, answers, body, filters, problem, stated

__all__ = [
    "BY_SESSION",
    "answers",
    "body",
    "devices",
    "fences",
    "filters",
    "jobs",
    "notices",
    "people",
    "pings",
    "plans",
    "problem",
    "reports",
    "requests",
    "sessions",
    "stated",
    "stock",
    "system",
    "tracking",
    "visits",
    "webhooks",
]

"""Is it alive, can it serve, what does it count."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter
from starlette.responses import Response

from api import examples, metrics
from api.http.answers import JSONAnswer, Readiness
from api.http.problems import RETRY_AFTER_S
from api.ports import StoreUnavailable
from api.services import Reach
from schemas.topics import LogUnavailable

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Liveness", responses=examples.answers(200, "The process runs", None, {"status": "ok"}))
async def healthz() -> JSONAnswer:
    """The process runs and answers."""
    return JSONAnswer({"status": "ok"})


@router.get(
    "/readyz",
    summary="Readiness",
    responses=examples.answers(200, "Ready", "Readiness", examples.system.READY)
    | examples.answers(503, "Not ready, and why", "Readiness", examples.system.NOT_READY),
)
async def readyz(services: Reach) -> JSONAnswer:
    """Whether requests can be served: the broker and the store answer, and the read models are complete."""
    broker, store = await asyncio.gather(_state(services.log.ready()), _state(services.history.ready()))
    checks = {"broker": broker, "store": store}
    read: dict[str, bool] = {
        "keys": services.keys.is_caught_up,
        "fences": services.fences.is_caught_up,
        "devices": services.live.is_caught_up,
        "visits": services.visits.is_caught_up,
        "etas": services.etas.is_caught_up,
        "places": services.places.is_caught_up,
        "requests": services.requests.is_caught_up,
    }
    read |= {name: model.is_caught_up for name, model in services.registers.items()}
    checks |= {name: "ok" if is_caught_up else "still being read" for name, is_caught_up in read.items()}
    ready = all(state == "ok" for state in checks.values())
    headers = {} if ready else {"Retry-After": str(RETRY_AFTER_S)}
    return JSONAnswer(Readiness(ready, checks), 200 if ready else 503, headers)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=examples.system.METRICS)
async def read_metrics(services: Reach) -> Response:
    """Counters and latencies in Prometheus' text format."""
    return Response(services.metrics.text(), media_type=metrics.CONTENT_TYPE)


async def _state(check: Awaitable[None]) -> str:
    try:
        await check
    except (LogUnavailable, StoreUnavailable) as error:
        return str(error)
    return "ok"

"""Jobs taken from state to state."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request

from api import examples
from api.auth import allow, authorize
from api.auth.scoped import scope_of
from api.http.answers import JSONAnswer
from api.http.body import read_body, read_json
from api.http.direct_route import DirectRoute
from api.http.parameters import KEY_DESCRIPTION, MAX_KEY_CHARS, read_key
from api.jobs.commands import head_of
from api.jobs.requests import read_move
from api.jobs.standing import job_answer, standing_job
from api.services import services_of
from schemas.job_command import MoveJob

router = APIRouter(tags=["jobs"], route_class=DirectRoute)

_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "job_id",
        "in": "path",
        "required": True,
        "description": "the job's id",
        "schema": {"type": "string"},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": KEY_DESCRIPTION,
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS},
    },
]


@router.post(
    "/v1/jobs/{job_id}/transitions",
    summary="Take a job to another state",
    dependencies=[Depends(allow("jobs:move"))],
    openapi_extra=examples.body("Move", examples.jobs.MOVE) | {"parameters": _PARAMETERS},
    responses=examples.answers(
        200, "The job in its new state", "JobAnswer", examples.jobs.JOB_ANSWER, 400, 404, 409, 413, 415, 422, 503
    ),
)
async def move_job(request: Request) -> JSONAnswer:
    """What a person says stands, whatever positions tell. A `409` lists in `allowed` where the job may be taken.

    `at` is when it happened, by default now; it may lie in the past, as where a phone was offline.
    """
    principal = await authorize(request, "jobs:move")
    services = services_of(request)
    scope = scope_of(principal, services)
    key = read_key(request.headers.get("idempotency-key"))
    move = read_move(read_json(await read_body(request, services.settings.max_body_bytes)))
    record = await standing_job(services, scope, request.path_params["job_id"])
    command = MoveJob(
        job_id=record.job_id,
        **head_of(principal, services.clock, key),
        **msgspec.structs.asdict(move),
    )
    after = await services.desk.carry_out(command)
    return job_answer(after, services)

"""What events look like: their published schemas, and an example of each."""

from typing import Annotated, Final

from fastapi import APIRouter, Path

from api import examples
from api.http.answers import EventSchema, EventSchemas, EventTypeSummary, JSONAnswer
from api.http.problems import Problem
from schemas.event import EVENT_TYPES, OWN_STATE, data_schema, schema_of
from schemas.event_examples import example_of

router = APIRouter(tags=["webhooks"])

_TYPES: Final = (*EVENT_TYPES, OWN_STATE)
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}


@router.get(
    "/v1/events/schemas",
    summary="List types of events",
    responses=examples.answers(200, "All there are", "EventSchemas", examples.webhooks.EVENT_SCHEMAS),
)
async def list_schemas() -> JSONAnswer:
    """For everybody: nothing of what has happened is in it. `job.state` stands for a tenant's own states."""
    return JSONAnswer(EventSchemas([EventTypeSummary(each, schema_of(each)) for each in _TYPES]), 200, _CACHED)


@router.get(
    "/v1/events/schemas/{event_type}",
    summary="The schema of a type of events",
    responses=examples.answers(200, "The schema, and an example", "EventSchema", examples.webhooks.EVENT_SCHEMA, 404),
)
async def get_schema(event_type: Annotated[str, Path(description="as `job.completed`")]) -> JSONAnswer:
    """The JSON Schema (2020-12) of the event's `data`, and an example of the whole event. For everybody."""
    if event_type not in _TYPES:
        known = ", ".join(_TYPES)
        raise Problem(404, "unknown_event_type", f"there are no events {event_type!r}, but {known}", types=list(_TYPES))
    return JSONAnswer(EventSchema(event_type, data_schema(event_type), example_of(event_type)), 200, _CACHED)

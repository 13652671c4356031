"""The OpenAPI document: FastAPI's, with the records' own JSON Schemas and the errors every route shares."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import examples
from api.erasure.answers import ErasureAnswer
from api.history.work_history import HistoryItem
from api.http import answers
from api.jobs.answers import JobAnswer
from api.jobs.requests import MAX_ID_CHARS, Move
from api.plans.messages import AppliedPlan, MovesAnswer, OffersAnswer, PlanChanges, PlanRequest, SuggestionAnswer
from api.registers.entries import OWN
from api.registers.registry import REGISTERS, Register
from api.requests.messages import Acceptance, AcceptedRequest, Refusal
from api.stock.answers import LevelAnswer, MovementsAnswer
from api.stock.requests import NewMovement, NewPart, NewThreshold
from api.tracking.answers import CustomerWords, NewMessage, Rating, TrackingAnswer, TrackingLink
from api.webhooks import ReplayOrder
from schemas import wire
from schemas.audit import AuditRecord
from schemas.explanation import RecomputedVisit
from schemas.invoice import Invoice, InvoicePlan
from schemas.job import FOUND, JobPlan
from schemas.ping import Ping
from schemas.rejected import RejectedPing
from schemas.service_request import RequestPlan, ServiceRequest
from schemas.stock import Movement
from schemas.tracking import CustomerMessage
from schemas.visit import Visit
from schemas.webhook import Attempted, Delivery, Webhook, WebhookPlan

TAGS: Final = [
    {"name": "pings", "description": "Position fixes in, and which were refused."},
    {
        "name": "devices",
        "description": "Where devices are and were. As it changes: the WebSocket `/v1/live` (docs/live.md).",
    },
    {"name": "fences", "description": "Places with a history, as GeoJSON."},
    {"name": "visits", "description": "Who was where, from when to when."},
    {"name": "technicians", "description": "Who works in the field, and which devices they hold."},
    {"name": "customers", "description": "Who jobs are for."},
    {"name": "sites", "description": "Where customers are visited."},
    {"name": "branches", "description": "Parts of the company; a region is one too (docs/access.md)."},
    {"name": "depots", "description": "Where technicians start from and stock is kept."},
    {"name": "webhooks", "description": "Events, told to systems of one's own (docs/events.md)."},
    {"name": "audit", "description": "What was written, by whom (docs/access.md)."},
    {"name": "jobs", "description": "Work at places, and how it goes (docs/jobs.md)."},
    {"name": "notices", "description": "Who was told what of a job, or why not (docs/notices.md)."},
    {"name": "places", "description": "Where an address is (docs/places.md)."},
    {"name": "requests", "description": "Service that somebody asks for, until it is a job (docs/requests.md)."},
    {"name": "stock", "description": "What is in vans and depots, and what moved (docs/jobs.md)."},
    {"name": "tracking", "description": "What customers see of their job, and say about it (docs/tracking.md)."},
    {"name": "plans", "description": "Who best does which jobs: suggestions that a person applies."},
    {"name": "reports", "description": "What was done, when, how soon and how well (docs/reports.md)."},
    {"name": "erasures", "description": "People who were erased, and how far that has come (docs/privacy.md)."},
    {"name": "enrolments", "description": "Links that set up the apps on phones (docs/devices.md)."},
    {"name": "sessions", "description": "Signing in and out, for people with an account (docs/access.md)."},
    {"name": "health", "description": "For orchestrators and Prometheus; no key needed."},
]

_MOMENT: Final = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "description": "epoch milliseconds"}]
}

_FEATURE: Final = {
    "type": "object",
    "required": ["type", "geometry", "properties"],
    "properties": {
        "type": {"const": "Feature"},
        "id": {"type": ["string", "integer"]},
        "geometry": {"type": ["object", "null"]},
        "properties": {"type": ["object", "null"]},
    },
}

_FEATURE_COLLECTION: Final = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": {"$ref": "#/components/schemas/Feature"}},
        "next_cursor": {"type": ["string", "null"]},
    },
}

_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457 problem details; `code` is stable, `detail` is for people.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
}

_SESSION: Final = {
    "type": "apiKey",
    "in": "cookie",
    "name": "onsite",
    "description": "The cookie that signing in sets; `__Host-onsite` where Onsite is reached over TLS",
}


def install(app: FastAPI) -> None:
    """Make ``app.openapi()`` give the whole document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
    )
    for path in document["paths"].values():
        for operation in path.values():
            _complete(operation)
    document["components"]["schemas"] = _schemas()
    document["components"]["securitySchemes"]["Session"] = _SESSION
    return document


def _complete(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]  # what FastAPI would say of a bad request is answered as 400
    if "security" in operation:
        if operation["security"] != examples.BY_SESSION and "apps" not in operation["tags"]:
            operation["security"] = [*operation["security"], *examples.BY_SESSION]
        responses["401"], responses["403"] = examples.problem(401), examples.problem(403)
    for response in responses.values():
        content = response.get("content", {})
        if content.get("application/json", {}).get("schema") == {}:
            del content["application/json"]  # FastAPI's guess beside what is stated
            if not content:
                del response["content"]


def _schemas() -> dict[str, Any]:
    kinds = (
        Ping,
        Visit,
        answers.PingsAnswer,
        answers.Device,
        answers.Page[answers.Device],
        answers.NearestAnswer,
        answers.Page[Visit],
        answers.Page[RejectedPing],
        answers.Page[AuditRecord],
        answers.VisitAnswer,
        RecomputedVisit,
        answers.ImportAnswer,
        answers.Readiness,
        answers.PlacesAnswer,
        answers.SessionAnswer,
        answers.EnrolmentAnswer,
        *(register.record for register in REGISTERS.values()),
        JobAnswer,
        answers.Page[JobAnswer],
        answers.EtaAnswer,
        JobPlan,
        Move,
        Webhook,
        WebhookPlan,
        answers.WebhookAnswer,
        answers.ReplayAnswer,
        answers.Page[Webhook],
        answers.Page[Delivery],
        answers.Page[answers.NoticeAnswer],
        Attempted,
        ReplayOrder,
        ServiceRequest,
        RequestPlan,
        answers.Page[ServiceRequest],
        Acceptance,
        Refusal,
        AcceptedRequest,
        answers.Page[HistoryItem],
        PlanRequest,
        PlanChanges,
        AppliedPlan,
        SuggestionAnswer,
        MovesAnswer,
        OffersAnswer,
        answers.CostAnswer,
        Invoice,
        InvoicePlan,
        answers.CalendarAnswer,
        answers.EventSchemas,
        answers.EventSchema,
        answers.ReportsAnswer,
        answers.ReportAnswer,
        Movement,
        NewMovement,
        NewPart,
        NewThreshold,
        MovementsAnswer,
        LevelAnswer,
        answers.Page[Movement],
        answers.Page[LevelAnswer],
        TrackingLink,
        TrackingAnswer,
        Rating,
        NewMessage,
        CustomerMessage,
        CustomerWords,
        ErasureAnswer,
        answers.Page[ErasureAnswer],
    )
    _, components = wire.json_schemas(kinds, "#/components/schemas/{name}")
    components["DevicePage"] = components.pop("Page_Device_")
    components["VisitPage"] = components.pop("Page_Visit_")
    components["AuditPage"] = components.pop("Page_AuditRecord_")
    components["RejectedPage"] = components.pop("Page_RejectedPing_")
    components["HistoryPage"] = components.pop("Page_HistoryItem_")
    components["RequestPage"] = components.pop("Page_ServiceRequest_")
    components["NewRequest"] = components.pop("RequestPlan")
    components["RequestRefusal"] = components.pop("Refusal")
    components["JobPage"] = components.pop("Page_JobAnswer_")
    components["WebhookPage"] = components.pop("Page_Webhook_")
    components["MovementPage"] = components.pop("Page_Movement_")
    components["LevelPage"] = components.pop("Page_LevelAnswer_")
    components["ErasurePage"] = components.pop("Page_ErasureAnswer_")
    components["NoticePage"] = components.pop("Page_NoticeAnswer_")
    components["DeliveryPage"] = components.pop("Page_Delivery_")
    components |= _webhook_schemas(components.pop("WebhookPlan"))
    components |= _job_schemas(components.pop("JobPlan"))
    components["Move"]["additionalProperties"] = False
    for register in REGISTERS.values():
        components |= _register_schemas(register, components[register.record.__name__])
    fields = components["Ping"]["properties"]
    del fields["received_at"]
    fields["ts"] = {**_MOMENT, "description": "when the fix was taken"}
    fields["sent_at"] = {**_MOMENT, "description": "when the device sent it, by its own clock"}
    return components | {"Feature": _FEATURE, "FeatureCollection": _FEATURE_COLLECTION, "Problem": _PROBLEM}


def _job_schemas(plan: dict[str, Any]) -> dict[str, Any]:
    """Of a new job, and of a merge patch."""
    stated = {
        name: {key: each for key, each in field.items() if key != "default"}
        for name, field in plan["properties"].items()
        if name not in FOUND
    }
    closed = {"type": "object", "additionalProperties": False}
    identity = {"job_id": {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS}}
    nullable = {field: {"anyOf": [each, {"type": "null"}]} for field, each in stated.items()}
    return {"NewJob": {**closed, "properties": identity | stated}, "JobPatch": {**closed, "properties": nullable}}


def _webhook_schemas(plan: dict[str, Any]) -> dict[str, Any]:
    """Of a new webhook, and of a merge patch."""
    closed = {"type": "object", "additionalProperties": False}
    fields = {
        name: {key: each for key, each in field.items() if key != "default"}
        for name, field in plan["properties"].items()
    }
    nullable = {name: {"anyOf": [each, {"type": "null"}]} for name, each in fields.items()}
    return {
        "NewWebhook": {**closed, "required": plan["required"], "properties": fields},
        "WebhookPatch": {**closed, "properties": nullable},
    }


def _register_schemas(register: Register, schema: dict[str, Any]) -> dict[str, Any]:
    """Of a page of entries, of a new one, and of a merge patch."""
    name = register.record.__name__
    stated = {field: each for field, each in schema["properties"].items() if field not in OWN}
    item = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}
    closed = {"type": "object", "additionalProperties": False}
    nullable = {field: {"anyOf": [each, {"type": "null"}]} for field, each in stated.items()}
    return {
        f"{name}Page": {
            "type": "object",
            "required": ["items", "next_cursor"],
            "properties": {"items": item, "next_cursor": {"type": ["string", "null"]}},
        },
        f"New{name}": {
            **closed,
            "required": [field for field in schema["required"] if field != register.key],
            "properties": stated,
        },
        f"{name}Patch": {**closed, "properties": nullable},
    }
